#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <graft/testing/stage_harness.h>

#include <network/initial_weights.h>

#include <training/testing/stripes.h>
#include <training/trainable_network.h>
#include <training/trainer.h>

namespace graft::training {
namespace {

using Tensors = std::map<std::string, Tensor>;

class TrainerTest : public ::testing::Test {
 protected:
  static Params resolved(const std::vector<ParamSpec>& specs, const std::string& json) {
    std::vector<ParamFault> faults;
    return Params(resolve(specs, Value::from_json(json), faults));
  }

  static TrainerOptions options() {
    TrainerOptions options;
    options.batch = 65;
    options.part = 32;
    return options;
  }

  Trainer trainer(const TrainerOptions& options, const std::string& name = "resnet8",
                  Parallel* parallel = nullptr) {
    const auto net = nn::make_architecture(name, {.classes = 2, .width = {}, .side = {}});
    return {options, *trainable(net, nn::initial_weights(net, 0)), nullptr,
            parallel == nullptr ? sequential_ : *parallel};
  }
  Trainer averaging(double ema) {
    TrainerOptions o = options();
    o.ema = ema;
    return trainer(o);
  }

  StepSum step(Trainer& trainer, std::int64_t number, std::size_t images = 65) {
    return trainer.step(pixels_, {{{first(images), {}}}, none_, 0, number, 0.01});
  }
  std::span<const std::uint32_t> first(std::size_t images) const { return std::span(order_).first(images); }

