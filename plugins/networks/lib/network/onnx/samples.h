#pragma once

#include <optional>
#include <vector>

#include <network/architecture.h>

namespace graft::nn::onnx {

/// A function of one number by its values at fixed points. Exporters write activations as chains of
/// operators, each in its own way; a chain is the activation that has the same values.
using Samples = std::vector<double>;

/// The points: near zero close to each other, out to 1e4.
const Samples& sample_points();

/// What a sampled function is.
struct KnownFunction {
  std::optional<Op> op;  ///< An activation; nothing: factor x + offset.
  double factor = 1, offset = 0;
};

/// Nothing for a function that no operation of a network computes.
std::optional<KnownFunction> known_function(const Samples& samples);

}  // namespace graft::nn::onnx
