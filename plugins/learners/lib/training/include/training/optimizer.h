#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <graft/params.h>

#include <training/named_tensors.h>

namespace graft::training {

/// What a stage takes where its parameters are left out.
struct OptimizerDefaults {
  struct Numbers {
    double learning_rate, weight_decay;
  };
  const char* name = "sgd";  ///< "sgd" or "adamw".
  Numbers sgd = {0.1, 5e-4}, adamw = {1e-3, 0.05};
};

/// The parameters of a stage that say how weights are updated: `optimizer`, `learning_rate`, `momentum`,
/// `weight_decay`.
std::vector<ParamSpec> optimizer_parameters(const OptimizerDefaults& defaults = {});

struct OptimizerOptions {
  OptimizerOptions() = default;
  /// From resolved parameters; what is left out takes the optimizer's own default.
  explicit OptimizerOptions(const Params& params, const OptimizerDefaults& defaults = {});

  std::string name = "sgd";  ///< "sgd" or "adamw".
  double learning_rate = 0.1, momentum = 0.9, weight_decay = 5e-4;
};

/// How one parameter follows the learning rate.
struct ParameterPace {
  double rate = 1;              ///< Times the learning rate.
  std::int64_t first_step = 0;  ///< Steps before the first in which it takes part.
};

/// Updates parameters in place from their gradients. Weights of convolutions and linear layers (two
/// dimensions and more) decay; biases and batch-norm do not. Not thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// `gradients`: parallel to the parameters; an undefined one leaves its parameter as it is. `step` counts
  /// from 1.
  virtual void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t step) = 0;
  /// What it remembers from step to step, by kind and parameter ("velocity/conv1.weight"): the tensors
  /// themselves, to be saved and to be filled.
  virtual NamedTensors state() const = 0;
};

/// `sgd`: stochastic gradient descent with Nesterov momentum as PyTorch has it (Sutskever et al. 2013,
/// section 2), decay as L2 in the gradient. `adamw`: Loshchilov and Hutter 2019 (arXiv:1711.05101, algorithm
/// 2) with PyTorch's betas 0.9 and 0.999 and eps 1e-8; the decay of a step is learning rate times
/// `weight_decay`. `paces`: parallel to the parameters; none: all alike.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, const NamedTensors& parameters,
                                          const std::vector<ParameterPace>& paces = {});

/// Scales gradients down to a joint Euclidean norm of at most `most` (Pascanu et al. 2013, arXiv:1211.5063)
/// and returns what it was. The sum is taken tensor by tensor in double.
double clip_gradients(const std::vector<at::Tensor>& gradients, double most);

}  // namespace graft::training
