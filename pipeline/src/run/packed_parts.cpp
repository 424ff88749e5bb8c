#include "run/packed_parts.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>
#include <graft/version.h>

#include "base/temporary_folder.h"
#include "base/zip_names.h"
#include "config/config_file.h"
#include "config/file_parameters.h"
#include "run/left_run.h"
#include "run/model_files.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

Value json_file(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error) ? read_json(file) : Value::map();
}

/// The last step of a path; one that looks like a variable is none in a packed model.
std::string name_in_model(const fs::path& path) {
  std::string name = path.filename().string();
  for (std::size_t at = 0; (at = name.find("${")) != std::string::npos;) name.erase(at, 1);
  return name;
}

}  // namespace

std::vector<ModelPart> parts_of_model(const TrainedModel& model, const Registry& registry,
                                      const std::vector<std::string>& overrides) {
  // The stages upstream of the model, which take the paths of files in place of the run's source.
  Value config = with_moved_files(prediction_config(model, {"-"}, registry), overrides, registry);
  require_files(model, config, {}, registry);
  const TemporaryFolder work("graft-pack");
  DigestMemo memo(work.path() / "digests.memo");
  std::vector<ModelPart> files;
  // Names by path and by what counts in a folder: stages may share a network.
  std::map<std::pair<fs::path, std::vector<std::string>>, std::string> packed;
  std::set<std::string> names;
  for (auto& [id, stage] : config["stages"].as_map()) {
    const Registry::Plugin* plugin = registry.find(text_at(stage, {"plugin"}));
    if (plugin == nullptr)
      throw Error(fmt::format("the plugin '{}' of '{}' is not installed", text_at(stage, {"plugin"}), id));
    if (stage.find("with") == nullptr) continue;
    visit_files(
        plugin->schema.params, stage["with"],
        [&, &id = id](const std::string& parameter, const ParamSpec& spec, Value& value) {
          fs::path path = fs::path(value.as_string()).lexically_normal();
          require_same_file(model, fmt::format("{}.{}", id, parameter), spec, path, memo);
          if (!path.has_filename()) path = path.parent_path();  // "folder/"
          std::string& name = packed[{path, spec.folder_files}];
          if (name.empty()) {
            // No stage's name has a dot.
            const std::string last = name_in_model(path);
            name = fmt::format("files/{}/{}", id, last);
            for (int n = 2; !names.insert(name).second; ++n)
              name = fmt::format("files/{}.{}/{}", id, n, last);
            for (const fs::path& file : files_of(spec, path))
              files.push_back({file == path ? name : name + "/" + file.filename().string(), {}, file});
          }
          value = name;
        });
  }
  std::vector<ModelPart> parts{{"config.yaml", escape_variables(config).to_json_pretty(), {}}};
  for (const std::string& name : {model.stage, model.neighbours})
    for (const char* file : {"bundle.json", "weights.safetensors"}) {
      const fs::path part = fs::path("models") / name / file;
      if (!name.empty()) parts.push_back({part.string(), {}, model.run / part});
    }
  parts.insert(parts.end(), files.begin(), files.end());
  parts.push_back({"provenance/config.yaml", {}, model.run / "config.yaml"});
  return parts;
}

Value facts_of_model(const TrainedModel& model, const Registry& registry, bool has_code) {
  const Value results = json_file(model.run / "results.json"),
              manifest = json_file(model.run / "manifest.json");
  Value facts = Value::Map{{"graft", GRAFT_VERSION},
                           {"run", text_at(results, {"name"})},
                           {"learner", model.stage},
                           {"plugin", text_at(model.learner_facts(), {"plugin"})}};
  if (!model.neighbours.empty()) facts["neighbors"] = model.neighbours;
  facts["classes"] = Value::list();
  for (const std::string& name : model.classes()) facts["classes"].push(name);
  facts["multi_label"] = model.multi_label();
  facts["has_code"] = has_code;
  for (const char* split : {"val", "test"})
    if (const Value* v = at_path(results, {"learners", model.stage, split})) facts["scores"][split] = *v;
  if (const Value* inputs = results.find("inputs")) facts["inputs"] = *inputs;
  facts["trained"] = text_at(manifest, {"finished"});
  facts["trained_by_graft"] = text_at(manifest, {"graft"});
  if (const Value* host = manifest.find("host")) facts["cpu_isa"] = text_at(*host, {"cpu_isa"});
  // Of what the prediction depends on alone.
  const Value config = prediction_config(model, {"-"}, registry);
  for (const auto& [id, stage] : config.find("stages")->as_map()) {
    if (stage.find("from") == nullptr) continue;  // what lists the images to predict
    Value known = Value::map();
    const std::string plugin = text_at(stage, {"plugin"});
    known["plugin"] = plugin;
    for (const char* name : {"version", "libraries"})
      if (const Value* v = at_path(manifest, {"plugins", plugin, name})) known[name] = *v;
    facts["stages"][id] = std::move(known);
  }
  if (const Value* files = model.learner_facts().find("files")) facts["files"] = *files;
  return facts;
}

bool holds_code(const fs::path& path) {
  // What makes an archive of torch.save TorchScript. Loaders look names up without regard to case.
  bool found = false;
  for_each_zip_name(path, [&](const std::string& given) {
    const std::string name = lower_case(given);
    found = found || name.find("/code/") != std::string::npos || name.ends_with("/constants.pkl");
  });
  return found;
}

void refuse_code(const std::string& where, const std::vector<fs::path>& parts) {
  if (parts.empty()) return;
  std::vector<std::string> names;
  for (const fs::path& part : parts) names.push_back(part.string());
  throw Error(fmt::format(
      "{} is TorchScript ({}), which is code that runs on the machine of whoever uses the model: convert the "
      "weights to safetensors, or allow it with --allow-code if you trust where it comes from",
      where, joined(names)));
}

bool is_name_of_part(const std::string& name) {
  constexpr std::size_t kLongestStep = 255;
  const fs::path path(name);
  return !name.empty() && name.size() <= 1000 && name.find('\0') == std::string::npos &&
         name.find("${") == std::string::npos && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& step) {
           return step.empty() || step == "." || step == ".." || step.string().size() > kLongestStep;
         });
}

}  // namespace graft
