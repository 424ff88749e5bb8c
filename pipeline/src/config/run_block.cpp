#include "config/run_block.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <graft/resources.h>

#include "config/quantity.h"

namespace graft {
namespace {

constexpr std::uint64_t kUsualMemory = 2ULL << 30;

}  // namespace

const std::vector<ParamSpec>& run_parameters() {
  static const std::vector<ParamSpec> kSpecs = {
      text("threads", "auto")
          .doc("Worker threads; auto: the cores that this process may use, by its affinity and its control "
               "group."),
      text("memory", "auto")
          .doc("Memory limit of the items in flight; auto: 2 GiB, or a quarter of what this process may use "
               "if that is less."),
      text("in_flight", "auto").doc("Items in flight; auto: enough for every thread and batch."),
      text("read_ahead", "auto")
          .doc("Threads that read files before they are needed, for file systems that are slow to answer; "
               "auto: 16, once reading a file has taken more than 2 ms."),
      choice("on_error", {"reject", "fail"}, "reject")
          .doc("A bad item: record it and continue, or end the run."),
      text("max_rejects", "1%")
          .doc("More rejects than this (a fraction or a count) end the run with exit code 3."),
      object("retry", {integer("times", 0).range(0, 20).doc("How often an input is read again."),
                       number("backoff", 1)
                           .range(0, 600)
                           .unit("s")
                           .doc("Time before the first of these; each later one waits twice as long.")})
          .doc("An input that cannot be read (an I/O error, a file system that does not answer) is read "
               "again before it is rejected."),
      number("stall_seconds", 60)
          .range(0.1, 1e6)
          .unit("s")
          .doc("Time without progress after which the watchdog reports."),
      text("stall_limit", "auto")
          .doc("Seconds without progress after which the run ends; never; auto: twice stall_seconds if that "
               "is given, otherwise never.")};
  return kSpecs;
}

std::string read_stall_limit(const Params& params, bool stall_seconds_given, RunSettings& run) {
  const auto text = params.get<std::string>("stall_limit");
  run.stall_limit.reset();
  if (text == "auto" && stall_seconds_given) run.stall_limit = 2 * run.stall_seconds;
  if (text == "auto" || text == "never") return {};
  double seconds = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (bad != std::errc() || end != text.data() + text.size() || !(seconds >= 0.1 && seconds <= 1e6))
    return fmt::format("stall_limit: expected auto, never, or seconds from 0.1 to 1000000, got '{}'", text);
  run.stall_limit = seconds;
  return {};
}

std::string read_memory(const Params& params, RunSettings& run) {
  const auto text = params.get<std::string>("memory");
  if (text == "auto") {
    // The items in flight and the memory that decoders work in may each come to this.
    run.memory = std::clamp<std::uint64_t>(usable_memory() / 4, 1, kUsualMemory);
    return {};
  }
  try {
    run.memory = parse_bytes(text);
  } catch (const Error& e) {
    return fmt::format("memory: {}", e.what());
  }
  if (run.memory > 0) return {};
  return fmt::format("memory: expected a size such as 512MiB or 2GiB, got '{}'", text);
}

std::string memory_warning(const RunSettings& run) {
  const std::uint64_t usable = usable_memory();
  if (run.memory <= usable) return {};
  return fmt::format(
      "memory: {} B are more than the {} B that this process may use: the system may end the run; lower "
      "it, or use auto",
      run.memory, usable);
}

std::string read_max_rejects(const Params& params, RunSettings& run) {
  const auto text = params.get<std::string>("max_rejects");
  double number = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (bad == std::errc() && unit == "%" && number >= 0 && number <= 100)
    run.max_reject_share = number / 100;
  else if (bad == std::errc() && unit.empty() && number >= 0 && number == std::floor(number) && number < 1e18)
    run.max_reject_count = static_cast<std::uint64_t>(number);
  else
    return fmt::format("max_rejects: expected a share such as 1% or a count such as 20, got '{}'", text);
  return {};
}

}  // namespace graft
