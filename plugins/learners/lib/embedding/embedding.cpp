#include <embedding/embedding.h>

#include <numeric>

#include <learning/bundle.h>
#include <numeric/narrow.h>

namespace graft::embedding {
namespace {

Shape shape_of(std::size_t n) {
  return {static_cast<std::int64_t>(n)};
}

Shape shape_of(std::size_t n, std::size_t m) {
  return {static_cast<std::int64_t>(n), static_cast<std::int64_t>(m)};
}

}  // namespace

Embedding Embedding::affine(std::string kind, std::vector<float> mean, std::vector<float> directions) {
  Embedding e;
  e.kind_ = std::move(kind);
  e.inputs_ = mean.size();
  e.dims_ = directions.size() / mean.size();
  e.mean_ = std::move(mean);
  e.directions_ = std::move(directions);
  return e;
}

Embedding Embedding::choice(std::string kind, std::size_t inputs, std::vector<std::int32_t> columns) {
  Embedding e;
  e.kind_ = std::move(kind);
  e.inputs_ = inputs;
  e.dims_ = columns.size();
  e.columns_ = std::move(columns);
  return e;
}

void Embedding::apply(std::size_t count, const float* in, float* out) const {
  if (!columns_.empty()) {
    for (std::size_t r = 0; r < count; ++r) {
      for (std::size_t j = 0; j < dims_; ++j) out[r * dims_ + j] = in[r * inputs_ + columns_[j]];
    }
    return;
  }
  // The mean is taken away first: what the product would cancel is lost in float32.
  std::vector<float> centred(count * inputs_);
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t d = 0; d < inputs_; ++d) centred[r * inputs_ + d] = in[r * inputs_ + d] - mean_[d];
  }
  numeric::narrow_nt({centred.data(), count, inputs_}, {directions_.data(), dims_, inputs_},
                     {out, count, dims_});
}

std::optional<double> Embedding::retained() const {
  if (shares_.empty()) return {};
  return std::accumulate(shares_.begin(), shares_.end(), 0.0);
}

Embedding Embedding::truncated(std::size_t dims) const {
  Embedding e = *this;
  if (dims >= dims_) return e;
  e.dims_ = dims;
  if (!columns_.empty()) e.columns_.resize(dims);
  e.directions_.resize(columns_.empty() ? dims * inputs_ : 0);
  if (!shares_.empty()) e.shares_.resize(dims);
  return e;
}

Value Embedding::summary() const {
  Value v = Value::Map{{"kind", kind_},
                       {"dims", static_cast<std::int64_t>(dims_)},
                       {"of", static_cast<std::int64_t>(inputs_)}};
  if (const auto share = retained()) v[kind_ == "pca" ? "retained_energy" : "retained_share"] = *share;
  for (const auto& [name, value] : notes_) v[name] = value;
  return v;
}

void Embedding::save(Bundle& bundle) const {
  bundle.facts["embedding"] = kind_;
  bundle.facts["embedding_inputs"] = static_cast<std::int64_t>(inputs_);
  bundle.facts["embedding_dims"] = static_cast<std::int64_t>(dims_);
  if (!columns_.empty()) {
    bundle.tensors["embedding.columns"] = learning::tensor_of(columns_, shape_of(dims_));
    return;
  }
  bundle.tensors["embedding.mean"] = learning::tensor_of(mean_, shape_of(inputs_));
  bundle.tensors["embedding.directions"] = learning::tensor_of(directions_, shape_of(dims_, inputs_));
}

std::optional<Embedding> Embedding::load(const Bundle& bundle) {
  if (bundle.facts.find("embedding") == nullptr) return {};
  std::string kind = learning::fact(bundle, "embedding").as_string();
  const std::size_t inputs = learning::count_fact(bundle, "embedding_inputs", 1);
  const std::size_t dims = learning::count_fact(bundle, "embedding_dims", 1);
  if (bundle.tensors.count("embedding.columns") != 0) {
    return choice(std::move(kind), inputs,
                  learning::indices(bundle, "embedding.columns", dims, inputs, "column"));
  }
  return affine(std::move(kind), learning::floats(bundle, "embedding.mean", shape_of(inputs)),
                learning::floats(bundle, "embedding.directions", shape_of(dims, inputs)));
}

std::vector<float> embedded(const learning::FeatureRows& rows, const Embedding& embedding,
                            Parallel& parallel) {
  std::vector<float> out(rows.rows() * embedding.dims());
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    embedding.apply(rows.count(b), rows.block(b, scratch), out.data() + rows.begin(b) * embedding.dims());
  });
  return out;
}

}  // namespace graft::embedding
