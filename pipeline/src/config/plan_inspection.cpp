// The step of make_plan that looks into the files that parameters name.

#include <utility>

#include "config/given_values.h"
#include "config/inspection.h"
#include "config/plan_draft.h"

namespace graft {

void inspect_stages(PlanDraft& draft) {
  static const YamlNode kNone;
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    if (!draft.stages[i].sound) continue;
    const Position stage = draft.stages[i].key_position;
    const YamlNode* given = draft.stages[i].node->find("with");
    const YamlNode& with = given == nullptr ? kNone : *given;
    Inspection found = inspect_stage(draft.plan, i, draft.registry, [&](const std::string& text) {
      draft.diagnostics.note(stage, draft.plan.stages[i].id + ": " + text);
    });
    const Position fallback = with.position.line > 0 ? with.position : stage;
    for (const Inspection::Fault& fault : found.faults) {
      const std::vector<std::string> parts = parts_of(fault.param);
      const std::string name = fault.param.empty() ? "" : parts.front() + ": ";
      draft.error(fault.param.empty() ? stage : place_of(with, parts, false, fallback), name + fault.text);
    }
    draft.plan.stages[i].inspected_shapes = std::move(found.output_shapes);
  }
}

}  // namespace graft
