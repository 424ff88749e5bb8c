#include "resample.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "movement.h"

namespace graft::nn::onnx {
namespace {

struct Rule {
  std::string mode, coordinates, nearest;
  double cubic = -0.75;
};

/// Where a place of the result lies in the value, along an axis.
double source(const Node& node, const Rule& rule, std::int64_t place, std::int64_t from, std::int64_t to,
              double scale) {
  const auto x = static_cast<double>(place);
  if (rule.coordinates == "half_pixel") return (x + 0.5) / scale - 0.5;
  if (rule.coordinates == "pytorch_half_pixel") return to > 1 ? (x + 0.5) / scale - 0.5 : 0;
  if (rule.coordinates == "asymmetric") return x / scale;
  if (rule.coordinates == "align_corners")
    return to > 1 ? x * static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0;
  node.fail(fmt::format("has coordinates '{}', which are not known", rule.coordinates));
}

double cubic_weight(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/// Places and weights of what goes into one place.
std::vector<std::pair<std::int64_t, double>> weights(const Node& node, const Rule& rule, double at,
                                                     std::int64_t from) {
  std::vector<std::pair<std::int64_t, double>> out;
  const double below = std::floor(at);
  const auto inside = [&](double place) {
    return static_cast<std::int64_t>(std::clamp(place, 0.0, static_cast<double>(from - 1)));
  };
  if (rule.mode == "nearest") {
    const double up = std::ceil(at);
    double place = rule.nearest == "floor" ? below : rule.nearest == "ceil" ? up : std::round(at);
    if (rule.nearest == "round_prefer_floor" && at - below == 0.5) place = below;
    out.emplace_back(inside(place), 1);
  } else if (rule.mode == "linear") {
    out = {{inside(below), 1 - (at - below)}, {inside(below + 1), at - below}};
  } else if (rule.mode == "cubic") {
    for (int i = -1; i <= 2; ++i)
      out.emplace_back(inside(below + i), cubic_weight(at - below - i, rule.cubic));
  } else {
    node.fail(fmt::format("has the mode '{}', which is not known", rule.mode));
  }
  return out;
}

Array along(const Node& node, const Rule& rule, const Array& in, std::size_t axis, std::int64_t to,
            double scale, Effort& effort) {
  Shape shape = in.shape;
  shape[axis] = to;
  Array out = effort.make(shape);
  std::size_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (i != axis) (i < axis ? outer : inner) *= static_cast<std::size_t>(shape[i]);
  const auto from = static_cast<std::size_t>(in.shape[axis]);
  for (std::int64_t place = 0; place < to; ++place) {
    const auto parts =
        weights(node, rule, source(node, rule, place, in.shape[axis], to, scale), in.shape[axis]);
    for (std::size_t o = 0; o < outer; ++o)
      for (std::size_t i = 0; i < inner; ++i) {
        double sum = 0;
        for (const auto& [at, weight] : parts)
          sum +=
              weight * static_cast<double>(in.reals[(o * from + static_cast<std::size_t>(at)) * inner + i]);
        out.reals[(o * static_cast<std::size_t>(to) + static_cast<std::size_t>(place)) * inner + i] =
            static_cast<float>(sum);
      }
  }
  return out;
}

}  // namespace

Array resample(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs, Effort& effort) {
  if (inputs.empty() || inputs[0] == nullptr || !inputs[0]->is_float || inputs[0]->size() == 0)
    node.fail("has no value to resize");
  Rule rule{node.text("mode", "nearest"),
            node.text("coordinate_transformation_mode", opset < 11 ? "asymmetric" : "half_pixel"),
            node.text("nearest_mode", opset < 11 ? "floor" : "round_prefer_floor"),
            node.real("cubic_coeff_a", -0.75)};
  if (node.integer("antialias", 0) != 0 || node.integer("exclude_outside", 0) != 0 || node.has("axes") ||
      node.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    node.fail("has antialias, exclude_outside, axes or keep_aspect_ratio_policy, which are not supported");
  const std::size_t scales_at = opset < 11 ? 1 : 2, rank = inputs[0]->shape.size();
  const auto given = [&](std::size_t i) -> const Array* {
    const bool is = i < inputs.size() && inputs[i] != nullptr && inputs[i]->size() > 0;
    if (is && inputs[i]->size() != static_cast<std::int64_t>(rank))
      node.fail("resizes another number of axes");
    return is ? inputs[i].get() : nullptr;
  };
  const Array *scales = given(scales_at), *sizes = given(3);
  if ((scales == nullptr) == (sizes == nullptr)) node.fail("has scales and sizes, or neither");
  Array out = *inputs[0];
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const auto from = static_cast<double>(out.shape[axis]);
    double scale = scales != nullptr ? scales->at(axis) : sizes->at(axis) / from;
    const double to = scales != nullptr ? std::floor(from * scale) : sizes->at(axis);
    if (!(to >= 1 && to <= 1e6) || !(scale > 0)) node.fail(fmt::format("resizes {} px to {}", from, to));
    if (to != from || scale != 1)
      out = along(node, rule, out, axis, static_cast<std::int64_t>(to), scale, effort);
  }
  return out;
}

}  // namespace graft::nn::onnx
