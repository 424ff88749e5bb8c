#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>

#include <graft/error.h>

#include <learning/bundle.h>
#include <learning/learning.h>

namespace graft {

Scores MlpPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const dense::Network& network = model_.network;
  const auto score = [&](const float* rows, std::size_t count, float* out) {
    std::vector<float> logits(count * network.outputs());
    network.logits(rows, count, logits.data());
    std::fill_n(out, count * model_.classes, 0.0F);
    for (std::size_t r = 0; r < count; ++r, out += model_.classes) {
      const std::span<float> row(logits.data() + r * network.outputs(), network.outputs());
      dense::to_probabilities(model_.loss, row);
      for (std::size_t k = 0; k < row.size(); ++k) out[model_.fitted[k]] = row[k];
    }
  };
  return learning::score_table(learning::only_table(tables, network.inputs()), model_.classes, model_.scaler,
                               parallel, score);
}

void MlpPredictor::save(Bundle& bundle) const {
  bundle.facts["classes"] = static_cast<std::int64_t>(model_.classes);
  bundle.facts["loss"] = model_.loss == dense::Loss::Kind::Softmax ? "softmax" : "binary";
  bundle.tensors["fitted"] =
      learning::tensor_of(model_.fitted, {static_cast<std::int64_t>(model_.fitted.size())});
  model_.scaler.save(bundle);
  model_.network.save(bundle);
}

std::unique_ptr<MlpPredictor> MlpPredictor::load(const Bundle& bundle) {
  MlpModel model{dense::Network::load(bundle), {}, learning::class_count(bundle), {}, {}};
  const Value& loss = learning::fact(bundle, "loss");
  if (loss != Value("softmax") && loss != Value("binary")) {
    throw Error(
        fmt::format("'loss' of the bundle is {}: expected softmax or binary; the bundle is damaged or of "
                    "another learner; train the model again",
                    loss.to_json()));
  }
  model.loss = loss == Value("softmax") ? dense::Loss::Kind::Softmax : dense::Loss::Kind::Sigmoid;
  model.fitted = learning::class_indices(bundle, "fitted", model.network.outputs(), model.classes);
  model.scaler = learning::RowScaler::load(bundle, model.network.inputs());
  return std::make_unique<MlpPredictor>(std::move(model));
}

}  // namespace graft
