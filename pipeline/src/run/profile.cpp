#include "run/profile.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <graft/value_path.h>

namespace graft {
namespace {

struct Part {
  std::string id;
  double seconds = 0;
  bool waiting = false;  ///< The time in which the threads of a stream had nothing to do.
};

double seconds_of(const Value& timings, const char* group, const std::string& id) {
  return number_at(timings, {group, id}).value_or(0);
}

std::vector<Part> parts_of(const Plan& plan, const Meter& meter, const Value& timings) {
  std::vector<Part> parts;
  const double threads = std::max(1, plan.run.threads);
  for (const std::size_t source : plan.stages_of(StageKind::Source)) {
    Part idle{plan.stages[source].id, seconds_of(timings, "streams", plan.stages[source].id), true};
    for (const std::size_t i : plan.stream(source)) {
      parts.push_back({plan.stages[i].id, static_cast<double>(meter.counts(i).busy_ns) * 1e-9 / threads});
      idle.seconds -= parts.back().seconds;
    }
    parts.push_back(std::move(idle));
  }
  for (const StagePlan& stage : plan.stages)
    if (!stage.is_streamed())
      parts.push_back({stage.id, seconds_of(timings, stage.is_fitted() ? "learners" : "reports", stage.id)});
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.seconds > b.seconds; });
  return parts;
}

}  // namespace

std::string profile_line(const Plan& plan, const Meter& meter, const Value& timings) {
  const std::vector<Part> parts = parts_of(plan, meter, timings);
  const double total = number_at(timings, {"total"}).value_or(0);
  if (parts.empty() || !(total > 0) || !(parts[0].seconds > 0)) return "profile  nothing took time\n";
  const Part& first = parts[0];
  const std::string time = fmt::format("{:.3g} of {:.3g} s ({:.0f} %)", first.seconds, total,
                                       std::min(100.0, 100 * first.seconds / total));
  const auto next = std::find_if(parts.begin() + 1, parts.end(), [](const Part& p) { return !p.waiting; });
  const std::string after =
      next == parts.end() || !(next->seconds > 0) ? "" : fmt::format("{:.3g} s", next->seconds);
  if (first.waiting)
    return fmt::format(
        "profile  the threads of the stream of {} waited {}, for its files, its list or the disk{}\n",
        first.id, time, after.empty() ? "" : fmt::format("; the longest stage is {}: {}", next->id, after));
  return fmt::format("profile  {} limits the run: {}{}\n", first.id, time,
                     after.empty() ? ""
                                   : fmt::format(", {:.3g} times as long as the next, {} ({})",
                                                 first.seconds / next->seconds, next->id, after));
}

}  // namespace graft
