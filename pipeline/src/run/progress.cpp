#include "run/progress.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <string_view>

#include <fmt/format.h>

#include <graft/printable.h>

#include "base/temporary_folder.h"

namespace graft {
namespace {

/// A drained run commits within a moment; one that still computes after this leaves with what is committed.
constexpr std::chrono::milliseconds kDrainLimit{4000};
constexpr std::chrono::milliseconds kLeaveLimit{2000};

/// With its control characters: our own, no others.
void draw_on_terminal(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

std::string duration_in_words(double seconds) {
  if (seconds < 1) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<long>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

bool has_colors() {
  static const bool wanted = ::isatty(STDERR_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return wanted;
}

void print_to_terminal(const std::string& text) {
  constexpr std::string_view kWarning = "warning:";
  const std::string shown = printable_lines(text);
  if (has_colors() && shown.starts_with(kWarning))
    draw_on_terminal("\x1b[33m" + shown.substr(0, kWarning.size()) + "\x1b[0m" +
                     shown.substr(kWarning.size()));
  else
    draw_on_terminal(shown);
}

std::string stage_snapshot(const Plan& plan, const Meter& meter) {
  std::size_t width = 5;
  for (const StagePlan& s : plan.stages) width = std::max(width, s.id.size());
  std::string out = fmt::format("  {:<{}}  {:>8} {:>8} {:>10} {:>9} {:>9}\n", "stage", width, "running",
                                "queued", "finished", "rejected", "busy s");
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Meter::Counts c = meter.counts(i);
    if (c.entered == 0) continue;
    out += fmt::format("  {:<{}}  {:>8} {:>8} {:>10} {:>9} {:>9.1f}\n", plan.stages[i].id, width, c.running(),
                       c.queued(), c.finished, c.rejected, static_cast<double>(c.busy_ns) * 1e-9);
  }
  return out;
}

Monitor::Monitor(const Plan& plan, StreamRun& run, const Meter& meter, Signals& signals,
                 const ProgressStyle& style, Earlier earlier)
    : plan_(plan),
      run_(run),
      meter_(meter),
      signals_(signals),
      style_(style),
      earlier_(earlier),
      thread_([this] { work(); }) {}

Monitor::~Monitor() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Monitor::work() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::milliseconds(50), [this] { return stop_; })) {
    const Clock::time_point now = Clock::now();
    if (signals_.take_snapshot_request()) print_to_terminal("\n" + stage_snapshot(plan_, meter_));
    const std::chrono::milliseconds interval(style_.terminal ? 200 : 10'000);
    if (style_.level >= LogLevel::Info && now - last_line_ >= interval) {
      draw(false);
      last_line_ = now;
    }
  }
  if (drawn_ && style_.terminal) draw(!run_.goes_on());
}

std::string text_within(std::chrono::milliseconds limit, std::function<std::string()> body) {
  std::packaged_task<std::string()> task(std::move(body));
  std::future<std::string> text = task.get_future();
  std::thread(std::move(task)).detach();
  if (text.wait_for(limit) == std::future_status::ready) return text.get();
  return "the disk does not answer: what was not saved before is lost\n";
}

DrainDeadline::DrainDeadline(Signals& signals, LogLevel level, std::function<std::string()> leave)
    : signals_(signals), level_(level), leave_(std::move(leave)), thread_([this] { work(); }) {}

DrainDeadline::~DrainDeadline() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void DrainDeadline::work() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point interrupted_at{};
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::milliseconds(50), [this] { return stop_; })) {
    if (signals_.exit_code() == 0) continue;
    const Clock::time_point now = Clock::now();
    if (interrupted_at == Clock::time_point{}) {
      interrupted_at = now;
      if (level_ >= LogLevel::Info)
        print_to_terminal(
            "\ninterrupted: finishing what is under way and saving it (again: leave at once)\n");
    } else if (now - interrupted_at > kDrainLimit) {
      print_to_terminal("still computing after 4 s\n" + text_within(kLeaveLimit, leave_));
      remove_temporary_folders();
      ::_exit(signals_.exit_code());
    }
  }
}

void Monitor::draw(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::size_t computed = run_.done() - run_.reused();
  const std::size_t done = earlier_.done + run_.done();
  const std::size_t reused = earlier_.reused + run_.reused();
  const std::size_t rejected = earlier_.rejected + run_.rejected();
  const double rate = seconds > 0 ? static_cast<double>(computed) / seconds : 0;
  const std::size_t total = run_.total();
  std::string line;
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    if (style_.terminal) {
      constexpr int kWidth = 24;
      const int full = static_cast<int>(share * kWidth);
      std::string bar;
      for (int i = 0; i < kWidth; ++i) bar += i < full ? "█" : "░";
      line += style_.color ? "\x1b[36m" + bar + "\x1b[0m " : bar + " ";
    }
    line += fmt::format("{}/{} images", done, total);
  } else {
    line += fmt::format("{} images", done);
  }
  line += fmt::format("  {:.1f}/s", rate);
  if (reused > 0) line += fmt::format("  {} reused", reused);
  if (rejected > 0) line += fmt::format("  {} rejected", rejected);
  if (!last && total > done && rate > 0.1)
    line += fmt::format("  {} left", duration_in_words(static_cast<double>(total - done) / rate));
  if (style_.terminal)
    draw_on_terminal("\r\x1b[K" + line + (last ? "\n" : ""));
  else
    print_to_terminal(line + "\n");
  drawn_ = true;
}

}  // namespace graft
