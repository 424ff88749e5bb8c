#include "run/trained_model.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>
#include <graft/value_path.h>
#include <graft/version.h>

#include "base/files.h"
#include "config/config_file.h"
#include "config/file_parameters.h"
#include "config/planner.h"
#include "config/yaml_tree.h"
#include "plugin/known_faults.h"
#include "run/bundle_file.h"
#include "run/learning.h"
#include "run/left_run.h"
#include "run/model_files.h"
#include "run/packed_model.h"
#include "run/packed_parts.h"
#include "run/table_changes.h"
#include "store/fingerprint.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Names of the stages that prediction_config adds; no config of a run has them by accident.
constexpr const char* kFiles = "graft-files";
constexpr const char* kDecode = "graft-decode";

const Value& member(const Value& map, const char* name, const fs::path& file) {
  if (const Value* v = map.is_map() ? map.find(name) : nullptr) return *v;
  throw Error(fmt::format("{} has no '{}': it was written by another version of graft; train the model again",
                          file.string(), name));
}

void require_config(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run / "config.yaml", error))
    throw Error(
        fmt::format("{} is missing: a model is used with the config of its run, which says how "
                    "images become its features",
                    (run / "config.yaml").string()));
}

std::vector<std::string> models_of(const fs::path& run) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(run / "models", error), end; !error && it != end; it.increment(error))
    if (fs::exists(it->path() / "bundle.json")) names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string choose_on_val(const fs::path& run, const std::vector<std::string>& models,
                          const Registry& registry) {
  if (models.size() == 1) return models[0];
  Value results;
  try {
    results = read_json(run / "results.json");
  } catch (const Error& e) {
    throw Error(fmt::format(
        "{}; it has the scores that a model is chosen by: bring it back as the run has written it, "
        "or choose one with --learner ({})",
        e.what(), joined(models)));
  }
  std::string best = best_on_val(results, models, figure_specs(read_run_config(run), registry));
  if (!best.empty()) return best;
  throw Error(fmt::format("{} has no scores on val to choose a model by: choose one with --learner ({})",
                          (run / "results.json").string(), joined(models)));
}

/// The ids that a stage of a config names in `from`, without ports.
std::vector<std::string> inputs_of(const Value& stage) {
  std::vector<std::string> ids;
  const auto add = [&](const Value& v) {
    if (v.is_string()) ids.push_back(v.as_string().substr(0, v.as_string().find('.')));
  };
  const Value* from = stage.find("from");
  if (from != nullptr && from->is_list())
    for (const Value& v : from->as_list()) add(v);
  else if (from != nullptr)
    add(*from);
  return ids;
}

/// See TrainedModel::neighbours. `names`: the models of the run.
std::string model_with_neighbours(const TrainedModel& model, const std::vector<std::string>& names) {
  if (model.learner_facts().find(kNeighboursFact) != nullptr) return {};
  const Value config = read_run_config(model.run);
  const Value* stages = config.find("stages");
  const auto from_of = [&](const std::string& name) {
    const Value* from = at_path(config, {"stages", name, "from"});
    return from == nullptr ? Value() : *from;
  };
  // Below calibrators there is the learner that takes the tables.
  std::string learner = model.stage;
  for (const Value* facts = model.bundle.facts.find("base"); facts != nullptr; facts = facts->find("base")) {
    const std::vector<std::string> inputs = inputs_of(*stages->find(learner));
    if (inputs.size() != 1 || stages->find(inputs[0]) == nullptr) return {};
    learner = inputs[0];
  }
  const Value tables = from_of(learner);
  for (const std::string& name : names)
    if (name != model.stage && !tables.is_null() && from_of(name) == tables &&
        read_json(model.run / "models" / name / "bundle.json").find(kNeighboursFact) != nullptr)
      return name;
  return {};
}

