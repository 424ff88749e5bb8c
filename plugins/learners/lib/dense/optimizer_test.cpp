#include <dense/optimizer.h>

#include <gmock/gmock.h>

#include <cmath>

#include <graft/predictor.h>

#include <dense/schedule.h>
#include <dense/trainer.h>

namespace graft::dense {
namespace {

using Kind = OptimizerOptions::Kind;

// PyTorch 1.13, double: SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01), Adam and AdamW(lr=0.1,
// weight_decay=0.01) on [1, -2] with the gradients below.
struct ReferenceSteps {
  Kind kind;
  double after[3][2];
};

class OptimizerOfPyTorch : public ::testing::TestWithParam<ReferenceSteps> {};

TEST_P(OptimizerOfPyTorch, TakesTheSameSteps) {
  const float gradients[3][2] = {{0.5F, -1}, {0.25F, 2}, {-1, 0.125F}};
  OptimizerOptions options;
  options.kind = GetParam().kind;
  options.weight_decay = 0.01;
  Optimizer optimizer(options, 2), halves(options, 2);
  std::vector<float> x = {1, -2}, y = x;
  for (int step = 0; step < 3; ++step) {
    const std::span<const float> gradient(gradients[step]);
    optimizer.update(x, gradient, 0, true, 0.1, step + 1);
    for (int i = 0; i < 2; ++i) EXPECT_NEAR(x[i], GetParam().after[step][i], 2e-6) << step << " " << i;
    for (std::size_t i = 0; i < 2; ++i)
      halves.update(std::span(y).subspan(i, 1), gradient.subspan(i, 1), i, true, 0.1, step + 1);
    EXPECT_EQ(x, y);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, OptimizerOfPyTorch,
    ::testing::Values(
        ReferenceSteps{Kind::Sgd,
                       {{0.9031, -1.8062}, {0.812574110, -2.100148220}, {0.942869708, -2.206086916}}},
        ReferenceSteps{
            Kind::Adam,
            {{0.900000002, -1.900000001}, {0.806555041, -1.935504419}, {0.825847770, -1.965945853}}},
        ReferenceSteps{
            Kind::AdamW,
            {{0.899000002, -1.898000001}, {0.804883040, -1.932712353}, {0.824713860, -1.962603026}}}));

TEST(Optimizer, DecaysOnlyWhatDecays) {
  for (const Kind kind : {Kind::Sgd, Kind::Adam, Kind::AdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    options.weight_decay = 0.5;
    Optimizer optimizer(options, 2);
    std::vector<float> x = {1, 1};
    optimizer.update(std::span(x).first(1), std::vector<float>{0}, 0, true, 0.1, 1);
    optimizer.update(std::span(x).last(1), std::vector<float>{0}, 1, false, 0.1, 1);
    EXPECT_LT(x[0], 1);
    EXPECT_EQ(x[1], 1);
  }
}

TEST(Trainer, DoesNotDecayBiases) {
  // A batch whose classes all have the weight 0 has no gradient: what moves is decay alone.
  Network network({2, 3, 2});
  std::fill(network.parameters().begin(), network.parameters().end(), 1.0F);
  TrainerOptions options;
  options.optimizer.weight_decay = 0.5;
  options.loss.class_weights = {0, 0};
  Sequential sequential;
  const std::vector<float> x = {1, 2};
  Trainer trainer(network, options, sequential);
  const Trainer::Sum sum = trainer.step({{x.data()}, {1, 0}, {}, 1}, 0.1, 1);
  EXPECT_EQ(sum.weight, 0);
  EXPECT_EQ(sum.loss, 0);
  for (const Network::Layer& layer : network.layers()) {
    for (std::size_t i = layer.weight; i < layer.bias; ++i) EXPECT_FLOAT_EQ(network.parameters()[i], 0.95F);
    for (std::size_t i = 0; i < layer.outputs; ++i) EXPECT_EQ(network.bias(layer)[i], 1);
  }
}

TEST(Schedule, WarmsUpAndFollowsHalfACosine) {
  Schedule schedule;
  schedule.epochs = 10;
  schedule.warmup_epochs = 2;
  EXPECT_DOUBLE_EQ(schedule.factor(0, 0.5), 0.2);  // of steps 0 to 4: 1/5, 2/5, ...
  EXPECT_DOUBLE_EQ(schedule.factor(1.5, 0.5), 0.8);
  EXPECT_DOUBLE_EQ(schedule.factor(2, 0.5), 1);
  EXPECT_DOUBLE_EQ(schedule.factor(4, 0.5), 0.5 * (1 + std::sqrt(0.5)));  // a quarter of the way
  EXPECT_NEAR(schedule.factor(6, 0.5), 0.5, 1e-15);
  EXPECT_NEAR(schedule.factor(10, 0.5), 0, 1e-15);
}

TEST(Schedule, StaysOrDropsStepByStep) {
  Schedule schedule;
  schedule.kind = Schedule::Kind::Constant;
  schedule.epochs = 100;
  EXPECT_EQ(schedule.factor(0, 1), 1);
  EXPECT_EQ(schedule.factor(99, 1), 1);
  schedule.kind = Schedule::Kind::Step;
  EXPECT_EQ(schedule.factor(29.9, 1), 1);
  EXPECT_NEAR(schedule.factor(30, 1), 0.1, 1e-15);
  EXPECT_NEAR(schedule.factor(60, 1), 0.01, 1e-15);
  EXPECT_NEAR(schedule.factor(95, 1), 0.001, 1e-15);
}

TEST(Schedule, OfNothingButWarmUpIsFinite) {
  Schedule schedule;
  schedule.epochs = schedule.warmup_epochs = 1;
  for (const double now : {0.0, 0.5, 1.0, 2.0}) EXPECT_TRUE(std::isfinite(schedule.factor(now, 0.5)));
}

}  // namespace
}  // namespace graft::dense
