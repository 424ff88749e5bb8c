#include "run/model_files.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "config/file_parameters.h"
#include "store/fingerprint.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFilesFact = "files";

/// A file or a folder that a model was trained with, as its bundle has it.
struct KnownFile {
  std::string stage, parameter;
  Value digest;  ///< As content_of() gives it.
  std::string address() const { return stage + "." + parameter; }
};

/// Nothing for a model of an earlier version, which does not list them.
std::vector<KnownFile> known_files(const TrainedModel& model) {
  std::vector<KnownFile> out;
  for (const Value& file : list_at(model.learner_facts(), {kFilesFact})) {
    const auto fact = [&](const char* name, auto is_valid) {
      const Value* v = file.find(name);
      if (v == nullptr || !is_valid(*v))
        throw Error(fmt::format("{}: a file without its '{}': the model is damaged; train it again",
                                (model.run / "models" / model.stage / "bundle.json").string(), name));
      return *v;
    };
    const auto is_text = [](const Value& v) { return v.is_string(); };
    const auto is_content = [](const Value& v) {
      return v.is_string() ||
             (v.is_map() && std::all_of(v.as_map().begin(), v.as_map().end(),
                                        [](const auto& one) { return one.second.is_string(); }));
    };
    out.push_back({fact("stage", is_text).as_string(), fact("parameter", is_text).as_string(),
                   fact("digest", is_content)});
  }
  return out;
}

void visit_files_of(const StagePlan& stage, const VisitFile& visit) {
  Value with = stage.params.value();
  visit_files(stage.schema.params, with, visit);
}

/// What is wanted at a place and what is there, in words.
struct Difference {
  fs::path place;
  std::string wanted, got;
};

/// The first difference of two contents of `path`, if there is one.
std::optional<Difference> difference(const fs::path& path, const Value& wanted, const Value& got) {
  const auto content = [](const Value& digest) {
    return digest.is_string() ? "the content with the digest " + digest.as_string() : "a folder";
  };
  if (wanted == got) return {};
  if (!wanted.is_map() || !got.is_map())
    return Difference{path, content(wanted), got.is_string() ? got.as_string() : "a folder"};
  for (const auto& [name, digest] : wanted.as_map()) {
    const Value* now = got.find(name);
    if (now == nullptr || *now != digest)
      return Difference{path / name, content(digest), now == nullptr ? "no such file" : now->as_string()};
  }
  for (const auto& [name, digest] : got.as_map())
    if (wanted.find(name) == nullptr) return Difference{path / name, "no such file", digest.as_string()};
  return {};
}

/// The missing file or folder, in words.
std::string the_one_with(const Value& digest) {
  if (digest.is_string()) return "the one whose content has the digest " + digest.as_string();
  std::vector<std::string> files;
  for (const auto& [name, d] : digest.as_map()) files.push_back(fmt::format("{} ({})", name, d.as_string()));
  return "the one with " + joined(files);
}

}  // namespace

Value files_upstream(const Plan& plan, std::size_t stage, DigestMemo& memo) {
  std::vector<bool> wanted(plan.stages.size(), false);
  wanted[stage] = true;
  for (std::size_t i = stage + 1; i-- > 0;)  // stages are in topological order
    if (wanted[i])
      for (const StagePlan::Input& input : plan.stages[i].inputs) wanted[input.stage] = true;
  Value out = Value::list();
  for (std::size_t i = 0; i <= stage; ++i) {
    if (!wanted[i] || plan.stages[i].is(StageKind::Source)) continue;
    visit_files_of(plan.stages[i],
                   [&](const std::string& parameter, const ParamSpec& spec, const Value& path) {
                     out.push(Value::Map{{"stage", plan.stages[i].id},
                                         {"parameter", parameter},
                                         {"path", path},
                                         {"digest", content_of(spec, path.as_string(), memo)}});
                   });
  }
  return out;
}

void require_files(const TrainedModel& model, const Value& config, const std::vector<std::string>& overrides,
                   const Registry& registry) {
  for (const KnownFile& file : known_files(model)) {
    const auto is_override = [&](const std::string& o) { return o.starts_with(file.address() + "="); };
    if (std::any_of(overrides.begin(), overrides.end(), is_override)) continue;
    const Registry::Plugin* found = registry.find(text_at(config, {"stages", file.stage, "plugin"}));
    const Value* given = at_path(config, {"stages", file.stage, "with"});
    if (found == nullptr || given == nullptr) continue;  // an error of the config, which names the stage
    Value with = *given;
    visit_files(found->schema.params, with,
                [&](const std::string& parameter, const ParamSpec&, const Value& path) {
                  std::error_code error;
                  if (parameter == file.parameter && !fs::exists(path.as_string(), error))
                    throw Error(
                        fmt::format("'{}' was trained with a {} that is not at {} any more: wanted {}; bring "
                                    "it back, or name its place with --set {}=PATH",
                                    model.stage, file.digest.is_string() ? "file" : "folder",
                                    path.as_string(), the_one_with(file.digest), file.address()));
                });
  }
}

void require_same_file(const TrainedModel& model, const std::string& parameter, const ParamSpec& spec,
                       const fs::path& path, DigestMemo& memo) {
  for (const KnownFile& file : known_files(model)) {
    if (file.address() != parameter) continue;
    if (const auto d = difference(path, file.digest, content_of(spec, path, memo)))
      throw Error(
          fmt::format("'{}' was trained with another file than {}: wanted {}, got {}; bring it back, "
                      "name its place with --set {}=PATH, or train again",
                      model.stage, d->place.string(), d->wanted, d->got, file.address()));
  }
}

void require_same_files(const TrainedModel& model, const Plan& plan, DigestMemo& memo) {
  for (const StagePlan& stage : plan.stages)
    visit_files_of(stage, [&](const std::string& parameter, const ParamSpec& spec, const Value& path) {
      require_same_file(model, stage.id + "." + parameter, spec, path.as_string(), memo);
    });
}

}  // namespace graft
