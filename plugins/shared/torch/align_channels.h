#pragma once

#include <torch/script.h>

#include <memory>

namespace graft {

/// Widens convolutions to a multiple of 16 channels where all that sees the extra channels are element-wise
/// functions and further convolutions, which get zero weights for them. The sums do not change. Returns the
/// number of convolutions whose outputs grew.
///
/// oneDNN stores blocks of 8 or 16 channels. LibTorch 1.13 applies hardtanh, clamp and hardswish to such a
/// tensor as if it had no filler (torch/csrc/jit/passes/frozen_ops_to_mkldnn.cpp, createUnaryOp: the input is
/// given the logical number of elements, the output the physical one), so the last channels are left as they
/// were: on a CPU with AVX-512 a MobileNet with 24 channels comes out 40 % wrong, without a word. Without
/// filler there is nothing to miss; and the filler costs the same time.
///
/// `graph` must be frozen: weights are constants.
int align_channels(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace graft
