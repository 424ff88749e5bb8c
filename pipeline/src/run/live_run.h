#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <graft/learner.h>
#include <graft/value.h>

#include "config/plan.h"
#include "graph/meter.h"

namespace graft {

class StreamRun;

/// A run while it works, for whoever shows it: `graft run --ui`. The run writes, others read, any thread; to
/// look at it costs the run nothing but a short lock between its phases.
class GRAFT_API LiveRun {
 public:
  // For the run.

  /// `meter` and `plan` must outlive end().
  void begin(const Plan& plan, const Meter& meter);
  void set_phase(std::string text);
  /// The stream that is being computed; null: none is. It must live until the next call.
  void set_stream(const StreamRun* stream);
  void add_step(const std::string& learner, const FitStep& step);
  void add_warning(const std::string& text);
  /// `state`: "complete", "failed" or "interrupted". `report`: report.html; empty: there is none.
  void end(const std::string& state, const std::string& text, const std::filesystem::path& report);

  // For whoever shows it.

  /// Everything, as JSON for a page.
  Value status() const;
  /// In the text format of Prometheus.
  std::string metrics() const;
  /// Where report.html is, once the run has ended and made one.
  std::filesystem::path report() const;
  bool has_ended() const;

 private:
  using Clock = std::chrono::steady_clock;
  /// Of a curve, so that a page stays small: every second point goes when there are more.
  static constexpr std::size_t kMostPoints = 400;
  struct Curve {
    std::string what;
    std::size_t done = 0, total = 0, every = 1;
    Value points = Value::list();
  };
  struct Counts {
    std::uint64_t total = 0, done = 0, reused = 0, rejected = 0;
  };
  struct StageCounts {
    std::string id, plugin, kind;
    bool streamed = false;
    Meter::Counts counts;
  };
  Counts counts_locked() const;
  std::vector<StageCounts> stages_locked() const;

  mutable std::mutex mutex_;
  const Plan* plan_ = nullptr;
  const Meter* meter_ = nullptr;
  const StreamRun* stream_ = nullptr;
  Counts before_;  // of streams that have ended
  std::vector<StageCounts> last_stages_;
  Clock::time_point start_ = Clock::now(), stream_start_ = start_;
  std::string name_, phase_ = "starting", state_ = "running", text_;
  std::filesystem::path report_;
  std::vector<std::pair<std::string, Curve>> curves_;  // by learner, in the order of their fits
  std::vector<std::string> warnings_;
};

}  // namespace graft
