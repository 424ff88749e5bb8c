#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <graft/learner.h>

#include "config/plan.h"
#include "graph/meter.h"
#include "run/signals.h"
#include "run/stream_run.h"

namespace graft {

/// What a run tells while it works. Each level includes those before it.
enum class LogLevel : std::uint8_t {
  Error,
  Warning,  ///< Things that are not as people may think.
  Info,     ///< Progress, and a line per table.
  Debug,    ///< What every stage did, when its stream has ended.
};

/// How a run talks to people while it works.
struct ProgressStyle {
  LogLevel level = LogLevel::Info;
  bool terminal = false;  ///< A bar that is redrawn; otherwise a line every 10 s.
  bool color = false;
  std::size_t columns = 0;  ///< Of the terminal that tables are printed to; 0: no terminal.
};

/// How far a stream is.
struct ProgressCounts {
  std::size_t total = 0;  ///< 0: not known.
  std::size_t done = 0, reused = 0, rejected = 0;
  bool ended = false;
  /// Inputs per second over the last ten seconds, reused ones included; the time left is computed from it.
  /// 0: not known yet, so that the average of the computed ones counts.
  double recent_rate = 0;
};
GRAFT_API ProgressCounts counts_of(const StreamRun& stream);

/// Watches what is running from a thread of its own: draws the progress and answers SIGUSR1. On a terminal
/// the line of the end stays.
class Monitor {
 public:
  /// `counts` gives what is drawn; it is called by the monitor's thread, and at its end.
  Monitor(const Plan& plan, const Meter& meter, Signals& signals, const ProgressStyle& style,
          std::function<ProgressCounts()> counts);
  /// Of one stream.
  Monitor(const Plan& plan, const StreamRun& run, const Meter& meter, Signals& signals,
          const ProgressStyle& style)
      : Monitor(plan, meter, signals, style, [&run] { return counts_of(run); }) {}

  /// Wipes the line, and draws nothing until resume(): the terminal is for something else meanwhile.
  void pause();
  void resume();

 private:
  using Clock = std::chrono::steady_clock;
  void work(const std::stop_token& stop);
  void draw(bool last);

  const Plan& plan_;
  const Meter& meter_;
  Signals& signals_;
  const ProgressStyle style_;
  const std::function<ProgressCounts()> counts_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_line_ = start_;
  std::deque<std::pair<Clock::time_point, std::size_t>> recent_{{start_, 0}};  // what was done when
  bool drawn_ = false;
  std::mutex mutex_;
  bool paused_ = false;
  std::jthread thread_;
};

/// Ends the process when an interrupted run has not come to its end by itself in time: a long batch or a
/// learner that does not look up must not keep people waiting. Exits with the signal's code after saving what
/// was computed.
class DrainDeadline {
 public:
  /// `leave` saves what can be saved and returns what to print; it is called from a thread of its own.
  DrainDeadline(Signals& signals, LogLevel level, std::function<std::string()> leave);

 private:
  void work(const std::stop_token& stop);

  Signals& signals_;
  const LogLevel level_;
  const std::function<std::string()> leave_;
  std::jthread thread_;
};

/// How far a fit is, on one line that is drawn again: step, scores, time left. Elsewhere than on a terminal a
/// line every 10 s.
class FitLine {
 public:
  explicit FitLine(const ProgressStyle& style) : style_(style) {}
  ~FitLine() { clear(); }
  FitLine(const FitLine&) = delete;
  FitLine& operator=(const FitLine&) = delete;

  /// `seconds`: since the fit has begun.
  void draw(const std::string& learner, const FitStep& step, double seconds);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  const ProgressStyle style_;
  Clock::time_point last_ = Clock::now();
};

/// "███░░░ 120/400 images  31.2/s  9 s left": as much of it as fits `columns`; 0: all.
GRAFT_API std::string progress_line(const ProgressCounts& counts, double seconds, bool bar,
                                    std::size_t columns);

/// "probe: epoch 3 of 20  val accuracy 0.9120  12 s left": as much of it as fits `columns`; 0: all.
GRAFT_API std::string fit_line(const std::string& learner, const FitStep& step, double seconds,
                               std::size_t columns);

/// One line per stage: items running, queued, finished, rejected, busy time. For SIGUSR1 and the watchdog.
GRAFT_API std::string stage_snapshot(const Plan& plan, const Meter& meter);
/// "0.2 s", "59 s", "1:00", "2:00:00".
GRAFT_API std::string duration_in_words(double seconds);
/// The text of a function that runs in a thread of its own; where it takes longer than `limit`, for a disk
/// that does not answer, a text that says so. To be followed by end_process(): the thread is left alone then.
GRAFT_API std::string text_within(std::chrono::milliseconds limit, std::function<std::string()> body);
/// Whether messages have colours: as chosen, otherwise where stderr is a terminal and NO_COLOR is not set (or
/// is empty, no-color.org).
GRAFT_API bool has_colors();
GRAFT_API void choose_colors(bool wanted);
/// To stderr, at once; names in it cannot control the terminal (graft/printable.h). What cannot be written is
/// lost. A warning begins in colour, where there are colours.
GRAFT_API void print_to_terminal(const std::string& text);

}  // namespace graft
