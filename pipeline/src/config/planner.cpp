#include "config/planner.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include <fmt/format.h>

#include <graft/resources.h>

#include "config/following.h"
#include "config/given_values.h"
#include "config/inspection.h"
#include "config/run_block.h"
#include "config/services.h"
#include "plugin/split.h"

namespace graft {
namespace {

bool is_name(std::string_view s, std::string_view allowed) {
  return !s.empty() && s.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::size_t kMostStages = 1000;
constexpr std::string_view kRunNameChars = "abcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr std::string_view kStageChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/// One pass over the tree; every member function reports what it finds and goes on.
class Planner {
 public:
  Planner(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics)
      : config_(config),
        registry_(registry),
        diagnostics_(diagnostics),
        unread_(diagnostics.error_places()) {}

  Plan make(Inspect what) {
    const YamlNode& root = config_.root();
    if (root.kind != YamlNode::Kind::Map) return {};
    unknown_keys(root, {"name", "seed", "run", "stages"}, "key");
    read_name(root);
    read_seed(root);
    read_run(root);
    read_stages(root);
    connect();
    if (!sort()) return {};
    follow();
    if (what == Inspect::Files) inspect();
    check_use();
    check_credits();
    return std::move(plan_);
  }

 private:
  struct Draft {
    const YamlNode* node;
    Position key_position;
    Position from_position;
    bool usable = false;  ///< The plugin is known.
    bool sound = false;   ///< So are the parameters, without an error.
    bool connected = true;
  };

  /// A value that could not even be read (an alias, an unset variable) is not blamed again for what it is
  /// not.
  void error(Position at, std::string text) {
    if (std::find(unread_.begin(), unread_.end(), at) == unread_.end())
      diagnostics_.error(at, std::move(text));
  }

  static std::string suggestion(const std::string& wrong, const std::vector<std::string>& names) {
    const auto near = nearest(wrong, names);
    return near ? fmt::format("; did you mean '{}'?", *near) : "";
  }

  static std::string some_of(const std::vector<std::string>& names) {
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(30, names.size()));
    const std::string all = fmt::format("{}", fmt::join(names.begin(), end, ", "));
    return fmt::format("{:.1000}{}", all, end != names.end() || all.size() > 1000 ? ", ..." : "");
  }

  void unknown_keys(const YamlNode& map, const std::vector<std::string>& allowed, const char* what) {
    for (const auto& m : map.members)
      if (std::find(allowed.begin(), allowed.end(), m.key) == allowed.end())
        error(m.key_position, fmt::format("unknown {} '{}'{} (allowed: {})", what, m.key,
                                          suggestion(m.key, allowed), fmt::join(allowed, ", ")));
  }

  void read_name(const YamlNode& root) {
    const YamlNode* name = root.find("name");
    if (name == nullptr) {
      error(root.position, "missing `name`: it names the run's folder, for example `name: flowers`");
    } else if (name->kind != YamlNode::Kind::Scalar || !is_name(name->scalar, kRunNameChars)) {
      error(name->position, fmt::format("'{}' is not a valid run name: use a-z, 0-9, _ and -", name->scalar));
    } else {
      plan_.name = name->scalar;
    }
  }

  void read_seed(const YamlNode& root) {
    const YamlNode* seed = root.find("seed");
    if (seed == nullptr) return;
    const Value v = to_value(*seed);
    if (!v.is_int() || v.as_int() < 0)
      error(seed->position, fmt::format("seed: expected an integer of at least 0, got {}", v.to_json()));
    else
      plan_.seed = static_cast<std::uint64_t>(v.as_int());
  }

  void read_run(const YamlNode& root) {
    plan_.run.threads = usable_processors();
    static const YamlNode kNone;
    const YamlNode* node = root.find("run");
    const YamlNode& run = node == nullptr ? kNone : *node;
    const std::size_t before = diagnostics_.errors();
    const Params p = resolve_at(run_parameters(), run, run.position);
    if (diagnostics_.errors() > before) return;
    const auto at = [&](const char* key) {
      const YamlNode* v = run.find(key);
      return v == nullptr ? run.position : v->position;
    };
    const auto count = [&](const char* key, double low, double high) -> std::optional<std::size_t> {
      const auto s = p.get<std::string>(key);
      if (s == "auto") return {};
      std::size_t n = 0;
      const auto [end, bad] = std::from_chars(s.data(), s.data() + s.size(), n);
      if (bad != std::errc() || end != s.data() + s.size() || static_cast<double>(n) < low ||
          static_cast<double>(n) > high)
        error(at(key),
              fmt::format("{}: expected auto or an integer from {} to {}, got '{}'", key, low, high, s));
      return n;
    };
    if (const auto n = count("threads", 1, 1024)) plan_.run.threads = static_cast<int>(*n);
    plan_.run.in_flight = count("in_flight", 1, 1e6);
    if (std::string fault = read_memory(p, plan_.run); !fault.empty())
      error(at("memory"), std::move(fault));
    else if (std::string warning = memory_warning(plan_.run); !warning.empty())
      diagnostics_.warning(at("memory"), std::move(warning));
    plan_.run.on_error = p.get<std::string>("on_error") == "fail" ? OnError::Fail : OnError::Reject;
    plan_.run.stall_seconds = p.get<double>("stall_seconds");
    if (std::string fault = read_stall_limit(p, run.find("stall_seconds") != nullptr, plan_.run);
        !fault.empty())
      error(at("stall_limit"), std::move(fault));
    if (std::string fault = read_max_rejects(p, plan_.run); !fault.empty())
      error(at("max_rejects"), std::move(fault));
  }

  Params resolve_at(const std::vector<ParamSpec>& specs, const YamlNode& node, Position fallback) {
    std::vector<ParamFault> faults;
    Value resolved = resolve(specs, given_values(specs, node, config_), faults);
    for (const ParamFault& fault : faults) {
      const Position at =
          place_of(node, fault.path, fault.at_key, node.position.line > 0 ? node.position : fallback);
      const bool name_it = !fault.at_key && !fault.path.empty();
      error(at, name_it ? fmt::format("{}: {}", fmt::join(fault.path, "."), fault.text) : fault.text);
    }
    return Params(std::move(resolved));
  }

  void read_stages(const YamlNode& root) {
    const YamlNode* stages = root.find("stages");
    if (stages == nullptr || stages->kind != YamlNode::Kind::Map || stages->members.empty()) {
      error(stages == nullptr ? root.position : stages->position,
            "`stages` must be a map of at least one stage: {id: {plugin: ..., from: ..., with: {...}}}");
      return;
    }
    if (stages->members.size() > kMostStages) {
      error(stages->position,
            fmt::format("a config may have {} stages, this one has {}", kMostStages, stages->members.size()));
      return;
    }
    for (const auto& m : stages->members) {
      StagePlan stage;
      stage.id = m.key;
      stage.where = diagnostics_.where(m.key_position);
      Draft draft{&m.value, m.key_position, m.value.position};
      if (!is_name(m.key, kStageChars) || m.key == "run" || m.key == "name" || m.key == "seed")
        error(m.key_position,
              fmt::format("'{}' is not a valid stage id: use letters, digits, _ and -, and none of "
                          "run, name, seed",
                          m.key));
      if (m.value.kind == YamlNode::Kind::Map)
        read_stage(m.value, stage, draft);
      else
        error(m.value.position.line > 0 ? m.value.position : m.key_position,
              fmt::format("stage '{}': expected a map with `plugin`, got {}", m.key, m.value.kind_name()));
      index_[stage.id] = plan_.stages.size();
      plan_.stages.push_back(std::move(stage));
      drafts_.push_back(draft);
    }
  }

  void read_stage(const YamlNode& node, StagePlan& stage, Draft& draft) {
    unknown_keys(node, {"plugin", "from", "with", "on_error", "splits"}, "key of a stage");
    stage.on_error = plan_.run.on_error;
    if (const YamlNode* v = node.find("on_error")) {
      if (v->scalar != "reject" && v->scalar != "fail")
        error(v->position, fmt::format("on_error: '{}' is not allowed here{} (allowed: reject, fail)",
                                       v->scalar, suggestion(v->scalar, {"reject", "fail"})));
      stage.on_error = v->scalar == "fail" ? OnError::Fail : OnError::Reject;
    }
    if (const YamlNode* v = node.find("splits")) read_splits(*v, stage);

    const YamlNode* plugin = node.find("plugin");
    if (plugin == nullptr || plugin->kind != YamlNode::Kind::Scalar) {
      error(plugin == nullptr ? draft.key_position : plugin->position,
            fmt::format("stage '{}' needs `plugin:`, the name of a plugin (graft plugins lists them)",
                        stage.id));
      return;
    }
    const Registry::Plugin* found = registry_.find(plugin->scalar);
    if (found == nullptr) {
      unknown_plugin(*plugin);
      return;
    }
    if (found->schema.kind == StageKind::Service) {
      error(plugin->position,
            fmt::format("'{}' is not a stage: it serves stages that name it in a parameter", plugin->scalar));
      return;
    }
    stage.schema = found->schema;
    draft.usable = true;
    static const YamlNode kNone;
    const YamlNode* with = node.find("with");
    const std::size_t before = diagnostics_.errors();
    stage.params = resolve_at(stage.schema.params, with == nullptr ? kNone : *with, draft.key_position);
    stage.services = services_of(stage, registry_);
    const auto group_fault = SplitRule::fault_of_group(stage.schema.params, stage.params.value());
    if (with != nullptr && group_fault)
      error(place_of(*with, {"group"}, false, with->position), "group: " + *group_fault);
    warn_of_hidden(stage, registry_, plugin->position, diagnostics_);
    draft.sound = diagnostics_.errors() == before;
    expand_ports(stage, with == nullptr ? draft.key_position : with->position);
  }

  /// An output "{param}" becomes a port per value of that list.
  void expand_ports(StagePlan& stage, Position at) {
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
          error(at, fmt::format("{}: '{}' occurs twice; give every output a different name",
                                declared.name.substr(1, declared.name.size() - 2), port.name));
        names.push_back(port.name);
        ports.push_back(std::move(port));
      }
    }
    stage.schema.outputs = std::move(ports);
  }

