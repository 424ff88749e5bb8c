#include <learning/features.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <graft/error.h>

#include <learning/bundle.h>

namespace graft::learning {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kMinBlockRows = 16;
constexpr std::size_t kMaxBlockRows = 1024;

void check_finite(const RowSet& set, std::size_t first, std::size_t count, std::size_t dim,
                  const float* rows) {
  for (std::size_t r = 0; r < count; ++r) {
    const float* row = rows + r * dim;
    // A sum of zeros times the features is NaN exactly when one of them is not finite, and vectorises.
    float probe = 0.0F;
    for (std::size_t d = 0; d < dim; ++d) probe += row[d] * 0.0F;
    if (!std::isnan(probe)) continue;
    const std::size_t d = static_cast<std::size_t>(
        std::find_if(row, row + dim, [](float v) { return !std::isfinite(v); }) - row);
    throw Error(
        fmt::format("row '{}' (view {}): feature {} is {}: expected finite numbers; look at this input, drop "
                    "it from the source, or check the normalisation and precision of the backbone",
                    set.key(first + r), set.view(first + r), d, row[d]));
  }
}

/// Labels of a row, ascending, each once.
std::vector<std::int32_t> checked_labels(const RowSet& set, std::size_t row, std::size_t classes,
                                         metrics::LabelMode mode) {
  const auto given = set.labels(row);
  if (mode == metrics::LabelMode::Single && given.size() != 1) {
    throw Error(fmt::format(
        "row '{}' {}: expected one label per row; this learner is single-label, give "
        "it a table with one label per row",
        set.key(row),
        given.empty() ? "shows none of the classes" : fmt::format("has {} labels", given.size())));
  }
  std::vector<std::int32_t> labels(given.begin(), given.end());
  for (const std::int32_t label : labels) {
    if (label >= 0 && static_cast<std::size_t>(label) < classes) continue;
    throw Error(
        fmt::format("row '{}' has label {}: expected 0 to {} for the {} classes of its source; check the "
                    "labels there",
                    set.key(row), label, static_cast<std::int64_t>(classes) - 1, classes));
  }
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

/// Count, mean and sum of squared differences from the mean, of every column.
struct Moments {
  double count = 0;
  std::vector<double> mean, spread;
};

}  // namespace

std::size_t rows_per_block(std::size_t dim) {
  const std::size_t fitting = kBlockBytes / (sizeof(float) * std::max<std::size_t>(dim, 1));
  return std::clamp(fitting / 16 * 16, kMinBlockRows, kMaxBlockRows);
}

const std::vector<std::string>& RowScaler::names() {
  static const std::vector<std::string> kAll = {"none", "l2", "standard"};
  return kAll;
}

RowScaler::Kind RowScaler::kind_from(std::string_view name) {
  const auto found = std::find(names().begin(), names().end(), name);
  if (found == names().end()) {
    throw Error(fmt::format("feature scaling '{}': expected none, l2 or standard", name));
  }
  return static_cast<Kind>(found - names().begin());
}

void RowScaler::apply(std::size_t count, std::size_t dim, float* rows) const {
  for (std::size_t r = 0; r < count && kind_ != Kind::None; ++r) {
    float* row = rows + r * dim;
    if (kind_ == Kind::L2) {
      double squares = 0;
      for (std::size_t d = 0; d < dim; ++d) squares += static_cast<double>(row[d]) * row[d];
      const double factor = squares > 0 ? 1 / std::sqrt(squares) : 0;
      for (std::size_t d = 0; d < dim; ++d) row[d] = static_cast<float>(row[d] * factor);
    } else {
      for (std::size_t d = 0; d < dim; ++d) row[d] = (row[d] - mean_[d]) * factor_[d];
    }
  }
}

void RowScaler::save(Bundle& bundle) const {
  bundle.facts["scale"] = name();
  if (kind_ != Kind::Standard) return;
  const auto dim = static_cast<std::int64_t>(mean_.size());
  bundle.tensors["scale.mean"] = tensor_of(mean_, {dim});
  bundle.tensors["scale.factor"] = tensor_of(factor_, {dim});
}

RowScaler RowScaler::load(const Bundle& bundle, std::size_t dim) {
  const Kind kind = kind_from(fact(bundle, "scale").as_string());
  if (kind != Kind::Standard) return RowScaler(kind);
  const Shape shape = {static_cast<std::int64_t>(dim)};
  return RowScaler(floats(bundle, "scale.mean", shape), floats(bundle, "scale.factor", shape));
}

void read_blocks(const RowSet& set, std::size_t begin, std::size_t end, Parallel& parallel,
                 const std::function<void(std::size_t first, std::size_t count, float* rows)>& body) {
  const std::size_t dim = set.dim();
  const std::size_t step = rows_per_block(dim);
  parallel.for_each((end - begin + step - 1) / step, [&](std::size_t b) {
    const std::size_t first = begin + b * step;
    const std::size_t count = std::min(step, end - first);
    std::vector<float> rows(count * dim);
    set.read(first, count, rows.data());
    check_finite(set, first, count, dim, rows.data());
    body(first, count, rows.data());
  });
}

FeatureRows::FeatureRows(const RowSet& set, std::size_t classes, std::size_t cache_bytes, Parallel& parallel,
                         metrics::LabelMode mode)
    : set_(&set), mode_(mode), dim_(set.dim()), block_rows_(rows_per_block(set.dim())) {
  for (std::size_t r = 0; r < set.rows(); ++r) {
    if (!set.labelled(r)) continue;
    const std::vector<std::int32_t> labels = checked_labels(set, r, classes, mode);
    labels_.insert(labels_.end(), labels.begin(), labels.end());
    if (mode == metrics::LabelMode::Multi) label_ends_.push_back(labels_.size());
    positions_.push_back(r);
  }
  // The features are looked at once here in any case: an error must show before the work, not in the middle.
  const bool cache = rows() <= cache_bytes / (sizeof(float) * std::max<std::size_t>(dim_, 1));
  std::vector<float> values(cache ? rows() * dim_ : 0);
  parallel.for_each(blocks(), [&](std::size_t b) {
    std::vector<float> scratch(cache ? 0 : count(b) * dim_);
    float* out = cache ? values.data() + begin(b) * dim_ : scratch.data();
    read_from_table(begin(b), count(b), out);
    for (std::size_t r = 0; r < count(b); ++r)
      check_finite(set, positions_[begin(b) + r], 1, dim_, out + r * dim_);
  });
  values_ = std::move(values);
}

void FeatureRows::read_from_table(std::size_t first, std::size_t count, float* out) const {
  const std::size_t end = first + count;
  for (std::size_t r = first; r < end;) {
    std::size_t run = 1;
    while (r + run < end && positions_[r + run] == positions_[r] + run) ++run;
    set_->read(positions_[r], run, out);
    out += run * dim_;
    r += run;
  }
}

void FeatureRows::read(std::size_t first, std::size_t count, float* out) const {
  if (cached()) {
    std::copy_n(values_.data() + first * dim_, count * dim_, out);
    return;
  }
  read_from_table(first, count, out);
  scaler_.apply(count, dim_, out);
}

const float* FeatureRows::block(std::size_t block, std::vector<float>& scratch) const {
  if (cached()) return values_.data() + begin(block) * dim_;
  scratch.resize(block_rows_ * dim_);
  read(begin(block), count(block), scratch.data());
  return scratch.data();
}

RowScaler FeatureRows::standard_scaler(Parallel& parallel) const {
  std::vector<Moments> parts(blocks());
  parallel.for_each(blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const float* x = block(b, scratch);
    Moments& m = parts[b];
    m.count = static_cast<double>(count(b));
    m.mean.assign(dim_, 0);
    m.spread.assign(dim_, 0);
    for (std::size_t r = 0; r < count(b); ++r) {
      for (std::size_t d = 0; d < dim_; ++d) m.mean[d] += x[r * dim_ + d];
    }
    for (double& v : m.mean) v /= m.count;
    for (std::size_t r = 0; r < count(b); ++r) {
      for (std::size_t d = 0; d < dim_; ++d) {
        const double e = x[r * dim_ + d] - m.mean[d];
        m.spread[d] += e * e;
      }
    }
  });
  Moments all{0, std::vector<double>(dim_), std::vector<double>(dim_)};
  for (const Moments& m : parts) {
    const double n = all.count + m.count;
    for (std::size_t d = 0; d < dim_; ++d) {
      const double delta = m.mean[d] - all.mean[d];
      all.mean[d] += delta * m.count / n;
      all.spread[d] += m.spread[d] + delta * delta * all.count * m.count / n;
    }
    all.count = n;
  }
  std::vector<float> mean(dim_), factor(dim_);
  const double n = std::max(all.count, 1.0);
  for (std::size_t d = 0; d < dim_; ++d) {
    const double variance = all.spread[d] / n;
    // The rounding error of a constant column is not variance (the bound is scikit-learn's).
    const double e = n * std::numeric_limits<double>::epsilon();
    const bool constant = variance <= e * variance + e * e * all.mean[d] * all.mean[d];
    mean[d] = static_cast<float>(all.mean[d]);
    const double inverse = 1 / std::sqrt(variance);
    factor[d] = constant || inverse > std::numeric_limits<float>::max() ? 1.0F : static_cast<float>(inverse);
  }
  return RowScaler(std::move(mean), std::move(factor));
}

void FeatureRows::scale(RowScaler scaler, Parallel& parallel) {
  scaler_ = std::move(scaler);
  if (!cached()) return;
  parallel.for_each(blocks(),
                    [&](std::size_t b) { scaler_.apply(count(b), dim_, values_.data() + begin(b) * dim_); });
}

std::vector<float> rows_at(const FeatureRows& rows, const std::vector<std::size_t>& positions,
                           Parallel& parallel) {
  const std::size_t dim = rows.dim();
  std::vector<float> out(positions.size() * dim);
  parallel.for_each(positions.size(),
                    [&](std::size_t i) { rows.read(positions[i], 1, out.data() + i * dim); });
  return out;
}

std::vector<std::size_t> evenly_spaced(std::size_t n, std::size_t most) {
  const std::size_t count = std::min(n, most);
  std::vector<std::size_t> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = i * n / count;
  return out;
}

}  // namespace graft::learning
