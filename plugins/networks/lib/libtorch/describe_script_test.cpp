// Scripts of known operations as architectures.

#include <cstdint>
#include <optional>

#include <libtorch/describe_script.h>
#include <libtorch/model_file.h>
#include <libtorch/network_module.h>
#include "testing/torch_fixture.h"

namespace graft::libtorch {
namespace {

/// What a described script computes, layer by layer; undefined where it cannot be described.
at::Tensor described(const std::string& path, const at::Tensor& x, std::vector<std::string> taps = {},
                     std::optional<std::uint64_t> seed = {}) {
  nn::Model model;
  model.name = model.torchscript = path;
  nn::EngineOptions options;
  options.taps = std::move(taps);
  options.forget = seed;
  options.batch = static_cast<int>(x.size(0));
  const auto found = describe_script(model, options);
  if (!found) return {};
  options.taps = found->outputs;
  options.forget.reset();
  const Tensor out = make_torch_engine(found->model, options)
                         ->run(x.data_ptr<float>(), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)))
                         .at(0);
  return at::from_blob(out.data, at::IntArrayRef(out.shape.data(), out.shape.size())).clone();
}

TEST_F(TorchTest, AScriptOfKnownOperationsIsDescribed) {
  const c10::InferenceMode inference;
  const auto check = [&](const Module& module, const at::Tensor& x) {
    module.save(file("m.pt"));
    const at::Tensor got = described(file("m.pt"), x);
    ASSERT_TRUE(got.defined());
    EXPECT_LE(relative_error(got, Program(module).run(x).toTensor()), 1e-5);
  };
  at::manual_seed(8);
  check(small_mobilenet(), at::randn({2, 3, 33, 47}));
  for (const char* name : {"resnet8", "resnet18", "mobilenet_v2", "efficientnet_b0", "vgg11_bn", "lenet"}) {
    Module module = make_module(nn::make_architecture(name, {.classes = 7, .width = {}, .side = {}}));
    forget(module, 3);
    module.eval();
    check(module, at::randn({2, 3, 32, 32}));
  }
}

/// A module named "input", which is what the images are called; one that is called twice; operations without
/// one.
TEST_F(TorchTest, LayersOfADescribedScriptHaveTheNamesOfItsModules) {
  const c10::InferenceMode inference;
  at::manual_seed(9);
  const auto make = [](const std::string& type, const std::vector<std::pair<std::string, Module>>& parts,
                       const std::string& source) {
    Module module(type);
    module.register_attribute("training", c10::BoolType::get(), false);
    if (parts.empty()) module.register_parameter("w", at::randn({3, 3, 3, 3}), false);
    for (const auto& [name, part] : parts) module.register_module(name, part);
    module.define("def forward(self, x):\n    return " + source + "\n");
    return module;
  };
  const auto conv = [&](const std::string& module) {
    return make("torch.nn.modules.conv." + module, {},
                "torch.conv2d(x, self.w, None, [1, 1], [1, 1], [1, 1], 1)");
  };
  const Module block = make("Block", {{"input", conv("Conv2d")}},
                            "torch.relu(self.input.forward(torch.relu(self.input.forward(x))))");
  const Module root = make("Net",
                           {{"input", conv("Conv2d")},
                            {"stage", make("torch.nn.modules.container.Sequential", {{"0", block}},
                                           "getattr(self, '0').forward(x)")}},
                           "torch.mean(self.stage.forward(self.input.forward(x)), [2, 3])");
  root.save(file("m.pt"));
  nn::Model model;
  model.name = model.torchscript = file("m.pt");
  const auto found = describe_script(model, {});
  ASSERT_TRUE(found);
  std::vector<std::string> names;
  for (const nn::Layer& layer : found->model.architecture->layers) names.push_back(layer.name);
  EXPECT_THAT(names, ::testing::ElementsAre("input_2", "stage.0.input", "stage.0.Relu", "stage.0.input_2",
                                            "stage.0.Relu_2", "GlobalPool", "Flatten"));
  ASSERT_EQ(found->model.architecture->blocks.size(), 1U);
  EXPECT_EQ(found->model.architecture->blocks[0].name, "stage.0");
  EXPECT_EQ(found->model.architecture->blocks[0].type, "Block");
  const at::Tensor x = at::randn({2, 3, 8, 8});
  EXPECT_LE(relative_error(described(file("m.pt"), x), Program(root).run(x).toTensor()), 1e-5);
}

