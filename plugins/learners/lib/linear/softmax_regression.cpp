#include <linear/softmax_regression.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <numeric/blas.h>
#include <numeric/narrow.h>
#include <numeric/parts.h>

namespace graft::linear {
namespace {

using numeric::MatrixRef;

constexpr std::size_t kMaxGramDim =
    2048;  // above, factoring X'X costs more than the iterations that it saves
constexpr std::size_t kMinRowsPerDim = 2;  // below, applying the factor costs more than an evaluation
constexpr std::size_t kMaxRowsPerDim = 8;  // X'X of more is better, but not by as much as it costs
constexpr std::size_t kGramTile = 64;
constexpr double kNoise = 1e-7;  // relative error of the objective from products in float32

constexpr std::size_t kNarrowRows = 32;  // that are worked on together

constexpr double kSettled = 1e-2;  // of the tolerance: may be left to gain by the biases alone
constexpr int kMaxRounds = 10;     // of minimising over all and over the biases

double max_abs(std::span<const double> values) {
  double top = 0;
  for (const double v : values) top = std::max(top, std::abs(v));
  return top;
}

}  // namespace

/// What one part of the rows adds to the objective and its gradient.
struct SoftmaxRegression::Part {
  double loss = 0;
  std::vector<double> gradient, bias, curvature;  // outputs x (dim + 1), outputs, outputs
  std::vector<float> product, logits, scratch_logits, scratch;
};

SoftmaxRegression::SoftmaxRegression(const learning::FeatureRows& rows, std::size_t classes,
                                     Parallel& parallel, const RegressionOptions& options)
    : rows_(rows),
      parallel_(parallel),
      options_(options),
      loss_(rows, classes, options.loss, options.weights),
      dim_(rows.dim()),
      classes_(classes) {
  parts_.resize(numeric::Parts(rows.blocks(), size() * (sizeof(double) + sizeof(float))).count());
  if (dim_ <= kMaxGramDim && rows.rows() >= kMinRowsPerDim * dim_) build_gram();
  take_means();
  move_to(std::vector<double>(size()));
  gradient_scale_ = max_abs(last_.gradient);
}

SoftmaxRegression::~SoftmaxRegression() = default;

void SoftmaxRegression::move_to(std::span<const double> solution) {
  if (std::equal(solution.begin(), solution.end(), point_.begin(), point_.end())) return;
  const std::size_t outputs = loss_.outputs();
  weight_.resize(outputs * dim_);
  bias_.resize(outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    const double* from = solution.data() + k * (dim_ + 1);
    std::transform(from, from + dim_, weight_.data() + k * dim_,
                   [](double v) { return static_cast<float>(v); });
    bias_[k] = static_cast<float>(from[dim_]);
  }
  const numeric::Parts cut(rows_.blocks(), size() * (sizeof(double) + sizeof(float)));
  parallel_.for_each(parts_.size(), [&](std::size_t p) {
    Part& part = parts_[p];
    part.loss = 0;
    part.gradient.assign(size(), 0);
    part.curvature.assign(outputs, 0);
    part.bias.resize(outputs);
    part.product.resize(outputs * dim_);
    for (std::size_t b = cut.begin(p); b < cut.begin(p + 1); ++b) add_block(b, part);
  });
  last_.loss = 0;
  last_.gradient.assign(size(), 0);
  last_.curvature.assign(outputs, 0);
  for (const Part& part : parts_) {
    last_.loss += part.loss;
    for (std::size_t i = 0; i < size(); ++i) last_.gradient[i] += part.gradient[i];
    for (std::size_t k = 0; k < outputs; ++k) last_.curvature[k] += part.curvature[k];
  }
  point_.assign(solution.begin(), solution.end());
}

double SoftmaxRegression::evaluate(double c, std::span<const double> solution, std::span<double> gradient) {
  move_to(solution);
  double squares = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    const double w = i % (dim_ + 1) < dim_ ? solution[i] : 0;
    squares += w * w;
    gradient[i] = c * last_.gradient[i] + w;
  }
  return c * last_.loss + 0.5 * squares;
}