  void read_splits(const YamlNode& node, StagePlan& stage) {
    std::vector<const YamlNode*> names;
    if (node.kind == YamlNode::Kind::List)
      for (const YamlNode& n : node.items) names.push_back(&n);
    else
      names.push_back(&node);
    for (const YamlNode* n : names) {
      if (const auto split = split_from(n->scalar))
        stage.splits.push_back(*split);
      else
        error(n->position, fmt::format("splits: '{}' is not a split{} (allowed: train, val, test)", n->scalar,
                                       suggestion(n->scalar, {"train", "val", "test"})));
    }
  }

  void unknown_plugin(const YamlNode& plugin) {
    if (const auto* rejected = registry_.rejected_as(plugin.scalar)) {
      error(plugin.position,
            fmt::format("plugin '{}' cannot be used: {}", plugin.scalar, rejected->message()));
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, p] : registry_.plugins()) names.push_back(name);
    std::string text = fmt::format("unknown plugin '{}'{}", plugin.scalar, suggestion(plugin.scalar, names));
    if (names.empty()) {
      std::vector<std::string> folders;
      for (const auto& f : registry_.folders()) folders.push_back(f.string());
      text += fmt::format(" (no plugins found; looked in: {})", fmt::join(folders, ", "));
    } else {
      text += fmt::format(" (allowed: {})", fmt::join(names, ", "));
    }
    error(plugin.position, text);
  }

  void connect() {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      const YamlNode* from =
          drafts_[i].node->kind == YamlNode::Kind::Map ? drafts_[i].node->find("from") : nullptr;
      StagePlan& stage = plan_.stages[i];
      drafts_[i].from_position = from != nullptr ? from->position : drafts_[i].key_position;
      std::vector<const YamlNode*> refs;
      if (from != nullptr && from->kind == YamlNode::Kind::List)
        for (const YamlNode& n : from->items) refs.push_back(&n);
      else if (from != nullptr)
        refs.push_back(from);
      if (drafts_[i].usable) check_arity(i, refs.size());
      for (const YamlNode* ref : refs) connect_one(stage, drafts_[i], *ref);
    }
  }

  void check_arity(std::size_t i, std::size_t given) {
    const StagePlan& stage = plan_.stages[i];
    const auto& inputs = stage.schema.inputs;
    const Position at = drafts_[i].from_position;
    if (inputs.empty() && given > 0) {
      error(at, fmt::format("'{}' ({}) is a source: it takes no input; remove `from`", stage.id,
                            stage.schema.name));
    } else if (!inputs.empty() && given == 0) {
      drafts_[i].connected = false;
      error(at, fmt::format("stage '{}' ({}) needs `from:` with a stage that gives {}", stage.id,
                            stage.schema.name, to_string(inputs[0].type)));
    } else if (!inputs.empty() && given > 1 && !inputs[0].many) {
      error(at, fmt::format("stage '{}' ({}) takes one input, got {}", stage.id, stage.schema.name, given));
    }
  }

  void connect_one(StagePlan& stage, Draft& draft, const YamlNode& ref) {
    if (diagnostics_.errors() > 1000) return;  // nobody reads more, and each takes its time
    if (ref.kind != YamlNode::Kind::Scalar) {
      draft.connected = false;
      error(ref.position, fmt::format("from: expected the id of a stage, got {}", ref.kind_name()));
      return;
    }
    const std::size_t dot = ref.scalar.find('.');
    const std::string id = ref.scalar.substr(0, dot);
    const auto it = index_.find(id);
    if (it == index_.end()) {
      std::vector<std::string> ids;
      for (const StagePlan& s : plan_.stages)
        if (s.id != stage.id) ids.push_back(s.id);
      draft.connected = false;
      error(ref.position, fmt::format("no stage '{}'{} (stages: {})", id, suggestion(id, ids), some_of(ids)));
      return;
    }
    const StagePlan& from = plan_.stages[it->second];
    std::size_t port = 0;
    const bool known = drafts_[it->second].usable;
    if (known && dot != std::string::npos) {
      const std::string wanted = ref.scalar.substr(dot + 1);
      std::vector<std::string> ports;
      for (const PortSpec& p : from.schema.outputs) ports.push_back(p.name);
      port = static_cast<std::size_t>(std::find(ports.begin(), ports.end(), wanted) - ports.begin());
      if (port == ports.size()) {
        draft.connected = false;
        error(ref.position, fmt::format("stage '{}' has no output '{}'{} (outputs: {})", id, wanted,
                                        suggestion(wanted, ports), some_of(ports)));
        return;
      }
    }
    stage.inputs.push_back({it->second, port});
    if (known && draft.usable && !stage.schema.inputs.empty()) check_types(stage, from, port, ref.position);
  }

  void check_types(const StagePlan& stage, const StagePlan& from, std::size_t port, Position at) {
    const PortSpec& in = stage.schema.inputs[0];
    if (from.schema.outputs.empty()) {
      error(at, fmt::format("'{}' ({}) is a report: it has no output", from.id, from.schema.name));
      return;
    }
    const PortSpec& out = from.schema.outputs[port];
    if (out.type == in.type) return;
    std::vector<std::string> bridges;
    for (const auto& [name, p] : registry_.plugins())
      if (p.schema.inputs.size() == 1 && p.schema.outputs.size() == 1 &&
          p.schema.inputs[0].type == out.type && p.schema.outputs[0].type == in.type)
        bridges.push_back(name);
    error(at, fmt::format("'{}' ({}) takes {} on port '{}', but '{}' ({}) gives {} on port '{}'{}", stage.id,
                          stage.schema.name, to_string(in.type), in.name, from.id, from.schema.name,
                          to_string(out.type), out.name,
                          bridges.empty()
                              ? replacement(stage, out.type)
                              : fmt::format("; put one of these between: {}", fmt::join(bridges, ", "))));
  }

  /// For a stage whose input is already what it would make (`decode` behind a source of images): the plugin
  /// that does the rest of its work (`resize`), which is the one with the most parameters of the same name.
  std::string replacement(const StagePlan& stage, PortType given) const {
    if (stage.schema.outputs.empty() || stage.schema.outputs[0].type != given) return "";
    const auto has = [](const PluginSchema& schema, const std::string& param) {
      return std::any_of(schema.params.begin(), schema.params.end(),
                         [&](const ParamSpec& p) { return p.name == param; });
    };
    std::string best;
    std::ptrdiff_t most = 0;
    for (const auto& [name, p] : registry_.plugins()) {
      if (p.schema.kind != stage.schema.kind || p.schema.inputs.empty() || p.schema.outputs.empty() ||
          p.schema.inputs[0].type != given || p.schema.outputs[0].type != given)
        continue;
      const auto shared =
          std::count_if(stage.schema.params.begin(), stage.schema.params.end(),
                        [&, &schema = p.schema](const ParamSpec& spec) { return has(schema, spec.name); });
      if (shared > most) most = shared, best = name;
    }
    return best.empty() ? "" : fmt::format("; use {} in place of {}", best, stage.schema.name);
  }

  /// Topological order, by position in the file where there is a choice; also finds the source of every
  /// stage.
  bool sort() {
    const std::size_t n = plan_.stages.size();
    std::vector<int> waiting(n, 0);
    for (std::size_t i = 0; i < n; ++i) waiting[i] = static_cast<int>(plan_.stages[i].inputs.size());
    std::vector<std::size_t> order, place(n, n);
    while (order.size() < n) {
      std::size_t next = n;
      for (std::size_t i = 0; i < n && next == n; ++i)
        if (waiting[i] == 0 && place[i] == n) next = i;
      if (next == n) {
        report_cycle(waiting);
        return false;
      }
      place[next] = order.size();
      order.push_back(next);
      for (std::size_t i = 0; i < n; ++i)
        for (const auto& input : plan_.stages[i].inputs) waiting[i] -= input.stage == next ? 1 : 0;
    }
    std::vector<StagePlan> sorted;
    std::vector<Draft> drafts;
    for (const std::size_t i : order) {
      StagePlan stage = std::move(plan_.stages[i]);
      for (auto& input : stage.inputs) input.stage = place[input.stage];
      stage.source = stage.inputs.empty() ? sorted.size() : sorted[stage.inputs[0].stage].source;
      sorted.push_back(std::move(stage));
      drafts.push_back(drafts_[i]);
    }
    plan_.stages = std::move(sorted);
    drafts_ = std::move(drafts);
    return true;
  }

  void report_cycle(const std::vector<int>& waiting) {
    // From any stage that waits, walking back along inputs that wait must come round.
    std::size_t at = 0;
    while (waiting[at] == 0) ++at;
    const auto back = [&](std::size_t i) {
      for (const auto& input : plan_.stages[i].inputs)
        if (waiting[input.stage] > 0) return input.stage;
      return i;
    };
    for (std::size_t steps = 0; steps < plan_.stages.size(); ++steps) at = back(at);
    std::vector<std::string> ids{plan_.stages[at].id};
    for (std::size_t i = back(at); i != at; i = back(i)) ids.push_back(plan_.stages[i].id);
    std::reverse(ids.begin(), ids.end());
    std::rotate(ids.begin(), std::min_element(ids.begin(), ids.end()), ids.end());
    const auto first = static_cast<std::size_t>(index_.at(ids.front()));
    ids.push_back(ids.front());
    error(drafts_[first].from_position, fmt::format("stages form a cycle: {}", fmt::join(ids, " -> ")));
  }

  /// ParamSpec::follows, once every stage has what it was given.
  void follow() {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      if (!drafts_[i].sound) continue;
      const YamlNode* given = drafts_[i].node->find("with");
      YamlNode with = given == nullptr ? YamlNode() : *given;
      for (const ParamSpec& spec : plan_.stages[i].schema.params)
        if (!spec.followed.empty()) follow(i, spec, with);
    }
  }

  void follow(std::size_t i, const ParamSpec& spec, YamlNode& with) {
    const auto given = [&](const std::string& name) { return with.find(name) != nullptr; };
    if (given(spec.name) || std::any_of(spec.unless.begin(), spec.unless.end(), given)) return;
    const std::vector<Followed> found = followed_by(plan_, i, spec);
    const auto is_sound = [&](const Followed& f) { return drafts_[f.stage].sound; };
    if (found.empty() || !std::all_of(found.begin(), found.end(), is_sound)) return;
    const Followed& first = found.front();
    StagePlan& stage = plan_.stages[i];
    for (const Followed& other : found)
      if (other.value != first.value) {
        error(drafts_[i].key_position,
              fmt::format("'{}' ({}) cannot take `{}` from its downstream stages, which differ: '{}' has {}, "
                          "'{}' has {}; write `{}: {}`, or {} of your own",
                          stage.id, stage.schema.name, spec.name, plan_.stages[first.stage].id, first.value,
                          plan_.stages[other.stage].id, other.value, spec.name, first.value,
                          fmt::join(spec.unless, ", ")));
        return;
      }
    // As if it had been written here: checked in the same way.
    const Position at = drafts_[first.stage].key_position;
    with.kind = YamlNode::Kind::Map;
    YamlNode value;
    value.kind = YamlNode::Kind::Scalar;
    value.position = at;
    value.scalar = first.value;
    with.members.push_back({spec.name, at, std::move(value)});
    stage.params = resolve_at(stage.schema.params, with, at);
    stage.followed.emplace_back(spec.name, plan_.stages[first.stage].id);
  }

  /// Asks a stage's plugin for errors in files that parameters name, and for the shapes of its outputs.
  void inspect() {
    static const YamlNode kNone;
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      if (!drafts_[i].sound) continue;
      const Position stage = drafts_[i].key_position;
      const YamlNode* given = drafts_[i].node->find("with");
      const YamlNode& with = given == nullptr ? kNone : *given;
      Inspection found = inspect_stage(plan_, i, registry_, [&](const std::string& text) {
        diagnostics_.note(stage, plan_.stages[i].id + ": " + text);
      });
      const Position fallback = with.position.line > 0 ? with.position : stage;
      for (const Inspection::Fault& fault : found.faults) {
        const std::vector<std::string> parts = parts_of(fault.param);
        const std::string name = fault.param.empty() ? "" : parts.front() + ": ";
        error(fault.param.empty() ? stage : place_of(with, parts, false, fallback), name + fault.text);
      }
      plan_.stages[i].inspected_shapes = std::move(found.output_shapes);
    }
  }

  void check_use() {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      const StagePlan& stage = plan_.stages[i];
      if (!drafts_[i].usable) continue;
      const bool stream = stage.schema.kind == StageKind::Source ||
                          stage.schema.kind == StageKind::Transform ||
                          stage.schema.kind == StageKind::BatchTransform;
      if (stream && plan_.consumers(i).empty() && !all_connected_fails())
        error(drafts_[i].key_position,
              fmt::format("nothing uses the output of stage '{}' ({}); connect a stage with "
                          "`from: {}`, or remove it",
                          stage.id, stage.schema.name, stage.id));
      for (const auto& input : stage.inputs)
        if (stage.schema.kind == StageKind::Learner &&
            plan_.stages[input.stage].source != plan_.stages[stage.inputs[0].stage].source)
          error(drafts_[i].from_position,
                fmt::format("the tables of learner '{}' come from different sources; their "
                            "rows cannot be aligned",
                            stage.id));
    }
  }

  /// A stage whose `from` could not be resolved may be the missing consumer; do not blame the others for it.
  bool all_connected_fails() const {
    return std::any_of(drafts_.begin(), drafts_.end(),
                       [](const Draft& d) { return !d.connected || !d.usable; });
  }

  void check_credits() {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      if (plan_.stages[i].schema.kind != StageKind::Source) continue;
      const std::size_t needed = plan_.batch_items(i);
      std::uint64_t item_bytes = 0;
      std::vector<std::string> batches;
      for (const StagePlan& s : plan_.stages) {
        if (s.source != i) continue;
        if (s.schema.kind == StageKind::BatchTransform)
          batches.push_back(fmt::format("{}: {}", s.id, declared_batch(s)));
        for (std::size_t port = 0; port < s.schema.outputs.size(); ++port)
          item_bytes = std::max(item_bytes, bytes_of_shape(output_shape(s, port)).value_or(0));
      }
      const YamlNode* run = config_.root().find("run");
      const auto at = [&](const char* key) {
        const YamlNode* v = run == nullptr ? nullptr : run->find(key);
        return v == nullptr ? drafts_[i].key_position : v->position;
      };
      if (needed > 0 && plan_.credits(i) <= needed)
        error(at("in_flight"),
              fmt::format("in_flight: {} items are too few for the batches ({}): they would wait for "
                          "each other forever; use at least {}, or auto",
                          plan_.credits(i), fmt::join(batches, ", "), needed + 1));
      if (item_bytes * (needed + 1) > plan_.run.memory)
        error(at("memory"),
              fmt::format(
                  "memory: {} B is too little: {} in flight of up to {} B each must fit; use at least "
                  "{} MiB, or smaller batches",
                  plan_.run.memory, needed + 1, item_bytes, (item_bytes * (needed + 1)) / (1 << 20) + 1));
    }
  }

  const ConfigFile& config_;
  const Registry& registry_;
  Diagnostics& diagnostics_;
  const std::vector<Position> unread_;
  Plan plan_;
  std::vector<Draft> drafts_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace

Plan make_plan(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics,
               Inspect inspect) {
  return Planner(config, registry, diagnostics).make(inspect);
}

}  // namespace graft
