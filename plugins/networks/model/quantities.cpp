#include "quantities.h"

#include <array>

#include <fmt/format.h>

namespace graft::model {
namespace {

std::string scaled(double value, double step, const std::array<const char*, 5>& units) {
  std::size_t unit = 0;
  for (; value >= step && unit + 1 < units.size(); ++unit) value /= step;
  if (unit == 0) return fmt::format("{:.0f}{}", value, units[0]);
  return fmt::format("{:.{}f}{}", value, value < 10 ? 2 : value < 100 ? 1 : 0, units[unit]);
}

}  // namespace

std::string grouped(std::int64_t n) {
  std::string out = std::to_string(n);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, 1, ',');
  return out;
}

std::string with_unit(std::int64_t n) {
  return n == 0 ? "" : scaled(static_cast<double>(n), 1000, {"", " k", " M", " G", " T"});
}

std::string bytes_text(std::int64_t n) {
  return n == 0 ? "" : scaled(static_cast<double>(n), 1024, {" B", " KiB", " MiB", " GiB", " TiB"});
}

std::string extents_text(const Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, " x "));
}

}  // namespace graft::model
