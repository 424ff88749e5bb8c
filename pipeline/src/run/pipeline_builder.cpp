#include <graft/pipeline_builder.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "base/cpu_isa_limit.h"
#include "base/files.h"
#include "base/library_environment.h"
#include "config/given_values.h"
#include "config/planner.h"
#include "run/runner.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// As deep as a config may be.
constexpr int kDeepestValue = 32;

/// Calls `take` for every list and map that is in one.
template <typename Take>
void each_container(Value& value, const Take& take) {
  const auto look = [&](Value& part) {
    if (part.is_list() || part.is_map()) take(part);
  };
  if (value.is_list())
    for (Value& part : value.as_list()) look(part);
  if (value.is_map())
    for (auto& [key, part] : value.as_map()) look(part);
}

/// Cuts off what is far below the deepest level, which is an error whatever it is. Part by part: to destroy
/// it at once takes as much stack as it is deep.
Value bounded(Value value) {
  std::vector<std::pair<Value*, int>> open{{&value, 0}};
  std::vector<Value> below;
  while (!open.empty()) {
    const auto [at, depth] = open.back();
    open.pop_back();
    each_container(*at, [&, depth = depth](Value& part) {
      if (depth > kDeepestValue)
        below.push_back(std::move(part));
      else
        open.emplace_back(&part, depth + 1);
    });
  }
  while (!below.empty()) {
    Value part = std::move(below.back());
    below.pop_back();
    each_container(part, [&](Value& inner) { below.push_back(std::move(inner)); });
  }
  return value;
}

/// Values as the planner takes them from files. Every one has a place of its own, which has a name in place
/// of a line and a column.
class Tree {
 public:
  explicit Tree(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  Position place(std::string name) { return {diagnostics_.add_file(std::move(name), ""), 0, 0}; }

  YamlNode map(Position at) { return {YamlNode::Kind::Map, at, {}, false, {}, {}}; }

  YamlNode text(std::string_view text, Position at) {
    return {YamlNode::Kind::Scalar, at, std::string(text), true, {}, {}};
  }

  YamlNode texts(const std::vector<std::string>& all, Position at) {
    YamlNode node{YamlNode::Kind::List, at, {}, false, {}, {}};
    for (const std::string& one : all) node.items.push_back(text(one, at));
    return node;
  }

  /// `name`: that of the place, up to the quote that ends it, so that the names of parts can be longer.
  YamlNode value(const Value& v, const std::string& name, int depth = 0) {
    const Position at = place(name + "'");
    if (depth > kDeepestValue) {
      diagnostics_.error(at, fmt::format("a value may be {} levels deep", kDeepestValue));
      return {};
    }
    YamlNode node;
    node.position = at;
    if (v.is_null()) return node;
    if (v.is_string()) return text(v.as_string(), at);
    if (v.is_list()) {
      node.kind = YamlNode::Kind::List;
      for (std::size_t i = 0; i < v.as_list().size(); ++i)
        node.items.push_back(value(v.as_list()[i], fmt::format("{}.{}", name, i), depth + 1));
      return node;
    }
    if (v.is_map()) {
      node.kind = YamlNode::Kind::Map;
      for (const auto& [key, part] : v.as_map()) {
        YamlNode::Member& m = node.members.emplace_back();
        m.key = key;
        m.value = value(part, fmt::format("{}.{}", name, key), depth + 1);
        m.key_position = m.value.position;
      }
      return node;
    }
    node.kind = YamlNode::Kind::Scalar;
    node.scalar = v.to_json();
    if (v.is_double() && node.scalar == "null")  // not finite, as YAML writes it
      node.scalar = v.as_double() != v.as_double() ? ".nan" : v.as_double() < 0 ? "-.inf" : ".inf";
    return node;
  }

  static YamlNode& add(YamlNode& map, const std::string& key, YamlNode value) {
    for (YamlNode::Member& m : map.members)
      if (m.key == key) {
        m.key_position = value.position;
        return m.value = std::move(value);
      }
    map.members.push_back({key, value.position, std::move(value)});
    return map.members.back().value;
  }

  /// "normalize.mean": a member of the map "normalize". `name`: of the map, up to where its members follow.
  void add_parameter(YamlNode& with, const std::string& parameter, const Value& v, const std::string& name) {
    std::vector<std::string> parts = parts_of(parameter);
    YamlNode* at = &with;
    std::string path;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      path += (path.empty() ? "" : ".") + parts[i];
      const auto found = std::find_if(at->members.begin(), at->members.end(),
                                      [&](const YamlNode::Member& m) { return m.key == parts[i]; });
      if (found != at->members.end() && found->value.kind == YamlNode::Kind::Map)
        at = &found->value;
      else
        at = &add(*at, parts[i], map(place(name + path + "'")));
    }
    add(*at, parts.back(), value(v, name + parameter));
  }

