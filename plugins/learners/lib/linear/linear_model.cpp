#include <linear/linear_model.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include <learning/bundle.h>
#include <learning/learning.h>
#include <numeric/narrow.h>
#include <numeric/softmax.h>

namespace graft::linear {
namespace {

/// Replaces the logits of yes-or-no questions by probabilities.
void answer(std::span<float> row, Loss loss) {
  std::vector<double> p(row.size());
  std::transform(row.begin(), row.end(), p.begin(), [](float z) { return numeric::sigmoid(z); });
  const double sum = loss == Loss::OneVsRest ? std::accumulate(p.begin(), p.end(), 0.0) : 1;
  if (sum < std::numeric_limits<float>::min()) {
    numeric::softmax(row);  // which is what the shares tend to where all answers are no
    return;
  }
  std::transform(p.begin(), p.end(), row.begin(), [&](double v) { return static_cast<float>(v / sum); });
}

}  // namespace

void LinearModel::scores(const float* rows, std::size_t count, float* out) const {
  const std::size_t k = outputs();
  std::vector<float> logits(count * k);
  numeric::narrow_nt({rows, count, dim}, {weight.data(), k, dim}, {logits.data(), count, k});
  std::fill_n(out, count * classes, 0.0F);
  for (std::size_t r = 0; r < count; ++r, out += classes) {
    const std::span<float> row(logits.data() + r * k, k);
    for (std::size_t j = 0; j < k; ++j) row[j] += bias[j];
    if (k == 1 && loss != Loss::Independent) {
      out[fitted[0]] = static_cast<float>(numeric::sigmoid(-static_cast<double>(row[0])));
      out[fitted[1]] = static_cast<float>(numeric::sigmoid(row[0]));
      continue;
    }
    if (loss == Loss::Softmax) {
      numeric::softmax(row);
    } else {
      answer(row, loss);
    }
    for (std::size_t j = 0; j < k; ++j) out[fitted[j]] = row[j];
  }
}

metrics::Score measure(const LinearModel& model, const learning::FeatureRows& rows, Parallel& parallel) {
  const metrics::LabelMode mode = metrics::label_mode(model.loss == Loss::Independent);
  std::vector<metrics::ScoreSum> parts(rows.blocks());
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    std::vector<float> scores(rows.count(b) * model.classes);
    model.scores(rows.block(b, scratch), rows.count(b), scores.data());
    for (std::size_t r = 0; r < rows.count(b); ++r) {
      const std::span<const float> row(scores.data() + r * model.classes, model.classes);
      parts[b].add(row, rows.labels_of(rows.begin(b) + r), mode);
    }
  });
  metrics::ScoreSum sum;
  for (const metrics::ScoreSum& part : parts) sum += part;
  return sum.mean();
}

Scores LinearPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& table = learning::only_table(tables, model_.dim);
  return learning::score_table(
      table, model_.classes, model_.scaler, parallel,
      [this](const float* rows, std::size_t count, float* out) { model_.scores(rows, count, out); });
}

void LinearPredictor::save(Bundle& bundle) const {
  const auto outputs = static_cast<std::int64_t>(model_.outputs());
  const auto dim = static_cast<std::int64_t>(model_.dim);
  bundle.facts["classes"] = static_cast<std::int64_t>(model_.classes);
  bundle.facts["fitted_classes"] = static_cast<std::int64_t>(model_.fitted.size());
  bundle.facts["dim"] = dim;
  bundle.facts["c"] = c_;
  bundle.facts["loss"] = loss_names()[static_cast<std::size_t>(model_.loss)];
  model_.scaler.save(bundle);
  bundle.tensors["fitted"] =
      learning::tensor_of(model_.fitted, {static_cast<std::int64_t>(model_.fitted.size())});
  bundle.tensors["weight"] = learning::tensor_of(model_.weight, {outputs, dim});
  bundle.tensors["bias"] = learning::tensor_of(model_.bias, {outputs});
}

std::unique_ptr<LinearPredictor> LinearPredictor::load(const Bundle& bundle) {
  LinearModel model;
  model.loss = loss_from(learning::fact(bundle, "loss").as_string());
  const std::size_t least = model.loss == Loss::Independent ? 1 : 2;
  model.classes = learning::class_count(bundle, least);
  model.dim = learning::count_fact(bundle, "dim", 1);
  const std::size_t fitted = learning::count_fact(bundle, "fitted_classes", least);
  model.fitted = learning::class_indices(bundle, "fitted", fitted, model.classes);
  const auto outputs = static_cast<std::int64_t>(model.outputs());
  const auto dim = static_cast<std::int64_t>(model.dim);
  model.weight = learning::floats(bundle, "weight", {outputs, dim});
  model.bias = learning::floats(bundle, "bias", {outputs});
  model.scaler = learning::RowScaler::load(bundle, model.dim);
  return std::make_unique<LinearPredictor>(std::move(model), learning::fact(bundle, "c").as_double());
}

}  // namespace graft::linear
