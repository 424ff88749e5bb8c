#include "config/quantity.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>

namespace graft {
namespace {

using Unit = std::pair<std::string_view, double>;

/// In the smallest unit; `expected` and `most` are for people. The result is below 2^63.
template <std::size_t N>
std::int64_t quantity(std::string_view text, const Unit (&units)[N], const char* expected, const char* most) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  for (const auto& [unit, factor] : units) {
    if (unit != rest || error == std::errc::invalid_argument || !(number >= 0)) continue;
    // 2^63 itself is a double; the one before it fits.
    if (error == std::errc() && number * factor < 0x1p63) return static_cast<std::int64_t>(number * factor);
    // Too small a number is out of range, too.
    if (text.find("e-") != std::string_view::npos || text.find("E-") != std::string_view::npos) return 0;
    throw Error(fmt::format("expected {}, got '{}', which is more than can be counted ({})", expected,
                            printable(text), most));
  }
  throw Error(fmt::format("expected {}, got '{}'", expected, printable(text)));
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},      {"B", 1},        {"kB", 1e3}, {"KiB", 0x1p10},
                                    {"MB", 1e6},  {"MiB", 0x1p20}, {"GB", 1e9}, {"GiB", 0x1p30},
                                    {"TB", 1e12}, {"TiB", 0x1p40}};
  return static_cast<std::uint64_t>(quantity(text, kUnits, "a size such as 512MiB or 2GiB", "8 EiB"));
}

std::int64_t parse_seconds(std::string_view text) {
  static constexpr Unit kUnits[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
  return quantity(text, kUnits, "a time such as 12h, 30d or 8w", "292 thousand million years");
}

}  // namespace graft