void SoftmaxRegression::add_block(std::size_t block, Part& part) const {
  const std::size_t n = rows_.count(block), outputs = loss_.outputs();
  const float* x = rows_.block(block, part.scratch);
  const numeric::MatrixRef<const float> weight(weight_.data(), outputs, dim_);
  const numeric::MatrixRef<float> product(part.product.data(), outputs, dim_);
  std::fill(part.product.begin(), part.product.end(), 0.0F);
  std::fill(part.bias.begin(), part.bias.end(), 0.0);
  // With few outputs a group of rows is used for both products while it is in the fastest cache.
  const bool narrow = outputs <= numeric::kNarrow;
  const std::size_t step = narrow ? kNarrowRows : n;
  for (std::size_t first = 0; first < n; first += step) {
    const std::size_t count = std::min(step, n - first);
    const numeric::MatrixRef<const float> rows(x + first * dim_, count, dim_);
    part.logits.resize(count * outputs);
    const numeric::MatrixRef<float> logits(part.logits.data(), count, outputs);
    const numeric::MatrixRef<const float> derivatives(part.logits.data(), count, outputs);
    narrow ? numeric::narrow_nt(rows, weight, logits) : numeric::multiply_nt(rows, weight, logits);
    for (std::size_t r = 0; r < count; ++r) {
      for (std::size_t k = 0; k < outputs; ++k) part.logits[r * outputs + k] += bias_[k];
    }
    part.loss += loss_.derive(rows_.begin(block) + first, part.logits, part.curvature, part.scratch_logits);
    narrow ? numeric::add_narrow_tn(derivatives, rows, product)
           : numeric::multiply_tn(derivatives, rows, product);
    for (std::size_t r = 0; r < count; ++r) {
      for (std::size_t k = 0; k < outputs; ++k) part.bias[k] += part.logits[r * outputs + k];
    }
  }
  for (std::size_t k = 0; k < outputs; ++k) {
    double* to = part.gradient.data() + k * (dim_ + 1);
    for (std::size_t d = 0; d < dim_; ++d) to[d] += part.product[k * dim_ + d];
    to[dim_] += part.bias[k];
  }
}

/// From every n-th row where there are many: a preconditioner need not be exact. Tile by tile of its rows, so
/// that threads need no sums of their own.
void SoftmaxRegression::build_gram() {
  const std::size_t n = dim_ + 1;
  const std::size_t step = std::max<std::size_t>(1, rows_.rows() / (kMaxRowsPerDim * n));
  const std::size_t count = (rows_.rows() + step - 1) / step;
  std::vector<float> sample(count * dim_);
  parallel_.for_each(rows_.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const std::size_t begin = rows_.begin(b);
    std::size_t to = (begin + step - 1) / step;
    if (to * step >= begin + rows_.count(b)) return;
    const float* x = rows_.block(b, scratch);
    for (; to * step < begin + rows_.count(b); ++to)
      std::copy_n(x + (to * step - begin) * dim_, dim_, sample.data() + to * dim_);
  });
  gram_.assign(n * n, 0);
  const double scale = static_cast<double>(rows_.rows()) / static_cast<double>(count);
  const std::size_t tiles = (dim_ + kGramTile - 1) / kGramTile;
  parallel_.for_each(tiles, [&](std::size_t t) {
    const std::size_t first = (tiles - 1 - t) * kGramTile;  // the longest rows come first
    const std::size_t end = std::min(dim_, first + kGramTile), height = end - first;
    std::vector<float> product(height * end);
    numeric::multiply_tn({sample.data() + first, count, height, dim_}, {sample.data(), count, end, dim_},
                         {product.data(), height, end});
    for (std::size_t i = 0; i < height; ++i) {
      for (std::size_t j = 0; j <= first + i; ++j) gram_[(first + i) * n + j] = scale * product[i * end + j];
    }
  });
  double* ones = gram_.data() + dim_ * n;
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t d = 0; d < dim_; ++d) ones[d] += scale * sample[r * dim_ + d];
  }
  ones[dim_] = static_cast<double>(rows_.rows());
  // Squares of huge features overflow where the features do not; the plain method copes.
  if (!std::all_of(gram_.begin(), gram_.end(), [](double v) { return std::isfinite(v); })) gram_.clear();
}

