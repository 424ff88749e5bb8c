#include "representation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

#include "linalg/blas.h"
#include "linalg/bundle.h"

namespace graft {
namespace {

const linalg::RowScaler kUnit(linalg::RowScaler::Kind::L2);

/// Unit length, times sqrt(dim).
void scale_inputs(std::size_t count, std::size_t dim, float* rows) {
  kUnit.apply(count, dim, rows);
  const auto factor = std::sqrt(static_cast<float>(dim));
  std::transform(rows, rows + count * dim, rows, [factor](float v) { return v * factor; });
}

}  // namespace

void HiddenLayer::apply(std::size_t count, const float* in, float* out) const {
  linalg::multiply_nt({in, count, inputs}, {weight.data(), units, inputs}, {out, count, units});
  for (std::size_t r = 0; r < count; ++r, out += units)
    for (std::size_t u = 0; u < units; ++u) out[u] = std::max(out[u] + bias[u], 0.0F);
}

Representation::Representation(Embedding directions, std::optional<HiddenLayer> hidden)
    : directions_(std::move(directions)), hidden_(std::move(hidden)) {}

void Representation::apply(std::size_t count, const float* in, float* out) const {
  if (!hidden_) {
    directions_.apply(count, in, out);
  } else {
    std::vector<float> reduced(count * directions_.dims());
    directions_.apply(count, in, reduced.data());
    scale_inputs(count, directions_.dims(), reduced.data());
    hidden_->apply(count, reduced.data(), out);
  }
  kUnit.apply(count, dims(), out);
}

void Representation::save(Bundle& bundle) const {
  directions_.save(bundle);
  const auto units = static_cast<std::int64_t>(hidden_ ? hidden_->units : 0);
  bundle.facts["hidden"] = units;
  if (!hidden_) return;
  bundle.tensors["hidden.weight"] =
      linalg::tensor_of(hidden_->weight, {units, static_cast<std::int64_t>(hidden_->inputs)});
  bundle.tensors["hidden.bias"] = linalg::tensor_of(hidden_->bias, {units});
}

Representation Representation::load(const Bundle& bundle) {
  std::optional<Embedding> directions = Embedding::load(bundle);
  if (!directions)
    throw Error("the bundle has no 'embedding': it is damaged or of another learner; train the model again");
  const std::size_t units = linalg::count_fact(bundle, "hidden", 0);
  if (units == 0) return {std::move(*directions), {}};
  HiddenLayer hidden{directions->dims(), units, {}, {}};
  const auto n = static_cast<std::int64_t>(units);
  hidden.weight = linalg::floats(bundle, "hidden.weight", {n, static_cast<std::int64_t>(hidden.inputs)});
  hidden.bias = linalg::floats(bundle, "hidden.bias", {n});
  return {std::move(*directions), std::move(hidden)};
}

std::vector<float> hidden_inputs(const linalg::FeatureRows& rows, const Embedding& directions,
                                 Parallel& parallel) {
  std::vector<float> out = embedded(rows, directions, parallel);
  scale_inputs(rows.rows(), directions.dims(), out.data());
  return out;
}

}  // namespace graft
