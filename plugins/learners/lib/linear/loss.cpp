#include <linear/loss.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <graft/error.h>

#include <numeric/softmax.h>

namespace graft::linear {
namespace {

constexpr double kCertain = 18;  // a bias that leaves 1.5e-8 for the other answer

/// Sum of logarithms of factors of at least 1: the logarithm of their product, taken before it can overflow.
class LogSum {
 public:
  void add(double factor) {
    product_ *= factor;
    if (product_ > kLarge) take();
  }
  double value() {
    take();
    return sum_;
  }

 private:
  static constexpr double kLarge = 1e200;
  void take() {
    sum_ += std::log(product_);
    product_ = 1;
  }
  double product_ = 1, sum_ = 0;
};

}  // namespace

const std::vector<std::string>& loss_names() {
  static const std::vector<std::string> kAll = {"softmax", "one_vs_rest", "independent"};
  return kAll;
}

Loss loss_from(std::string_view name) {
  const auto found = std::find(loss_names().begin(), loss_names().end(), name);
  if (found == loss_names().end()) {
    throw Error(fmt::format("loss '{}': expected {}", name, fmt::join(loss_names(), ", ")));
  }
  return static_cast<Loss>(found - loss_names().begin());
}

ClassLoss::ClassLoss(const learning::FeatureRows& rows, std::size_t classes, Loss loss, ClassWeights weights)
    : rows_(rows), loss_(loss), output_(classes, -1) {
  std::vector<std::size_t> counts(classes);
  for (const std::int32_t label : rows.labels()) ++counts[static_cast<std::size_t>(label)];
  bool apart = false;
  for (std::size_t c = 0; c < classes; ++c) {
    if (counts[c] > 0) fitted_.push_back(static_cast<std::int32_t>(c));
    apart = apart || (counts[c] > 0 && counts[c] < rows.rows());
  }
  if (!apart) {
    throw Error(loss == Loss::Independent
                    ? "no class has training rows with and without it: there is nothing to tell apart"
                    : "the training rows show fewer than two classes: there is nothing to tell apart");
  }
  outputs_ = outputs_for(fitted_.size(), loss);
  yes_.assign(outputs_, 1);
  no_.assign(outputs_, 1);
  const auto n = static_cast<double>(rows.rows());
  const double sides = loss == Loss::Softmax ? static_cast<double>(fitted_.size()) : 2;
  for (std::size_t j = 0; j < outputs_; ++j) {
    const auto c = static_cast<std::size_t>(fitted_[fitted_.size() - outputs_ + j]);
    output_[c] = static_cast<std::int32_t>(j);
    const auto with = static_cast<double>(counts[c]);
    if (weights == ClassWeights::Balanced) {
      yes_[j] = static_cast<float>(n / (sides * with));
      if (with < n) no_[j] = static_cast<float>(n / (sides * (n - with)));
    }
    const double yes = yes_[j] * with, no = no_[j] * (n - with);
    const bool softmax = loss == Loss::Softmax && outputs_ > 1;
    share_biases_.push_back(softmax ? std::log(yes) : no > 0 ? std::log(yes / no) : kCertain);
  }
  if (loss != Loss::Softmax || outputs_ == 1) return;
  const double mean =
      std::accumulate(share_biases_.begin(), share_biases_.end(), 0.0) / static_cast<double>(outputs_);
  for (double& b : share_biases_) b -= mean;
}

double ClassLoss::derive(std::size_t first, std::span<float> logits, std::span<double> curvature,
                         std::vector<float>& scratch) const {
  return loss_ == Loss::Softmax && outputs_ > 1 ? derive_softmax(first, logits, curvature)
                                                : derive_binary(first, logits, curvature, scratch);
}

double ClassLoss::derive_softmax(std::size_t first, std::span<float> logits,
                                 std::span<double> curvature) const {
  const std::size_t k = outputs_;
  const auto own = [&](std::size_t r) {
    const std::int32_t label = rows_.labels()[first + r];
    return static_cast<std::size_t>(output_[static_cast<std::size_t>(label)]);
  };
  double loss = 0;
  for (std::size_t r = 0; r * k < logits.size(); ++r) {
    float* row = logits.data() + r * k;
    const float top = *std::max_element(row, row + k);
    for (std::size_t j = 0; j < k; ++j) row[j] -= top;
    loss -= static_cast<double>(yes_[own(r)]) * row[own(r)];
  }
  numeric::exp_all(logits);
  // What is nearly 1 is written as 1 less the rest: where classes lie far apart, the rest is all that there
  // is.
  for (std::size_t r = 0; r * k < logits.size(); ++r) {
    float* row = logits.data() + r * k;
    double sum = 0;
    for (std::size_t j = 0; j < k; ++j) sum += row[j];
    const double weight = yes_[own(r)], rest = sum - row[own(r)], square = weight / (sum * sum);
    loss += weight * std::log1p(sum - 1);  // the highest term is 1
    for (std::size_t j = 0; j < k; ++j) curvature[j] += square * row[j] * (sum - row[j]);
    const auto scale = static_cast<float>(weight / sum);
    for (std::size_t j = 0; j < k; ++j) row[j] *= scale;
    row[own(r)] = static_cast<float>(-weight * rest / sum);
  }
  return loss;
}

double ClassLoss::derive_binary(std::size_t first, std::span<float> logits, std::span<double> curvature,
                                std::vector<float>& scratch) const {
  const std::size_t k = outputs_;
  scratch.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) scratch[i] = -std::abs(logits[i]);
  numeric::exp_all(scratch);
  double loss = 0;
  std::vector<LogSum> logs(k);
  for (std::size_t r = 0; r * k < logits.size(); ++r) {
    float* z = logits.data() + r * k;
    float* e = scratch.data() + r * k;
    // What a yes has more than a no: v1 (softplus(z) - z) - v0 softplus(z), and so with the derivatives.
    for (const std::int32_t label : rows_.labels_of(first + r)) {
      const std::int32_t output = output_[static_cast<std::size_t>(label)];
      if (output < 0) continue;
      const auto j = static_cast<std::size_t>(output);
      const double more = static_cast<double>(yes_[j]) - no_[j];
      if (more != 0) loss += more * numeric::softplus(z[j]);
      loss -= static_cast<double>(yes_[j]) * z[j];
    }
    for (std::size_t j = 0; j < k; ++j) {
      const float s = 1.0F / (1.0F + e[j]);
      loss += static_cast<double>(no_[j]) * std::max(z[j], 0.0F);
      curvature[j] += static_cast<double>(no_[j]) * (e[j] * s * s);
      logs[j].add(1.0 + e[j]);
      const float small = e[j] * s;  // of the two probabilities
      const bool positive = z[j] >= 0;
      z[j] = positive ? small : s;  // of a no
      e[j] = no_[j] * (positive ? s : small);
    }
    for (const std::int32_t label : rows_.labels_of(first + r)) {
      const std::int32_t output = output_[static_cast<std::size_t>(label)];
      if (output < 0) continue;
      const auto j = static_cast<std::size_t>(output);
      curvature[j] += (static_cast<double>(yes_[j]) - no_[j]) * (z[j] * (1 - z[j]));
      e[j] = -yes_[j] * z[j];
    }
  }
  for (std::size_t j = 0; j < k; ++j) loss += no_[j] * logs[j].value();
  std::copy(scratch.begin(), scratch.end(), logits.begin());
  return loss;
}

}  // namespace graft::linear
