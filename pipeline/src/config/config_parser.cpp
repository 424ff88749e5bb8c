// The first step of make_plan: the tree of the YAML file becomes settings and stages.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <graft/resources.h>
#include <graft/text.h>

#include "config/given_values.h"
#include "config/plan_draft.h"
#include "config/run_block.h"
#include "config/services.h"
#include "plugin/split.h"

namespace graft {
namespace {

bool is_name(std::string_view s, std::string_view allowed) {
  return !s.empty() && s.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::size_t kMostStages = 1000;
/// File names contain it with a prefix and a suffix; file systems allow 255 bytes.
constexpr std::size_t kLongestName = 100;
constexpr std::string_view kRunNameChars = "abcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr std::string_view kStageChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

void read_name(PlanDraft& draft, const YamlNode& root) {
  const YamlNode* name = root.find("name");
  if (name == nullptr) {
    draft.error(root.position, "missing `name`: it names the run's folder, for example `name: flowers`");
  } else if (name->kind != YamlNode::Kind::Scalar || !is_name(name->scalar, kRunNameChars)) {
    draft.error(name->position,
                fmt::format("'{}' is not a valid run name: use a-z, 0-9, _ and -", name->scalar));
  } else if (name->scalar.size() > kLongestName) {
    draft.error(name->position,
                fmt::format("expected a run name of at most {} characters, got {}: shorten it", kLongestName,
                            name->scalar.size()));
  } else {
    draft.plan.name = name->scalar;
  }
}

void read_seed(PlanDraft& draft, const YamlNode& root) {
  const YamlNode* seed = root.find("seed");
  if (seed == nullptr) return;
  const Value v = to_value(*seed);
  constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
  if (v.is_double() && v.as_double() > static_cast<double>(kLargest))
    draft.error(seed->position,
                fmt::format("seed: expected an integer from 0 to {}, got {}", kLargest, v.to_json()));
  else if (!v.is_int() || v.as_int() < 0)
    draft.error(seed->position, fmt::format("seed: expected an integer of at least 0, got {}", v.to_json()));
  else
    draft.plan.seed = static_cast<std::uint64_t>(v.as_int());
}

void read_run(PlanDraft& draft, const YamlNode& root) {
  draft.plan.run.threads = usable_processors();
  static const YamlNode kNone;
  const YamlNode* node = root.find("run");
  const YamlNode& run = node == nullptr ? kNone : *node;
  RunSettings& settings = draft.plan.run;
  const std::size_t before = draft.diagnostics.errors();
  const Params p = draft.resolve_at(run_parameters(), run, run.position);
  if (draft.diagnostics.errors() == before) {
    settings.on_error = p.get<std::string>("on_error") == "fail" ? OnError::Fail : OnError::Reject;
    settings.retry_times = p.object("retry").get<std::size_t>("times");
    settings.retry_backoff = p.object("retry").get<double>("backoff");
    settings.stall_seconds = p.get<double>("stall_seconds");
  }
  // The others are texts, which may be wrong in their own ways.
  const auto is_text = [&](const char* key) {
    const Value* v = p.find(key);
    return v != nullptr && v->is_string();
  };
  const auto at = [&](const char* key) {
    const YamlNode* v = run.find(key);
    return v == nullptr ? run.position : v->position;
  };
  const auto count = [&](const char* key, double low, double high) -> std::optional<std::size_t> {
    if (!is_text(key)) return {};
    const auto s = p.get<std::string>(key);
    if (s == "auto") return {};
    std::size_t n = 0;
    const auto [end, bad] = std::from_chars(s.data(), s.data() + s.size(), n);
    if (bad != std::errc() || end != s.data() + s.size() || static_cast<double>(n) < low ||
        static_cast<double>(n) > high)
      draft.error(at(key),
                  fmt::format("{}: expected auto or an integer from {} to {}, got '{}'", key, low, high, s));
    return n;
  };
  if (const auto n = count("threads", 1, 1024)) settings.threads = static_cast<int>(*n);
  settings.in_flight = count("in_flight", 1, 1e6);
  settings.read_ahead = count("read_ahead", 0, 256);
  const auto read = [&](const char* key, std::string fault) {
    const bool sound = fault.empty();
    if (!sound) draft.error(at(key), std::move(fault));
    return sound;
  };
  if (is_text("memory") && read("memory", read_memory(p, settings)))
    if (std::string warning = memory_warning(settings); !warning.empty())
      draft.diagnostics.warning(at("memory"), std::move(warning));
  if (is_text("stall_limit"))
    read("stall_limit", read_stall_limit(p, run.find("stall_seconds") != nullptr, settings));
  if (is_text("max_rejects")) read("max_rejects", read_max_rejects(p, settings));
}

/// An output "{param}" becomes a port per value of that list.
void expand_ports(PlanDraft& draft, StagePlan& stage, Position at) {
  std::vector<PortSpec> ports;
  std::vector<std::string> names;
  for (const PortSpec& declared : stage.schema.outputs) {
    if (!declared.name.starts_with('{')) {
      ports.push_back(declared);
      continue;
    }
    const Value* values = stage.params.value().find(declared.name.substr(1, declared.name.size() - 2));
    const bool several = values != nullptr && values->is_list() && !values->as_list().empty();
    for (const Value& v : several ? values->as_list() : Value::List{"out"}) {
      PortSpec port = declared;
      port.name = v.is_string() ? v.as_string() : v.to_json();
      if (std::find(names.begin(), names.end(), port.name) != names.end())
        draft.error(at, fmt::format("{}: '{}' occurs twice; give every output a different name",
                                    declared.name.substr(1, declared.name.size() - 2), port.name));
      names.push_back(port.name);
      ports.push_back(std::move(port));
    }
  }
  stage.schema.outputs = std::move(ports);
}

void read_splits(PlanDraft& draft, const YamlNode& node, StagePlan& stage) {
  std::vector<const YamlNode*> names;
  if (node.kind == YamlNode::Kind::List)
    for (const YamlNode& n : node.items) names.push_back(&n);
  else
    names.push_back(&node);
  if (names.empty())
    draft.error(node.position,
                "splits: expected one or more of train, val, test, got an empty list; leave "
                "splits out for all of them");
  for (const YamlNode* n : names) {
    if (const auto split = split_from(n->scalar))
      stage.splits.push_back(*split);
    else
      draft.error(n->position, fmt::format("splits: '{}' is not a split{} (allowed: train, val, test)",
                                           n->scalar, suggestion(n->scalar, {"train", "val", "test"})));
  }
}

void unknown_plugin(PlanDraft& draft, const YamlNode& plugin) {
  if (const auto* rejected = draft.registry.rejected_as(plugin.scalar)) {
    draft.error(plugin.position,
                fmt::format("plugin '{}' cannot be used: {}", plugin.scalar, rejected->message()));
    return;
  }
  std::vector<std::string> names;
  for (const auto& [name, p] : draft.registry.plugins()) names.push_back(name);
  std::string text = fmt::format("unknown plugin '{}'{}", plugin.scalar, suggestion(plugin.scalar, names));
  if (names.empty()) {
    std::vector<std::string> folders;
    for (const auto& f : draft.registry.folders()) folders.push_back(f.string());
    text += fmt::format(" (no plugins found; looked in: {})", fmt::join(folders, ", "));
  } else {
    text += fmt::format(" (allowed: {})", fmt::join(names, ", "));
  }
  draft.error(plugin.position, text);
}

void read_stage(PlanDraft& draft, const YamlNode& node, StagePlan& stage, PlanDraft::Stage& drafted) {
  draft.unknown_keys(node, {"plugin", "from", "with", "on_error", "splits"}, "key of a stage");
  stage.on_error = draft.plan.run.on_error;
  if (const YamlNode* v = node.find("on_error")) {
    if (v->scalar != "reject" && v->scalar != "fail")
      draft.error(v->position, fmt::format("on_error: '{}' is not allowed here{} (allowed: reject, fail)",
                                           v->scalar, suggestion(v->scalar, {"reject", "fail"})));
    stage.on_error = v->scalar == "fail" ? OnError::Fail : OnError::Reject;
  }
  if (const YamlNode* v = node.find("splits")) read_splits(draft, *v, stage);

  const YamlNode* plugin = node.find("plugin");
  if (plugin == nullptr || plugin->kind != YamlNode::Kind::Scalar) {
    draft.error(
        plugin == nullptr ? drafted.key_position : plugin->position,
        fmt::format("stage '{}' needs `plugin:`, the name of a plugin (graft plugins lists them)", stage.id));
    return;
  }
  const Registry::Plugin* found = draft.registry.find(plugin->scalar);
  if (found == nullptr) {
    unknown_plugin(draft, *plugin);
    return;
  }
  if (found->schema.kind == StageKind::Service) {
    draft.error(
        plugin->position,
        fmt::format("'{}' is not a stage: it serves stages that name it in a parameter", plugin->scalar));
    return;
  }
  if (found->schema.name != plugin->scalar)
    draft.diagnostics.warning(plugin->position,
                              fmt::format("'{}' is called '{}' now: write plugin: {}; results and "
                                          "stored tables stay the same",
                                          plugin->scalar, found->schema.name, found->schema.name));
  stage.schema = found->schema;
  drafted.usable = true;
  if (const YamlNode* v = node.find("splits")) {
    if (stage.schema.kind == StageKind::Source || stage.schema.kind == StageKind::Calibrator ||
        stage.schema.kind == StageKind::Report)
      draft.error(v->position,
                  fmt::format("splits: '{}' ({}) is a {}, which works on all splits; remove splits, or write "
                              "it at a stage between source and report",
                              stage.id, stage.schema.name, to_string(stage.schema.kind)));
    if (stage.is(StageKind::Learner) && !stage.splits.empty() && !stage.handles(Split::Train))
      draft.error(v->position, fmt::format("splits: '{}' ({}) learns from train, which its splits leave out; "
                                           "add train",
                                           stage.id, stage.schema.name));
  }
  static const YamlNode kNone;
  const YamlNode* with = node.find("with");
  const std::size_t before = draft.diagnostics.errors();
  stage.params = draft.resolve_at(stage.schema.params, with == nullptr ? kNone : *with, drafted.key_position);
  stage.services = services_of(stage, draft.registry);
  const auto group_fault = SplitRule::fault_of_group(stage.schema.params, stage.params.value());
  if (with != nullptr && group_fault)
    draft.error(place_of(*with, {"group"}, false, with->position), "group: " + *group_fault);
  warn_of_hidden(stage, draft.registry, plugin->position, draft.diagnostics);
  drafted.sound = draft.diagnostics.errors() == before;
  expand_ports(draft, stage, with == nullptr ? drafted.key_position : with->position);
}

void read_stages(PlanDraft& draft, const YamlNode& root) {
  const YamlNode* stages = root.find("stages");
  if (stages == nullptr || stages->kind != YamlNode::Kind::Map || stages->members.empty()) {
    draft.error(stages == nullptr ? root.position : stages->position,
                "`stages` must be a map of at least one stage: {id: {plugin: ..., from: ..., with: {...}}}");
    return;
  }
  if (stages->members.size() > kMostStages) {
    draft.error(stages->position, fmt::format("a config may have {} stages, this one has {}", kMostStages,
                                              stages->members.size()));
    return;
  }
  for (const auto& m : stages->members) {
    StagePlan stage;
    stage.id = m.key;
    stage.where = draft.diagnostics.where(m.key_position);
    PlanDraft::Stage drafted{&m.value, m.key_position, m.value.position};
    if (!is_name(m.key, kStageChars) || m.key == "run" || m.key == "name" || m.key == "seed")
      draft.error(m.key_position,
                  fmt::format("'{}' is not a valid stage id: use letters, digits, _ and -, and none of "
                              "run, name, seed",
                              m.key));
    else if (m.key.size() > kLongestName)
      draft.error(m.key_position,
                  fmt::format("expected a stage id of at most {} characters, got {}: shorten it",
                              kLongestName, m.key.size()));
    if (m.value.kind == YamlNode::Kind::Map)
      read_stage(draft, m.value, stage, drafted);
    else
      draft.error(
          m.value.position.line > 0 ? m.value.position : m.key_position,
          fmt::format("stage '{}': expected a map with `plugin`, got {}", m.key, m.value.kind_name()));
    draft.index[stage.id] = draft.plan.stages.size();
    draft.plan.stages.push_back(std::move(stage));
    draft.stages.push_back(drafted);
  }
}

}  // namespace

void parse_config(PlanDraft& draft) {
  const YamlNode& root = draft.config.root();
  draft.unknown_keys(root, {"name", "seed", "run", "stages"}, "key");
  read_name(draft, root);
  read_seed(draft, root);
  read_run(draft, root);
  read_stages(draft, root);
}

}  // namespace graft
