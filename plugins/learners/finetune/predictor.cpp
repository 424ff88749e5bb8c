#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <graft/error.h>
#include <learning/bundle.h>
#include <numeric/softmax.h>
#include <training/image_scores.h>

namespace graft {
namespace {

std::vector<std::int32_t> outputs_of(const Bundle& bundle, std::size_t classes) {
  std::vector<std::int32_t> out;
  for (const Value& v : learning::fact(bundle, "outputs").as_list()) {
    if (v.as_int() < 0 || v.as_int() >= static_cast<std::int64_t>(classes))
      throw Error(
          fmt::format("the bundle has an output for class {}: expected 0 to {}", v.as_int(), classes - 1));
    out.push_back(static_cast<std::int32_t>(v.as_int()));
  }
  return out;
}

}  // namespace

FinetunePredictor::FinetunePredictor(Bundle bundle, const Engines& engines, const std::string& torchscript)
    : bundle_(std::move(bundle)),
      network_(load_network(bundle_, engines, torchscript)),
      normalizer_(Params(learning::fact(bundle_, "normalize")),
                  learning::fact(bundle_, "preset").as_string()),
      classes_(learning::count_fact(bundle_, "class_count", 2)),
      outputs_(outputs_of(bundle_, classes_)),
      several_labels_(learning::fact(bundle_, "multi_label").as_bool()),
      height_(static_cast<int>(learning::count_fact(bundle_, "image_height", 1))),
      width_(static_cast<int>(learning::count_fact(bundle_, "image_width", 1))) {
  const auto bias = bundle_.tensors.find(std::string(kHead) + ".bias");
  if (bias == bundle_.tensors.end() || bias->second.size() != static_cast<std::int64_t>(outputs_.size()))
    throw Error(
        fmt::format("the bundle has {} outputs, and its classifier has another number", outputs_.size()));
}

Scores FinetunePredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const auto to_scores = [&](const float* logits, float* scores) {
    std::vector<float> values(logits, logits + outputs_.size());
    if (several_labels_)
      for (float& v : values) v = static_cast<float>(numeric::sigmoid(v));
    else
      numeric::softmax(values);
    for (std::size_t o = 0; o < outputs_.size(); ++o) scores[outputs_[o]] = values[o];
  };
  const nn::Architecture* architecture = network_.architecture ? &*network_.architecture : nullptr;
  Scores scores =
      training::ImageScorer{*network_.engine, architecture, normalizer_, classes_, height_, width_, to_scores}
          .score(*tables.at(0), parallel);
  const auto fault =
      std::find_if(scores.values.begin(), scores.values.end(), [](float v) { return std::isnan(v); });
  if (fault != scores.values.end())
    throw Error(
        fmt::format("row '{}': the network gives values that are not finite for it",
                    tables[0]->key(static_cast<std::size_t>(fault - scores.values.begin()) / classes_)));
  return scores;
}

void FinetunePredictor::save(Bundle& bundle) const {
  bundle = bundle_;
}

}  // namespace graft