/// Throws Error for a bundle that this graft does not know: written by a later version of it, or of a plugin.
/// Of a calibrator, the bundle of its learner is looked at, too.
void require_known_bundle(const fs::path& file, const Value& facts, const Registry& registry) {
  for (const Value* at = &facts; at != nullptr; at = at->find("base")) {
    const Value* format = at->find(kFormatFact);
    if (format != nullptr && (!format->is_int() || format->as_int() > kBundleFormat))
      throw Error(
          fmt::format("{} is of format {}: graft {} reads format {}; use the version of graft that wrote it, "
                      "or train the model again with this one",
                      file.string(), format->to_json(), GRAFT_VERSION, kBundleFormat));
    const std::string name = text_at(*at, {"plugin"}), version = text_at(*at, {"plugin_version"});
    const Registry::Plugin* plugin = name.empty() ? nullptr : registry.find(name);
    if (plugin != nullptr && is_version_below(plugin->schema.version, version))
      throw Error(
          fmt::format("{} was written by {} {}: this one is {}; use the version of graft that wrote it, or "
                      "train the model again with this one",
                      file.string(), name, version, plugin->schema.version));
  }
}

/// Throws Error unless the classes of a learner are as many as it was trained for, each with a name of its
/// own.
void require_class_names(const fs::path& file, const Value& facts) {
  const auto fail = [&](const std::string& got) {
    throw Error(
        fmt::format("{}: class_names: expected a list of texts, one for each class, got {}; bring the file "
                    "back as the run has written it, or train the model again",
                    file.string(), got));
  };
  const Value* names = facts.find("class_names");
  if (names == nullptr || !names->is_list()) return fail(names == nullptr ? "none" : names->kind());
  std::set<std::string> seen;
  for (const Value& name : names->as_list()) {
    if (!name.is_string()) return fail(std::string("an element that is ") + name.kind());
    if (!seen.insert(name.as_string()).second) return fail(fmt::format("'{}' twice", name.as_string()));
  }
  if (const Value* classes = facts.find("classes");
      classes != nullptr && classes->is_int() && classes->as_int() != static_cast<std::int64_t>(seen.size()))
    return fail(fmt::format("{} for {} classes", plural(seen.size(), "name"), classes->as_int()));
}

/// Does what uses a model. Errors of a packed one name its file, not the folder that it was unpacked into,
/// which is gone when they are read.
template <typename Use>
auto naming_packed_file(const TrainedModel& model, const Use& use) {
  try {
    return use();
  } catch (const Error& e) {
    if (!model.unpacked) throw;
    std::string text = e.what();
    const std::string folder = model.unpacked->path().string() + "/", file = model.from.string();
    for (std::size_t at = 0; (at = text.find(folder, at)) != std::string::npos;)
      text.erase(at, folder.size());
    throw Error(text.find(file) == std::string::npos ? file + ": " + text : text);
  }
}

/// The bundle of the model in a run's folder. Throws Error.
Bundle load_known_bundle(const TrainedModel& model, const Registry& registry) {
  const fs::path folder = model.run / "models" / model.stage;
  Bundle bundle = load_bundle(folder);
  require_known_bundle(folder / "bundle.json", bundle.facts, registry);
  const Value* learner = &bundle.facts;
  while (const Value* base = learner->find("base")) learner = base;
  require_class_names(folder / "bundle.json", *learner);
  const std::string wanted = text_at(read_run_config(model.run), {"stages", model.stage, "plugin"}),
                    got = text_at(bundle.facts, {"plugin"});
  if (!wanted.empty() && !got.empty() && wanted != got)
    throw Error(
        fmt::format("{} is a model of {}, and '{}' in the run's config.yaml is {}: bring back the files as "
                    "the run has written them, or train the model again",
                    (folder / "bundle.json").string(), got, model.stage, wanted));
  return bundle;
}

/// The model in the folder of a run: `given`, or where that is empty `learner` or the best on val. `path`:
/// for messages.
TrainedModel model_of_run(const fs::path& run, const std::string& given, const std::string& learner,
                          const fs::path& path, const Registry& registry) {
  TrainedModel model;
  model.held = std::make_shared<HeldRun>(run);
  model.run = model.from = run;
  const std::vector<std::string> names = models_of(run);
  if (!given.empty()) {
    model.stage = given;
    if (!learner.empty() && learner != given)
      throw Error(fmt::format("--learner {}: {} is the model '{}'; give the folder of the run", learner,
                              path.string(), given));
  } else {
    if (names.empty())
      throw Error(fmt::format("{} holds no models: expected the folder of a complete run with learners",
                              path.string()));
    if (!learner.empty() && std::find(names.begin(), names.end(), learner) == names.end())
      throw Error(fmt::format("--learner {}: no such model in {}{} (models: {})", learner, path.string(),
                              suggestion(learner, names), joined(names)));
    require_config(run);
    model.stage = learner.empty() ? choose_on_val(run, names, registry) : learner;
  }
  require_config(run);
  model.bundle = load_known_bundle(model, registry);
  model.neighbours = model_with_neighbours(model, names);
  return model;
}