 private:
  Diagnostics& diagnostics_;
};

/// The command line of the program, for the hint how to resume.
std::string command_line() {
  std::string words;
  try {
    words = read_file("/proc/self/cmdline");
  } catch (const Error&) {  // then the hint has none
    return "the program again";
  }
  while (words.ends_with('\0')) words.pop_back();
  std::replace(words.begin(), words.end(), '\0', ' ');
  return words;
}

}  // namespace

/// What a builder amounts to, planned.
class PipelineBuilder::Checked {
 public:
  Checked(const PipelineBuilder& builder, const Registry& registry) : name_(builder.name_) {
    Tree tree(diagnostics_);
    const std::string whole = fmt::format("pipeline '{}'", name_);
    const Position here = tree.place(whole);
    YamlNode root = tree.map(here);
    tree.add(root, "name", tree.text(name_, here));
    if (builder.seed_) {
      YamlNode seed = tree.text(std::to_string(*builder.seed_), tree.place(whole + ", setting 'seed'"));
      seed.quoted = false;
      tree.add(root, "seed", std::move(seed));
    }
    if (!builder.settings_.empty()) {
      YamlNode& run = tree.add(root, "run", tree.map(here));
      for (const auto& [name, value] : builder.settings_)
        tree.add_parameter(run, name, value, whole + ", setting '");
    }
    YamlNode& stages = tree.add(root, "stages", tree.map(tree.place(whole)));
    if (builder.stages_.empty())
      diagnostics_.error(stages.position, "it has no stage; add stages with stage(id, plugin)");
    std::set<std::string> ids;
    for (const Stage& stage : builder.stages_) add(tree, stages, stage, whole, ids);
    std::error_code ignored;
    const ConfigFile config(std::move(root), fs::current_path(ignored), diagnostics_);
    plan_ = make_plan(config, registry, diagnostics_);
    for (StagePlan& stage : plan_.stages) stage.where = whole;  // the label names the stage already
  }

  const Diagnostics& diagnostics() const { return diagnostics_; }

  /// Throws Error, which has all errors.
  const Plan& plan() const {
    if (!diagnostics_.has_errors()) return plan_;
    std::string text = fmt::format("{} in the pipeline '{}'; nothing was run",
                                   plural(diagnostics_.errors(), "error"), name_);
    for (const Diagnostics::Rendered& entry : diagnostics_.rendered())
      if (entry.severity == Diagnostics::Severity::Error) text += "\n" + without_newline(entry.text);
    throw Error(text);
  }

  static std::string without_newline(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }

