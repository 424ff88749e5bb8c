#include "samples.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <network/operation.h>

namespace graft::nn::onnx {
namespace {

/// Equal but for rounding in float of the constants of a chain.
bool same_function(const Samples& a, const Samples& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::isfinite(a[i]) && std::isfinite(b[i]))) return false;
    if (std::fabs(a[i] - b[i]) > 2e-6 * std::max({1.0, std::fabs(a[i]), std::fabs(b[i])})) return false;
  }
  return true;
}

/// The values of an operation by its own plain loop.
Samples values_of(Op op) {
  const Samples& points = sample_points();
  const Layer layer;
  const PlainValue in{{static_cast<std::int64_t>(points.size())}, points};
  PlainValue out{in.shape, std::vector<double>(points.size())};
  operation(op).plain({layer, {&in}, {}}, out);
  return out.data;
}

const std::vector<std::pair<Op, Samples>>& activations() {
  static const std::vector<std::pair<Op, Samples>> kAll = [] {
    std::vector<std::pair<Op, Samples>> all;
    for (const Op op : {Op::Relu, Op::Relu6, Op::Silu, Op::Sigmoid, Op::Gelu, Op::GeluTanh, Op::QuickGelu,
                        Op::HardSigmoid, Op::HardSwish, Op::Tanh})
      all.emplace_back(op, values_of(op));
    return all;
  }();
  return kAll;
}

}  // namespace

const Samples& sample_points() {
  static const Samples kPoints = [] {
    Samples points = {0};
    for (double x = 0.013; x < 12; x += 0.0831) {
      points.push_back(x);
      points.push_back(-x);
    }
    for (double x = 13.7; x < 2e4; x *= 2.3) {
      points.push_back(x);
      points.push_back(-x);
    }
    return points;
  }();
  return kPoints;
}

std::optional<KnownFunction> known_function(const Samples& samples) {
  for (const auto& [op, values] : activations())
    if (same_function(samples, values)) return KnownFunction{op};
  // A line, through the values at 0 and at the point farthest out.
  const Samples& points = sample_points();
  KnownFunction line;
  line.offset = samples[0];
  line.factor = (samples.back() - samples[0]) / points.back();
  // Sums with an offset lose digits of it far out.
  Samples values;
  for (const double x : points) values.push_back(line.factor * x + line.offset);
  double largest = std::fabs(line.offset);
  for (std::size_t i = 0; i < points.size(); ++i)
    if (!(std::fabs(values[i] - samples[i]) <= 1e-6 * std::max(largest, std::fabs(values[i])))) return {};
  return line;
}

}  // namespace graft::nn::onnx
