#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include <graft/payload.h>

#include <network/architecture.h>

namespace graft::test {

using Tensors = std::map<std::string, Tensor>;

inline Tensor filled(const Shape& shape, float value) {
  Tensor t = Tensor::allocate(DType::F32, shape);
  std::fill_n(t.as<float>(), t.size(), value);
  return t;
}

/// Weights for a network, each tensor filled with its position plus `from`.
inline Tensors weights_of(const nn::Architecture& net, const std::string& prefix = {}, float from = 0) {
  Tensors out;
  for (const nn::Layer& layer : net.layers)
    for (const nn::Parameter& p : nn::parameters_of(layer))
      out[prefix + p.path] = filled(p.shape, from + static_cast<float>(out.size()));
  return out;
}

/// The same names, shapes and bytes.
inline bool equal(const Tensors& a, const Tensors& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.shape == y.second.shape &&
           (x.second.bytes() == 0 || std::memcmp(x.second.data, y.second.data, x.second.bytes()) == 0);
  });
}

}  // namespace graft::test
