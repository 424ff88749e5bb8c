#include "linear/softmax_regression.h"

#include <algorithm>
#include <cmath>

#include <graft/error.h>

#include "linalg/blas.h"
#include "linalg/softmax.h"

namespace graft {
namespace {

constexpr std::size_t kMaxParts = 32;
constexpr std::size_t kPartialBytes = std::size_t{256} << 20;  // for all partial sums together
constexpr std::size_t kMaxGramDim =
    2048;  // above, factoring X'X costs more than the iterations that it saves
constexpr std::size_t kMinRowsPerDim = 2;  // below, applying the factor costs more than an evaluation
constexpr double kNoise = 1e-7;            // relative error of the objective from products in float32

/// Blocks are dealt to parts in contiguous runs; the number of parts is bounded by memory, not by threads.
std::size_t part_count(std::size_t blocks, std::size_t bytes_per_part) {
  return std::clamp(kPartialBytes / bytes_per_part, std::size_t{1},
                    std::clamp(blocks, std::size_t{1}, kMaxParts));
}

std::size_t first_block(std::size_t part, std::size_t parts, std::size_t blocks) {
  return part * blocks / parts;
}

}  // namespace

/// What one part of the rows adds to the objective and its gradient.
struct SoftmaxRegression::Part {
  double loss = 0;
  double curvature = 0;
  std::vector<double> gradient;  // outputs x (dim + 1)
  std::vector<float> product, logits, scratch;
};

SoftmaxRegression::SoftmaxRegression(const linalg::FeatureRows& rows, std::size_t classes, Parallel& parallel,
                                     const RegressionOptions& options)
    : rows_(rows), parallel_(parallel), options_(options), dim_(rows.dim()), classes_(classes) {
  std::vector<std::int32_t> position(classes, -1);
  for (const std::int32_t label : rows.labels()) position[static_cast<std::size_t>(label)] = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    if (position[c] < 0) continue;
    position[c] = static_cast<std::int32_t>(fitted_.size());
    fitted_.push_back(static_cast<std::int32_t>(c));
  }
  if (fitted_.size() < 2)
    throw Error("the training rows show fewer than two classes: there is nothing to tell apart");
  outputs_ = LinearModel::outputs_for(fitted_.size());
  targets_.reserve(rows.rows());
  for (const std::int32_t label : rows.labels())
    targets_.push_back(position[static_cast<std::size_t>(label)]);
  parts_ = part_count(rows.blocks(), size() * (sizeof(double) + sizeof(float)));
  if (dim_ <= kMaxGramDim && rows.rows() >= kMinRowsPerDim * dim_) build_gram();

  std::vector<double> zero(size()), gradient(size());
  evaluate(1, zero, gradient);
  for (const double g : gradient) gradient_scale_ = std::max(gradient_scale_, std::abs(g));
}

void SoftmaxRegression::set_weights(std::span<const double> solution) {
  weight_.resize(outputs_ * dim_);
  bias_.resize(outputs_);
  for (std::size_t k = 0; k < outputs_; ++k) {
    const double* from = solution.data() + k * (dim_ + 1);
    std::transform(from, from + dim_, weight_.data() + k * dim_,
                   [](double v) { return static_cast<float>(v); });
    bias_[k] = static_cast<float>(from[dim_]);
  }
}

double SoftmaxRegression::evaluate(double c, std::span<const double> solution, std::span<double> gradient) {
  if (options_.interrupted != nullptr && *options_.interrupted) throw Error("interrupted");
  set_weights(solution);
  std::vector<Part> parts(parts_);
  parallel_.for_each(parts_, [&](std::size_t p) {
    Part& part = parts[p];
    part.gradient.assign(size(), 0);
    part.product.resize(outputs_ * dim_);
    for (std::size_t b = first_block(p, parts_, rows_.blocks());
         b < first_block(p + 1, parts_, rows_.blocks()); ++b) {
      add_block(b, part);
    }
  });
  double loss = 0;
  curvature_ = 0;
  std::fill(gradient.begin(), gradient.end(), 0.0);
  for (const Part& part : parts) {
    loss += part.loss;
    curvature_ += part.curvature;
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += part.gradient[i];
  }
  curvature_ /= static_cast<double>(rows_.rows() * outputs_);
  double squares = 0;
  for (std::size_t k = 0; k < outputs_; ++k) {
    for (std::size_t d = 0; d <= dim_; ++d) {
      const std::size_t i = k * (dim_ + 1) + d;
      const double w = d < dim_ ? solution[i] : 0;
      squares += w * w;
      gradient[i] = c * gradient[i] + w;
    }
  }
  return c * loss + 0.5 * squares;
}

void SoftmaxRegression::add_block(std::size_t block, Part& part) const {
  const std::size_t n = rows_.count(block);
  const float* x = rows_.block(block, part.scratch);
  part.logits.resize(n * outputs_);
  linalg::multiply_nt({x, n, dim_}, {weight_.data(), outputs_, dim_}, {part.logits.data(), n, outputs_});
  part.loss += residuals(block, part.logits);
  for (const float r : part.logits) part.curvature += std::abs(r) * (1.0F - std::abs(r));
  linalg::multiply_tn({part.logits.data(), n, outputs_}, {x, n, dim_}, {part.product.data(), outputs_, dim_});
  for (std::size_t k = 0; k < outputs_; ++k) {
    double* to = part.gradient.data() + k * (dim_ + 1);
    for (std::size_t d = 0; d < dim_; ++d) to[d] += part.product[k * dim_ + d];
    double sum = 0;
    for (std::size_t r = 0; r < n; ++r) sum += part.logits[r * outputs_ + k];
    to[dim_] += sum;
  }
}

