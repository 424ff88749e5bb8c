#include "run/watchdog.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include <graft/printable.h>

#include "base/end_process.h"
#include "base/stopped_within.h"
#include "base/temporary_folder.h"
#include "plugin/plugin_call.h"
#include "run/progress.h"

namespace graft {
namespace {

constexpr std::chrono::seconds kStallLeaveLimit{10};

/// "stage 'tune' (finetune, a.yaml:9:3), item 'a.jpg': fit", each once.
std::vector<std::string> running_calls() {
  std::vector<std::string> out;
  visit_running_calls([&](const RunningCall& call) {
    const std::string item = call.item.empty() ? "" : fmt::format(", item '{}'", printable(call.item));
    std::string line = fmt::format("{}{}: {}", call.label, item, call.function);
    if (std::find(out.begin(), out.end(), line) == out.end()) out.push_back(std::move(line));
  });
  return out;
}

}  // namespace

Watchdog::Watchdog(const Plan& plan, const Meter& meter, const Signals& signals,
                   std::function<std::string(const std::string&)> leave)
    : plan_(plan),
      meter_(meter),
      signals_(signals),
      leave_(std::move(leave)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Watchdog::work(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  std::uint64_t seen = signs_of_life();
  Clock::time_point last_sign = Clock::now(), last_report = last_sign;
  while (!stopped_within(std::chrono::milliseconds(50), stop)) {
    const Clock::time_point now = Clock::now();
    if (const std::uint64_t signs = signs_of_life(); signs != seen) {
      seen = signs;
      last_sign = last_report = now;
      continue;
    }
    // An interrupted run has a deadline of its own.
    if (plan_.run.stall_limit && Seconds(now - last_sign).count() >= *plan_.run.stall_limit &&
        !signals_.interrupted())
      end_run();
    if (Seconds(now - last_report).count() < plan_.run.stall_seconds) continue;
    report();
    last_report = now;
  }
}

void Watchdog::report() const {
  std::string text = fmt::format("\nnothing has finished for {}:\n{}",
                                 duration_in_words(plan_.run.stall_seconds), stage_snapshot(plan_, meter_));
  for (const std::string& call : running_calls()) text += fmt::format("  in {}\n", call);
  print_to_terminal(text);
}

void Watchdog::end_run() const {
  const std::vector<std::string> calls = running_calls();
  const std::string limit = duration_in_words(*plan_.run.stall_limit);
  const std::string error =
      calls.empty() ? fmt::format(
                          "nothing has finished for {} (run.stall_limit), and no plugin is being called: "
                          "the disk may not answer",
                          limit)
                    : fmt::format("{} has not returned, and nothing has finished for {} (run.stall_limit)",
                                  fmt::join(calls, "; "), limit);
  print_to_terminal(fmt::format("\nerror: {}\n", error));
  print_to_terminal(text_within(kStallLeaveLimit, [&] { return leave_(error); }));
  remove_temporary_folders();
  end_process(1);
}

}  // namespace graft