TEST_F(TorchTest, TapsAndForgettingReachADescribedScript) {
  const c10::InferenceMode inference;
  Module inner = module_of(
      "def forward(self, x):\n    return torch.relu(torch.conv2d(x, self.w, None, [1, 1], [1, 1], [1, 1], "
      "1))\n",
      {{"w", at::randn({8, 3, 3, 3})}});
  Module root("Root");
  root.register_attribute("training", c10::BoolType::get(), false);
  root.register_module("first", inner);
  root.define("def forward(self, x):\n    return torch.mean(self.first.forward(x), [2, 3])\n");
  root.save(file("m.pt"));
  const at::Tensor x = at::randn({2, 3, 9, 9});
  EXPECT_EQ(described(file("m.pt"), x, {"first"}).sizes(), at::IntArrayRef({2, 8, 9, 9}));
  const at::Tensor one = described(file("m.pt"), x, {}, 1), again = described(file("m.pt"), x, {}, 1),
                   other = described(file("m.pt"), x, {}, 2);
  EXPECT_TRUE(one.equal(again));
  EXPECT_FALSE(one.equal(other));
  EXPECT_FALSE(one.equal(described(file("m.pt"), x)));
}

TEST_F(TorchTest, AScaleMayStandOnEitherSide) {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({2, 3, 9, 9});
  for (const char* product : {"m * s", "s * m"}) {
    const Module module = module_of(std::string("def forward(self, x):\n    m = torch.relu(x)\n    s = "
                                                "torch.sigmoid(torch.mean(m, [2, 3], True))\n    return ") +
                                        product + "\n",
                                    {});
    module.save(file("m.pt"));
    const at::Tensor got = described(file("m.pt"), x);
    ASSERT_TRUE(got.defined()) << product;
    EXPECT_LE(relative_error(got, Program(module).run(x).toTensor()), 1e-6);
  }
}

TEST_F(TorchTest, AScriptWithAnythingElseIsNotDescribed) {
  const at::Tensor x = at::zeros({1, 3, 8, 8});
  const char* const padded_by_ones =
      "torch.conv2d(torch.constant_pad_nd(x, [0, 1, 0, 1], 1.0), self.w, None, [1, 1], [0, 0], [1, 1], 1)";
  for (const char* body : {
           "torch.tanh(x)",
           "torch.hardtanh(x, 0.0, 4.0)",
           "x + 1.0",
           "torch.add(x, x, alpha=2)",
           "torch.mean(x, [1, 2])",
           "torch.max_pool2d(torch.constant_pad_nd(x, [1, 1, 1, 1], 0.0), [2, 2], [2, 2])",
           "torch.max_pool2d(x, [2, 3], [2, 2])",
           "torch.constant_pad_nd(x, [0, 1, 0, 1], 0.0)",
           padded_by_ones,
           "torch.conv2d(x, self.w, None, [1, 1], [0, 0], [2, 2], 1)",
           "torch.conv2d(x, self.w, None, [1, 2], [0, 0], [1, 1], 1)",
           "torch.relu(x) if x.size(0) > 1 else x",
           "torch.relu(x[:, :, 1:])",
           "x * torch.sigmoid(x)",  // not a scale for each channel
           "torch.mean(x, [2, 3], True) + x",
           "torch.linear(torch.relu(x), self.line)",  // of rows, not of all values
           "torch.relu_(x)",
           "torch.relu_(torch.flatten(torch.relu(x), 1))",  // perhaps another look at a value
           "torch.dropout(x, 0.5, True)",
           ("torch.batch_norm(torch.mean(x, [2, 3]), None, None, self.mean, self.var, False, 0.1, 1e-5, "
            "False)"),
           "(torch.relu(x), torch.sigmoid(x))",
           "x",
       }) {
    module_of(std::string("def forward(self, x):\n    return ") + body + "\n", {{"w", at::ones({2, 3, 3, 3})},
                                                                                {"line", at::ones({4, 8})},
                                                                                {"mean", at::zeros({3})},
                                                                                {"var", at::ones({3})}})
        .save(file("m.pt"));
    EXPECT_FALSE(described(file("m.pt"), x).defined()) << body;
  }
}

}  // namespace
}  // namespace graft::libtorch