 private:
  void add(Tree& tree, YamlNode& stages, const Stage& stage, const std::string& whole,
           std::set<std::string>& ids) {
    const std::string name = fmt::format("{}, stage '{}'", whole, stage.id_);
    const Position at = tree.place(name);
    if (!ids.insert(stage.id_).second) {
      diagnostics_.error(at, "another stage has this id; give each its own");
      return;
    }
    YamlNode node = tree.map(at);
    tree.add(node, "plugin", tree.text(stage.plugin_, at));
    if (!stage.from_.empty()) tree.add(node, "from", tree.texts(stage.from_, at));
    if (stage.on_error_) tree.add(node, "on_error", tree.text(*stage.on_error_, at));
    if (!stage.splits_.empty()) tree.add(node, "splits", tree.texts(stage.splits_, at));
    if (!stage.with_.empty()) {
      YamlNode& with = tree.add(node, "with", tree.map(at));
      for (const auto& [parameter, value] : stage.with_)
        tree.add_parameter(with, parameter, value, name + ", parameter '");
    }
    tree.add(stages, stage.id_, std::move(node));
  }

  const std::string name_;
  Diagnostics diagnostics_;
  Plan plan_;
};

PipelineBuilder::Stage& PipelineBuilder::Stage::from(std::string stage) {
  from_.push_back(std::move(stage));
  return *this;
}
PipelineBuilder::Stage& PipelineBuilder::Stage::with(std::string parameter, Value value) {
  with_.emplace_back(std::move(parameter), bounded(std::move(value)));
  return *this;
}
PipelineBuilder::Stage& PipelineBuilder::Stage::on_error(std::string what) {
  on_error_ = std::move(what);
  return *this;
}
PipelineBuilder::Stage& PipelineBuilder::Stage::splits(std::vector<std::string> names) {
  splits_ = std::move(names);
  return *this;
}

PipelineBuilder::PipelineBuilder(std::string name) : name_(std::move(name)) {}

PipelineBuilder& PipelineBuilder::seed(std::uint64_t seed) {
  seed_ = seed;
  return *this;
}
PipelineBuilder& PipelineBuilder::setting(std::string name, Value value) {
  settings_.emplace_back(std::move(name), bounded(std::move(value)));
  return *this;
}
PipelineBuilder::Stage& PipelineBuilder::stage(std::string id, std::string plugin) {
  Stage& stage = stages_.emplace_back();
  stage.id_ = std::move(id);
  stage.plugin_ = std::move(plugin);
  return stage;
}

std::vector<std::string> PipelineBuilder::check(const PipelineOptions& options) const {
  const Registry registry(Registry::search_path(options.plugin_folders));
  const Checked checked(*this, registry);
  std::vector<std::string> errors;
  for (const Diagnostics::Rendered& entry : checked.diagnostics().rendered())
    if (entry.severity == Diagnostics::Severity::Error)
      errors.push_back(Checked::without_newline(entry.text));
  return errors;
}

std::string PipelineBuilder::yaml(const PipelineOptions& options) const {
  const Registry registry(Registry::search_path(options.plugin_folders));
  return to_yaml(Checked(*this, registry).plan());
}

PipelineResult PipelineBuilder::run(const PipelineOptions& options) const {
  static std::mutex one_at_a_time;
  const std::unique_lock lock(one_at_a_time, std::try_to_lock);
  if (!lock)
    throw Error(
        fmt::format("pipeline '{}': another pipeline is running in this process; wait for its end", name_));
  if (const std::string fault = fault_of_cpu_isa_limit(); !fault.empty()) throw Error(fault);
  set_library_environment();
  Registry registry(Registry::search_path(options.plugin_folders));
  const Checked checked(*this, registry);
  const Plan& plan = checked.plan();
  RunOptions run;
  run.out = options.out;
  run.keep = options.keep;
  run.store = options.store;
  run.command = command_line();
  run.style.level = options.quiet ? LogLevel::Error : LogLevel::Info;
  run.style.color = has_colors();
  if (!options.quiet) print_to_terminal(checked.diagnostics().render());
  Signals signals;
  RunOutcome outcome = run_plan(plan, registry, run, signals);
  PipelineResult result;
  result.exit_code = outcome.exit_code;
  result.results = std::move(outcome.results);
  result.text = std::move(outcome.text);
  result.folder = options.out.empty() ? (fs::path("runs") / plan.name).string() : options.out;
  return result;
}

}  // namespace graft
