#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <graft/stage.h>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// How fast the stages of a source are, measured on some of its inputs.
struct SpeedSample {
  std::size_t inputs = 0;    ///< That were measured.
  std::size_t rejected = 0;  ///< Of all that came through, the start too, those without a row.
  std::string first_reject;  ///< "decode: item 'a.jpg': ..."; empty: none.
  double seconds = 0;        ///< That they took, without the start.
  double start = 0;          ///< Seconds until the first were done: loading models, the first batch.
  /// By collector, in the order of the plan: what its rows look like, where one came through.
  std::vector<std::optional<Collector::RowFormat>> formats;
  std::string why_not;  ///< Nothing was measured, and why.

  /// Seconds for so many inputs.
  double estimate(std::uint64_t count) const {
    return start + seconds * static_cast<double>(count) / static_cast<double>(inputs);
  }
};

/// Runs the first inputs of a source through its stages, for about two seconds, and forgets the results: no
/// store is opened, and Stage::finish is not called, so that no side output is written. Stages that need
/// LibTorch are made where `libtorch` says so: loading it takes longer than the sample. Never throws: what
/// fails is the reason in `why_not`; it fails, too, where every input is rejected.
GRAFT_API SpeedSample measure_speed(const Plan& plan, std::size_t source, const Registry& registry,
                                    bool libtorch);

}  // namespace graft