void replace_input(Value& stage, const std::string& id, const std::string& by) {
  const auto replace = [&](Value& v) {
    if (v.is_string() && v.as_string().substr(0, v.as_string().find('.')) == id) v = by;
  };
  Value& from = stage["from"];
  if (from.is_list())
    for (Value& v : from.as_list()) replace(v);
  else
    replace(from);
}

/// The files of a packed model are where it was unpacked; it may name no others. What it says is text of a
/// stranger: the plan that comes of it is checked again, by require_own_files().
void make_absolute(Value& stage, const TrainedModel& model, const Registry& registry) {
  const Registry::Plugin* plugin = registry.find(member(stage, "plugin", model.from).as_string());
  if (plugin == nullptr || stage.find("with") == nullptr) return;  // the plan names what is missing
  visit_files(plugin->schema.params, stage["with"],
              [&](const std::string& parameter, const ParamSpec&, Value& path) {
                // What was unpacked is regular files and folders, so the path says where it leads.
                const fs::path named = fs::path(path.as_string()).lexically_normal();
                const fs::path file = model.run / named;
                std::error_code error;
                if (!is_name_of_part(named.string()) || !fs::exists(file, error))
                  throw Error(fmt::format("{}: its {} is {}, which is not a part of it; pack the model again",
                                          model.from.string(), parameter, path.as_string()));
                path = file.string();
              });
}

/// The paths of a prediction as a value for its config. They do not go through its text: a name of a file may
/// be any bytes, and "${HOME}" in it is no variable.
Override paths_as_given(const std::vector<std::string>& paths) {
  Override out;
  out.key = std::string(kFiles) + ".paths";
  out.at = {0, 1, 1};
  out.origin = "INPUT";
  std::error_code ignored;
  out.folder = fs::current_path(ignored);
  out.value.kind = YamlNode::Kind::List;
  for (const std::string& path : paths) {
    YamlNode& item = out.value.items.emplace_back();
    item.kind = YamlNode::Kind::Scalar;
    item.quoted = true;
    item.scalar = escape_variables(path).as_string();
  }
  return out;
}

/// A description without the stages that make the first images: a source that draws or computes them, or what
/// stands for it here.
Value without_source(Value description, const Registry& registry) {
  Value::List& stages = description["stages"].as_list();
  const auto makes_images = [&](const Value& stage) {
    const Registry::Plugin* plugin = registry.find(text_at(stage, {"plugin"}));
    return plugin != nullptr && plugin->schema.kind == StageKind::Source;
  };
  if (!stages.empty() && makes_images(stages.front())) stages.erase(stages.begin());
  return description;
}

/// The files that the stages of a config name, by the addresses of the parameters.
std::map<std::string, std::string> files_by_address(const Value& config, const Registry& registry) {
  std::map<std::string, std::string> files;
  for (const auto& [id, stage] : config.find("stages")->as_map()) {
    const Registry::Plugin* plugin = registry.find(text_at(stage, {"plugin"}));
    const Value* given = stage.find("with");
    if (plugin == nullptr || given == nullptr) continue;
    Value with = *given;
    visit_files(plugin->schema.params, with,
                [&, &id = id](const std::string& parameter, const ParamSpec&, Value& path) {
                  files[fmt::format("{}.{}", id, parameter)] = path.as_string();
                });
  }
  return files;
}

/// Overrides of a file, and the same ones for every parameter that had this file: the network of `decode` is
/// derived from the backbone's, and whoever names a new place for one means both.
std::vector<std::string> for_every_user(const std::vector<std::string>& overrides, const Value& config,
                                        const Registry& registry) {
  const std::map<std::string, std::string> files = files_by_address(config, registry);
  std::set<std::string> overridden;
  for (const std::string& o : overrides) overridden.insert(o.substr(0, o.find('=')));
  std::vector<std::string> out = overrides;
  for (const std::string& o : overrides) {
    const std::size_t equals = o.find('=');
    const auto moved = files.find(o.substr(0, equals));
    if (equals == std::string::npos || moved == files.end()) continue;
    for (const auto& [address, path] : files)
      if (path == moved->second && overridden.insert(address).second)
        out.push_back(address + o.substr(equals));
  }
  return out;
}

