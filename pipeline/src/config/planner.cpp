#include "config/planner.h"

#include "config/plan_draft.h"

namespace graft {

Plan make_plan(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics,
               Inspect inspect) {
  if (config.root().kind != YamlNode::Kind::Map) return {};
  PlanDraft draft(config, registry, diagnostics);
  parse_config(draft);
  link_stages(draft);
  if (!order_stages(draft)) return {};
  inherit_parameters(draft);
  if (inspect == Inspect::Files) inspect_stages(draft);
  check_use(draft);
  check_credits(draft);
  return std::move(draft.plan);
}

}  // namespace graft
