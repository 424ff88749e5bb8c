#include "run/model_files.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include <graft/error.h>

#include "config/file_parameters.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFilesFact = "files";

/// A file that a model was trained with, as its bundle has it.
struct KnownFile {
  std::string stage, parameter, digest;
  std::string address() const { return stage + "." + parameter; }
};

/// Nothing for a model of an earlier version, which does not list them.
std::vector<KnownFile> known_files(const TrainedModel& model) {
  std::vector<KnownFile> out;
  const Value* list = model.learner_facts().find(kFilesFact);
  if (list == nullptr) return out;
  for (const Value& file : list->as_list()) {
    const auto text = [&](const char* name) {
      const Value* v = file.find(name);
      if (v == nullptr || !v->is_string())
        throw Error(fmt::format("{}: a file without its '{}': the model is damaged; train it again",
                                (model.run / "models" / model.stage / "bundle.json").string(), name));
      return v->as_string();
    };
    out.push_back({text("stage"), text("parameter"), text("digest")});
  }
  return out;
}

using VisitFile =
    std::function<void(const StagePlan& stage, const std::string& parameter, const std::string& path)>;

void visit_files_of(const StagePlan& stage, const VisitFile& visit) {
  Value with = stage.params.value();
  visit_files(stage.schema.params, with,
              [&](const std::string& parameter, Value& path) { visit(stage, parameter, path.as_string()); });
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
                   [&](const StagePlan& owner, const std::string& parameter, const std::string& path) {
                     Value file = Value::map();
                     file["stage"] = owner.id;
                     file["parameter"] = parameter;
                     file["path"] = path;
                     file["digest"] = memo.digest_of(path).hex();
                     out.push(std::move(file));
                   });
  }
  return out;
}

void require_files(const TrainedModel& model, const Value& config, const std::vector<std::string>& overrides,
                   const Registry& registry) {
  const Value* stages = config.find("stages");
  for (const KnownFile& file : known_files(model)) {
    const auto is_override = [&](const std::string& o) { return o.starts_with(file.address() + "="); };
    if (std::any_of(overrides.begin(), overrides.end(), is_override)) continue;
    const Value* stage = stages == nullptr ? nullptr : stages->find(file.stage);
    const Value* plugin = stage == nullptr ? nullptr : stage->find("plugin");
    const Value* given = stage == nullptr ? nullptr : stage->find("with");
    const Registry::Plugin* found =
        plugin != nullptr && plugin->is_string() ? registry.find(plugin->as_string()) : nullptr;
    if (found == nullptr || given == nullptr) continue;  // an error of the config, which names the stage
    Value with = *given;
    visit_files(found->schema.params, with, [&](const std::string& parameter, Value& path) {
      std::error_code error;
      if (parameter == file.parameter && !fs::exists(path.as_string(), error))
        throw Error(fmt::format(
            "'{}' was trained with a file that is not at {} any more: wanted the one whose content has the "
            "digest {}; bring it back, or name its place with --set {}=PATH",
            model.stage, path.as_string(), file.digest, file.address()));
    });
  }
}

void require_same_files(const TrainedModel& model, const Plan& plan, DigestMemo& memo) {
  for (const KnownFile& file : known_files(model))
    for (const StagePlan& stage : plan.stages)
      if (stage.id == file.stage)
        visit_files_of(stage, [&](const StagePlan&, const std::string& parameter, const std::string& path) {
          if (parameter != file.parameter) return;
          const std::string now = memo.digest_of(path).hex();
          if (now != file.digest)
            throw Error(
                fmt::format("'{}' was trained with another file than {}: wanted the content with the digest "
                            "{}, got {}; bring it back, name its place with --set {}=PATH, or train again",
                            model.stage, path, file.digest, now, file.address()));
        });
}

}  // namespace graft