/// Asked for the first time at the start of a fit, when `last_` is what is known of it.
numeric::Preconditioner SoftmaxRegression::preconditioner(double c) {
  if (gram_.empty()) {
    // Of biases that curve less than the penalty.
    std::vector<double> curvature = last_.curvature;
    for (double& h : curvature) h = std::min(1.0, floored(c, h));
    if (std::all_of(curvature.begin(), curvature.end(), [](double h) { return h == 1; })) return {};
    return [this, curvature](std::span<double> v) {
      for (std::size_t k = 0; k < curvature.size(); ++k) v[bias_at(k)] /= curvature[k];
    };
  }
  return [this, c, known = false, good = false](std::span<double> v) mutable {
    if (!known) good = factorise(c);
    known = true;
    const std::size_t n = dim_ + 1;
    if (good) numeric::cholesky_solve({factor_.data(), n, n}, {v.data(), v.size() / n, n});
  };
}

bool SoftmaxRegression::factorise(double c) {
  const std::size_t n = dim_ + 1;
  double diagonal = 0;
  for (std::size_t i = 0; i < n; ++i) diagonal = std::max(diagonal, gram_[i * n + i]);
  const double curvature = std::accumulate(last_.curvature.begin(), last_.curvature.end(), 0.0) /
                           static_cast<double>(rows_.rows() * loss_.outputs());
  const double factor = c * std::max(curvature, 1e-6);
  // Rounding of X'X can outweigh the ridge; a larger one still gives a good preconditioner.
  for (double ridge = 1; ridge < 1e30; ridge = std::max(10 * ridge, 1e-6 * factor * diagonal)) {
    factor_.resize(n * n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) factor_[i * n + j] = factor * gram_[i * n + j];
      if (i < dim_) factor_[i * n + i] += ridge;
    }
    if (numeric::cholesky({factor_.data(), n, n})) return true;
  }
  return false;
}

double SoftmaxRegression::floored(double c, double curvature) const {
  return c * std::max(curvature, 1e-6 * static_cast<double>(rows_.rows()));
}

void SoftmaxRegression::take_means() {
  const numeric::Parts cut(rows_.blocks(), size() * (sizeof(double) + sizeof(float)));
  parallel_.for_each(parts_.size(), [&](std::size_t p) {
    Part& part = parts_[p];
    part.loss = 0;
    part.gradient.assign(dim_, 0);
    for (std::size_t b = cut.begin(p); b < cut.begin(p + 1); ++b) {
      const float* x = rows_.block(b, part.scratch);
      for (std::size_t i = 0; i < rows_.count(b) * dim_; ++i) {
        part.gradient[i % dim_] += x[i];
        part.loss += static_cast<double>(x[i]) * x[i];
      }
    }
  });
  mean_.assign(dim_, 0);
  spread_ = 0;
  const auto n = static_cast<double>(rows_.rows());
  for (const Part& part : parts_) {
    spread_ += part.loss / n;
    for (std::size_t d = 0; d < dim_; ++d) mean_[d] += part.gradient[d] / n;
  }
  for (const double m : mean_) spread_ -= m * m;
  spread_ = std::max(spread_, 0.0);
}

/// The gradient of the weights where b is at its optimum is that of centred features, to first order: b moves
/// by -g / h, and with it each row's part of the gradient.
double SoftmaxRegression::gap(double c, std::span<const double> gradient) const {
  double twice = 0;
  for (std::size_t k = 0; k < loss_.outputs(); ++k) {
    const double* g = gradient.data() + k * (dim_ + 1);
    const double b = g[dim_], h = c * last_.curvature[k];
    for (std::size_t d = 0; d < dim_; ++d) twice += (g[d] - b * mean_[d]) * (g[d] - b * mean_[d]);
    // b^2 / h, not half of it: far from its optimum the loss falls like an exponential.
    if (b != 0) twice += b * b * std::max(1.0, 2 / h);
  }
  return 0.5 * twice;
}

