#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

namespace graft::fused {

/// Number of a value: 0 is the batch of images, the others are made by steps, in order.
using ValueId = std::size_t;

enum class Activation { None, Relu, Relu6, Silu, Sigmoid };

/// One pass over memory: a layer with all that can be done to its result while that is still in registers.
struct Step {
  enum class Op {
    Conv,         ///< from; weights [out,in/groups,kernel,kernel], bias [out]
    Linear,       ///< from, [c,h,w] or [values]; weights [out, all values], bias [out]
    MaxPool,      ///< from
    AveragePool,  ///< from; becomes layer.size x layer.size
    Add,          ///< from, second
    Scale,        ///< from [c,h,w], second [c,1,1]: their product
    Activate,     ///< from
    Flatten,      ///< from
  };
  static constexpr ValueId kNone = static_cast<ValueId>(-1);

  Op op = Op::Activate;
  nn::Layer layer;  ///< The layer that it began as: kernel, stride, padding, groups, size.
  ValueId from = 0, second = kNone, to = 0;
  ValueId residual = kNone;  ///< Conv: a value that is added to the sums, before the activation.
  Activation activation = Activation::None;
  std::vector<float> weights, bias;
};

/// A network as steps.
struct Lowered {
  std::vector<Step> steps;
  std::vector<std::string>
      layer_of;  ///< By value: the last layer that went into it; its shape is that one's.
  std::vector<ValueId> outputs;
};

/// Folds batch-norm into the convolution before it, lets activations and residual sums ride on the step that
/// makes their input, and turns what is left of batch-norm and He's parameter-free shortcuts into small
/// convolutions. A value that is an output or has other readers is never merged away. `outputs`: names of
/// layers. Throws Error for a tensor that is missing.
Lowered lower(const nn::Architecture& architecture, const std::map<std::string, Tensor>& weights,
              const std::vector<std::string>& outputs);

}  // namespace graft::fused
