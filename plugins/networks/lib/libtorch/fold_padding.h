#pragma once

#include <torch/script.h>

#include <memory>

namespace graft::libtorch {

/// Folds zero padding into the convolution after it: pad(x) -> conv becomes one conv with symmetric padding
/// and a kernel that has zeros where the padding was unequal. Returns the number of convolutions changed.
///
/// TensorFlow's 'same' padding puts rows and columns to the right and bottom only, which a convolution of
/// LibTorch cannot express, so exported models pad in a step of their own. That step leaves oneDNN's blocked
/// layout and comes back, several times a network. With pads (before, after), P = max(before, after), the
/// kernel gets P - before zeros in front and P - after at the end: the first tap of output o stays at o *
/// stride
/// - before, the number of outputs stays the same for every input size, and the sums have the same terms plus
/// products with zero. A 3x3 kernel becomes 4x4; kernels that would more than double are left alone.
///
/// `graph` must be frozen: weights are constants.
int fold_padding(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace graft::libtorch
