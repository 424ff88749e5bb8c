#include <dense/optimizer.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

namespace graft::dense {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
constexpr float kEps = 1e-8F;

}  // namespace

const std::vector<std::string>& OptimizerOptions::names() {
  static const std::vector<std::string> kAll = {"sgd", "adam", "adamw"};
  return kAll;
}

OptimizerOptions::Kind OptimizerOptions::kind_from(const std::string& name) {
  const auto found = std::find(names().begin(), names().end(), name);
  if (found == names().end()) throw Error("optimizer '" + name + "': expected sgd, adam or adamw");
  return static_cast<Kind>(found - names().begin());
}

OptimizerOptions OptimizerOptions::usual(Kind kind) {
  OptimizerOptions options;
  options.kind = kind;
  options.learning_rate = kind == Kind::Sgd ? 0.01 : 0.001;
  options.weight_decay = kind == Kind::Sgd ? 5e-4 : kind == Kind::Adam ? 1e-4 : 0.01;
  return options;
}

Optimizer::Optimizer(const OptimizerOptions& options, std::size_t parameters)
    : options_(options),
      mean_(parameters),
      square_(options.kind == OptimizerOptions::Kind::Sgd ? 0 : parameters) {}

void Optimizer::update(std::span<float> parameters, std::span<const float> gradient, std::size_t first,
                       bool decays, double learning_rate, std::int64_t step) {
  using Kind = OptimizerOptions::Kind;
  const std::size_t n = parameters.size();
  const double decay = decays ? options_.weight_decay : 0;
  float* x = parameters.data();
  float* mean = mean_.data() + first;
  const float* gradients = gradient.data();
  if (options_.kind == Kind::Sgd) {
    const auto rate = static_cast<float>(learning_rate), momentum = static_cast<float>(options_.momentum);
    const auto l2 = static_cast<float>(decay);
    for (std::size_t i = 0; i < n; ++i) {
      const float g = gradients[i] + l2 * x[i];
      mean[i] = momentum * mean[i] + g;
      x[i] -= rate * (g + momentum * mean[i]);
    }
    return;
  }
  float* square = square_.data() + first;
  const bool decoupled = options_.kind == Kind::AdamW;
  const auto t = static_cast<double>(step);
  const auto rate = static_cast<float>(learning_rate / (1 - std::pow(kBeta1, t)));
  const auto correction = static_cast<float>(1 / std::sqrt(1 - std::pow(kBeta2, t)));
  const auto l2 = static_cast<float>(decoupled ? 0 : decay);
  const auto keep = static_cast<float>(decoupled ? 1 - learning_rate * decay : 1);
  const auto b1 = static_cast<float>(kBeta1), a1 = static_cast<float>(1 - kBeta1);
  const auto b2 = static_cast<float>(kBeta2), a2 = static_cast<float>(1 - kBeta2);
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gradients[i] + l2 * x[i];
    mean[i] = b1 * mean[i] + a1 * g;
    square[i] = b2 * square[i] + a2 * g * g;
    x[i] = keep * x[i] - rate * mean[i] / (std::sqrt(square[i]) * correction + kEps);
  }
}

}  // namespace graft::dense
