// The step of make_plan that follows `from`.

#include <algorithm>

#include <fmt/format.h>

#include <graft/text.h>

#include "config/plan_draft.h"

namespace graft {
namespace {

std::string some_of(const std::vector<std::string>& names) {
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(30, names.size()));
  const std::string all = fmt::format("{}", fmt::join(names.begin(), end, ", "));
  return fmt::format("{:.1000}{}", all, end != names.end() || all.size() > 1000 ? ", ..." : "");
}

void check_arity(PlanDraft& draft, std::size_t i, std::size_t given) {
  const StagePlan& stage = draft.plan.stages[i];
  const auto& inputs = stage.schema.inputs;
  const Position at = draft.stages[i].from_position;
  if (inputs.empty() && given > 0) {
    draft.error(at, fmt::format("'{}' ({}) is a source: it takes no input; remove `from`", stage.id,
                                stage.schema.name));
  } else if (!inputs.empty() && given == 0) {
    draft.stages[i].connected = false;
    draft.error(at, fmt::format("stage '{}' ({}) needs `from:` with a stage that gives {}", stage.id,
                                stage.schema.name, to_string(inputs[0].type)));
  } else if (!inputs.empty() && given > 1 && !inputs[0].many) {
    draft.error(at,
                fmt::format("stage '{}' ({}) takes one input, got {}", stage.id, stage.schema.name, given));
  }
}

/// For a stage whose input is already what it would make (`decode` after a source of images): the plugin
/// that does the rest of its work (`resize`), which is the one with the most parameters of the same name.
std::string replacement(const PlanDraft& draft, const StagePlan& stage, PortType given) {
  if (stage.schema.outputs.empty() || stage.schema.outputs[0].type != given) return "";
  const auto has = [](const PluginSchema& schema, const std::string& param) {
    return std::any_of(schema.params.begin(), schema.params.end(),
                       [&](const ParamSpec& p) { return p.name == param; });
  };
  std::string best;
  std::ptrdiff_t most = 0;
  for (const auto& [name, p] : draft.registry.plugins()) {
    if (!stage.is(p.schema.kind) || p.schema.inputs.empty() || p.schema.outputs.empty() ||
        p.schema.inputs[0].type != given || p.schema.outputs[0].type != given)
      continue;
    const auto shared =
        std::count_if(stage.schema.params.begin(), stage.schema.params.end(),
                      [&, &schema = p.schema](const ParamSpec& spec) { return has(schema, spec.name); });
    if (shared > most) most = shared, best = name;
  }
  return best.empty() ? "" : fmt::format("; use {} in place of {}", best, stage.schema.name);
}

void check_types(PlanDraft& draft, const StagePlan& stage, const StagePlan& from, std::size_t port,
                 Position at) {
  const PortSpec& in = stage.schema.inputs[0];
  if (from.schema.outputs.empty()) {
    draft.error(at, fmt::format("'{}' ({}) is a report: it has no output", from.id, from.schema.name));
    return;
  }
  const PortSpec& out = from.schema.outputs[port];
  if (out.type == in.type) return;
  std::vector<std::string> bridges;
  for (const auto& [name, p] : draft.registry.plugins())
    if (p.schema.inputs.size() == 1 && p.schema.outputs.size() == 1 && p.schema.inputs[0].type == out.type &&
        p.schema.outputs[0].type == in.type)
      bridges.push_back(name);
  draft.error(at, fmt::format("'{}' ({}) takes {} on port '{}', but '{}' ({}) gives {} on port '{}'{}",
                              stage.id, stage.schema.name, to_string(in.type), in.name, from.id,
                              from.schema.name, to_string(out.type), out.name,
                              bridges.empty()
                                  ? replacement(draft, stage, out.type)
                                  : fmt::format("; put one of these between: {}", fmt::join(bridges, ", "))));
}

void link_one(PlanDraft& draft, StagePlan& stage, PlanDraft::Stage& drafted, const YamlNode& ref) {
  if (draft.diagnostics.errors() > 1000) return;  // nobody reads more, and each takes its time
  if (ref.kind != YamlNode::Kind::Scalar) {
    drafted.connected = false;
    draft.error(ref.position, fmt::format("from: expected the id of a stage, got {}", ref.kind_name()));
    return;
  }
  const std::size_t dot = ref.scalar.find('.');
  const std::string id = ref.scalar.substr(0, dot);
  const auto it = draft.index.find(id);
  if (it == draft.index.end()) {
    std::vector<std::string> ids;
    for (const StagePlan& s : draft.plan.stages)
      if (s.id != stage.id) ids.push_back(s.id);
    drafted.connected = false;
    draft.error(ref.position,
                fmt::format("no stage '{}'{} (stages: {})", id, suggestion(id, ids), some_of(ids)));
    return;
  }
  const StagePlan& from = draft.plan.stages[it->second];
  std::size_t port = 0;
  const bool known = draft.stages[it->second].usable;
  if (known && dot != std::string::npos) {
    const std::string wanted = ref.scalar.substr(dot + 1);
    std::vector<std::string> ports;
    for (const PortSpec& p : from.schema.outputs) ports.push_back(p.name);
    port = static_cast<std::size_t>(std::find(ports.begin(), ports.end(), wanted) - ports.begin());
    if (port == ports.size()) {
      drafted.connected = false;
      draft.error(ref.position, fmt::format("stage '{}' has no output '{}'{} (outputs: {})", id, wanted,
                                            suggestion(wanted, ports), some_of(ports)));
      return;
    }
  }
  if (std::any_of(stage.inputs.begin(), stage.inputs.end(), [&](const StagePlan::Input& before) {
        return before.stage == it->second && before.port == port;
      })) {
    draft.error(ref.position, fmt::format("from: '{}' occurs twice; name each input once", ref.scalar));
    return;
  }
  stage.inputs.push_back({it->second, port});
  if (known && drafted.usable && !stage.schema.inputs.empty())
    check_types(draft, stage, from, port, ref.position);
}

}  // namespace

void link_stages(PlanDraft& draft) {
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    const YamlNode* from =
        draft.stages[i].node->kind == YamlNode::Kind::Map ? draft.stages[i].node->find("from") : nullptr;
    StagePlan& stage = draft.plan.stages[i];
    draft.stages[i].from_position = from != nullptr ? from->position : draft.stages[i].key_position;
    std::vector<const YamlNode*> refs;
    if (from != nullptr && from->kind == YamlNode::Kind::List)
      for (const YamlNode& n : from->items) refs.push_back(&n);
    else if (from != nullptr)
      refs.push_back(from);
    if (draft.stages[i].usable) check_arity(draft, i, refs.size());
    for (const YamlNode* ref : refs) link_one(draft, stage, draft.stages[i], *ref);
  }
}

}  // namespace graft