  Stripes rows_{65, 1};
  std::vector<std::uint32_t> order_ = [] {
    std::vector<std::uint32_t> all(65);
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }();
  Pixels pixels_{
      rows_, {2}, Normalizer(resolved({Normalizer::parameter()}, "{}").object("normalize")), "train"};
  augment::Augmentation none_{resolved({augment::Augmentation::parameter({})}, R"({"operations": []})")};
  Sequential sequential_;
};

std::vector<float> values(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
}

TEST_F(TrainerTest, AveragesFollowTheWeightsAndTheStatistics) {
  Trainer plain = trainer(options()), averaging = this->averaging(0.25);
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
  EXPECT_NE(averaging.evaluate(pixels_).log_loss, plain.evaluate(pixels_).log_loss);
}

TEST_F(TrainerTest, DropoutIsAFunctionOfTheStep) {
  const auto loss = [&](std::int64_t number) {
    Trainer t = trainer(options(), "mobilenet_v2");
    return step(t, number).loss;
  };
  EXPECT_EQ(loss(3), loss(3));
  EXPECT_NE(loss(3), loss(4));  // equal weights, equal images: the mask alone is another
}

TEST_F(TrainerTest, AnImageLeftOverIsNotNormalisedByItself) {
  // 65 images are parts of 32 and 33: at 16 px this network ends in one pixel per image.
  Trainer t = trainer(options(), "mobilenet_v2");
  EXPECT_EQ(step(t, 0).images, 65u);
  for (const auto& [name, tensor] : t.weights())
    for (const float v : values(tensor)) ASSERT_TRUE(std::isfinite(v)) << name;
}

TEST_F(TrainerTest, AStateSaysHowToGoOn) {
  Trainer one = averaging(0.9), other = averaging(0.9);
  step(one, 0);
  other.restore(one.state());
  EXPECT_EQ(step(one, 1).loss, step(other, 1).loss);
  const Tensors a = one.state(), b = other.state();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_EQ(values(tensor), values(b.at(name))) << name;
}

/// Names of the tensors that a training has changed.
std::set<std::string> changed(const Tensors& before, const Tensors& after) {
  std::set<std::string> out;
  for (const auto& [name, tensor] : before)
    if (values(tensor) != values(after.at(name))) out.insert(name);
  return out;
}

TEST_F(TrainerTest, OnlyGroupsAreTrainedEachFromItsStep) {
  TrainerOptions o = options();
  o.groups = {{{"linear.weight", "linear.bias"}, 1, 0},
              {{"layer3.0.conv2.weight", "layer3.0.bn2.weight", "layer3.0.bn2.bias"}, 0.5, 2}};
  Trainer t = trainer(o);
  const Tensors start = t.weights();
  step(t, 0);
  step(t, 1);
  EXPECT_EQ(changed(start, t.weights()), (std::set<std::string>{"linear.weight", "linear.bias"}));
  step(t, 2);
  EXPECT_EQ(
      changed(start, t.weights()),
      (std::set<std::string>{"linear.weight", "linear.bias", "layer3.0.conv2.weight", "layer3.0.bn2.weight",
                             "layer3.0.bn2.bias", "layer3.0.bn2.running_mean", "layer3.0.bn2.running_var"}));
}

TEST_F(TrainerTest, StatisticsMayBeLeftAsTheyAre) {
  TrainerOptions o = options();
  o.train_statistics = false;
  Trainer t = trainer(o);
  const Tensors start = t.weights();
  for (int n = 0; n < 3; ++n) step(t, n);
  for (const std::string& name : changed(start, t.weights()))
    EXPECT_EQ(name.find(".running_"), std::string::npos) << name;
  EXPECT_TRUE(changed(start, t.weights()).contains("bn1.weight"));
}

TEST_F(TrainerTest, ARateIsAFactorOfTheLearningRate) {
  const auto trained = [&](double rate, double learning_rate) {
    TrainerOptions o = options();
    o.groups = {{{"linear.weight"}, rate, 0}};
    Trainer t = trainer(o);
    t.step(pixels_, {{{first(65), {}}}, none_, 0, 0, learning_rate});
    return values(t.weights().at("linear.weight"));
  };
  EXPECT_EQ(trained(0.5, 0.25), trained(1, 0.125));
  EXPECT_NE(trained(0.5, 0.25), trained(1, 0.25));
}

TEST_F(TrainerTest, SeveralBatchesMakeTheGradientOfOneLargeOne) {
  TrainerOptions o = options();
  o.train_statistics = false;  // they depend on what is in a batch
  o.part = 16;
  Trainer whole = trainer(o), pieces = trainer(o);
  whole.step(pixels_, {{{first(64), {}}}, none_, 0, 0, 0.1});
  const StepSum sum =
      pieces.step(pixels_, {{{first(32), {}}, {first(64).subspan(32), {}}}, none_, 0, 0, 0.1});
  EXPECT_EQ(sum.images, 64u);
  const Tensors a = whole.weights(), b = pieces.weights();
  for (const auto& [name, tensor] : a)
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      ASSERT_NEAR(b.at(name).as<float>()[i], tensor.as<float>()[i], 1e-6) << name;
}

TEST_F(TrainerTest, AClippedStepIsAsLongAsItMayBe) {
  TrainerOptions o = options();
  o.optimizer.momentum = 0;
  o.optimizer.weight_decay = 0;
  o.clip = 0.01;
  Trainer t = trainer(o);
  const Tensors start = t.weights();
  step(t, 0);  // learning rate 0.01
  double squares = 0;
  const Tensors end = t.weights();
  for (const auto& [name, tensor] : start)
    if (name.find(".running_") == std::string::npos)
      for (std::int64_t i = 0; i < tensor.size(); ++i)
        squares += std::pow(double{end.at(name).as<float>()[i]} - tensor.as<float>()[i], 2);
  EXPECT_NEAR(std::sqrt(squares), 0.01 * 0.01, 1e-6);
}

TEST_F(TrainerTest, Bf16ChangesLittleAndTheSameOnAnyNumberOfThreads) {
  TrainerOptions o = options();
  o.part = 16;
  Trainer exact = trainer(o);
  o.bf16 = true;
  testing::Threads three(3);
  Trainer rounded = trainer(o), parallel = trainer(o, "resnet8", &three);
  const double loss = step(exact, 0).loss / 65;
  const double got = step(rounded, 0).loss / 65;
  EXPECT_NE(got, loss);
  EXPECT_NEAR(got, loss, 0.02 * loss);
  step(parallel, 0);
  for (const auto& [name, tensor] : rounded.weights())
    EXPECT_EQ(values(tensor), values(parallel.weights().at(name))) << name;
}

TEST_F(TrainerTest, AParameterThatIsNoneIsNamed) {
  TrainerOptions o = options();
  o.groups = {{{"linear.wight"}, 1, 0}};
  try {
    trainer(o);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the network has no parameter 'linear.wight'");
  }
}

}  // namespace
}  // namespace graft::training
