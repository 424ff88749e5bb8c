#include "graph/views.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace {

constexpr std::uint64_t kMostViews = 1'000'000;

}  // namespace

std::uint32_t declared_views(const StagePlan& stage) {
  const ViewsRule& rule = stage.schema.views;
  const Value* v = rule.param.empty() ? nullptr : stage.params.value().find(rule.param);
  if (v == nullptr) return 1;
  if (v->is_int()) return static_cast<std::uint32_t>(std::max<std::int64_t>(v->as_int(), 1));
  for (const auto& [choice, views] : rule.choices)
    if (v->is_string() && v->as_string() == choice) return views;
  return 1;
}

ViewCounts count_views(const Plan& plan, std::size_t stage) {
  ViewCounts counts{};
  for (const Split split : {Split::Train, Split::Val, Split::Test}) {
    const bool taken = !plan.stages[stage].is(StageKind::Collector) || plan.stages[stage].handles(split);
    std::uint64_t n = taken ? 1 : 0;
    for (std::size_t at = stage;; at = plan.stages[at].inputs[0].stage) {
      if (plan.stages[at].handles(split)) n *= declared_views(plan.stages[at]);
      if (n > kMostViews)
        throw Error(fmt::format("{}: there are more than {} views of every input; make fewer",
                                plan.stages[stage].label(), kMostViews));
      if (plan.stages[at].inputs.empty()) break;
    }
    counts[static_cast<std::size_t>(split)] = static_cast<std::uint32_t>(n);
  }
  return counts;
}

}  // namespace graft