/// Turns logits into probabilities minus truth; returns the cross entropy of the block.
double SoftmaxRegression::residuals(std::size_t block, std::span<float> logits) const {
  const std::int32_t* target = targets_.data() + rows_.begin(block);
  double loss = 0;
  for (std::size_t r = 0; r < rows_.count(block); ++r) {
    const std::span<float> row = logits.subspan(r * outputs_, outputs_);
    for (std::size_t k = 0; k < outputs_; ++k) row[k] += bias_[k];
    if (outputs_ == 1) {
      const double z = row[0];
      loss += linalg::softplus(target[r] == 1 ? -z : z);
      row[0] = static_cast<float>(linalg::sigmoid(z) - target[r]);
    } else {
      const auto y = static_cast<std::size_t>(target[r]);
      const double z = row[y];
      loss += linalg::softmax(row) - z;
      row[y] -= 1.0F;
    }
  }
  return loss;
}

void SoftmaxRegression::build_gram() {
  struct GramPart {
    std::vector<double> sum;
    std::vector<float> product, scratch;
  };
  const std::size_t n = dim_ + 1;
  const std::size_t parts = part_count(rows_.blocks(), n * n * (sizeof(double) + sizeof(float)));
  std::vector<GramPart> all(parts);
  parallel_.for_each(parts, [&](std::size_t p) {
    GramPart& part = all[p];
    part.sum.assign(n * n, 0);
    part.product.assign(dim_ * dim_, 0);
    for (std::size_t b = first_block(p, parts, rows_.blocks()); b < first_block(p + 1, parts, rows_.blocks());
         ++b) {
      const std::size_t count = rows_.count(b);
      const float* x = rows_.block(b, part.scratch);
      linalg::gram_lower({x, count, dim_}, {part.product.data(), dim_, dim_});
      for (std::size_t i = 0; i < dim_; ++i) {
        for (std::size_t j = 0; j <= i; ++j) part.sum[i * n + j] += part.product[i * dim_ + j];
      }
      double* ones = part.sum.data() + dim_ * n;
      for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t d = 0; d < dim_; ++d) ones[d] += x[r * dim_ + d];
      }
      ones[dim_] += static_cast<double>(count);
    }
  });
  gram_.assign(n * n, 0);
  for (const GramPart& part : all) {
    for (std::size_t i = 0; i < n * n; ++i) gram_[i] += part.sum[i];
  }
  // Squares of huge features overflow where the features do not; the plain method copes.
  if (!std::all_of(gram_.begin(), gram_.end(), [](double v) { return std::isfinite(v); })) gram_.clear();
}

linalg::Preconditioner SoftmaxRegression::preconditioner(double c) {
  if (gram_.empty()) return {};
  const std::size_t n = dim_ + 1;
  double diagonal = 0;
  for (std::size_t i = 0; i < n; ++i) diagonal = std::max(diagonal, gram_[i * n + i]);
  const double factor = c * std::max(curvature_, 1e-6);
  // Rounding of X'X can outweigh the ridge; a larger one still gives a good preconditioner.
  for (double ridge = 1; ridge < 1e30; ridge = std::max(10 * ridge, 1e-6 * factor * diagonal)) {
    factor_.resize(n * n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) factor_[i * n + j] = factor * gram_[i * n + j];
      if (i < dim_) factor_[i * n + i] += ridge;
    }
    if (linalg::cholesky({factor_.data(), n, n})) {
      return [this, n](std::span<double> v) {
        linalg::cholesky_solve({factor_.data(), n, n}, {v.data(), v.size() / n, n});
      };
    }
  }
  return {};
}

linalg::LbfgsResult SoftmaxRegression::fit(double c, std::span<double> solution) {
  std::vector<double> gradient(size());
  evaluate(c, solution, gradient);  // for the curvature at the start
  linalg::LbfgsOptions options;
  options.max_iterations = options_.max_iterations;
  options.gradient_tolerance = 0;
  options.gap_tolerance = options_.tolerance;  // the penalty curves as that asks

  options.noise = kNoise;
  return linalg::minimize([&](std::span<const double> x, std::span<double> g) { return evaluate(c, x, g); },
                          solution, options, preconditioner(c));
}

LinearModel SoftmaxRegression::model(std::span<const double> solution,
                                     const linalg::RowScaler& scaler) const {
  LinearModel m;
  m.dim = dim_;
  m.classes = classes_;
  m.fitted = fitted_;
  m.scaler = scaler;
  for (std::size_t k = 0; k < outputs_; ++k) {
    const double* from = solution.data() + k * (dim_ + 1);
    for (std::size_t d = 0; d < dim_; ++d) m.weight.push_back(static_cast<float>(from[d]));
    m.bias.push_back(static_cast<float>(from[dim_]));
  }
  return m;
}

}  // namespace graft
