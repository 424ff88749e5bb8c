#include "config/run_block.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

namespace graft {

int available_cores() {
  cpu_set_t mask;
  return ::sched_getaffinity(0, sizeof mask, &mask) == 0 ? std::max(1, CPU_COUNT(&mask)) : 1;
}

std::optional<std::uint64_t> parse_size(std::string_view s) {
  double number = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
  if (error != std::errc() || !(number > 0)) return {};
  static const std::map<std::string_view, double> kUnits = {
      {"", 1},         {"B", 1},    {"kB", 1e3},     {"KiB", 0x1p10}, {"MB", 1e6},
      {"MiB", 0x1p20}, {"GB", 1e9}, {"GiB", 0x1p30}, {"TB", 1e12},    {"TiB", 0x1p40}};
  std::string_view unit(end, static_cast<std::size_t>(s.data() + s.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto it = kUnits.find(unit);
  if (it == kUnits.end() || number * it->second > 1e18) return {};
  return static_cast<std::uint64_t>(number * it->second);
}

const std::vector<ParamSpec>& run_parameters() {
  static const std::vector<ParamSpec> kSpecs = {
      text("threads", "auto").doc("Worker threads; auto: the cores this process may use."),
      text("memory", "2GiB").doc("Memory limit of the items in flight."),
      text("in_flight", "auto").doc("Items in flight; auto: enough for every thread and batch."),
      choice("on_error", {"reject", "fail"}, "reject")
          .doc("A bad item: record it and continue, or end the run."),
      text("max_rejects", "1%")
          .doc("More rejects than this (a fraction or a count) end the run with exit code 3."),
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

}  // namespace graft