/// Whether one of the overrides says what a parameter is: it, a part of it, or what it is a part of.
bool is_overridden(const std::vector<std::string>& overrides, const std::string& parameter) {
  return std::any_of(overrides.begin(), overrides.end(), [&](const std::string& o) {
    std::string key = o.substr(0, o.find('='));
    if (key.ends_with(".with")) key.resize(key.size() - 5);
    return parameter == key || parameter.starts_with(key + ".");
  });
}

/// The plan of a packed model is the last word on what is opened: throws Error where it names a file or a
/// folder that is neither a part of the model nor what the overrides of the user name, and for code in these
/// where it is refused.
void require_own_files(const TrainedModel& model, const Plan& plan,
                       const std::vector<std::string>& overrides) {
  const fs::path own = fs::absolute(model.run).lexically_normal();
  std::set<fs::path> named;  // by the user
  const auto visit_all =
      [&](const std::function<void(const std::string&, const ParamSpec&, fs::path)>& visit) {
        for (const StagePlan& stage : plan.stages) {
          Value with = stage.params.value();
          visit_paths(stage.schema.params, with,
                      [&](const std::string& parameter, const ParamSpec& spec, const Value& path) {
                        visit(stage.id + "." + parameter, spec,
                              fs::absolute(path.as_string()).lexically_normal());
                      });
        }
      };
  visit_all([&](const std::string& parameter, const ParamSpec& spec, const fs::path& path) {
    if (!is_overridden(overrides, parameter)) return;
    named.insert(path);
    if (model.code == Code::Allowed) return;
    for (const fs::path& file : files_of(spec, path))
      if (holds_code(file)) refuse_code(fmt::format("{} of {}", parameter, model.from.string()), {file});
  });
  visit_all([&](const std::string& parameter, const ParamSpec&, const fs::path& path) {
    if (!named.contains(path) && !is_name_of_part(path.lexically_relative(own).string()))
      throw Error(fmt::format("{}: its {} is {}, which is not a part of it; pack the model again",
                              model.from.string(), parameter, path.string()));
  });
}

/// See prediction_plan().
Plan plan_of(const TrainedModel& model, const std::vector<std::string>& paths,
             const std::vector<std::string>& given, const Registry& registry, const fs::path& folder) {
  const Value config = prediction_config(model, {"-"}, registry);
  const std::vector<std::string> overrides = for_every_user(given, config, registry);
  require_files(model, config, overrides, registry);
  const fs::path file = folder / "config.yaml";
  // The values have been expanded where the run was: what looks like a variable now is meant literally.
  write_file_atomically(file, escape_variables(config).to_json_pretty());
  Diagnostics diagnostics;
  const ConfigFile read(file, overrides, diagnostics, {paths_as_given(paths)});
  Plan plan = make_plan(read, registry, diagnostics);
  if (diagnostics.has_errors())
    throw Error(fmt::format("the config of the model, made from {}, cannot be used:\n{}",
                            (model.run / "config.yaml").string(), diagnostics.render()));
  if (model.unpacked) require_own_files(model, plan, overrides);
  // Errors name the model: the temporary config is deleted before a user could open it.
  for (StagePlan& stage : plan.stages) stage.where = model.from.string();
  return plan;
}

