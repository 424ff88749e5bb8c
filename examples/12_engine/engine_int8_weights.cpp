#include <algorithm>
#include <cmath>
#include <map>

#include <graft/plugin.h>

#include <network/engine.h>
#include <network/reference.h>

using namespace graft;

namespace {

/// Every weight of a matrix or a kernel as one of 255 multiples of a step, which is the same for all weights
/// of an output channel: the first dimension. Vectors (biases, norms) stay as they are.
Tensor rounded(const Tensor& weights) {
  if (weights.shape.size() < 2 || weights.dtype != DType::F32) return weights;
  Tensor out = Tensor::allocate(DType::F32, weights.shape);
  const auto channels = static_cast<std::size_t>(weights.shape[0]);
  const std::size_t each = weights.size() / std::max<std::size_t>(1, channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const float* from = weights.as<float>() + c * each;
    float largest = 0;
    for (std::size_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(from[i]));
    const float step = largest > 0 ? largest / 127 : 1;
    for (std::size_t i = 0; i < each; ++i) out.as<float>()[c * each + i] = std::round(from[i] / step) * step;
  }
  return out;
}

/// A network whose weights are rounded, by the plain reference: exact and slow, one image after the other.
class RoundedNetwork final : public nn::Engine {
 public:
  RoundedNetwork(const nn::Model& model, const nn::EngineOptions& options)
      : taps_(options.taps.empty() ? std::vector<std::string>{model.architecture->tap} : options.taps),
        network_(nn::reduced_to(*model.architecture, taps_)),
        batch_(static_cast<std::size_t>(options.batch)) {
    for (const auto& [name, weights] : model.weights) weights_[name] = rounded(weights);
  }

  std::vector<Tensor> run(const float* images, int height, int width) const override {
    std::vector<Tensor> out(taps_.size());
    const std::size_t pixels = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    for (std::size_t i = 0; i < batch_; ++i) {
      const std::vector<float> image(images + i * pixels, images + (i + 1) * pixels);
      const auto values = nn::reference(network_, weights_, image, height, width, taps_);
      for (std::size_t t = 0; t < values.size(); ++t) {
        Shape shape = values[t].shape;
        shape.insert(shape.begin(), static_cast<std::int64_t>(batch_));
        if (i == 0) out[t] = Tensor::allocate(DType::F32, shape);
        std::transform(values[t].data.begin(), values[t].data.end(),
                       out[t].as<float>() + i * values[t].data.size(),
                       [](double v) { return static_cast<float>(v); });
      }
    }
    return out;
  }

 private:
  std::vector<std::string> taps_;
  nn::Architecture network_;  ///< Up to the taps: weights beyond them are not there.
  std::map<std::string, Tensor> weights_;
  std::size_t batch_;
};

class Int8Weights final : public Service, public nn::EngineService {
 public:
  explicit Int8Weights(const StageContext&) {}
  std::unique_ptr<nn::Engine> make(const nn::Model& model, nn::EngineOptions options) const override {
    if (!model.architecture)
      throw Error(model.name + ": engine_int8_weights takes described networks, not TorchScript");
    return std::make_unique<RoundedNetwork>(model, options);
  }
};

}  // namespace

GRAFT_PLUGIN(engine_int8_weights, "1.0.0", Int8Weights,
             PluginSchema::service("Runs networks with weights that are rounded to 8 bits."))
