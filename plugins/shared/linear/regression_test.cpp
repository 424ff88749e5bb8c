#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <cmath>
#include <limits>
#include <set>

#include <graft/random.h>

#include "linear/softmax_regression.h"

namespace graft {
namespace {

using graft::testing::Threads;
using ::testing::ElementsAre;
using ::testing::StrEq;

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

/// Random rows with one label, or two that may be the same; each leans towards the axis of its first one.
class RandomRows final : public RowSet {
 public:
  RandomRows(std::size_t n, std::size_t dim, std::size_t classes, bool several, std::uint64_t seed = 1,
             double lean = 1)
      : dim_(dim), shape_({static_cast<std::int64_t>(dim)}) {
    Random random(seed);
    for (std::size_t r = 0; r < n; ++r) {
      labels_.push_back(
          {static_cast<std::int32_t>(r < classes ? r : random.below(classes))});  // all are there
      if (several) labels_.back().push_back(static_cast<std::int32_t>(random.below(classes)));
      for (std::size_t d = 0; d < dim; ++d) {
        values_.push_back(
            static_cast<float>(random.normal() + (labels_[r][0] == static_cast<int>(d) ? lean : 0)));
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

class Regressions : public ::testing::TestWithParam<Case> {
 protected:
  static RegressionOptions options() {
    RegressionOptions o;
    o.loss = GetParam().loss;
    o.weights = GetParam().weights;
    return o;
  }
  static bool several() { return GetParam().loss == Loss::Independent; }
  static linalg::Labels row_labels() { return several() ? linalg::Labels::Several : linalg::Labels::One; }
};

TEST_P(Regressions, HaveTheValueAndGradientOfTheirDefinition) {
  constexpr std::size_t kDim = 5;
  Sequential sequential;
  const RandomRows table(150, kDim, GetParam().classes, several());
  const linalg::FeatureRows rows(table, GetParam().classes, kAll, sequential, row_labels());
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

TEST_P(Regressions, KeepTheDigitsOfSmallLossesWhereClassesLieFarApart) {
  Sequential sequential;
  const std::size_t classes = GetParam().classes, dim = classes;
  const RandomRows table(300, dim, classes, false, 1, 12);
  const linalg::FeatureRows rows(table, classes, kAll, sequential, row_labels());
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

TEST_P(Regressions, HaveTheSameBitsForAnyNumberOfThreads) {
  Sequential one;
  Threads four(4);
  const RandomRows table(4000, 8, GetParam().classes, several());
  std::vector<std::vector<double>> solutions;
  for (Parallel* parallel : {static_cast<Parallel*>(&one), static_cast<Parallel*>(&four)}) {
    for (const std::size_t cache : {kAll, std::size_t{0}}) {
      const linalg::FeatureRows rows(table, GetParam().classes, cache, *parallel, row_labels());
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
  const linalg::FeatureRows rows(table, GetParam().classes, kAll, sequential, row_labels());
  RegressionOptions o = options();
  o.tolerance = 0;
  o.gradient_tolerance = 1e-3;  // near what float32 allows with forty classes
  SoftmaxRegression regression(rows, GetParam().classes, sequential, o);
  std::vector<double> w(regression.size()), gradient(regression.size());
  const linalg::LbfgsResult result = regression.fit(1, w);
  EXPECT_EQ(result.stop, linalg::LbfgsStop::Converged);
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
  const linalg::FeatureRows rows(one, 3, kAll, sequential);
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
}  // namespace graft