/// See require_same_features().
void compare_features(const TrainedModel& model, const Plan& plan, const Registry& registry,
                      DigestMemo& memo) {
  const StagePlan* stage = &plan.stages[stage_named(plan, model.stage)];
  while (stage->is(StageKind::Calibrator)) stage = &plan.stages[stage->inputs.at(0).stage];
  const fs::path file = model.run / "models" / model.stage / "bundle.json";
  const Value::List& tables = member(model.learner_facts(), "tables", file).as_list();
  if (tables.size() != stage->inputs.size())
    throw Error(fmt::format("{}: the model was trained on {} tables, its config has {}", file.string(),
                            tables.size(), stage->inputs.size()));
  for (std::size_t t = 0; t < tables.size(); ++t) {
    Fingerprint now = fingerprint(plan, stage->inputs[t].stage, memo);
    Value description = now.description;
    // What stands in for a source of images is no difference.
    Value::List& stages = description["stages"].as_list();
    if (!now.stage_ids.empty() && now.stage_ids.front() == kDecode && !stages.empty()) {
      stages.erase(stages.begin());
      now.stage_ids.erase(now.stage_ids.begin());
    }
    const Value then = without_source(tables[t], registry);
    if (then.to_json() == description.to_json()) continue;
    const std::vector<std::string> differ = differences(then, description, now.stage_ids);
    throw Error(
        fmt::format("the features of '{}' are no longer those that the model was trained on: {}; train it "
                    "again, or bring back what was changed",
                    model.stage, differ.empty() ? "their descriptions differ" : joined(differ)));
  }
}

}  // namespace

const Value& TrainedModel::learner_facts() const {
  const Value* facts = &bundle.facts;
  while (const Value* base = facts->find("base")) facts = base;
  return *facts;
}

std::vector<std::string> TrainedModel::classes() const {
  const fs::path file = run / "models" / stage / "bundle.json";
  std::vector<std::string> names;
  for (const Value& name : member(learner_facts(), "class_names", file).as_list())
    names.push_back(name.as_string());
  return names;
}

void TrainedModel::require_in_place() const {
  if (held != nullptr && !held->is_in_place())
    throw Error(fmt::format("another run was put in the place of {} while its model was read; do it again",
                            run.string()));
}

bool TrainedModel::multi_label() const {
  return flag_at(learner_facts(), {"multi_label"});
}

std::size_t stage_named(const Plan& plan, const std::string& id) {
  const auto found =
      std::find_if(plan.stages.begin(), plan.stages.end(), [&](const StagePlan& s) { return s.id == id; });
  if (found == plan.stages.end()) throw Error(fmt::format("the config has no stage '{}'", id));
  return static_cast<std::size_t>(found - plan.stages.begin());
}

TrainedModel open_model(const fs::path& path, const std::string& learner, const Registry& registry,
                        Code code) {
  std::error_code error;
  const fs::path given = path.filename().empty() ? path.parent_path() : path;
  if (fs::is_regular_file(given, error)) {
    Unpacked unpacked = unpack_model(given, code);
    TrainedModel model;
    model.run = unpacked.folder->path();
    model.stage = unpacked.learner;
    model.from = given;
    model.code = code;
    model.unpacked = std::move(unpacked.folder);
    if (!learner.empty() && learner != model.stage)
      throw Error(
          fmt::format("--learner {}: {} holds the model '{}' alone", learner, path.string(), model.stage));
    model.bundle = naming_packed_file(model, [&] {
      require_config(model.run);
      return load_known_bundle(model, registry);
    });
    model.neighbours = std::move(unpacked.neighbours);
    return model;
  }
  if (!fs::is_directory(given, error))
    throw Error(fmt::format(
        "{} is not there: expected the folder of a run, such as runs/flowers, a model in it, such "
        "as runs/flowers/models/probe, or a file of graft model pack",
        path.string()));
  // Of a model in a run, the folder of the run is what is replaced.
  const bool is_model = fs::exists(given / "bundle.json", error);
  const fs::path run = is_model ? fs::absolute(given).lexically_normal().parent_path().parent_path() : given;
  const std::string name = is_model ? given.filename().string() : "";
  return read_whole_runs({run}, [&] { return model_of_run(run, name, learner, path, registry); });
}

