#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <graft/export.h>
#include <graft/value.h>

#include "base/machine.h"

namespace graft {

/// Machines that a job may get: "slurm:40x8" is 40 tasks of 8 processors each.
struct GRAFT_API ClusterShape {
  static constexpr int kMostTasks = 65536, kMostCpus = 1024;
  std::string engine;
  int tasks = 1, cpus = 1;

  /// Throws Error: what was expected, what was got.
  static ClusterShape parse(std::string_view text);
  std::string text() const;
};

/// What the rows that a run would compute need.
struct WorkToDo {
  std::optional<double> core_seconds;  ///< Processor time of all inputs; nothing: not measured.
  double start_seconds = 0;            ///< Of every task, before its first input: loading the model.
  std::string why_not;                 ///< Why it was not measured.
  std::optional<std::uint64_t> disk_bytes;
  std::uint64_t memory_bytes = 0;  ///< Of a process, as measured; 0: not known.
  std::uint64_t inputs = 0;        ///< To compute.
  Machine machine;                 ///< That measured it.
};

/// What that comes to on the cluster, by the pace of the machine that was measured and in proportion to
/// processors: time, machine-hours, money at `price` for an hour of one task, disk and memory.
struct ClusterEstimate {
  ClusterShape shape;
  WorkToDo work;
  std::optional<double> wall_seconds, task_hours, core_hours, cost;
};
GRAFT_API ClusterEstimate estimate_on(const ClusterShape& shape, const WorkToDo& work,
                                      std::optional<double> price);

GRAFT_API std::string to_text(const ClusterEstimate& estimate);
GRAFT_API Value to_value(const ClusterEstimate& estimate);

}  // namespace graft
