#include <search/feature_transform.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

#include <learning/bundle.h>

namespace graft::search {

std::vector<float> FeatureTransform::apply(std::size_t count, const float* rows,
                                           const std::function<std::string_view(std::size_t)>& key) const {
  std::vector<float> out(count * dims());
  if (embedding_) {
    embedding_->apply(count, rows, out.data());
    const auto bad = std::find_if(out.begin(), out.end(), [](float v) { return !std::isfinite(v); });
    if (bad != out.end()) {
      throw Error(
          fmt::format("row '{}': its features are so far from those of training that the embedding ({}) "
                      "overflows; look at this input, or scale the features",
                      key(static_cast<std::size_t>(bad - out.begin()) / dims()), embedding_->kind()));
    }
  } else {
    std::copy_n(rows, out.size(), out.begin());
  }
  metric_.scaler().apply(count, dims(), out.data());
  return out;
}

std::vector<float> FeatureTransform::block(const learning::FeatureRows& rows, std::size_t block) const {
  std::vector<float> scratch;
  const float* x = rows.block(block, scratch);
  return apply(rows.count(block), x, [&](std::size_t r) { return rows.key(rows.begin(block) + r); });
}

std::vector<float> FeatureTransform::all(learning::FeatureRows&& rows, Parallel& parallel) const {
  if (!embedding_ && rows.cached()) {
    rows.scale(metric_.scaler(), parallel);
    return std::move(rows).release();
  }
  std::vector<float> out(rows.rows() * dims());
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    const std::vector<float> some = block(rows, b);
    std::copy(some.begin(), some.end(), out.begin() + static_cast<std::ptrdiff_t>(rows.begin(b) * dims()));
  });
  return out;
}

void FeatureTransform::for_each_group(
    const RowSet& set, Parallel& parallel,
    const std::function<void(std::size_t, std::size_t, std::span<const float>)>& body) const {
  constexpr std::size_t kGroupBytes = std::size_t{64} << 20;
  const std::size_t step = learning::rows_per_block(set.dim());
  const std::size_t blocks =
      std::max<std::size_t>(1, kGroupBytes / (step * std::max(set.dim(), dims()) * sizeof(float)));
  std::vector<float> queries(std::min(blocks * step, set.rows()) * dims());
  for (std::size_t first = 0; first < set.rows(); first += blocks * step) {
    const std::size_t count = std::min(blocks * step, set.rows() - first);
    learning::read_blocks(
        set, first, first + count, parallel, [&](std::size_t at, std::size_t n, float* features) {
          const std::vector<float> some = apply(n, features, [&](std::size_t r) { return set.key(at + r); });
          std::copy(some.begin(), some.end(),
                    queries.begin() + static_cast<std::ptrdiff_t>((at - first) * dims()));
        });
    body(first, count, {queries.data(), count * dims()});
  }
}

void FeatureTransform::warn_lost_cosines(const learning::FeatureRows& train, const std::string& table,
                                         Parallel& parallel, const learning::Warn& warn) const {
  if (!metric_.by_direction()) return;
  learning::warn_lost_cosines(
      train.rows(), dims(),
      [&](const std::vector<std::size_t>& positions) {
        const std::vector<float> features = learning::rows_at(train, positions, parallel);
        return apply(positions.size(), features.data(),
                     [&](std::size_t r) { return train.key(positions[r]); });
      },
      table, "use metric: euclidean, or take it away (embedding: pca)", warn);
}

void FeatureTransform::save(Bundle& bundle) const {
  bundle.facts["dim"] = static_cast<std::int64_t>(inputs_);
  bundle.facts["metric"] = metric_.name();
  if (embedding_) embedding_->save(bundle);
}

FeatureTransform FeatureTransform::load(const Bundle& bundle) {
  const std::size_t inputs = learning::count_fact(bundle, "dim", 1);
  const Metric metric = Metric::from(learning::fact(bundle, "metric").as_string());
  std::optional<embedding::Embedding> embedding = embedding::Embedding::load(bundle);
  if (embedding && embedding->inputs() != inputs) {
    throw Error(fmt::format(
        "'embedding_inputs' of the bundle is {}: expected {}, as 'dim'; the bundle is damaged or of "
        "another learner; train the model again",
        embedding->inputs(), inputs));
  }
  return FeatureTransform(inputs, std::move(embedding), metric);
}

TransformedRows::TransformedRows(learning::FeatureRows rows, FeatureTransform transform)
    : rows_(std::move(rows)),
      transform_(std::move(transform)),
      shape_{static_cast<std::int64_t>(rows_.rows()), static_cast<std::int64_t>(transform_.dims())} {}

void TransformedRows::read(std::size_t first, std::size_t count, void* out) const {
  std::vector<float> features(count * rows_.dim());
  rows_.read(first, count, features.data());
  const std::vector<float> transformed =
      transform_.apply(count, features.data(), [&](std::size_t r) { return rows_.key(first + r); });
  std::copy(transformed.begin(), transformed.end(), static_cast<float*>(out));
}

}  // namespace graft::search
