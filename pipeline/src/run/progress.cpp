#include "run/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/text.h>

#include "base/end_process.h"
#include "base/stopped_within.h"
#include "base/temporary_folder.h"

namespace graft {
namespace {

/// The time left follows from this much of what was: reused inputs take no time, and may be first.
constexpr std::chrono::seconds kRecent{10};
/// A drained run commits within a moment; one that still computes after this leaves with what is committed.
constexpr std::chrono::milliseconds kDrainLimit{4000};
constexpr std::chrono::milliseconds kLeaveLimit{2000};

/// --color: -1: nobody has chosen.
std::atomic<int> chosen_colors{-1};

/// A line is drawn that the next one replaces: what is printed must not be appended to it.
std::mutex terminal_mutex;
bool line_is_open = false;

/// With its control characters: our own, no others.
void draw_on_terminal(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void draw_line(const std::string& line) {
  const std::lock_guard lock(terminal_mutex);
  line_is_open = true;
  draw_on_terminal("\r\x1b[K" + line);
}

/// It stays.
void end_line() {
  const std::lock_guard lock(terminal_mutex);
  draw_on_terminal("\n");
  line_is_open = false;
}

void clear_line_locked() {
  if (line_is_open) draw_on_terminal("\r\x1b[K");
  line_is_open = false;
}

/// As many of the parts as fit, two spaces apart; the first one in any case.
std::string joined_to_fit(const std::vector<std::string>& parts, std::size_t columns) {
  std::string line;
  for (const std::string& part : parts) {
    if (columns > 0 && !line.empty() && line.size() + 2 + part.size() >= columns) break;
    line += (line.empty() ? "" : "  ") + part;
  }
  return line;
}

/// Columns of the terminal that stderr is; 0: it does not say.
std::size_t error_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
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
  static const bool kUsual = [] {
    const char* no = std::getenv("NO_COLOR");
    return ::isatty(STDERR_FILENO) != 0 && (no == nullptr || *no == '\0');
  }();
  const int chosen = chosen_colors;
  return chosen < 0 ? kUsual : chosen > 0;
}

void choose_colors(bool wanted) {
  chosen_colors = wanted ? 1 : 0;
}

void print_to_terminal(const std::string& text) {
  constexpr std::string_view kWarning = "warning:";
  const std::string shown = printable_lines(text);
  const std::lock_guard lock(terminal_mutex);
  clear_line_locked();
  if (has_colors() && shown.starts_with(kWarning))
    draw_on_terminal("\x1b[33m" + shown.substr(0, kWarning.size()) + "\x1b[0m" +
                     shown.substr(kWarning.size()));
  else
    draw_on_terminal(shown);
}

std::string fit_line(const std::string& learner, const FitStep& step, double seconds, std::size_t columns) {
  std::vector<std::string> parts{
      fmt::format("{}: {} {}", printable(shortened(learner)), printable(step.what), step.done)};
  if (step.total > 0) parts[0] += fmt::format(" of {}", step.total);
  const double left =
      step.done > 0 && step.total > step.done
          ? seconds / static_cast<double>(step.done) * static_cast<double>(step.total - step.done)
          : 0;
  if (left > 0) parts.push_back(duration_in_words(left) + " left");
  for (const auto& [name, value] : step.scores) {
    std::string words = printable(name);
    std::replace(words.begin(), words.end(), '_', ' ');
    parts.push_back(fmt::format("{} {:.4g}", words, value));
  }
  return joined_to_fit(parts, columns);
}

void FitLine::draw(const std::string& learner, const FitStep& step, double seconds) {
  const Clock::time_point now = Clock::now();
  const std::chrono::milliseconds interval(style_.terminal ? 200 : 10'000);
  if (style_.level < LogLevel::Info || now - last_ < interval) return;
  last_ = now;
  const std::string line = fit_line(learner, step, seconds, style_.terminal ? error_columns() : 0);
  if (style_.terminal)
    draw_line(line);
  else
    print_to_terminal(line + "\n");
}

void FitLine::clear() {
  const std::lock_guard lock(terminal_mutex);
  clear_line_locked();
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

ProgressCounts counts_of(const StreamRun& stream) {
  return {stream.total(), stream.done(), stream.reused(), stream.rejected(), false, 0};
}

Monitor::Monitor(const Plan& plan, const Meter& meter, Signals& signals, const ProgressStyle& style,
                 std::function<ProgressCounts()> counts)
    : plan_(plan),
      meter_(meter),
      signals_(signals),
      style_(style),
      counts_(std::move(counts)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Monitor::pause() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
  const std::lock_guard terminal(terminal_mutex);
  clear_line_locked();
}

void Monitor::resume() {
  const std::lock_guard lock(mutex_);
  paused_ = false;
}

void Monitor::work(const std::stop_token& stop) {
  while (!stopped_within(std::chrono::milliseconds(50), stop)) {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    if (signals_.take_snapshot_request()) print_to_terminal("\n" + stage_snapshot(plan_, meter_));
    const std::chrono::milliseconds interval(style_.terminal ? 200 : 10'000);
    if (style_.level >= LogLevel::Info && !paused_ && now - last_line_ >= interval) {
      draw(false);
      last_line_ = now;
    }
  }
  if (drawn_ && style_.terminal) draw(true);
}

std::string text_within(std::chrono::milliseconds limit, std::function<std::string()> body) {
  std::packaged_task<std::string()> task(std::move(body));
  std::future<std::string> text = task.get_future();
  std::thread(std::move(task)).detach();
  if (text.wait_for(limit) == std::future_status::ready) return text.get();
  return "the disk does not answer: what was not saved before is lost\n";
}

DrainDeadline::DrainDeadline(Signals& signals, LogLevel level, std::function<std::string()> leave)
    : signals_(signals),
      level_(level),
      leave_(std::move(leave)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void DrainDeadline::work(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point interrupted_at{};
  while (!stopped_within(std::chrono::milliseconds(50), stop)) {
    if (signals_.exit_code() == 0) continue;
    const Clock::time_point now = Clock::now();
    if (interrupted_at == Clock::time_point{}) {
      interrupted_at = now;
      if (level_ >= LogLevel::Info)
        print_to_terminal(
            "\ninterrupted: finishing what is under way and saving it (again: leave at once)\n");
    } else if (now - interrupted_at > kDrainLimit) {
      print_to_terminal("still computing after 4 s\n" + text_within(kLeaveLimit, leave_));
      // end_process() does not: results that were printed are kept, unless nobody reads them any more.
      text_within(kLeaveLimit, [] { return std::fflush(stdout), std::string(); });
      remove_temporary_folders();
      end_process(signals_.exit_code());
    }
  }
}

std::string progress_line(const ProgressCounts& counts, double seconds, bool bar, std::size_t columns) {
  const std::size_t computed = counts.done - std::min(counts.reused, counts.done);
  const double rate = seconds > 0 ? static_cast<double>(computed) / seconds : 0;
  // In the order of their weight: what does not fit is left out.
  std::vector<std::string> parts;
  parts.push_back(counts.total > 0 ? fmt::format("{}/{} images", counts.done, counts.total)
                                   : fmt::format("{} images", counts.done));
  parts.push_back(fmt::format("{:.1f}/s", rate));
  if (counts.rejected > 0) parts.push_back(fmt::format("{} rejected", counts.rejected));
  const double recent = counts.recent_rate > 0 ? counts.recent_rate : rate;
  if (!counts.ended && counts.total > counts.done && recent > 0.1)
    parts.push_back(duration_in_words(static_cast<double>(counts.total - counts.done) / recent) + " left");
  if (counts.reused > 0) parts.push_back(fmt::format("{} reused", counts.reused));
  if (counts.total == 0 && counts.done > 0 && !counts.ended)
    parts.emplace_back("how many follow is not known");
  std::string line = joined_to_fit(parts, columns);
  if (!bar || counts.total == 0) return line;
  constexpr std::size_t kWidest = 24, kNarrowest = 8;
  const std::size_t width =
      columns == 0 ? kWidest : std::min(kWidest, columns - std::min(columns, line.size() + 2));
  if (width < kNarrowest) return line;
  const double share = std::min(1.0, static_cast<double>(counts.done) / static_cast<double>(counts.total));
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  std::string drawn;
  for (std::size_t i = 0; i < width; ++i) drawn += i < full ? "█" : "░";
  return drawn + " " + line;
}

void Monitor::draw(bool last) {
  ProgressCounts counts = counts_();
  counts.ended = last;
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  while (recent_.size() > 1 && now - recent_[1].first >= kRecent) recent_.pop_front();
  if (const double since = std::chrono::duration<double>(now - recent_[0].first).count(); since > 0)
    counts.recent_rate = static_cast<double>(counts.done - std::min(counts.done, recent_[0].second)) / since;
  recent_.emplace_back(now, counts.done);
  std::string line = progress_line(counts, seconds, style_.terminal, style_.terminal ? error_columns() : 0);
  if (style_.color)
    if (const std::size_t end = line.rfind(line.find("░") != std::string::npos ? "░" : "█");
        end != std::string::npos)
      line = "\x1b[36m" + line.substr(0, end + 3) + "\x1b[0m" + line.substr(end + 3);
  if (!style_.terminal) {
    print_to_terminal(line + "\n");
  } else {
    draw_line(line);
    if (last) end_line();
  }
  drawn_ = true;
}

}  // namespace graft
