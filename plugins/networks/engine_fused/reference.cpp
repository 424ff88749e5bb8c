#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <network/cost.h>

namespace graft::fused {
namespace {

using nn::Layer;
using nn::Op;

struct Value {
  Shape shape;
  std::vector<double> data;

  /// Zero outside of the image.
  double at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const bool inside = y >= 0 && x >= 0 && y < shape[1] && x < shape[2];
    return inside ? data[static_cast<std::size_t>((c * shape[1] + y) * shape[2] + x)] : 0;
  }
};

class Loops {
 public:
  Loops(const std::map<std::string, Tensor>& weights, const Layer& layer, std::vector<const Value*> in,
        Shape shape)
      : weights_(weights), layer_(layer), in_(std::move(in)) {
    out.shape = std::move(shape);
    out.data.resize(static_cast<std::size_t>(elements(out.shape)));
    fill();
  }
  Value out;

 private:
  const float* tensor(const char* name) const {
    const auto found = weights_.find(layer_.name + "." + name);
    return found == weights_.end() ? nullptr : found->second.as<float>();
  }

  template <typename F>
  void each_pixel(const F& value) {
    std::size_t i = 0;
    for (std::int64_t c = 0; c < out.shape[0]; ++c)
      for (std::int64_t y = 0; y < out.shape[1]; ++y)
        for (std::int64_t x = 0; x < out.shape[2]; ++x) out.data[i++] = value(c, y, x);
  }
  template <typename F>
  void each_value(const F& value) {
    for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] = value(in_[0]->data[i]);
  }

  double convolved(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const float* weight = tensor("weight");
    const float* bias = tensor("bias");
    const std::int64_t inputs = layer_.in / layer_.groups, k = layer_.kernel;
    const std::int64_t first = c / (layer_.out / layer_.groups) * inputs;
    double sum = bias != nullptr ? bias[c] : 0;
    for (std::int64_t i = 0; i < inputs; ++i)
      for (std::int64_t v = 0; v < k; ++v)
        for (std::int64_t u = 0; u < k; ++u)
          sum += static_cast<double>(weight[((c * inputs + i) * k + v) * k + u]) *
                 in_[0]->at(first + i, y * layer_.stride - layer_.padding.top + v,
                            x * layer_.stride - layer_.padding.left + u);
    return sum;
  }

  double largest(std::int64_t c, std::int64_t y, std::int64_t x) const {
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t v = y * layer_.stride - layer_.padding.top, i = 0; i < layer_.kernel; ++i, ++v)
      for (std::int64_t u = x * layer_.stride - layer_.padding.left, j = 0; j < layer_.kernel; ++j, ++u)
        if (v >= 0 && u >= 0 && v < in_[0]->shape[1] && u < in_[0]->shape[2])
          most = std::max(most, in_[0]->at(c, v, u));
    return most;
  }

  double mean(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const std::int64_t h = in_[0]->shape[1], w = in_[0]->shape[2], rows = out.shape[1],
                       columns = out.shape[2];
    double sum = 0, n = 0;
    for (std::int64_t v = y * h / rows; v < ((y + 1) * h + rows - 1) / rows; ++v)
      for (std::int64_t u = x * w / columns; u < ((x + 1) * w + columns - 1) / columns; ++u, ++n)
        sum += in_[0]->at(c, v, u);
    return sum / n;
  }

  void fill() {
    switch (layer_.op) {
      case Op::Conv:
        return each_pixel([&](auto c, auto y, auto x) { return convolved(c, y, x); });
      case Op::BatchNorm:
        return each_pixel([&](auto c, auto y, auto x) {
          return (in_[0]->at(c, y, x) - tensor("running_mean")[c]) /
                     std::sqrt(tensor("running_var")[c] + layer_.eps) * tensor("weight")[c] +
                 tensor("bias")[c];
        });
      case Op::Relu:
        return each_value([](double v) { return std::max(v, 0.0); });
      case Op::Relu6:
        return each_value([](double v) { return std::clamp(v, 0.0, 6.0); });
      case Op::Silu:
        return each_value([](double v) { return v / (1 + std::exp(-v)); });
      case Op::Sigmoid:
        return each_value([](double v) { return 1 / (1 + std::exp(-v)); });
      case Op::Dropout:
      case Op::Flatten:
        out.data = in_[0]->data;
        return;
      case Op::Add:
        for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] = in_[0]->data[i] + in_[1]->data[i];
        return;
      case Op::Mul:
        return each_pixel([&](auto c, auto y, auto x) {
          return in_[0]->at(c, y, x) * in_[1]->data[static_cast<std::size_t>(c)];
        });
      case Op::MaxPool:
        return each_pixel([&](auto c, auto y, auto x) { return largest(c, y, x); });
      case Op::AvgPool:
      case Op::GlobalPool:
        return each_pixel([&](auto c, auto y, auto x) { return mean(c, y, x); });
      case Op::Linear:
        for (std::size_t o = 0; o < out.data.size(); ++o) {
          const std::size_t n = in_[0]->data.size();
          double sum = tensor("bias") != nullptr ? tensor("bias")[o] : 0;
          for (std::size_t i = 0; i < n; ++i)
            sum += static_cast<double>(tensor("weight")[o * n + i]) * in_[0]->data[i];
          out.data[o] = sum;
        }
        return;
      case Op::Shortcut:
        return each_pixel([&](auto c, auto y, auto x) {
          const std::int64_t from = c - (layer_.out - layer_.in) / 2;
          return from >= 0 && from < layer_.in ? in_[0]->at(from, y * layer_.stride, x * layer_.stride) : 0.0;
        });
    }
  }

  const std::map<std::string, Tensor>& weights_;
  const Layer& layer_;
  const std::vector<const Value*> in_;
};

}  // namespace

std::vector<std::vector<double>> reference(const nn::Architecture& network,
                                           const std::map<std::string, Tensor>& weights,
                                           const std::vector<float>& image, int height, int width,
                                           const std::vector<std::string>& outputs) {
  const nn::Cost cost = nn::cost_of(network, height, width);
  std::map<std::string, Value> values;
  values["input"] = {{3, height, width}, {image.begin(), image.end()}};
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    std::vector<const Value*> in;
    for (const std::string& name : layer.from) in.push_back(&values.at(name));
    values[layer.name] = Loops(weights, layer, in, cost.layers[i].output).out;
  }
  std::vector<std::vector<double>> out;
  for (const std::string& name : outputs) out.push_back(values.at(name).data);
  return out;
}

}  // namespace graft::fused
