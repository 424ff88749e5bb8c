#include "representation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

#include <learning/bundle.h>

namespace graft {
namespace {

const learning::RowScaler kUnit(learning::RowScaler::Kind::L2);

/// Unit length, times sqrt(dim).
void scale_inputs(std::size_t count, std::size_t dim, float* rows) {
  kUnit.apply(count, dim, rows);
  const auto factor = std::sqrt(static_cast<float>(dim));
  std::transform(rows, rows + count * dim, rows, [factor](float v) { return v * factor; });
}

}  // namespace

Representation::Representation(embedding::Embedding directions, std::optional<dense::Network> hidden)
    : directions_(std::move(directions)), hidden_(std::move(hidden)) {}

void Representation::apply(std::size_t count, const float* in, float* out) const {
  if (!hidden_) {
    directions_.apply(count, in, out);
  } else {
    std::vector<float> reduced(count * directions_.dims());
    directions_.apply(count, in, reduced.data());
    scale_inputs(count, directions_.dims(), reduced.data());
    hidden_->hidden(reduced.data(), count, out);
  }
  kUnit.apply(count, dims(), out);
}

void Representation::save(Bundle& bundle) const {
  directions_.save(bundle);
  bundle.facts["hidden"] = static_cast<std::int64_t>(hidden_ ? hidden_->hidden_width() : 0);
  if (hidden_) hidden_->save(bundle, "hidden.");
}

Representation Representation::load(const Bundle& bundle) {
  std::optional<embedding::Embedding> directions = embedding::Embedding::load(bundle);
  if (!directions)
    throw Error("the bundle has no 'embedding': it is damaged or of another learner; train the model again");
  const std::size_t units = learning::count_fact(bundle, "hidden", 0);
  if (units == 0) return {std::move(*directions), {}};
  dense::Network hidden = dense::Network::load(bundle, "hidden.");
  if (hidden.inputs() != directions->dims() || hidden.hidden_width() != units || hidden.layers().size() != 2)
    throw Error(fmt::format(
        "the bundle's hidden layer makes {} units of {} directions, expected {} of {}: it is damaged or of "
        "another learner; train the model again",
        hidden.hidden_width(), hidden.inputs(), units, directions->dims()));
  return {std::move(*directions), std::move(hidden)};
}

std::vector<float> hidden_inputs(const learning::FeatureRows& rows, const embedding::Embedding& directions,
                                 Parallel& parallel) {
  std::vector<float> out = embedding::embedded(rows, directions, parallel);
  scale_inputs(rows.rows(), directions.dims(), out.data());
  return out;
}

}  // namespace graft
