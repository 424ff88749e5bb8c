#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace graft::dense {

struct OptimizerOptions {
  enum class Kind { Sgd, Adam, AdamW };
  static const std::vector<std::string>& names();  // "sgd", "adam", "adamw"
  static Kind kind_from(const std::string& name);
  /// What is usual for features of variance 1: learning rate 0.01 for sgd, 0.001 for the others; weight decay
  /// 0.0005, 0.0001 and 0.01.
  static OptimizerOptions usual(Kind kind);

  Kind kind = Kind::AdamW;
  double learning_rate = 0.001;
  double momentum = 0.9;  ///< Of sgd.
  double weight_decay = 0.01;
};

/// Updates parameters from gradients, step by step, by PyTorch's formulas:
///
/// - Sgd: v <- m v + g, x <- x - rate (g + m v), Nesterov momentum (Sutskever et al. 2013); decay is added to
///   g.
/// - Adam (Kingma and Ba 2015, arXiv:1412.6980), beta 0.9 and 0.999, eps 1e-8; decay is added to g.
/// - AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): x <- (1 - rate decay) x, then Adam without decay.
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, std::size_t parameters);

  /// Updates `parameters`, those from position `first` on. `step` counts from 1. Different ranges may be
  /// updated at the same time.
  void update(std::span<float> parameters, std::span<const float> gradient, std::size_t first, bool decays,
              double learning_rate, std::int64_t step);

 private:
  OptimizerOptions options_;
  std::vector<float> mean_;    ///< Sgd: the velocity.
  std::vector<float> square_;  ///< Of Adam and AdamW.
};

}  // namespace graft::dense
