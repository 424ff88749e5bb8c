#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <graft/testing/stage_harness.h>

#include "stripes.h"
#include "trainer.h"

namespace graft {
namespace {

using Tensors = std::map<std::string, Tensor>;

class TrainerTest : public ::testing::Test {
 protected:
  static Params resolved(const std::vector<ParamSpec>& specs, const std::string& json) {
    std::vector<ParamFault> faults;
    return Params(resolve(specs, Value::from_json(json), faults));
  }

  Trainer trainer(const std::string& network, double ema, Parallel& parallel) {
    TrainerOptions options;
    options.architecture = nn::make_architecture(network, {.classes = 2, .width = {}, .side = {}});
    options.batch = 65;
    options.part = 32;
    options.ema = ema;
    return {options, parallel};
  }

  Score step(Trainer& trainer, std::int64_t number, std::size_t images = 65) {
    std::vector<std::uint32_t> which(images);
    std::iota(which.begin(), which.end(), 0u);
    return trainer.step(pixels_, {which, none_, {}, 0, number, 0.01});
  }

  Stripes rows_{65, 1};
  Pixels pixels_{rows_, 2, Normalizer(resolved({Normalizer::parameter()}, "{}").object("normalize")),
                 "train"};
  augment::Augmentation none_{resolved({augment::Augmentation::parameter({})}, R"({"operations": []})")};
  Sequential sequential_;
};

std::vector<float> values(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
}

TEST_F(TrainerTest, AveragesFollowTheWeightsAndTheStatistics) {
  Trainer plain = trainer("resnet8", 0, sequential_), averaging = trainer("resnet8", 0.25, sequential_);
  Tensors average = averaging.weights();
  EXPECT_EQ(values(average.at("conv1.weight")), values(plain.weights().at("conv1.weight")));
  for (int t = 1; t <= 4; ++t) {
    step(plain, t - 1);
    step(averaging, t - 1);
    const double decay = std::min(0.25, (1.0 + t) / (10.0 + t));  // 2/11, 3/12, then 0.25
    const Tensors now = plain.weights(), got = averaging.weights();
    for (const char* name : {"conv1.weight", "bn1.running_var", "layer3.0.bn2.running_mean", "linear.bias"}) {
      float* wanted = average.at(name).as<float>();
      for (std::int64_t i = 0; i < average.at(name).size(); ++i) {
        wanted[i] = static_cast<float>(decay * wanted[i] + (1 - decay) * now.at(name).as<float>()[i]);
        ASSERT_NEAR(got.at(name).as<float>()[i], wanted[i], 1e-6) << name << " step " << t;
      }
    }
  }
  // They lead nowhere: the weights themselves are trained as without them.
  EXPECT_EQ(values(averaging.state().at("weights/conv1.weight")),
            values(plain.state().at("weights/conv1.weight")));
  EXPECT_NE(averaging.evaluate(pixels_).loss, plain.evaluate(pixels_).loss);
}

TEST_F(TrainerTest, DropoutIsAFunctionOfTheStep) {
  const auto loss = [&](std::int64_t number) {
    Trainer t = trainer("mobilenet_v2", 0, sequential_);
    return step(t, number).loss;
  };
  EXPECT_EQ(loss(3), loss(3));
  EXPECT_NE(loss(3), loss(4));  // equal weights, equal images: the mask alone is another
}

TEST_F(TrainerTest, AnImageLeftOverIsNotNormalisedByItself) {
  // 65 images are parts of 32 and 33: at 16 px this network ends in one pixel per image.
  Trainer t = trainer("mobilenet_v2", 0, sequential_);
  EXPECT_EQ(step(t, 0).images, 65u);
  for (const auto& [name, tensor] : t.weights())
    for (const float v : values(tensor)) ASSERT_TRUE(std::isfinite(v)) << name;
}

TEST_F(TrainerTest, AStateSaysHowToGoOn) {
  Trainer one = trainer("resnet8", 0.9, sequential_), other = trainer("resnet8", 0.9, sequential_);
  step(one, 0);
  other.restore(one.state());
  EXPECT_EQ(step(one, 1).loss, step(other, 1).loss);
  const Tensors a = one.state(), b = other.state();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_EQ(values(tensor), values(b.at(name))) << name;
}

}  // namespace
}  // namespace graft
