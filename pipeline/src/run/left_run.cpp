#include "run/left_run.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "base/files.h"
#include "config/config_file.h"
#include "config/yaml_tree.h"
#include "run/figures.h"
#include "run/whole_run.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> learners_of(const Value& results) {
  std::vector<std::string> names;
  for (const auto& [name, scores] : map_at(results, {"learners"})) names.push_back(name);
  return names;
}

std::optional<LeftRun::Score> score_of(const Value& results, const std::string& learner,
                                       const std::vector<FigureSpec>& specs) {
  const auto val = figures_from(at_path(results, {"learners", learner, "val"}), specs);
  const FigureSpec* criterion = val ? criterion_of(*val, specs) : nullptr;
  if (criterion == nullptr) return {};
  for (const char* split : {"test", "val"}) {
    const Value* part = at_path(results, {"learners", learner, split});
    const auto figures = figures_from(part, specs);
    const double* value = figures ? figures->find(criterion->name) : nullptr;
    if (value == nullptr) continue;
    return LeftRun::Score{split, criterion->title(), *value, interval_from(*part, criterion->name)};
  }
  return {};
}

/// What the sources of a config read, in a word each.
std::string data_of(const Value& config, const Registry& registry) {
  std::vector<std::string> names;
  for (const auto& [id, stage] : map_at(config, {"stages"})) {
    const Registry::Plugin* plugin = registry.find(text_at(stage, {"plugin"}));
    if (plugin == nullptr || plugin->schema.kind != StageKind::Source) continue;
    std::string name;
    for (const ParamSpec& param : plugin->schema.params) {
      const bool path = param.kind == ParamSpec::Kind::Folder || param.kind == ParamSpec::Kind::File;
      const Value* given = at_path(stage, {"with", param.name});
      if (!path || given == nullptr || !given->is_string() || !param.is_path(given->as_string())) continue;
      name = fs::path(given->as_string()).lexically_normal().filename().string();
      if (!name.empty()) break;
    }
    names.push_back(name.empty() ? plugin->schema.name : name);
  }
  return joined(names);
}

/// Nothing where the folder is no run. Throws Error where it is a damaged one.
std::optional<LeftRun> read_left_run(const fs::path& folder, const Registry& registry) {
  const auto has = [&](const char* name) {
    std::error_code error;
    const bool found = fs::exists(folder / name, error);
    if (error) throw Error(fmt::format("cannot look into it: {}", error.message()));
    return found;
  };
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return {};
  const bool manifest_found = has("manifest.json"), results_found = has("results.json");
  // A run may have come to the end of its work, and not to its place: status.json says why.
  const bool has_status = has("status.json"), complete = manifest_found && results_found && !has_status;
  if (!complete && !has_status) {
    if (!manifest_found && !results_found && !(has("config.yaml") && has("log.txt"))) return {};
    throw Error(fmt::format("it has no {}", manifest_found  ? "results.json"
                                            : results_found ? "manifest.json"
                                                            : "manifest.json, results.json and status.json"));
  }
  LeftRun run;
  run.folder = folder;
  if (!complete) {
    const Value status = read_json(folder / "status.json");
    run.state = text_at(status, {"status"});
    run.error = text_at(status, {"error"});
    run.error.resize(std::min(run.error.size(), run.error.find('\n')));
    return run;
  }
  const Value results = read_json(folder / "results.json"), manifest = read_json(folder / "manifest.json");
  run.state = "complete";
  run.finished = text_at(manifest, {"finished"});
  run.seconds = number_at(results, {"timings", "total"});
  run.inputs = count_at(results, {"inputs", "total"});
  run.rejected = count_at(results, {"inputs", "rejected"});
  const Value config = read_run_config(folder);
  run.data = data_of(config, registry);
  const std::vector<FigureSpec> specs = figure_specs(config, registry);
  run.best = best_on_val(results, learners_of(results), specs);
  if (!run.best.empty()) run.score = score_of(results, run.best, specs);
  return run;
}

std::string interval_text(const LeftRun::Score& score) {
  return score.interval ? fmt::format("{:.3f}-{:.3f}", score.interval->first, score.interval->second) : "-";
}

/// Values by their path: "stages.probe.with.c".
void flatten(const Value& v, const std::string& path, std::map<std::string, std::string>& out) {
  if (v.is_map()) {
    for (const auto& [name, value] : v.as_map())
      flatten(value, path.empty() ? name : fmt::format("{}.{}", path, name), out);
    return;
  }
  out[path] = v.is_string() ? v.as_string() : v.to_json();
}

