#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <graft/params.h>

namespace at {
class Tensor;
}

namespace graft {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// The parameters of a stage that say how weights are updated: `optimizer`, `learning_rate`, `momentum`,
/// `weight_decay`.
std::vector<ParamSpec> optimizer_parameters();

struct OptimizerOptions {
  OptimizerOptions() = default;
  /// From resolved parameters; what is left out takes the optimizer's own default.
  explicit OptimizerOptions(const Params& params);

  std::string name = "sgd";  ///< "sgd" or "adamw".
  double learning_rate = 0.1, momentum = 0.9, weight_decay = 5e-4;
};

/// Updates parameters in place from their gradients. Weights of convolutions and linear layers (two
/// dimensions and more) decay; biases and batch-norm do not. Not thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// `gradients`: parallel to the parameters. `step` counts from 1.
  virtual void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t step) = 0;
  /// What it remembers from step to step, by kind and parameter ("velocity/conv1.weight"): the tensors
  /// themselves, to be saved and to be filled.
  virtual NamedTensors state() const = 0;
};

/// `sgd`: stochastic gradient descent with Nesterov momentum as PyTorch has it (Sutskever et al. 2013,
/// section 2), decay as L2 in the gradient. `adamw`: Loshchilov and Hutter 2019 (arXiv:1711.05101, algorithm
/// 2) with PyTorch's betas 0.9 and 0.999 and eps 1e-8; the decay of a step is learning rate times
/// `weight_decay`.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, const NamedTensors& parameters);

}  // namespace graft
