#include <fmt/format.h>
#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <cmath>
#include <limits>
#include <set>

#include <graft/random.h>

#include <linear/softmax_regression.h>
#include <numeric/blas.h>

namespace graft::linear {
namespace {

using graft::testing::Threads;
using ::testing::ElementsAre;
using ::testing::StrEq;

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

/// Random rows with one label, or two that may be the same; each leans towards the axis of its first one.
/// Imbalanced: the first classes are much more frequent than the last.
class RandomRows final : public RowSet {
 public:
  RandomRows(std::size_t n, std::size_t dim, std::size_t classes, bool several, std::uint64_t seed = 1,
             double lean = 1, bool imbalanced = false, double offset = 0)
      : dim_(dim), shape_({static_cast<std::int64_t>(dim)}) {
    Random random(seed);
    const auto any = [&] {
      const std::size_t most = imbalanced ? random.below(random.below(classes) + 1) + 1 : classes;
      return static_cast<std::int32_t>(random.below(most));
    };
    for (std::size_t r = 0; r < n; ++r) {
      labels_.push_back({r < classes ? static_cast<std::int32_t>(r) : any()});  // all are there
      if (several) labels_.back().push_back(any());
      for (std::size_t d = 0; d < dim; ++d) {
        values_.push_back(
            static_cast<float>(offset + random.normal() + (labels_[r][0] == static_cast<int>(d) ? lean : 0)));
      }
    }
  }
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t) const override { return "a.jpg"; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t r) const override { return labels_[r]; }
  void read(std::size_t first, std::size_t count, float* out) const override {
    std::copy_n(values_.data() + first * dim_, count * dim_, out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }
  const float* row(std::size_t r) const { return values_.data() + r * dim_; }
  bool negative(std::size_t r) const override { return labels_[r].empty(); }
  /// From row `first` on, every n-th row shows none of the classes.
  void make_negative(std::size_t first, std::size_t n) {
    for (std::size_t r = first; r < labels_.size(); r += n) labels_[r].clear();
  }

 private:
  std::size_t dim_;
  Shape shape_;
  std::vector<float> values_;
  std::vector<std::vector<std::int32_t>> labels_;
};

struct Case {
  std::size_t classes;
  Loss loss;
  ClassWeights weights;
};

/// The objective written down from its definition, in double.
double objective(const RandomRows& rows, const Case& of, double c, const std::vector<double>& w) {
  const std::size_t dim = rows.dim(), k = outputs_for(of.classes, of.loss), n = rows.rows();
  std::vector<double> counts(of.classes);
  for (std::size_t r = 0; r < n; ++r) {
    const auto labels = rows.labels(r);
    for (const std::int32_t label : std::set<std::int32_t>(labels.begin(), labels.end())) counts[label] += 1;
  }
  const bool balanced = of.weights == ClassWeights::Balanced;
  double loss = 0, squares = 0;
  for (std::size_t i = 0; i < w.size(); ++i) squares += i % (dim + 1) == dim ? 0 : w[i] * w[i];
  for (std::size_t r = 0; r < n; ++r) {
    std::vector<double> z(k);
    double sum = 0;
    for (std::size_t j = 0; j < k; ++j) {
      z[j] = w[j * (dim + 1) + dim];
      for (std::size_t d = 0; d < dim; ++d) z[j] += w[j * (dim + 1) + d] * rows.row(r)[d];
      sum += std::exp(z[j]);
    }
    const auto labels = rows.labels(r);
    if (of.loss == Loss::Softmax && k > 1) {
      const auto y = static_cast<std::size_t>(labels[0]);
      const double weight = balanced ? n / (static_cast<double>(of.classes) * counts[y]) : 1;
      loss += weight * (std::log(sum) - z[y]);
      continue;
    }
    for (std::size_t j = 0; j < k; ++j) {
      const std::size_t cls = k == 1 && of.classes == 2 ? 1 : j;
      const bool yes = std::count(labels.begin(), labels.end(), static_cast<std::int32_t>(cls)) > 0;
      const double side = yes ? counts[cls] : static_cast<double>(n) - counts[cls];
      loss += (balanced ? n / (2 * side) : 1) * std::log1p(std::exp(yes ? -z[j] : z[j]));
    }
  }
  return c * loss + 0.5 * squares;
}

/// The minimum of `objective` by Newton's method, in double; `w` is where it starts and ends.
double exact_minimum(const RandomRows& rows, const Case& of, double c, std::vector<double>& w) {
  const std::size_t dim = rows.dim() + 1, k = outputs_for(of.classes, of.loss), n = rows.rows();
  const bool softmax = of.loss == Loss::Softmax && k > 1;
  std::vector<double> counts(of.classes);
  for (std::size_t r = 0; r < n; ++r) {
    const auto labels = rows.labels(r);
    for (const std::int32_t label : std::set<std::int32_t>(labels.begin(), labels.end())) counts[label] += 1;
  }
  double here = objective(rows, of, c, w);
  for (int iteration = 0; iteration < 100; ++iteration) {
    const std::size_t size = w.size();
    std::vector<double> gradient(size), hessian(size * size), a(dim, 1), p(k), v(k), z(k);
    for (std::size_t r = 0; r < n; ++r) {
      const auto labels = rows.labels(r);
      std::copy_n(rows.row(r), dim - 1, a.begin());
      double sum = 0;
      for (std::size_t j = 0; j < k; ++j) {
        z[j] = 0;
        for (std::size_t d = 0; d < dim; ++d) z[j] += w[j * dim + d] * a[d];
        sum += std::exp(z[j]);
      }
      for (std::size_t j = 0; j < k; ++j) {
        const std::size_t cls = k == 1 ? 1 : j;
        const bool yes = std::count(labels.begin(), labels.end(), static_cast<std::int32_t>(cls)) > 0;
        const double all = static_cast<double>(n), side = yes ? counts[cls] : all - counts[cls];
        p[j] = softmax ? std::exp(z[j]) / sum : 1 / (1 + std::exp(-z[j]));
        v[j] = of.weights == ClassWeights::None ? 1
               : softmax
                   ? all / (static_cast<double>(of.classes) * counts[static_cast<std::size_t>(labels[0])])
                   : all / (2 * side);
        for (std::size_t d = 0; d < dim; ++d)
          gradient[j * dim + d] += c * v[j] * (p[j] - (yes ? 1 : 0)) * a[d];
      }
      for (std::size_t j = 0; j < k; ++j) {
        for (std::size_t i = softmax ? 0 : j; i <= j; ++i) {
          const double h = c * v[j] * p[j] * ((i == j ? 1 : 0) - p[i]);
          for (std::size_t d = 0; d < dim; ++d)
            for (std::size_t e = 0; e < dim; ++e)
              hessian[(j * dim + d) * size + i * dim + e] += h * a[d] * a[e];
        }
      }
    }
    for (std::size_t i = 0; i < size; ++i) {
      if (i % dim < dim - 1) {
        gradient[i] += w[i];
        hessian[i * size + i] += 1;
        continue;
      }
      // Of a softmax, what all biases have in common is of no account; the curvature there is anything.
      for (std::size_t j = dim - 1; softmax && j <= i; j += dim) hessian[i * size + j] += c;
    }
    std::vector<double> step = gradient;
    EXPECT_TRUE(numeric::cholesky({hessian.data(), size, size}));
    numeric::cholesky_solve({hessian.data(), size, size}, {step.data(), 1, size});
    double decrement = 0, length = 1, there = 0;
    for (std::size_t i = 0; i < size; ++i) decrement += step[i] * gradient[i];
    if (!(decrement > 1e-11 * here)) return here;
    std::vector<double> to(size);
    for (;; length /= 2) {
      for (std::size_t i = 0; i < size; ++i) to[i] = w[i] - length * step[i];
      there = objective(rows, of, c, to);
      if (there <= here - 0.1 * length * decrement || length < 1e-9) break;
    }
    w = to;
    here = there;
  }
  ADD_FAILURE() << "no exact minimum for c = " << c;
  return here;
}

class Regressions : public ::testing::TestWithParam<Case> {
 protected:
  static RegressionOptions options() {
    RegressionOptions o;
    o.loss = GetParam().loss;
    o.weights = GetParam().weights;
    return o;
  }
  static bool several() { return GetParam().loss == Loss::Independent; }
  static metrics::LabelMode mode() {
    return several() ? metrics::LabelMode::Multi : metrics::LabelMode::Single;
  }
};

TEST_P(Regressions, HaveTheValueAndGradientOfTheirDefinition) {
  constexpr std::size_t kDim = 5;
  Sequential sequential;
  const RandomRows table(150, kDim, GetParam().classes, several());
  const learning::FeatureRows rows(table, GetParam().classes, kAll, sequential, mode());
  SoftmaxRegression regression(rows, GetParam().classes, sequential, options());
  Random random(7);
  for (const double c : {0.01, 2.0}) {
    for (const double spread : {0.0, 0.5, 3.0}) {
      std::vector<double> w(regression.size()), gradient(regression.size());
      for (double& v : w) v = static_cast<float>(spread * random.normal());
      const double value = regression.evaluate(c, w, gradient);
      EXPECT_NEAR(value / objective(table, GetParam(), c, w), 1, 1e-6);
      for (std::size_t i = 0; i < w.size(); ++i) {
        constexpr double kStep = 1e-5;
        std::vector<double> up = w, down = w;
        up[i] += kStep;
        down[i] -= kStep;
        const double slope =
            (objective(table, GetParam(), c, up) - objective(table, GetParam(), c, down)) / (2 * kStep);
        EXPECT_NEAR(gradient[i], slope, 1e-5 * (1 + c * 150)) << i;
      }
    }
  }
}

TEST(IndependentRegressions, ARowThatShowsNoneOfTheClassesIsANoForEachOfThem) {
  Sequential sequential;
  for (const ClassWeights weights : {ClassWeights::None, ClassWeights::Balanced}) {
    const Case of{4, Loss::Independent, weights};
    RandomRows table(150, 5, of.classes, true);
    table.make_negative(of.classes, 3);
    const learning::FeatureRows rows(table, of.classes, kAll, sequential, metrics::LabelMode::Multi);
    ASSERT_EQ(rows.rows(), 150u);
    RegressionOptions options;
    options.loss = of.loss;
    options.weights = of.weights;
    SoftmaxRegression regression(rows, of.classes, sequential, options);
    Random random(7);
    std::vector<double> w(regression.size()), gradient(regression.size());
    for (double& v : w) v = static_cast<float>(0.5 * random.normal());
    EXPECT_NEAR(regression.evaluate(0.5, w, gradient) / objective(table, of, 0.5, w), 1, 1e-6);
    for (std::size_t i = 0; i < w.size(); ++i) {
      constexpr double kStep = 1e-5;
      std::vector<double> up = w, down = w;
      up[i] += kStep;
      down[i] -= kStep;
      const double slope = (objective(table, of, 0.5, up) - objective(table, of, 0.5, down)) / (2 * kStep);
      EXPECT_NEAR(gradient[i], slope, 1e-3) << i;
    }
  }
}

TEST_P(Regressions, KeepTheDigitsOfSmallLossesWhereClassesLieFarApart) {
  Sequential sequential;
  const std::size_t classes = GetParam().classes, dim = classes;
  const RandomRows table(300, dim, classes, false, 1, 12);
  const learning::FeatureRows rows(table, classes, kAll, sequential, mode());
  SoftmaxRegression regression(rows, classes, sequential, options());
  // Right answers by about 18, so that a row's loss is below the resolution of a float that is nearly 1. Of a
  // softmax, the differences of logits are what counts.
  const bool differences = GetParam().loss == Loss::Softmax && classes > 2;
  const std::size_t outputs = regression.size() / (dim + 1);
  std::vector<double> w(regression.size()), gradient(regression.size());
  for (std::size_t k = 0; k < outputs; ++k) {
    w[k * (dim + 1) + (outputs == 1 ? 1 : k)] = differences ? 1.5 : 3;
    w[k * (dim + 1) + dim] = differences ? -9 : -18;
  }
  constexpr double kC = 1e9;  // the penalty is nothing beside it
  const double value = regression.evaluate(kC, w, gradient);
  EXPECT_NEAR(value / objective(table, GetParam(), kC, w), 1, 1e-5);
  double top = 0;
  for (const double g : gradient) top = std::max(top, std::abs(g));
  for (std::size_t i = 0; i < w.size(); ++i) {
    constexpr double kStep = 1e-4;
    std::vector<double> up = w, down = w;
    up[i] += kStep;
    down[i] -= kStep;
    const double slope =
        (objective(table, GetParam(), kC, up) - objective(table, GetParam(), kC, down)) / (2 * kStep);
    ASSERT_NEAR(gradient[i], slope, 1e-4 * top) << i;
  }
}

/// However little the data count against the penalty, of which the biases are free, and wherever the features
/// lie.
TEST_P(Regressions, ReachTheExactOptimumForEveryCOfImbalancedClasses) {
  Sequential sequential;
  const Case& of = GetParam();
  struct Shape {
    std::size_t rows, dim;  // fewer than two rows a feature: no preconditioner
    double offset;
  };
  for (const auto& [n, dim, offset] : {Shape{200, 5, 0}, Shape{200, 5, 30}, Shape{50, 26, 1}}) {
    const bool few = n == 50;  // separable: with a large c, what float32 allows
    if (of.classes == 40 && few) continue;
    const RandomRows table(n, dim, of.classes, several(), 3, 1, true, offset);
    const learning::FeatureRows rows(table, of.classes, kAll, sequential, mode());
    SoftmaxRegression regression(rows, of.classes, sequential, options());
    std::vector<double> exact(regression.size()), path(regression.size());
    for (const double c : {1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3}) {
      if ((of.classes == 40 && std::lround(std::log10(c)) % 2 == 0) || (few && c > 0.01)) continue;
      const double best = exact_minimum(table, of, c, exact);
      std::vector<double> alone(regression.size());
      for (std::vector<double>* from : {&alone, &path}) {
        const numeric::LbfgsResult result = regression.fit(c, *from);
        const double value = objective(table, of, c, *from);
        const double left = value / best - 1;
        const bool converged = result.stop == numeric::LbfgsStop::Converged;
        const std::string at = fmt::format("c = {}, {} rows, offset {}, {}: {} left", c, n, offset,
                                           from == &path ? "path" : "alone", left);
        EXPECT_LE(left, converged ? 1.2e-6 : 2e-5) << at;
        EXPECT_LE(left, 1.1 * result.gap / value + 1e-7) << at;
        EXPECT_GE(left, -1e-9) << at;
        EXPECT_TRUE(converged || c > 0.05) << at;
      }
    }
  }
}

TEST_P(Regressions, HaveTheSameBitsForAnyNumberOfThreads) {
  Sequential one;
  Threads four(4);
  const RandomRows table(4000, 8, GetParam().classes, several());
  std::vector<std::vector<double>> solutions;
  for (Parallel* parallel : {static_cast<Parallel*>(&one), static_cast<Parallel*>(&four)}) {
    for (const std::size_t cache : {kAll, std::size_t{0}}) {
      const learning::FeatureRows rows(table, GetParam().classes, cache, *parallel, mode());
      SoftmaxRegression regression(rows, GetParam().classes, *parallel, options());
      solutions.emplace_back(regression.size());
      regression.fit(1, solutions.back());
    }
  }
  for (const std::vector<double>& s : solutions) EXPECT_EQ(s, solutions[0]);
}

TEST_P(Regressions, ReachTheGradientToleranceThatIsAskedFor) {
  Sequential sequential;
  const RandomRows table(600, 8, GetParam().classes, several());
  const learning::FeatureRows rows(table, GetParam().classes, kAll, sequential, mode());
  RegressionOptions o = options();
  o.tolerance = 0;
  o.gradient_tolerance = 1e-3;  // near what float32 allows with forty classes
  SoftmaxRegression regression(rows, GetParam().classes, sequential, o);
  std::vector<double> w(regression.size()), gradient(regression.size());
  const numeric::LbfgsResult result = regression.fit(1, w);
  EXPECT_EQ(result.stop, numeric::LbfgsStop::Converged);
  EXPECT_LE(result.gradient_max, 1e-3 * regression.gradient_scale(1));
  regression.evaluate(1, w, gradient);
  double top = 0;
  for (const double g : gradient) top = std::max(top, std::abs(g));
  EXPECT_EQ(result.gradient_max, top);
}

INSTANTIATE_TEST_SUITE_P(Losses, Regressions,
                         ::testing::Values(Case{2, Loss::Softmax, ClassWeights::None},
                                           Case{2, Loss::Softmax, ClassWeights::Balanced},
                                           Case{4, Loss::Softmax, ClassWeights::None},
                                           Case{4, Loss::Softmax, ClassWeights::Balanced},
                                           Case{40, Loss::Softmax, ClassWeights::None},  // by BLAS
                                           Case{2, Loss::OneVsRest, ClassWeights::None},
                                           Case{4, Loss::OneVsRest, ClassWeights::None},
                                           Case{4, Loss::OneVsRest, ClassWeights::Balanced},
                                           Case{2, Loss::Independent, ClassWeights::None},
                                           Case{4, Loss::Independent, ClassWeights::None},
                                           Case{4, Loss::Independent, ClassWeights::Balanced}));

TEST(ClassLoss, NeedsSomethingToTellApart) {
  Sequential sequential;
  const MemoryRows one({1, 2}, 1, {1, 1});
  const learning::FeatureRows rows(one, 3, kAll, sequential);
  const auto message = [&](Loss loss) -> std::string {
    try {
      ClassLoss(rows, 3, loss, ClassWeights::None);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(Loss::Softmax),
              StrEq("the training rows show fewer than two classes: there is nothing to tell apart"));
  EXPECT_THAT(message(Loss::Independent),
              StrEq("no class has training rows with and without it: there is nothing to tell apart"));
  EXPECT_THROW(loss_from("hinge"), Error);
}

TEST(LinearModel, SharesOfOneVsRestAreDefinedWhereAllAnswersAreNo) {
  LinearModel model;
  model.dim = 1;
  model.classes = 4;
  model.fitted = {0, 1, 3};
  model.weight = {0, 0, 0};
  model.loss = Loss::OneVsRest;
  const float row = 0;
  std::vector<float> out(4);
  model.bias = {-1, 0, 1};
  model.scores(&row, 1, out.data());
  const double sum = 1 / (1 + std::exp(1.0)) + 0.5 + 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(out[0], 1 / (1 + std::exp(1.0)) / sum, 1e-6);
  EXPECT_NEAR(out[3], 1 / (1 + std::exp(-1.0)) / sum, 1e-6);
  EXPECT_EQ(out[2], 0);
  model.bias = {-1000, -1000, -1001};  // all underflow; e^z are in the ratios 1, 1, 1 / e
  model.scores(&row, 1, out.data());
  EXPECT_NEAR(out[0], 1 / (2 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(out[3], std::exp(-1.0) / (2 + std::exp(-1.0)), 1e-6);
  model.loss = Loss::Independent;
  model.bias = {-1, 1, 100};
  model.scores(&row, 1, out.data());
  EXPECT_THAT(
      out, ElementsAre(::testing::FloatNear(0.268941F, 1e-6F), ::testing::FloatNear(0.731059F, 1e-6F), 0, 1));
}

}  // namespace
}  // namespace graft::linear
