#include <network/initial_weights.h>

#include <algorithm>
#include <cmath>

#include <graft/random.h>

namespace graft::nn {

void he_normal(float* values, const Shape& shape, std::uint64_t seed, const std::string& path) {
  const std::int64_t n = elements(shape);
  const double fan_in = static_cast<double>(n) / static_cast<double>(shape[0]);
  const double spread = std::sqrt(2.0 / fan_in);
  Random random(seed, path, 0);
  for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(spread * random.normal());
}

std::map<std::string, Tensor> initial_weights(const Architecture& architecture, std::uint64_t seed) {
  std::map<std::string, Tensor> out;
  for (const Layer& layer : architecture.layers)
    for (const Parameter& parameter : parameters_of(layer)) {
      const Tensor tensor = Tensor::allocate(DType::F32, parameter.shape);
      const bool scale = parameter.path.ends_with(".weight") || parameter.path.ends_with(".running_var");
      if (parameter.shape.size() > 1 && !parameter.initial)
        he_normal(tensor.as<float>(), tensor.shape, seed, parameter.path);
      else
        std::fill_n(tensor.as<float>(), tensor.size(),
                    static_cast<float>(parameter.initial.value_or(scale ? 1 : 0)));
      out.emplace(parameter.path, tensor);
    }
  return out;
}

}  // namespace graft::nn
