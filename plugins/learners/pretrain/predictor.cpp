#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <graft/error.h>
#include <network/cost.h>

#include <training/image_scores.h>

#include <libtorch/torch_engine.h>

namespace graft {
namespace {

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
  options.batch = static_cast<int>(training::kScoredTogether);
  return libtorch::make_torch_engine(model, std::move(options));
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
  const auto classes = static_cast<std::size_t>(fact(facts_, "class_count").as_int());
  const auto [height, width] = trained_size(facts_);
  const auto to_scores = [&](const float* logits, float* scores) { softmax(logits, classes, scores); };
  return training::ImageScorer{*engine_, &architecture_, normalizer_, classes, height, width, to_scores}
      .score(*tables.at(0), parallel);
}

void PretrainPredictor::save(Bundle& bundle) const {
  bundle.facts = facts_;
  bundle.tensors = weights_;
}

}  // namespace graft