std::vector<RunDifference::Entry> differences_of(const std::map<std::string, std::string>& first,
                                                 const std::map<std::string, std::string>& second) {
  std::set<std::string> names;
  for (const auto* side : {&first, &second})
    for (const auto& [name, value] : *side) names.insert(name);
  std::vector<RunDifference::Entry> out;
  for (const std::string& name : names) {
    const auto a = first.find(name), b = second.find(name);
    const std::string left = a == first.end() ? "-" : a->second, right = b == second.end() ? "-" : b->second;
    if (left != right) out.push_back({name, left, right});
  }
  return out;
}

/// A complete run.
struct Side {
  Value config, results, manifest;
  std::vector<FigureSpec> specs;

  Side(const fs::path& folder, const Registry& registry) {
    std::error_code error;
    if (fs::exists(folder / "status.json", error))
      throw Error(
          fmt::format("{} is not the folder of a complete run: its status.json says why", folder.string()));
    if (!fs::exists(folder / "results.json", error) || !fs::exists(folder / "manifest.json", error))
      throw Error(
          fmt::format("{} is not the folder of a complete run: it has no results.json and manifest.json",
                      folder.string()));
    config = read_run_config(folder);
    results = read_json(folder / "results.json");
    manifest = read_json(folder / "manifest.json");
    specs = figure_specs(config, registry);
  }

  /// Parameters by their path: of the run, and of the stages that `other` has with the same plugin; of other
  /// stages the plugin.
  std::map<std::string, std::string> parameters(const Side& other) const {
    std::map<std::string, std::string> out;
    for (const auto& [name, value] : config.as_map())
      if (name != "name" && name != "stages") flatten(value, name, out);
    for (const auto& [id, stage] : map_at(config, {"stages"})) {
      const std::string plugin = text_at(stage, {"plugin"});
      if (text_at(other.config, {"stages", id, "plugin"}) == plugin)
        flatten(stage, id, out);
      else
        out[id + ".plugin"] = plugin;
    }
    return out;
  }
  std::map<std::string, std::string> data() const {
    std::map<std::string, std::string> out;
    for (const char* name : {"total", "ok", "rejected"})
      out[std::string("inputs ") + name] = std::to_string(count_at(results, {"inputs", name}));
    for (const auto& [id, table] : map_at(manifest, {"tables"}))
      out["table " + id] = text_at(table, {"fingerprint"}).substr(0, 12);
    for (const auto& [id, plugin] : map_at(manifest, {"plugins"}))
      out["plugin " + id] = text_at(plugin, {"version"});
    return out;
  }
  std::map<std::string, std::string> scores() const {
    std::map<std::string, std::string> out;
    for (const std::string& learner : learners_of(results))
      for (const char* split : {"val", "test"})
        if (const auto figures = figures_from(at_path(results, {"learners", learner, split}), specs))
          for (const FigureSpec& spec : specs)
            if (const double* v = figures->find(spec.name); v != nullptr && spec.is_in_summary)
              out[fmt::format("{} {} {}", learner, split, spec.title())] = fmt::format("{:.4f}", *v);
    return out;
  }
};

}  // namespace

Value read_json(const fs::path& file) {
  const std::string text = read_file(file);
  try {
    return Value::from_json(text);
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
}

Value read_run_config(const fs::path& run) {
  const fs::path file = run / "config.yaml";
  Diagnostics diagnostics;
  const std::string text = read_file(file);
  Value config = to_value(parse_yaml(text, diagnostics.add_file(file.string(), text), diagnostics));
  if (diagnostics.has_errors()) throw Error(diagnostics.render());
  return unescape_variables(std::move(config));
}

std::vector<FigureSpec> figure_specs(const Value& config, const Registry& registry) {
  std::vector<FigureSpec> specs;
  for (const auto& [id, stage] : map_at(config, {"stages"}))
    if (const Registry::Plugin* plugin = registry.find(text_at(stage, {"plugin"})))
      add_new_figures(plugin->schema.figures, specs);
  return specs;
}

std::string best_on_val(const Value& results, const std::vector<std::string>& learners,
                        const std::vector<FigureSpec>& specs) {
  std::vector<std::pair<std::string, SplitFigures>> scored;
  for (const std::string& name : learners)
    if (auto val = figures_from(at_path(results, {"learners", name, "val"}), specs))
      scored.emplace_back(name, std::move(*val));
  return best_of_learners(scored, specs);
}

LeftRun left_run(const fs::path& folder, const Registry& registry) {
  return read_whole_runs({folder}, [&] {
    const Side complete(folder, registry);  // says what is missing
    return read_left_run(folder, registry).value();
  });
}

LeftRuns left_runs(const fs::path& root, const Registry& registry) {
  LeftRuns out;
  std::error_code error;
  fs::directory_iterator it(root, error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(".")) continue;  // still being written
    try {
      const fs::path& folder = it->path();
      if (auto run = read_whole_runs({folder}, [&] { return read_left_run(folder, registry); }))
        out.runs.push_back(std::move(*run));
    } catch (const Error& e) {
      out.damaged.push_back({it->path(), e.what()});
    }
  }
  if (error) throw Error(fmt::format("cannot read {}: {}", root.string(), error.message()));
  std::sort(out.runs.begin(), out.runs.end(), [](const LeftRun& a, const LeftRun& b) {
    return a.finished != b.finished ? a.finished > b.finished : a.folder < b.folder;
  });
  std::sort(out.damaged.begin(), out.damaged.end(),
            [](const auto& a, const auto& b) { return a.folder < b.folder; });
  return out;
}

