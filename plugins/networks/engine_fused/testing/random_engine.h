#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <graft/random.h>
#include <network/initial_weights.h>

#include "fused_engine.h"

namespace graft::fused {

/// Weights as after some training: every tensor has numbers of its own, variances are positive.
inline std::map<std::string, Tensor> weights_of(const nn::Architecture& net, std::uint64_t seed = 5) {
  auto weights = nn::initial_weights(net, seed);
  for (auto& [path, tensor] : weights) {
    if (tensor.shape.size() > 1 && !path.ends_with(".bias_table")) continue;
    Random random(seed, path, 0);
    const bool positive = path.ends_with(".running_var") || path.ends_with(".weight");
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor.as<float>()[i] =
          static_cast<float>(positive ? random.uniform(0.5, 1.5) : random.uniform(-0.3, 0.3));
  }
  return weights;
}

inline std::vector<float> noise(int images, int height, int width, std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(images) * 3 * static_cast<std::size_t>(height * width));
  Random random(seed);
  for (float& v : out) v = static_cast<float>(random.uniform(-2, 2));
  return out;
}

inline FusedEngine engine_with(const nn::Architecture& net, std::map<std::string, Tensor> weights, int batch,
                               std::vector<std::string> taps = {}, const std::string& precision = "fp32",
                               int threads = 1) {
  nn::Model model;
  model.name = net.name;
  model.architecture = net;
  model.weights = std::move(weights);
  nn::EngineOptions options;
  options.batch = batch;
  options.taps = std::move(taps);
  options.precision = precision;
  options.threads = threads;
  return FusedEngine(model, options);
}

inline FusedEngine engine(const nn::Architecture& net, int batch, std::vector<std::string> taps = {},
                          const std::string& precision = "fp32", int threads = 1) {
  return engine_with(net, weights_of(net), batch, std::move(taps), precision, threads);
}

}  // namespace graft::fused
