#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <network/architecture.h>

#include "shared_values.h"

namespace graft::fused {

/// Number of a value: 0 is the batch of images, the others are made by steps, in order.
using ValueId = std::size_t;

/// What is done to each value of a result, as layers name it; nothing: it stays as it is.
using Activation = std::optional<nn::Op>;

/// One pass over memory: a layer with all that can be done to its result while that is still in registers.
struct Step {
  enum class Op {
    Conv,             ///< from, an image or tokens; weights [out,in/groups,kernel], bias [out]
    Linear,           ///< from, [c,h,w] or [values]; weights [out, all values], bias [out]
    MaxPool,          ///< from
    AveragePool,      ///< from; windows as the layer has them
    Gather,           ///< from; channels of an image in another order: a ChannelSlice or ChannelShuffle
    BlurPool,         ///< from
    PatchMerge,       ///< from
    Scale,            ///< from, a vector; weights: a factor of each value
    WindowAttention,  ///< from; weights: the table of biases; shapes
    Add,              ///< from, second
    Multiply,         ///< from, second: of one shape, or [c,h,w] and [c,1,1]
    Activate,         ///< from
    Flatten,          ///< from
    LayerNorm,        ///< from; weights (of channels), bias
    ResponseNorm,     ///< from, an image; weights (of channels), bias
    Embed,            ///< from; weights: positions [grid,out], bias: class and register tokens [prefix,out]
    Attention,        ///< from; shapes: the image of patches
    AttentionPool,    ///< from; weights: the query
    TokenMean,        ///< from
    Concat,           ///< more
  };
  static constexpr ValueId kNone = static_cast<ValueId>(-1);

  Op op = Op::Activate;
  nn::Layer layer;  ///< The layer that it began as: kernel, stride, padding, groups, size.
  ValueId from = 0, second = kNone, to = 0;
  std::vector<ValueId> shapes = {};  ///< Values whose shapes alone count: all inputs but the first.
  std::vector<ValueId> more = {};    ///< Concat: all that it reads.
  ValueId residual = kNone;          ///< Conv: a value that is added to the sums, before the activation.
  Activation activation = {};
  SharedValues weights;
  std::vector<float> bias;

  /// All values that it reads.
  std::vector<ValueId> reads() const;
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
/// convolutions. To oneDNN, a linear layer on tokens is a convolution, too; a factor per channel (LayerScale)
/// is folded into it, and stays a step of its own for vectors alone; the two halves of a SwiGLU are made
/// apart. A value that is an output or has other readers is never merged away. `outputs`: names of layers.
/// Throws Error for a tensor that is missing, and for weights that are not finite once they are folded.
Lowered lower(const nn::Architecture& architecture, const std::map<std::string, Tensor>& weights,
              const std::vector<std::string>& outputs);

}  // namespace graft::fused
