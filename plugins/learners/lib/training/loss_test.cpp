#include "loss.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <vector>

#include <graft/random.h>

#include <training/training_run.h>

namespace graft::training {
namespace {

at::Tensor random_logits(std::int64_t rows, std::int64_t outputs, std::uint64_t seed) {
  at::Tensor out = at::empty({rows, outputs}, at::kDouble);
  Random random(seed);
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = 2 * random.normal();
  return out;
}

/// -sum over outputs of target * log softmax(z / T).
double cross_entropy(const at::Tensor& logits, const std::vector<std::int64_t>& labels, double s, double t) {
  double sum = 0;
  const auto z = logits.accessor<double, 2>();
  const auto k = static_cast<double>(z.size(1));
  for (std::int64_t i = 0; i < z.size(0); ++i) {
    double total = 0;
    for (std::int64_t j = 0; j < z.size(1); ++j) total += std::exp(z[i][j] / t);
    for (std::int64_t j = 0; j < z.size(1); ++j) {
      const double target = (labels[static_cast<std::size_t>(i)] == j ? 1 - s : 0) + s / k;
      sum -= target * (z[i][j] / t - std::log(total));
    }
  }
  return sum;
}

double binary_cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double s, double t) {
  double sum = 0;
  for (std::int64_t i = 0; i < logits.numel(); ++i) {
    const double p = 1 / (1 + std::exp(-logits.data_ptr<double>()[i] / t));
    const double y = (1 - s) * targets.data_ptr<double>()[i] + s / 2;
    sum -= y * std::log(p) + (1 - y) * std::log(1 - p);
  }
  return sum;
}

/// The gradient against central differences.
void check_gradient(const at::Tensor& logits, const std::function<at::Tensor(const at::Tensor&)>& loss) {
  const at::Tensor z = logits.clone().requires_grad_(true);
  const at::Tensor gradient = torch::autograd::grad({loss(z)}, {z})[0];
  constexpr double kStep = 1e-5;
  for (std::int64_t i = 0; i < logits.numel(); ++i) {
    const auto at = [&](double by) {
      at::Tensor moved = logits.clone();
      moved.data_ptr<double>()[i] += by;
      return loss(moved).item<double>();
    };
    EXPECT_NEAR(gradient.data_ptr<double>()[i], (at(kStep) - at(-kStep)) / (2 * kStep), 1e-7) << i;
  }
}

TEST(Loss, CrossEntropyWithSmoothingAndTemperature) {
  const at::Tensor logits = random_logits(4, 3, 1);
  const at::Tensor labels = at::tensor({2, 0, 1, 1}, at::kLong);
  for (const double s : {0.0, 0.1, 0.6})
    for (const double t : {0.5, 1.0, 4.0}) {
      const LossOptions options{s, t};
      EXPECT_NEAR(loss_of(logits, labels, options).item<double>(), cross_entropy(logits, {2, 0, 1, 1}, s, t),
                  1e-9);
      check_gradient(logits, [&](const at::Tensor& z) { return loss_of(z, labels, options); });
    }
}

TEST(Loss, BinaryCrossEntropyWithSmoothingAndTemperature) {
  const at::Tensor logits = random_logits(3, 2, 2);
  const at::Tensor targets = at::tensor({1.0, 0.0, 1.0, 1.0, 0.0, 0.0}, at::kDouble).reshape({3, 2});
  for (const double s : {0.0, 0.2})
    for (const double t : {0.5, 2.0}) {
      const LossOptions options{s, t};
      EXPECT_NEAR(loss_of(logits, targets, options).item<double>(),
                  binary_cross_entropy(logits, targets, s, t), 1e-9);
      check_gradient(logits, [&](const at::Tensor& z) { return loss_of(z, targets, options); });
    }
}

TEST(Loss, AnImageWithoutARightOutputTeachesNothingAndCountsTheMost) {
  const at::Tensor logits = random_logits(2, 3, 3);
  const at::Tensor one = at::tensor({1, -100}, at::kLong);
  const double first = cross_entropy(logits.narrow(0, 0, 1), {1}, 0, 1);
  EXPECT_NEAR(loss_of(logits, one).item<double>(), first, 1e-9);
  EXPECT_NEAR(score_of(logits, one).mean().log_loss, (first + 52 * std::log(2.0)) / 2, 1e-6);
  EXPECT_EQ(score_of(logits, at::tensor({-100, -100}, at::kLong)).mean().accuracy, 0);
}

TEST(Loss, TheScoreOfSeveralLabelsIsThatOfEvaluate) {
  // Two images, three classes: all right; one of three wrong. scikit-learn's accuracy_score, and the mean of
  // log_loss over the classes.
  const at::Tensor logits = at::tensor({2.0, -1.0, 0.0, 1.0, 3.0, -2.0}).reshape({2, 3});
  const at::Tensor targets = at::tensor({1.0, 0.0, 1.0, 0.0, 1.0, 0.0}).reshape({2, 3});
  const metrics::Score mean = score_of(logits, targets).mean();
  EXPECT_EQ(mean.accuracy, 0.5);  // a probability of one half counts as yes
  EXPECT_NEAR(mean.log_loss, binary_cross_entropy(logits.to(at::kDouble), targets.to(at::kDouble), 0, 1) / 6,
              1e-6);
}

TEST(Loss, Hits) {
  const at::Tensor logits = at::tensor({1.0, 2.0, -1.0, 0.5, -0.5, -2.0}).reshape({2, 3});
  EXPECT_EQ(hits(logits, at::tensor({1, 2}, at::kLong)), 1u);
  EXPECT_EQ(hits(logits, at::tensor({-100, -100}, at::kLong)), 0u);
  EXPECT_EQ(hits(logits, at::tensor({1.0, 1.0, 0.0, 1.0, 1.0, 0.0}).reshape({2, 3})),
            1u);  // all must be right
}

TEST(TrainingPlan, TheRateRisesLinearlyAndFallsAsACosine) {
  TrainingPlan plan;
  plan.epochs = 5;
  plan.warmup_epochs = 1;
  plan.learning_rate = 2;
  EXPECT_DOUBLE_EQ(plan.rate(0, 4), 2 * 1.0 / 5);
  EXPECT_DOUBLE_EQ(plan.rate(3, 4), 2 * 4.0 / 5);
  EXPECT_DOUBLE_EQ(plan.rate(4, 4), 2);
  EXPECT_DOUBLE_EQ(plan.rate(12, 4), 1);
  EXPECT_NEAR(plan.rate(19, 4), 1 + std::cos(std::acos(-1.0) * 15 / 16), 1e-12);
}

TEST(TrainingPlan, TemperaturesAreGoneThroughEvenly) {
  TrainingPlan plan;
  plan.epochs = 5;
  plan.temperatures = {4, 2, 1};
  const std::vector<double> wanted = {4, 3, 2, 1.5, 1};
  for (std::int64_t epoch = 0; epoch < 5; ++epoch)
    EXPECT_DOUBLE_EQ(plan.temperature(epoch), wanted[static_cast<std::size_t>(epoch)]);
  plan.epochs = 1;
  EXPECT_DOUBLE_EQ(plan.temperature(0), 1);
  plan.epochs = 2;
  EXPECT_DOUBLE_EQ(plan.temperature(0), 4);
  EXPECT_DOUBLE_EQ(plan.temperature(1), 1);
}

TEST(TrainingPlan, StepsOfAnEpoch) {
  TrainingPlan plan;
  plan.batch = 32;
  EXPECT_EQ(plan.steps(1), 1);
  EXPECT_EQ(plan.steps(64), 2);
  EXPECT_EQ(plan.steps(65), 2);  // one image waits
  EXPECT_EQ(plan.steps(66), 3);
  plan.accumulate = 2;
  EXPECT_EQ(plan.steps(66), 2);
}

}  // namespace
}  // namespace graft::training
