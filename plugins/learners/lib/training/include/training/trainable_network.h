#pragma once

#include <torch/script.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

namespace graft::training {

/// A network as a Trainer sees it: [n,...] in, logits [n,outputs] out.
class TrainableNetwork {
 public:
  virtual ~TrainableNetwork() = default;

  /// A module with the weights that training starts from, and its own batch-norm statistics and dropout
  /// masks (set_mask). Batch-norm layers have a flag `training` each. `bf16`: it is to be run under autocast.
  virtual torch::jit::Module training(bool bf16) const = 0;
  /// The same for inference: the parameters and statistics have the same paths.
  virtual torch::jit::Module inference() const = 0;
  /// Dropout layers of training(), by path; their values are vectors [n, `out`].
  virtual std::vector<nn::Layer> dropouts() const = 0;
};

/// `weights`: of every layer, by path. Throws Error for one that is missing or has another shape.
std::unique_ptr<TrainableNetwork> trainable(nn::Architecture architecture,
                                            std::map<std::string, Tensor> weights);

}  // namespace graft::training