Value prediction_config(const TrainedModel& model, const std::vector<std::string>& paths,
                        const Registry& registry) {
  const fs::path file = model.run / "config.yaml";
  const Value config = read_run_config(model.run);
  model.require_in_place();
  const Value& stages = member(config, "stages", file);

  // The stages upstream of the model, itself included.
  std::set<std::string> wanted;
  std::vector<std::string> open{model.stage};
  if (!model.neighbours.empty()) open.push_back(model.neighbours);
  while (!open.empty()) {
    const std::string at = open.back();
    open.pop_back();
    if (!wanted.insert(at).second) continue;
    for (std::string& input : inputs_of(member(stages, at.c_str(), file))) open.push_back(std::move(input));
  }

  Value out = Value::map();
  for (const char* key : {"name", "seed", "run"})
    if (const Value* v = config.find(key)) out[key] = *v;
  if (out.find("run") != nullptr && out["run"].is_map())
    std::erase_if(out["run"].as_map(), [](const auto& setting) {
      return setting.first == "threads" || setting.first == "memory" || setting.first == "in_flight" ||
             setting.first == "on_error";
    });
  Value& kept = out["stages"] = Value::map();
  Value files = Value::map();
  files["plugin"] = "files";
  files["with"]["paths"] = Value::List(paths.begin(), paths.end());
  kept[kFiles] = std::move(files);
  std::string source, images = kFiles;
  for (const auto& [name, stage] : stages.as_map()) {
    if (!wanted.contains(name)) continue;
    if (!inputs_of(stage).empty()) {
      kept[name] = stage;
      continue;
    }
    source = name;
    const std::string plugin = member(stage, "plugin", file).as_string();
    const Registry::Plugin* found = registry.find(plugin);
    if (found == nullptr)
      throw Error(fmt::format("the plugin '{}', of which the images for '{}' came, is not installed", plugin,
                              model.stage));
    const PortType type = found->schema.outputs.at(0).type;
    if (type != PortType::Bytes && type != PortType::Image)
      throw Error(
          fmt::format("'{}' was trained on the tables of '{}' ({}): no image leads to them, so there is "
                      "nothing to predict new images with",
                      model.stage, name, plugin));
    if (type != PortType::Image) continue;
    Value decode = Value::map();
    decode["plugin"] = "decode";
    decode["from"] = kFiles;
    for (const char* none : {"network", "resize", "crop"}) decode["with"][none] = Value();
    kept[kDecode] = std::move(decode);
    images = kDecode;
  }
  for (auto& [name, stage] : kept.as_map()) {
    if (model.unpacked) make_absolute(stage, model, registry);
    // A packed model has these names from when it was packed; its own `decode` is a stage like any other.
    if (name == kFiles || (name == kDecode && images == kDecode)) continue;
    replace_input(stage, source, images);
    std::erase_if(stage.as_map(), [](const auto& key) { return key.first == "on_error"; });
  }
  return out;
}

Value with_moved_files(Value config, const std::vector<std::string>& overrides, const Registry& registry) {
  const std::map<std::string, std::string> files = files_by_address(config, registry);
  std::vector<std::string> addresses;
  for (const auto& [address, path] : files) addresses.push_back(address);
  std::map<std::string, std::string> moved;
  for (const std::string& o : for_every_user(overrides, config, registry)) {
    const std::string address = o.substr(0, o.find('='));
    if (!files.contains(address) || address.size() + 1 >= o.size())
      throw Error(
          fmt::format("--set {}: a model is packed as it was trained; expected the new place of a file, "
                      "PARAMETER=PATH (parameters: {})",
                      o, addresses.empty() ? "none" : joined(addresses)));
    moved[address] = fs::absolute(o.substr(address.size() + 1)).lexically_normal().string();
  }
  for (auto& [id, stage] : config["stages"].as_map()) {
    if (stage.find("with") == nullptr) continue;
    const Registry::Plugin* plugin = registry.find(stage.find("plugin")->as_string());
    if (plugin != nullptr)
      visit_files(plugin->schema.params, stage["with"],
                  [&, &id = id](const std::string& parameter, const ParamSpec&, Value& path) {
                    if (const auto now = moved.find(fmt::format("{}.{}", id, parameter)); now != moved.end())
                      path = now->second;
                  });
  }
  return config;
}

Plan prediction_plan(const TrainedModel& model, const std::vector<std::string>& paths,
                     const std::vector<std::string>& overrides, const Registry& registry,
                     const fs::path& folder) {
  return naming_packed_file(model, [&] { return plan_of(model, paths, overrides, registry, folder); });
}

void require_same_features(const TrainedModel& model, const Plan& plan, const Registry& registry,
                           DigestMemo& memo) {
  naming_packed_file(model, [&] { compare_features(model, plan, registry, memo); });
}

}  // namespace graft