Value to_value(const std::vector<LeftRun>& runs) {
  Value out = Value::list();
  for (const LeftRun& run : runs) {
    Value v = Value::Map{{"folder", run.folder.string()}, {"state", run.state}};
    if (!run.error.empty()) v["error"] = run.error;
    if (run.state == "complete") {
      v["finished"] = run.finished;
      v["data"] = run.data;
      v["seconds"] = run.seconds ? Value(*run.seconds) : Value();
      v["inputs"] = Value(run.inputs);
      v["rejected"] = Value(run.rejected);
    }
    if (run.score) {
      Value& best = v["best"] = Value::map();
      best["learner"] = run.best;
      best["score"] = run.score->heading;
      best["split"] = run.score->split;
      best["value"] = run.score->value;
      if (run.score->interval)
        best["interval"] = Value::List{run.score->interval->first, run.score->interval->second};
    }
    out.push(std::move(v));
  }
  return out;
}

std::string to_text(const std::vector<LeftRun>& runs, std::size_t columns) {
  std::vector<std::vector<std::string>> rows{
      {"run", "finished", "data", "inputs", "best on val", "score", "", "95 % interval", "seconds", "state"}};
  for (const LeftRun& run : runs)
    rows.push_back({run.folder.string(), run.finished.empty() ? "-" : run.finished,
                    run.data.empty() ? "-" : shortened(run.data),
                    run.state == "complete" ? std::to_string(run.inputs) : "-", run.score ? run.best : "-",
                    run.score ? run.score->split + " " + run.score->heading : "-",
                    run.score ? fmt::format("{:.4f}", run.score->value) : "-",
                    run.score ? interval_text(*run.score) : "-",
                    run.seconds ? fmt::format("{:.1f}", *run.seconds) : "-",
                    run.error.empty() ? run.state : run.state + ": " + shortened(run.error)});
  return text_table(std::move(rows), Align::Left, 0, columns);
}

RunDifference difference_of(const fs::path& first, const fs::path& second, const Registry& registry) {
  return read_whole_runs({first, second}, [&]() -> RunDifference {
    const Side a(first, registry), b(second, registry);
    return {differences_of(a.parameters(b), b.parameters(a)), differences_of(a.data(), b.data()),
            differences_of(a.scores(), b.scores())};
  });
}

Value to_value(const RunDifference& difference) {
  Value out = Value::map();
  const auto add = [&](const char* name, const std::vector<RunDifference::Entry>& entries) {
    Value& of = out[name] = Value::map();
    for (const RunDifference::Entry& e : entries) of[e.name] = Value::List{e.first, e.second};
  };
  add("config", difference.config);
  add("data", difference.data);
  add("scores", difference.scores);
  return out;
}

std::string to_text(const RunDifference& difference) {
  std::string out;
  const auto add = [&](const char* title, const std::vector<RunDifference::Entry>& entries) {
    out += fmt::format("{}{}\n", out.empty() ? "" : "\n", title);
    std::vector<std::vector<std::string>> rows;
    for (const RunDifference::Entry& e : entries)
      rows.push_back({e.name, shortened(e.first), "->", shortened(e.second)});
    out += rows.empty() ? "  the same\n" : text_table(std::move(rows), Align::Left, 2);
  };
  add("config", difference.config);
  add("data and plugins", difference.data);
  add("scores", difference.scores);
  return out;
}

}  // namespace graft
