#include <dense/loss.h>

#include <numeric/softmax.h>

namespace graft::dense {

double Loss::weight(std::span<const float> targets) const {
  if (kind == Kind::Sigmoid) return 1;
  double sum = 0;
  for (std::size_t c = 0; c < targets.size(); ++c)
    sum += static_cast<double>(targets[c]) * (class_weights.empty() ? 1 : class_weights[c]);
  return sum;
}

double Loss::differentiate(std::span<float> logits, std::span<const float> targets) const {
  const std::size_t classes = logits.size();
  const double spread = label_smoothing / (kind == Kind::Softmax ? static_cast<double>(classes) : 2);
  const auto target = [&](std::size_t c) { return (1 - label_smoothing) * targets[c] + spread; };
  const auto weight_of = [&](std::size_t c) -> double {
    return class_weights.empty() ? 1 : class_weights[c];
  };
  const auto rest_of = [&](std::size_t c) -> double { return rest_weights.empty() ? 1 : rest_weights[c]; };
  double loss = 0;
  if (kind == Kind::Sigmoid) {
    for (std::size_t c = 0; c < classes; ++c) {
      const double z = logits[c], t = target(c), p = numeric::sigmoid(z);
      const double is = weight_of(c) * t, is_not = rest_of(c) * (1 - t);
      if (is > 0) loss += is * numeric::softplus(-z);
      if (is_not > 0) loss += is_not * numeric::softplus(z);
      logits[c] = static_cast<float>(is_not * p - is * (1 - p));
    }
    return loss;
  }
  double total = 0, linear = 0;  // sum of w t', and of w t' z
  for (std::size_t c = 0; c < classes; ++c) {
    const double share = weight_of(c) * target(c);
    total += share;
    if (share > 0) linear += share * logits[c];
  }
  loss = total * numeric::softmax(logits) - linear;
  for (std::size_t c = 0; c < classes; ++c)
    logits[c] = static_cast<float>(total * logits[c] - weight_of(c) * target(c));
  return loss;
}

void to_probabilities(Loss::Kind kind, std::span<float> logits) {
  if (kind == Loss::Kind::Softmax) {
    numeric::softmax(logits);
    return;
  }
  for (float& z : logits) z = static_cast<float>(numeric::sigmoid(z));
}

}  // namespace graft::dense
