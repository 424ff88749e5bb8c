#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <graft/error.h>
#include <network/cost.h>

#include "pixels.h"
#include "torch_engine.h"

namespace graft {
namespace {

constexpr std::size_t kBlock = 32;  // rows that one thread scores at a time

const Value& fact(const Value& facts, const char* name) {
  if (const Value* found = facts.find(name)) return *found;
  throw Error(
      fmt::format("the bundle does not say `{}`: it was not written by pretrain, or it was damaged", name));
}

std::pair<int, int> trained_size(const Value& facts) {
  return {static_cast<int>(fact(facts, "image_height").as_int()),
          static_cast<int>(fact(facts, "image_width").as_int())};
}

std::unique_ptr<nn::Engine> engine_for(const nn::Architecture& net,
                                       const std::map<std::string, Tensor>& weights) {
  for (const nn::Layer& layer : net.layers)
    for (const nn::Parameter& parameter : nn::parameters_of(layer))
      if (!weights.contains(parameter.path)) throw Error(fmt::format("tensor {} is missing", parameter.path));
  nn::Model model;
  model.name = net.name;
  model.architecture = net;
  model.weights = weights;
  nn::EngineOptions options;
  options.taps = {net.layers.back().name};
  options.batch = static_cast<int>(kBlock);
  return make_torch_engine(model, std::move(options));
}

/// exp(v) / sum of exp(v).
void softmax(const float* logits, std::size_t n, float* out) {
  const float most = *std::max_element(logits, logits + n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += out[i] = std::exp(logits[i] - most);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(out[i] / sum);
}

}  // namespace

nn::Architecture architecture_of(const Value& facts) {
  nn::Options options;
  const std::string& name = fact(facts, "architecture").as_string();
  if (const Value& width = fact(facts, "width"); !width.is_null())
    options.width = static_cast<int>(width.as_int());
  options.classes = static_cast<int>(fact(facts, "class_count").as_int());
  const auto [height, width] = trained_size(facts);
  options.side = std::min(height, width);
  nn::Architecture net = nn::make_architecture(name, options);
  nn::cost_of(net, height, width);  // throws where the layers do not take such images
  return net;
}

PretrainPredictor::PretrainPredictor(Value facts, std::map<std::string, Tensor> weights)
    : facts_(std::move(facts)),
      weights_(std::move(weights)),
      architecture_(architecture_of(facts_)),
      normalizer_(Params(fact(facts_, "normalize")), architecture_.preprocessing.preset),
      engine_(engine_for(architecture_, weights_)) {}

Scores PretrainPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& rows = *tables.at(0);
  const auto classes = static_cast<std::size_t>(fact(facts_, "class_count").as_int());
  Scores scores(rows.rows(), classes);
  if (rows.rows() == 0) return scores;
  const std::pair<int, int> size = image_size(rows);
  const int height = size.first, width = size.second;  // a lambda below reads them
  try {
    nn::cost_of(architecture_, height, width);
  } catch (const Error& fault) {
    const auto [trained_height, trained_width] = trained_size(facts_);
    throw Error(fmt::format("expected images of {} x {}, as in training, got {} x {} ({})", trained_width,
                            trained_height, width, height, fault.what()));
  }
  const std::size_t one = rows.dim();
  parallel.for_each((rows.rows() + kBlock - 1) / kBlock, [&](std::size_t block) {
    const std::size_t first = block * kBlock, n = std::min(kBlock, rows.rows() - first);
    std::vector<std::uint8_t> pixels(n * one);
    rows.read_raw(first, n, pixels.data());
    // Always a whole block: kernels, and with them the last bits, may depend on the number of images.
    std::vector<float> images(kBlock * one);
    for (std::size_t i = 0; i < n; ++i) {
      Image image;
      image.data = pixels.data() + i * one;
      image.width = width;
      image.height = height;
      image.stride = 3 * static_cast<std::ptrdiff_t>(width);
      normalizer_.pack(image, images.data() + i * one);
    }
    engine_->enter_thread();
    const Tensor logits = engine_->run(images.data(), height, width).at(0);
    for (std::size_t i = 0; i < n; ++i)
      softmax(logits.as<float>() + i * classes, classes, scores.row(first + i));
  });
  return scores;
}

void PretrainPredictor::save(Bundle& bundle) const {
  bundle.facts = facts_;
  bundle.tensors = weights_;
}

}  // namespace graft
