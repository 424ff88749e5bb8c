#pragma once

#include <torch/script.h>

#include <memory>

namespace graft::libtorch {

/// Makes a frozen graph safe for the blocked layouts that LibTorch's optimiser chooses; call it before that.
/// `graph` must be frozen: weights are constants. The sums do not change.
///
/// oneDNN stores channels in blocks of 8 or 16; the last block has filler where the channels do not divide.
/// LibTorch 1.13 applies hardtanh, relu6, clamp, hardswish and hardsigmoid to such a tensor as if it had no
/// filler (torch/csrc/jit/passes/frozen_ops_to_mkldnn.cpp, createUnaryOp: the input is taken to have the
/// logical number of elements, the output the physical one). What follows is left as it was: the last
/// channels of the last image of a batch, without an error. Two remedies, in this order:
///
/// align_channels widens convolutions to a multiple of 16 channels where nothing can see the extra channels
/// but functions of each channel alone, sums and products with values that are widened likewise, and further
/// convolutions, which get zero weights for them. The filler costs the same time. Returns the number of
/// convolutions whose outputs grew.
int align_channels(const std::shared_ptr<torch::jit::Graph>& graph);

/// Rewrites those functions, wherever their channels are not known to be a multiple of 16, in functions that
/// LibTorch computes on plain tensors. Returns the number of rewritten calls.
int avoid_filler(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace graft::libtorch
