// Modules that are made of architectures.

#include <cmath>
#include <map>
#include <stdexcept>

#include <graft/random.h>

#include <libtorch/model_file.h>
#include <libtorch/network_module.h>
#include <network/initial_weights.h>
#include <network/reference.h>
#include <network/testing/small_networks.h>
#include "testing/torch_fixture.h"

namespace graft::libtorch {
namespace {

using ::testing::StartsWith;

TEST_F(TorchTest, NetworksComputeWhatTheirLayersSay) {
  const c10::InferenceMode inference;
  const nn::Architecture net = nn::make_architecture("resnet8", {.classes = 5, .width = 4, .side = {}});
  Module module = make_module(net);
  forget(module, 1);
  module.eval();
  const at::Tensor x = at::randn({2, 3, 16, 16});
  // By hand, from the same tensors.
  const auto get = [&](const std::string& name) {
    for (const auto& p : module.named_parameters())
      if (p.name == name) return p.value;
    throw std::runtime_error("no parameter " + name);
  };
  const auto norm = [](const at::Tensor& t) { return t / std::sqrt(1.0 + 1e-5); };
  const auto conv = [&](const at::Tensor& t, const std::string& name, int stride) {
    return norm(at::conv2d(t, get(name + ".weight"), {}, stride, 1));
  };
  at::Tensor h = conv(x, "conv1", 1).relu();
  for (int stage = 1; stage <= 3; ++stage) {
    const std::string at = "layer" + std::to_string(stage) + ".0.";
    const int stride = stage > 1 ? 2 : 1;
    at::Tensor skip = h;
    if (stage > 1) {
      const auto channels = h.size(1);
      skip = at::zeros({2, 2 * channels, h.size(2) / 2, h.size(3) / 2});
      skip.narrow(1, channels / 2, channels)
          .copy_(at::slice(at::slice(h, 2, 0, INT64_MAX, 2), 3, 0, INT64_MAX, 2));
    }
    h = (conv(conv(h, at + "conv1", stride).relu(), at + "conv2", 1) + skip).relu();
  }
  const at::Tensor features = h.mean({2, 3});
  const at::Tensor logits = at::linear(features, get("linear.weight"), get("linear.bias"));
  EXPECT_LE(relative_error(Program(module).run(x).toTensor(), logits), 1e-5);

  EXPECT_EQ(net.features, features.size(1));
}

/// Weights as after some training: variances are positive.
std::map<std::string, Tensor> trained_weights(const nn::Architecture& net) {
  auto weights = nn::initial_weights(net, 5);
  Random random(6);
  for (auto& [path, tensor] : weights)
    if (tensor.shape.size() == 1 || path.ends_with(".bias_table"))
      for (std::int64_t i = 0; i < tensor.size(); ++i)
        tensor.as<float>()[i] = static_cast<float>(random.uniform(0.5, 1.5));
  return weights;
}

TEST_F(TorchTest, LaterOperationsComputeWhatTheirLoopsSay) {
  const std::vector<std::string> ends{"dilated_gate", "max",          "mean",    "counted",
                                      "mean_ceil",    "counted_ceil", "blurred", "merged"};
  const std::vector<std::pair<nn::Architecture, std::vector<std::string>>> networks{
      {nn::test::convolutional(), ends},
      {nn::test::windowed(nn::WindowRule::Torchvision), {"a", "b", "c"}},
      {nn::test::windowed(nn::WindowRule::Timm), {"a", "b", "c"}},
      {nn::test::windowed(nn::WindowRule::Grid), {"a", "b", "c"}}};
  Random random(4);
  for (const auto& [net, taps] : networks) {
    nn::Model model;
    model.name = net.name;
    model.architecture = net;
    model.weights = trained_weights(net);
    nn::EngineOptions options;
    options.batch = 2;
    options.taps = taps;
    const auto engine = make_torch_engine(model, options);
    engine->enter_thread();
    for (const auto& [height, width] : {std::pair(24, 36), {26, 22}, {21, 27}}) {
      std::vector<float> images(2 * 3 * static_cast<std::size_t>(height * width));
      for (float& v : images) v = static_cast<float>(random.uniform(-2, 2));
      const auto got = engine->run(images.data(), height, width);
      const auto half = static_cast<std::ptrdiff_t>(images.size() / 2);
      const auto wanted =
          nn::reference(net, model.weights, {images.begin() + half, images.end()}, height, width, taps);
      for (std::size_t t = 0; t < taps.size(); ++t) {
        const auto n = static_cast<std::int64_t>(wanted[t].data.size());
        ASSERT_EQ(got[t].size(), 2 * n) << taps[t];
        const at::Tensor a = at::from_blob(got[t].as<float>() + n, {n}),
                         b = at::from_blob(const_cast<double*>(wanted[t].data.data()), {n}, at::kDouble)
                                 .to(at::kFloat);
        EXPECT_LE(relative_error(a, b), 1e-5)
            << net.name << ", " << taps[t] << ", " << height << " x " << width;
      }
    }
  }
}

TEST_F(TorchTest, LaterOperationsCanBeTrained) {
  for (const nn::Architecture& net :
       {nn::test::convolutional(), nn::test::windowed(nn::WindowRule::Torchvision),
        nn::test::windowed(nn::WindowRule::Timm)}) {
    Module module = make_training_module(net);
    set_tensors(module, trained_weights(net));
    for (const auto& p : module.named_parameters()) p.value.requires_grad_(true);
    module.forward({at::randn({2, 3, 26, 22})}).toTensor().square().sum().backward();
    for (const auto& p : module.named_parameters()) {
      ASSERT_TRUE(p.value.grad().defined()) << net.name << ", " << p.name;
      EXPECT_TRUE(p.value.grad().isfinite().all().item<bool>()) << net.name << ", " << p.name;
      EXPECT_GT(p.value.grad().abs().sum().item<float>(), 0) << net.name << ", " << p.name;
    }
  }
}

TEST_F(TorchTest, WhatIsDroppedInTrainingIsGivenFromOutside) {
  const c10::InferenceMode inference;
  const nn::Architecture net = nn::make_architecture("mobilenet_v2", {.classes = 3, .width = {}, .side = {}});
  Module training = make_training_module(net), plain = make_module(net);
  forget(training, 1);
  forget(plain, 1);
  training.eval();
  plain.eval();
  const at::Tensor x = at::randn({2, 3, 32, 32});
  const at::Tensor whole = Program(plain).run(x).toTensor();
  EXPECT_TRUE(Program(training).run(x).toTensor().equal(whole)) << "nothing is dropped yet";
  const Program program(training);
  const at::Tensor mask = at::ones({2, 1280});
  mask[0].zero_();
  set_mask(training, "classifier.0", mask);
  const at::Tensor dropped = program.run(x).toTensor();
  EXPECT_EQ(dropped[0].abs().max().item<float>(), 0);  // the classifier's biases are zero
  EXPECT_TRUE(dropped[1].equal(whole[1]));
  EXPECT_EQ(error_of([&] { set_mask(plain, "classifier.0", mask); }),
            "the network has no dropout layer 'classifier.0'");
}

TEST_F(TorchTest, LeNetFitsItsImageSize) {
  Module module = make_module(nn::make_architecture("lenet", {.classes = {}, .width = 6, .side = 28}));
  forget(module, 1);
  EXPECT_EQ(Program(module).run(at::zeros({1, 3, 28, 28})).toTensor().sizes(), at::IntArrayRef({1, 10}));
}

TEST_F(TorchTest, ForgettingIsAFunctionOfTheSeed) {
  const nn::Architecture net = nn::make_architecture("resnet8", {.classes = {}, .width = 8, .side = {}});
  std::vector<at::Tensor> weights;
  for (const std::uint64_t seed : {1, 1, 2}) {
    Module module = make_module(net);
    forget(module, seed);
    weights.push_back(module.attr("conv1").toModule().attr("weight").toTensor());
    // He: variance 2 / fan-in over the wide layers.
    const at::Tensor w = module.attr("layer3")
                             .toModule()
                             .attr("0")
                             .toModule()
                             .attr("conv2")
                             .toModule()
                             .attr("weight")
                             .toTensor();
    EXPECT_NEAR(w.var().item<double>() * static_cast<double>(w[0].numel()) / 2, 1.0, 0.1);
  }
  EXPECT_TRUE(weights[0].equal(weights[1]));
  EXPECT_FALSE(weights[0].equal(weights[2]));
  Module frozen = torch::jit::freeze(small_mobilenet());
  EXPECT_THAT(error_of([&] { forget(frozen, 1); }), StartsWith("untrained: the model has no parameters"));
}

}  // namespace
}  // namespace graft::libtorch
