// The step of make_plan that takes parameters from downstream stages (ParamSpec::default_from_downstream).

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/plan_draft.h"

namespace graft {
namespace {

/// A value that a parameter may take over, and the stage downstream that has it.
struct DownstreamValue {
  std::size_t stage;
  std::string value;
};

/// What the stages downstream of `stage` have for the first parameter of `spec.followed` that is not null
/// there, in the order of the plan. A stage that has none and gives what it takes (images to images) is
/// passed through.
std::vector<DownstreamValue> downstream_values(const Plan& plan, std::size_t stage, const ParamSpec& spec) {
  std::vector<DownstreamValue> out;
  for (const std::size_t downstream : plan.consumers(stage)) {
    const StagePlan& s = plan.stages[downstream];
    const auto value_of = [&](const std::string& name) {
      const Value* v = s.params.find(name);
      return v != nullptr && v->is_string() ? v : nullptr;
    };
    const auto has = std::find_if(spec.followed.begin(), spec.followed.end(), value_of);
    const bool gives_what_it_takes = !s.schema.inputs.empty() && !s.schema.outputs.empty() &&
                                     s.schema.inputs[0].type == s.schema.outputs[0].type;
    if (has != spec.followed.end()) {
      out.push_back({downstream, value_of(*has)->as_string()});
    } else if (gives_what_it_takes && s.params.find(spec.name) == nullptr) {
      const std::vector<DownstreamValue> further = downstream_values(plan, downstream, spec);
      out.insert(out.end(), further.begin(), further.end());
    }
  }
  return out;
}

/// Resolves the parameters of stage `i` again with the downstream value of `spec`, unless the config gives
/// it, or one of `spec.unless`. `with`: the parameters as the config gives them; the value is added.
void inherit(PlanDraft& draft, std::size_t i, const ParamSpec& spec, YamlNode& with) {
  const std::vector<ParamSpec>& params = draft.plan.stages[i].schema.params;
  const auto given = [&](const std::string& name) {
    return std::any_of(params.begin(), params.end(), [&](const ParamSpec& p) {
      return p.name == name &&
             (with.find(name) != nullptr || (!p.former_name.empty() && with.find(p.former_name) != nullptr));
    });
  };
  if (given(spec.name) || std::any_of(spec.unless.begin(), spec.unless.end(), given)) return;
  const std::vector<DownstreamValue> found = downstream_values(draft.plan, i, spec);
  const auto is_sound = [&](const DownstreamValue& f) { return draft.stages[f.stage].sound; };
  if (found.empty() || !std::all_of(found.begin(), found.end(), is_sound)) return;
  const DownstreamValue& first = found.front();
  StagePlan& stage = draft.plan.stages[i];
  for (const DownstreamValue& other : found)
    if (other.value != first.value) {
      draft.error(
          draft.stages[i].key_position,
          fmt::format("'{}' ({}) cannot take `{}` from its downstream stages, which differ: '{}' has {}, "
                      "'{}' has {}; write `{}: {}`, or {} of your own",
                      stage.id, stage.schema.name, spec.name, draft.plan.stages[first.stage].id, first.value,
                      draft.plan.stages[other.stage].id, other.value, spec.name, first.value,
                      fmt::join(spec.unless, ", ")));
      return;
    }
  // As if it had been written here: checked in the same way.
  const Position at = draft.stages[first.stage].key_position;
  with.kind = YamlNode::Kind::Map;
  YamlNode value;
  value.kind = YamlNode::Kind::Scalar;
  value.position = at;
  value.scalar = first.value;
  with.members.push_back({spec.name, at, std::move(value)});
  stage.params = draft.resolve_at(stage.schema.params, with, at);
  stage.followed.emplace_back(spec.name, draft.plan.stages[first.stage].id);
}

}  // namespace

void inherit_parameters(PlanDraft& draft) {
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    if (!draft.stages[i].sound) continue;
    const YamlNode* given = draft.stages[i].node->find("with");
    YamlNode with = given == nullptr ? YamlNode() : *given;
    for (const ParamSpec& spec : draft.plan.stages[i].schema.params)
      if (!spec.followed.empty()) inherit(draft, i, spec, with);
  }
}

}  // namespace graft
