#include "parameters.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include <graft/error.h>

namespace graft::augment {
namespace {

Range ordered(const char* name, double low, double high) {
  if (low > high)
    throw Error(fmt::format("{}: expected [low, high], got [{}, {}]; exchange the two", name, low, high));
  return {low, high};
}

}  // namespace

ParamSpec probability(double default_value) {
  return number("p", default_value).range(0, 1).doc("Probability that an image is changed.");
}

ParamSpec fill_parameter(std::string where) {
  return list("fill", integer("value").range(0, 255))
      .or_scalar()
      .items(1, 3)
      .default_list({0})
      .doc("Colour of " + std::move(where) + ": one grey value, or red, green, blue.");
}

ParamSpec sampling_parameter() {
  return choice("filter", {"nearest", "bilinear"}, "nearest").doc("How pixels between pixels are found.");
}

Range range_of(const Params& params, const char* name) {
  const auto v = params.get<std::vector<double>>(name);
  return ordered(name, v.at(0), v.at(1));
}

Range range_around(double centre, const Params& params, const char* name) {
  const auto v = params.get<std::vector<double>>(name);
  if (v.size() == 2) return ordered(name, v[0], v[1]);
  if (v.at(0) < 0)
    throw Error(fmt::format("{}: expected [low, high], or one number of at least 0, got {}", name, v[0]));
  return {centre - v[0], centre + v[0]};
}

Colour fill_of(const Params& params) {
  const auto v = params.get<std::vector<std::uint8_t>>("fill");
  if (v.size() == 2) throw Error("fill: expected one grey value, or three (red, green, blue), got 2");
  return v.size() == 1 ? Colour{v[0], v[0], v[0]} : Colour{v.at(0), v.at(1), v.at(2)};
}

Sampling sampling_of(const Params& params) {
  return params.get<std::string>("filter") == "bilinear" ? Sampling::Bilinear : Sampling::Nearest;
}

}  // namespace graft::augment