/// What is left to gain by the biases alone, and what that would do to the gradient of the weights.
double SoftmaxRegression::bias_slack(double c, std::span<const double> gradient) const {
  double twice = 0;
  for (std::size_t k = 0; k < loss_.outputs(); ++k) {
    const double g = gradient[bias_at(k)];
    if (g != 0) twice += g * g * (1 / (c * last_.curvature[k]) + spread_);
  }
  return 0.5 * twice;
}

/// Newton steps of the biases alone, from and to the last point of evaluation, until next to nothing is left
/// or float32 allows no progress.
int SoftmaxRegression::settle(double c, std::span<double> solution, std::span<double> gradient,
                              double enough) {
  int evaluations = 0;
  for (double slack = bias_slack(c, gradient); slack > enough;) {
    const std::vector<double> before(solution.begin(), solution.end());
    for (std::size_t k = 0; k < loss_.outputs(); ++k)
      solution[bias_at(k)] -= gradient[bias_at(k)] / floored(c, last_.curvature[k]);
    evaluate(c, solution, gradient), ++evaluations;
    const double now = bias_slack(c, gradient);
    if (!(now < slack)) {
      std::copy(before.begin(), before.end(), solution.begin());
      evaluate(c, solution, gradient), ++evaluations;
    }
    if (!(now < 0.5 * slack)) break;
    slack = now;
  }
  return evaluations;
}

numeric::LbfgsResult SoftmaxRegression::fit(double c, std::span<double> solution) {
  if (std::all_of(solution.begin(), solution.end(), [](double v) { return v == 0; })) {
    for (std::size_t k = 0; k < loss_.outputs(); ++k) solution[bias_at(k)] = loss_.share_biases()[k];
  }
  std::vector<double> gradient(size());
  evaluate(c, solution, gradient);
  numeric::LbfgsOptions options;
  options.max_iterations = options_.max_iterations;
  options.gradient_tolerance = options_.gradient_tolerance * gradient_scale(c);
  options.gap_tolerance = options_.tolerance;
  options.gap = [&](std::span<const double> g) { return gap(c, g); };
  options.noise = kNoise;
  numeric::LbfgsResult total;
  for (int round = 1;; ++round) {
    const numeric::LbfgsResult joint =
        numeric::minimize([&](std::span<const double> x, std::span<double> g) { return evaluate(c, x, g); },
                          solution, options, preconditioner(c));
    total.iterations += joint.iterations;
    total.evaluations += joint.evaluations;
    total.stop = joint.stop;
    total.objective = evaluate(c, solution, gradient);
    const bool asked =
        joint.stop == numeric::LbfgsStop::MaxIterations || joint.gradient_max <= options.gradient_tolerance;
    if (!asked) {
      total.evaluations += settle(c, solution, gradient, kSettled * options_.tolerance * total.objective);
      total.objective = evaluate(c, solution, gradient);
    }
    total.gradient_max = max_abs(gradient);
    total.gap = gap(c, gradient);
    if (asked) return total;
    const bool proved = total.gap <= options_.tolerance * total.objective;
    if (proved || joint.stop == numeric::LbfgsStop::Precision || round == kMaxRounds) {
      total.stop = proved ? numeric::LbfgsStop::Converged : numeric::LbfgsStop::Precision;
      return total;
    }
    options.max_iterations = options_.max_iterations - total.iterations;
  }
}

LinearModel SoftmaxRegression::model(std::span<const double> solution,
                                     const learning::RowScaler& scaler) const {
  LinearModel m;
  m.dim = dim_;
  m.classes = classes_;
  m.fitted = fitted();
  m.scaler = scaler;
  m.loss = options_.loss;
  for (std::size_t k = 0; k < loss_.outputs(); ++k) {
    const double* from = solution.data() + k * (dim_ + 1);
    for (std::size_t d = 0; d < dim_; ++d) m.weight.push_back(static_cast<float>(from[d]));
    m.bias.push_back(static_cast<float>(from[dim_]));
  }
  return m;
}

}  // namespace graft::linear
