#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <learning/features.h>
#include <linear/linear_model.h>
#include <linear/loss.h>
#include <numeric/lbfgs.h>

namespace graft::linear {

struct RegressionOptions {
  double tolerance = 1e-6;  ///< Fraction of the objective that may remain to gain.
  int max_iterations = 1000;
  Loss loss = Loss::Softmax;
  ClassWeights weights = ClassWeights::None;
  /// Also converged when the largest element of the gradient is at most this fraction of that at zero; 0: not
  /// used.
  double gradient_tolerance = 0;
};

/// Logistic regression on fixed rows, multinomial or one class against the rest (see ClassLoss):
///
///     minimise  c * L(W x_i + b, y_i) + 0.5 ||W||^2,   b free
///
/// (scikit-learn's form: "User guide", section 1.1.11). With two classes W is one row and L is the binary
/// cross entropy. Solved by L-BFGS, preconditioned by the Cholesky factor of c h X'X + I, where h is the mean
/// curvature of the loss at the start (compare the bound of Böhning 1992) and X'X is estimated from every
/// n-th row where there are many more rows than features; as long as X'X is of moderate size.
///
/// A fit has converged when its gradient g proves that the objective f is within `tolerance` of its minimum:
/// |g|^2 / 2 <= tolerance f with b at its optimum for W, since the penalty makes the minimum over b curve at
/// least as much as |W|^2 / 2. b is brought there by Newton steps of its own; what float32 leaves of its
/// gradient is accounted for to first order, by the curvature of b and the mean of the rows.
///
/// Products run in float32 over fixed blocks of rows, sums over blocks in double and in a fixed order: the
/// result has the same bits for any number of threads. An Interruptible stops it between two evaluations.
class SoftmaxRegression {
 public:
  /// `rows` and `parallel` must outlive this. Throws Error unless the rows show something to tell apart.
  SoftmaxRegression(const learning::FeatureRows& rows, std::size_t classes, Parallel& parallel,
                    const RegressionOptions& options);
  ~SoftmaxRegression();

  const std::vector<std::int32_t>& fitted() const { return loss_.fitted(); }
  /// Size of a solution: outputs x (dim + 1), row-major, the bias last.
  std::size_t size() const { return loss_.outputs() * (dim_ + 1); }
  /// Minimises from `solution`, in place; from zeros, the biases start at the shares of the classes.
  numeric::LbfgsResult fit(double c, std::span<double> solution);
  LinearModel model(std::span<const double> solution, const learning::RowScaler& scaler) const;

  /// Largest element of the gradient at zero weights.
  double gradient_scale(double c) const { return c * gradient_scale_; }

  /// Value and gradient of the objective.
  double evaluate(double c, std::span<const double> solution, std::span<double> gradient);

 private:
  struct Part;
  /// Sums over all rows, for c = 1 and without the penalty.
  struct Sums {
    double loss = 0;
    std::vector<double> curvature;  ///< Of every bias: sum of p (1 - p).
    std::vector<double> gradient;
  };
  void move_to(std::span<const double> solution);  ///< Brings `last_` up to date.
  void add_block(std::size_t block, Part& part) const;
  void build_gram();
  numeric::Preconditioner preconditioner(double c);
  bool factorise(double c);
  void take_means();
  double gap(double c, std::span<const double> gradient) const;  ///< At the last point of evaluation.
  double bias_slack(double c, std::span<const double> gradient) const;
  int settle(double c, std::span<double> solution, std::span<double> gradient, double enough);
  double floored(double c, double curvature) const;
  std::size_t bias_at(std::size_t output) const { return output * (dim_ + 1) + dim_; }

  const learning::FeatureRows& rows_;
  Parallel& parallel_;
  RegressionOptions options_;
  ClassLoss loss_;
  std::size_t dim_;
  std::size_t classes_;
  std::vector<Part> parts_;           ///< Their number is fixed by the shape of the data.
  std::vector<float> weight_, bias_;  ///< The point of evaluation, rounded to float32.
  Sums last_;                         ///< At the last point of evaluation, `point_`.
  std::vector<double> point_;
  std::vector<double> mean_;   ///< Of the rows.
  double spread_ = 0;          ///< Mean of their squared distances from it.
  double gradient_scale_ = 0;  ///< Largest element of the gradient at zero, for c = 1.
  std::vector<double> gram_;   ///< Lower triangle of [X 1]'[X 1]; empty when it would be too large.
  std::vector<double> factor_;
};

}  // namespace graft::linear
