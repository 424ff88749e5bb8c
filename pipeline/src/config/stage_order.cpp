// The step of make_plan that sorts stages so that each comes after its inputs.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "config/plan_draft.h"

namespace graft {
namespace {

void report_cycle(PlanDraft& draft, const std::vector<int>& waiting) {
  // From any stage that waits, walking back along inputs that wait must come round.
  std::size_t at = 0;
  while (waiting[at] == 0) ++at;
  const auto back = [&](std::size_t i) {
    for (const auto& input : draft.plan.stages[i].inputs)
      if (waiting[input.stage] > 0) return input.stage;
    return i;
  };
  for (std::size_t steps = 0; steps < draft.plan.stages.size(); ++steps) at = back(at);
  std::vector<std::string> ids{draft.plan.stages[at].id};
  for (std::size_t i = back(at); i != at; i = back(i)) ids.push_back(draft.plan.stages[i].id);
  std::reverse(ids.begin(), ids.end());
  std::rotate(ids.begin(), std::min_element(ids.begin(), ids.end()), ids.end());
  const auto first = static_cast<std::size_t>(draft.index.at(ids.front()));
  ids.push_back(ids.front());
  draft.error(draft.stages[first].from_position,
              fmt::format("stages form a cycle: {}", fmt::join(ids, " -> ")));
}

}  // namespace

bool order_stages(PlanDraft& draft) {
  const std::size_t n = draft.plan.stages.size();
  std::vector<int> waiting(n, 0);
  for (std::size_t i = 0; i < n; ++i) waiting[i] = static_cast<int>(draft.plan.stages[i].inputs.size());
  std::vector<std::size_t> order, place(n, n);
  while (order.size() < n) {
    std::size_t next = n;
    for (std::size_t i = 0; i < n && next == n; ++i)
      if (waiting[i] == 0 && place[i] == n) next = i;
    if (next == n) {
      report_cycle(draft, waiting);
      return false;
    }
    place[next] = order.size();
    order.push_back(next);
    for (std::size_t i = 0; i < n; ++i)
      for (const auto& input : draft.plan.stages[i].inputs) waiting[i] -= input.stage == next ? 1 : 0;
  }
  std::vector<StagePlan> sorted;
  std::vector<PlanDraft::Stage> drafts;
  for (const std::size_t i : order) {
    StagePlan stage = std::move(draft.plan.stages[i]);
    for (auto& input : stage.inputs) input.stage = place[input.stage];
    stage.source = stage.inputs.empty() ? sorted.size() : sorted[stage.inputs[0].stage].source;
    sorted.push_back(std::move(stage));
    drafts.push_back(draft.stages[i]);
  }
  draft.plan.stages = std::move(sorted);
  draft.stages = std::move(drafts);
  return true;
}

}  // namespace graft
