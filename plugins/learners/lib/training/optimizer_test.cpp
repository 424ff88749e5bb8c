#include <gtest/gtest.h>
#include <torch/script.h>

#include <training/optimizer.h>

namespace graft::training {
namespace {

/// A weight matrix, which decays by 0.1, and a bias, which does not, after each of three steps.
void check_steps(const std::string& name, const float (&wanted)[3][3]) {
  const NamedTensors parameters = {{"weight", at::tensor({1.0f, -2.0f}).reshape({1, 2})},
                                   {"bias", at::tensor({0.5f})}};
  OptimizerOptions options;
  options.name = name;
  options.weight_decay = 0.1;
  const auto optimizer = make_optimizer(options, parameters);
  const float gradients[3][3] = {{0.5f, 0.25f, -1}, {-0.25f, 1, 2}, {0.125f, -0.5f, 0}};
  for (int step = 0; step < 3; ++step) {
    const float* g = gradients[step];
    optimizer->update({at::tensor({g[0], g[1]}).reshape({1, 2}), at::tensor({g[2]})}, 0.1, step + 1);
    EXPECT_NEAR(parameters[0].second[0][0].item<float>(), wanted[step][0], 1e-6) << step;
    EXPECT_NEAR(parameters[0].second[0][1].item<float>(), wanted[step][1], 1e-6) << step;
    EXPECT_NEAR(parameters[1].second[0].item<float>(), wanted[step][2], 1e-6) << step;
  }
}

// What PyTorch 1.13 gives: torch.optim.SGD(lr=0.1, momentum=0.9, nesterov=True), torch.optim.AdamW(lr=0.1).

TEST(Optimizer, SgdWithNesterovMomentumIsPyTorchs) {
  // First step by hand: g = 0.5 + 0.1 * 1 = 0.6, v = g, w = 1 - 0.1 * (0.6 + 0.9 * 0.6) = 0.886.
  check_steps("sgd", {{0.8860000f, -2.0095000f, 0.6900000f},
                      {0.8680660f, -2.1653695f, 0.3910000f},
                      {0.7971561f, -2.0975955f, 0.3019000f}});
}

TEST(Optimizer, AdamWIsPyTorchs) {
  // First step by hand: the corrected moments give the gradient's sign, w = 1 * (1 - 0.1 * 0.1) - 0.1 = 0.89.
  check_steps("adamw", {{0.8900000f, -2.0799999f, 0.6000000f},
                        {0.8544664f, -2.1476376f, 0.5633896f},
                        {0.8118788f, -2.1597712f, 0.5350897f}});
}

TEST(Optimizer, DefaultsDependOnTheOptimizer) {
  const auto options = [](const std::string& json) {
    std::vector<ParamFault> faults;
    return OptimizerOptions(Params(resolve(optimizer_parameters(), Value::from_json(json), faults)));
  };
  EXPECT_EQ(options("{}").learning_rate, 0.1);
  EXPECT_EQ(options("{}").weight_decay, 5e-4);
  EXPECT_EQ(options(R"({"optimizer": "adamw"})").learning_rate, 0.001);
  EXPECT_EQ(options(R"({"optimizer": "adamw"})").weight_decay, 0.05);
  EXPECT_EQ(options(R"({"optimizer": "adamw", "learning_rate": 0.01})").learning_rate, 0.01);
}

TEST(Optimizer, AParameterWaitsForItsStepAndFollowsItsRate) {
  for (const char* name : {"sgd", "adamw"}) {
    OptimizerOptions options;
    options.name = name;
    const NamedTensors late = {{"w", at::tensor({1.0f, -2.0f}).reshape({1, 2})}};
    const NamedTensors alone = {{"w", at::tensor({1.0f, -2.0f}).reshape({1, 2})}};
    const auto waiting = make_optimizer(options, late, {{0.5, 2}}), plain = make_optimizer(options, alone);
    const at::Tensor gradient = at::tensor({0.5f, 0.25f}).reshape({1, 2});
    waiting->update({at::Tensor()}, 0.1, 1);
    waiting->update({at::Tensor()}, 0.1, 2);
    EXPECT_EQ(late[0].second[0][0].item<float>(), 1.0f);
    for (int step = 1; step <= 3; ++step) {
      waiting->update({gradient.clone()}, 0.1, step + 2);
      plain->update({gradient.clone()}, 0.05, step);
      EXPECT_TRUE(late[0].second.equal(alone[0].second)) << name << " " << step;
    }
  }
}

TEST(Optimizer, ClippingKeepsTheDirection) {
  const std::vector<at::Tensor> gradients = {at::tensor({3.0f, 0.0f}), at::Tensor(), at::tensor({-4.0f})};
  EXPECT_DOUBLE_EQ(clip_gradients(gradients, 5), 5);
  EXPECT_EQ(gradients[0][0].item<float>(), 3.0f);
  EXPECT_DOUBLE_EQ(clip_gradients(gradients, 1), 5);
  EXPECT_NEAR(gradients[0][0].item<float>(), 0.6f, 1e-7);
  EXPECT_NEAR(gradients[2][0].item<float>(), -0.8f, 1e-7);
}

}  // namespace
}  // namespace graft::training
