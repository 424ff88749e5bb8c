#include "run/cluster_estimate.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "run/progress.h"
#include "store/slots.h"

namespace graft {
namespace {

static_assert(ClusterShape::kMostTasks == kSlots);
constexpr std::array<std::string_view, 4> kShapeEngines = {"local", "slurm", "kubernetes", "mpi"};

std::optional<int> positive(std::string_view text, int most) {
  int n = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (bad != std::errc() || end != text.data() + text.size() || n < 1 || n > most) return {};
  return n;
}

}  // namespace

ClusterShape ClusterShape::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::size_t times = text.find('x', colon == std::string_view::npos ? 0 : colon);
  ClusterShape out;
  if (colon != std::string_view::npos) out.engine = text.substr(0, colon);
  const auto tasks = colon == std::string_view::npos || times == std::string_view::npos
                         ? std::nullopt
                         : positive(text.substr(colon + 1, times - colon - 1), ClusterShape::kMostTasks);
  const auto cpus = tasks ? positive(text.substr(times + 1), ClusterShape::kMostCpus) : std::nullopt;
  if (!cpus || std::find(kShapeEngines.begin(), kShapeEngines.end(), out.engine) == kShapeEngines.end())
    throw Error(fmt::format("expected ENGINE:TASKSxCPUS such as slurm:40x8 (engines: {}), got '{}'",
                            fmt::join(kShapeEngines, ", "), text));
  out.tasks = *tasks;
  out.cpus = *cpus;
  return out;
}

std::string ClusterShape::text() const {
  return fmt::format("{}:{}x{}", engine, tasks, cpus);
}

ClusterEstimate estimate_on(const ClusterShape& shape, const WorkToDo& work, std::optional<double> price) {
  ClusterEstimate out{shape, work, {}, {}, {}, {}};
  if (!work.core_seconds) return out;
  // Tasks without an input end at once.
  const double tasks =
      static_cast<double>(std::min<std::uint64_t>(static_cast<std::uint64_t>(shape.tasks), work.inputs));
  const double wall = tasks == 0 ? 0 : work.start_seconds + *work.core_seconds / (tasks * shape.cpus);
  out.wall_seconds = wall;
  out.task_hours = wall * tasks / 3600;
  out.core_hours = *out.task_hours * shape.cpus;
  if (price) out.cost = *out.task_hours * *price;
  return out;
}

std::string to_text(const ClusterEstimate& e) {
  std::string out = fmt::format("\non {}: {}, {} each\n", e.shape.engine,
                                plural(static_cast<std::size_t>(e.shape.tasks), "task"),
                                plural(static_cast<std::size_t>(e.shape.cpus), "processor"));
  if (!e.wall_seconds)
    out += fmt::format("  time not known: {}\n", e.work.why_not);
  else
    out += fmt::format(
        "  time about {}, {:.2f} machine-hours ({:.2f} processor-hours){}, at the pace of this machine\n"
        "  measured on {}\n",
        duration_in_words(*e.wall_seconds), *e.task_hours, *e.core_hours,
        e.cost ? fmt::format(", {:.2f} at the price given", *e.cost) : "", e.work.machine.text());
  out +=
      fmt::format("  disk {}, memory of a task {}\n",
                  e.work.disk_bytes ? "+" + human_bytes(*e.work.disk_bytes) : "unknown until the first batch",
                  e.work.memory_bytes > 0 ? "about " + human_bytes(e.work.memory_bytes) : "not known");
  return out;
}

Value to_value(const ClusterEstimate& e) {
  const auto number = [](const auto& n) { return n ? Value(*n) : Value(); };
  Value out = Value::Map{{"engine", e.shape.engine},
                         {"tasks", e.shape.tasks},
                         {"cpus", e.shape.cpus},
                         {"inputs", Value(e.work.inputs)},
                         {"seconds", number(e.wall_seconds)},
                         {"task_hours", number(e.task_hours)},
                         {"core_hours", number(e.core_hours)},
                         {"cost", number(e.cost)},
                         {"disk_bytes", number(e.work.disk_bytes)},
                         {"memory_bytes", e.work.memory_bytes > 0 ? Value(e.work.memory_bytes) : Value()}};
  out["machine"] = Value::Map{{"name", e.work.machine.name},
                              {"processor", e.work.machine.processor},
                              {"processors", e.work.machine.processors},
                              {"memory_bytes", Value(e.work.machine.memory)}};
  if (!e.wall_seconds) out["why_not"] = e.work.why_not;
  return out;
}

}  // namespace graft
