#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <libtorch/describe_script.h>
#include <libtorch/device.h>
#include <libtorch/model_file.h>
#include <libtorch/network_module.h>
#include <libtorch/program.h>
#include <libtorch/torch_engine.h>
#include <network/initial_weights.h>
#include <network/reference.h>
#include <network/testing/small_networks.h>
#include "align_channels.h"
#include "fold_padding.h"
#include "tap_modules.h"

namespace graft::libtorch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using torch::jit::Module;

/// A folder that goes away with the test.
class TorchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-torch-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    use_one_thread();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

  template <typename F>
  static std::string error_of(F&& f) {
    try {
      f();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  std::string folder_;
};

/// A module with the given tensors and source.
Module module_of(const std::string& source, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  Module module("M");
  module.register_attribute("training", c10::BoolType::get(), true);
  for (const auto& [name, value] : tensors) module.register_parameter(name, value, false);
  module.define(source);
  module.eval();
  return module;
}

/// Convolutions with TensorFlow's 'same' padding, ReLU6, and a number of channels that no block divides.
Module small_mobilenet() {
  at::manual_seed(3);
  return module_of(R"(
def forward(self, x):
    a = torch.constant_pad_nd(x, [0, 1, 0, 1], 0.0)
    a = torch.hardtanh(torch.conv2d(a, self.w1, self.b1, [2, 2], [0, 0], [1, 1], 1), 0.0, 6.0)
    a = torch.hardtanh(torch.conv2d(a, self.w2, self.b2, [1, 1], [1, 1], [1, 1], 24), 0.0, 6.0)
    a = torch.hardtanh(torch.conv2d(a, self.w3, self.b3, [1, 1], [0, 0], [1, 1], 1), 0.0, 6.0)
    a = torch.constant_pad_nd(a, [0, 1, 0, 1], 0.0)
    a = torch.hardtanh(torch.conv2d(a, self.w4, self.b4, [2, 2], [0, 0], [1, 1], 40), 0.0, 6.0)
    return torch.conv2d(a, self.w5, None, [1, 1], [0, 0], [1, 1], 1)
)",
                   {{"w1", at::randn({24, 3, 3, 3})},
                    {"b1", at::randn({24}) + 2},
                    {"w2", at::randn({24, 1, 3, 3})},
                    {"b2", at::randn({24}) + 2},
                    {"w3", at::randn({40, 24, 1, 1})},
                    {"b3", at::randn({40}) + 2},
                    {"w4", at::randn({40, 1, 3, 3})},
                    {"b4", at::randn({40}) + 2},
                    {"w5", at::randn({10, 40, 1, 1})}});
}

/// A module with submodules a and b.inner, as a scripted torch.nn.Module has them.
Module nested() {
  Module inner = module_of("def forward(self, x):\n    return torch.relu(x) * 2.0\n", {});
  Module a = module_of("def forward(self, x):\n    return x + self.w\n", {{"w", at::ones({1})}});
  Module b("B");
  b.register_attribute("training", c10::BoolType::get(), false);
  b.register_module("inner", inner);
  b.define("def forward(self, x):\n    return self.inner.forward(x)\n");
  Module root("Root");
  root.register_attribute("training", c10::BoolType::get(), false);
  root.register_module("a", a);
  root.register_module("b", b);
  root.define("def forward(self, x):\n    return self.b.forward(self.a.forward(x)) - 1.0\n");
  return root;
}

TEST_F(TorchTest, TapsGiveWhatSubmodulesReturn) {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({2, 3});
  const Module root = nested();
  for (const Module& tapped : {tap_modules(root, {"b", "a", "b.inner"}),
                               torch::jit::freeze(tap_modules(root, {"b", "a", "b.inner"}))}) {
    const auto out = Program(tapped).run(x).toTuple()->elements();
    ASSERT_EQ(out.size(), 3u);
    const at::Tensor a = x + 1, b = at::relu(a) * 2;
    EXPECT_TRUE(out[0].toTensor().equal(b));
    EXPECT_TRUE(out[1].toTensor().equal(a));
    EXPECT_TRUE(out[2].toTensor().equal(b));
  }
  EXPECT_TRUE(Program(root).run(x).toTensor().equal(at::relu(x + 1) * 2 - 1)) << "the module itself stays";
}

TEST_F(TorchTest, AnUnknownTapIsNamedWithThoseThereAre) {
  const auto fault = [](const Module& module, const std::string& path) -> std::string {
    try {
      tap_modules(module, {path});
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(
      fault(nested(), "b.iner"),
      "taps: the model calls no submodule 'b.iner'; did you mean 'b.inner'? (submodules: a, b, b.inner)");
  EXPECT_EQ(fault(small_mobilenet(), "layer1"),
            "taps: 'layer1': the model's forward calls no submodule, so nothing in it has a name");
}

/// The fused engine over a TorchScript file.
std::unique_ptr<nn::Engine> fused(
    const std::string& path, int batch,
    std::function<void(const std::string&)> warn = [](const std::string&) {}) {
  nn::Model model;
  model.name = model.torchscript = path;
  nn::EngineOptions options;
  options.batch = batch;
  options.warn = std::move(warn);
  return make_fused_engine(model, options);
}

double relative_error(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).abs().max() / wanted.abs().max()).item<double>();
}

TEST_F(TorchTest, FoldingKeepsEverySumForAnyPaddingKernelStrideAndSize) {
  const c10::InferenceMode inference;
  Random random(7);
  at::manual_seed(1);
  int folded = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const auto pick = [&](int low, int high) { return low + static_cast<int>(random.below(high - low + 1)); };
    const int kernel = pick(3, 5), stride = pick(1, 3), groups = random.chance(0.5) ? 4 : 1, own = pick(0, 1);
    const std::string source =
        "def forward(self, x):\n    p = torch.constant_pad_nd(x, [" + std::to_string(pick(0, 2)) + ", " +
        std::to_string(pick(0, 2)) + ", " + std::to_string(pick(0, 2)) + ", " + std::to_string(pick(0, 2)) +
        "], 0.0)\n    return torch.conv2d(p, self.w, None, [" + std::to_string(stride) + ", " +
        std::to_string(stride) + "], [" + std::to_string(own) + ", " + std::to_string(own) + "], [1, 1], " +
        std::to_string(groups) + ")\n";
    const Module plain =
        torch::jit::freeze(module_of(source, {{"w", at::randn({8, 4 / groups, kernel, kernel})}}));
    const Module changed = plain.clone();
    folded += fold_padding(changed.get_method("forward").graph());
    const at::Tensor x = at::randn({2, 4, pick(5, 12), pick(5, 12)});
    const at::Tensor wanted = Program(plain).run(x).toTensor(), got = Program(changed).run(x).toTensor();
    ASSERT_EQ(got.sizes(), wanted.sizes()) << source;
    ASSERT_LE(relative_error(got, wanted), 1e-6) << source;
  }
  EXPECT_GT(folded, 40);
}

TEST_F(TorchTest, FoldingLeavesAloneWhatItCannotExpress) {
  const std::vector<std::pair<std::string, at::Tensor>> w = {{"w", at::randn({8, 4, 3, 3})}};
  for (const char* source : {
           "def forward(self, x):\n    return torch.conv2d(torch.constant_pad_nd(x, [0, 1, 0, 1], 1.0), "
           "self.w, None, "
           "[2, 2], [0, 0], [1, 1], 1)\n",  // not zeros
           "def forward(self, x):\n    return torch.conv2d(torch.constant_pad_nd(x, [0, 1, 0, 1], 0.0), "
           "self.w, None, "
           "[2, 2], [0, 0], [2, 2], 1)\n",  // dilated
           "def forward(self, x):\n    return torch.conv2d(torch.constant_pad_nd(x, [-1, 1, 0, 1], 0.0), "
           "self.w, None, "
           "[2, 2], [0, 0], [1, 1], 1)\n",  // a crop
           "def forward(self, x):\n    return torch.conv2d(torch.constant_pad_nd(x, [0, 3, 0, 3], 0.0), "
           "self.w, None, "
           "[2, 2], [0, 0], [1, 1], 1)\n",  // a kernel four times as large
       }) {
    Module module = torch::jit::freeze(module_of(source, w));
    EXPECT_EQ(fold_padding(module.get_method("forward").graph()), 0) << source;
  }
}

TEST_F(TorchTest, AlignedChannelsChangeNoSum) {
  const c10::InferenceMode inference;
  const Module plain = torch::jit::freeze(small_mobilenet());
  const Module changed = plain.clone();
  // The first convolution with its depthwise follower. The 40 channels are seen by a padding step until that
  // is folded; the model's output stays as it is.
  EXPECT_EQ(align_channels(changed.get_method("forward").graph()), 2);
  EXPECT_EQ(fold_padding(changed.get_method("forward").graph()), 2);
  EXPECT_EQ(align_channels(changed.get_method("forward").graph()), 2);
  const at::Tensor x = at::randn({2, 3, 33, 40});
  const at::Tensor wanted = Program(plain).run(x).toTensor(), got = Program(changed).run(x).toTensor();
  ASSERT_EQ(got.sizes(), wanted.sizes());
  EXPECT_LE(relative_error(got, wanted), 1e-6);
}

TEST_F(TorchTest, AlignmentStopsWhereAChannelIsSeen) {
  for (const char* last : {"a", "torch.add(a, 1.0)", "torch.softmax(a, 1)"}) {
    const Module module = torch::jit::freeze(module_of(
        std::string("def forward(self, x):\n    a = torch.relu(torch.conv2d(x, self.w, None, [1, 1], [0, 0], "
                    "[1, 1], 1))\n    return ") +
            last + "\n",
        {{"w", at::randn({24, 3, 1, 1})}}));
    EXPECT_EQ(align_channels(module.get_method("forward").graph()), 0) << last;
  }
}

TEST_F(TorchTest, FusedBackboneEqualsThePlainModel) {
  const c10::InferenceMode inference;
  const Module model = small_mobilenet();
  model.save(file("m.pt"));
  std::vector<std::string> warnings;
  const auto engine = fused(file("m.pt"), 4, [&](const std::string& w) { warnings.push_back(w); });
  at::manual_seed(5);
  for (const auto& [height, width] : {std::pair{32, 32}, std::pair{33, 47}}) {
    const at::Tensor x = at::randn({4, 3, height, width});
    const at::Tensor wanted = Program(model).run(x).toTensor();
    const Tensor got = engine->run(x.data_ptr<float>(), height, width).at(0);
    ASSERT_EQ(got.shape, Shape(wanted.sizes().begin(), wanted.sizes().end()));
    EXPECT_LE(relative_error(at::from_blob(got.data, wanted.sizes()), wanted), 1e-5);
  }
  EXPECT_THAT(warnings, ::testing::IsEmpty());  // the fused program was good enough to be used
}

/// As MobileNet v3: hardswish after convolutions, squeeze-and-excitation, a residual sum; with a number of
/// channels that neither blocks of 8 nor of 16 divide. `seen`: another operation depends on the channels of
/// the block.
Module small_mobilenet_v3(std::int64_t channels, bool seen) {
  at::manual_seed(4);
  const std::string c = std::to_string(channels);
  return module_of(
      "def forward(self, x):\n"
      "    a = torch.hardswish(torch.conv2d(x, self.w1, self.b, [2, 2], [1, 1], [1, 1], 1))\n"
      "    d = torch.hardswish(torch.conv2d(a, self.w2, self.b, [1, 1], [1, 1], [1, 1], " +
          c +
          "))\n"
          "    s = torch.adaptive_avg_pool2d(d, [1, 1])\n"
          "    s = torch.relu(torch.conv2d(s, self.w3, None, [1, 1], [0, 0], [1, 1], 1))\n"
          "    s = torch.hardsigmoid(torch.conv2d(s, self.w4, self.b, [1, 1], [0, 0], [1, 1], 1))\n"
          "    e = torch.conv2d(d * s, self.w5, self.b, [1, 1], [0, 0], [1, 1], 1)\n"
          "    f = torch.hardtanh(torch.clamp(e + a, -1.0, 3.0), -0.5, 2.5)\n"
          "    g = torch.hardswish(torch.conv2d(f, self.w6, None, [2, 2], [1, 1], [1, 1], 1))\n"
          "    return " +
          std::string(seen ? "torch.cat([torch.mean(g, [2, 3]), torch.mean(f, [2, 3])], 1)\n"
                           : "torch.mean(g, [2, 3])\n"),
      {{"w1", at::randn({channels, 3, 3, 3})},
       {"b", at::randn({channels})},
       {"w2", at::randn({channels, 1, 3, 3})},
       {"w3", at::randn({4, channels, 1, 1})},
       {"w4", at::randn({channels, 4, 1, 1})},
       {"w5", at::randn({channels, channels, 1, 1}) / 4},
       {"w6", at::randn({channels + 4, channels, 3, 3}) / 8}});
}

TEST_F(TorchTest, ChannelsOfSqueezeAndExcitationGrowTogether) {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({3, 3, 15, 17});
  for (const std::int64_t channels : {12, 20, 24}) {
    const Module plain = torch::jit::freeze(small_mobilenet_v3(channels, false));
    const Module changed = plain.clone();
    const auto graph = changed.get_method("forward").graph();
    // w1, w2, w4 and w5, then w3; w6's channels are what the model returns.
    EXPECT_EQ(align_channels(graph), 5) << channels;
    EXPECT_EQ(avoid_filler(graph), (channels + 4) % 16 == 0 ? 0 : 1) << channels;
    const at::Tensor wanted = Program(plain).run(x).toTensor(), got = Program(changed).run(x).toTensor();
    ASSERT_EQ(got.sizes(), wanted.sizes());
    EXPECT_LE(relative_error(got, wanted), 1e-6) << channels;
  }
}

TEST_F(TorchTest, WhereChannelsAreSeenTheFunctionsAreWrittenOtherwise) {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({3, 3, 15, 17});
  const Module plain = torch::jit::freeze(small_mobilenet_v3(20, true));
  const Module changed = plain.clone();
  const auto graph = changed.get_method("forward").graph();
  EXPECT_EQ(align_channels(graph), 1);  // of the squeeze alone
  EXPECT_EQ(avoid_filler(graph), 6);    // hardswish of a, d, g; hardsigmoid, clamp, hardtanh
  EXPECT_EQ(avoid_filler(graph), 0);
  EXPECT_LE(relative_error(Program(changed).run(x).toTensor(), Program(plain).run(x).toTensor()), 1e-6);
}

TEST_F(TorchTest, AMapThatIsSpreadOverChannelsIsNotWidened) {
  const Module module = torch::jit::freeze(module_of(
      "def forward(self, x):\n    a = torch.conv2d(x, self.w, None)\n    m = "
      "torch.sigmoid(torch.conv2d(x, self.m, None))\n    return torch.conv2d(a * m, self.v, None)\n",
      {{"w", at::randn({24, 3, 1, 1})}, {"m", at::randn({1, 3, 1, 1})}, {"v", at::randn({8, 24, 1, 1})}}));
  EXPECT_EQ(align_channels(module.get_method("forward").graph()), 0);
}

/// The error that this tests: LibTorch's optimiser left the last channels of the last image as they were.
TEST_F(TorchTest, EveryImageOfEveryBatchEqualsTheImageAlone) {
  const c10::InferenceMode inference;
  for (const std::int64_t channels : {12, 20, 24, 40, 72})
    for (const bool seen : {false, true})
      for (const int batch : {1, 2, 3, 8}) {
        const Module model = small_mobilenet_v3(channels, seen);
        model.save(file("m.pt"));
        std::vector<std::string> warnings;
        const auto engine = fused(file("m.pt"), batch, [&](const std::string& w) { warnings.push_back(w); });
        for (const int side : {32, 23}) {
          const at::Tensor x = at::randn({batch, 3, side, side});
          const Tensor got = engine->run(x.data_ptr<float>(), side, side).at(0);
          for (int i = 0; i < batch; ++i) {
            const at::Tensor wanted = Program(model).run(x.narrow(0, i, 1)).toTensor();
            EXPECT_LE(
                relative_error(at::from_blob(got.as<float>() + i * wanted.numel(), wanted.sizes()), wanted),
                1e-5)
                << channels << (seen ? ", seen, " : ", ") << "image " << i << " of " << batch;
          }
        }
        EXPECT_THAT(warnings, ::testing::IsEmpty()) << "the optimised program was right, and used";
      }
}

/// The model, wrong for one image of a batch of that size.
Optimise wrong_at(int place, int batch) {
  return [=](const Module&) {
    const std::string at = std::to_string(place);
    return module_of(
        "def forward(self, x):\n    y = torch.mean(x, [2, 3])\n    z = torch.zeros_like(y)\n    if "
        "x.size(0) == " +
            std::to_string(batch) + ":\n        z[" + at + "] = 0.01\n    return y + z\n",
        {});
  };
}

TEST_F(TorchTest, AnOptimisedProgramIsNotUsedWhenAnyImageOfABatchIsWrong) {
  module_of("def forward(self, x):\n    return torch.mean(x, [2, 3])\n", {}).save(file("m.pt"));
  nn::Model model;
  model.name = model.torchscript = file("m.pt");
  const auto run = [&](int batch, const Optimise& optimise, std::vector<std::string>& warnings) {
    nn::EngineOptions options;
    options.batch = batch;
    options.warn = [&](const std::string& text) { warnings.push_back(text); };
    const at::Tensor x = at::randn({batch, 3, 6, 6});
    const Tensor got = make_fused_engine(model, options, optimise)->run(x.data_ptr<float>(), 6, 6).at(0);
    return (at::from_blob(got.data, {batch, 3}) - x.mean({2, 3})).abs().max().item<double>();
  };
  for (const int batch : {1, 2, 3, 8, 11})
    for (const int wrong : {1, 2, 3, batch})
      for (int place = 0; place < wrong; ++place) {
        std::vector<std::string> warnings;
        EXPECT_LE(run(batch, wrong_at(place, wrong), warnings), 1e-6);
        EXPECT_THAT(warnings, ::testing::ElementsAre(StartsWith(
                                  file("m.pt") + ": the fused network is wrong for 6 x 6 images (image " +
                                  std::to_string(place + 1) + " of a batch of " + std::to_string(wrong) +
                                  " is off by ")));
      }
  std::vector<std::string> warnings;
  run(8, wrong_at(0, 100), warnings);  // never wrong: used
  EXPECT_THAT(warnings, ::testing::IsEmpty());
}

TEST_F(TorchTest, AModelInTrainingModeIsRefused) {
  // Like a trace without .eval(): the flag is a constant in the graph.
  const auto source = [](const char* value) {
    return std::string(
               "def forward(self, x):\n    y = torch.conv2d(x, self.w, None, [2, 2], [1, 1], [1, 1], 1)\n"
               "    return torch.mean(") +
           value + ", [2, 3])\n";
  };
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"w", at::randn({8, 3, 3, 3})}, {"mean", at::zeros({8})}, {"var", at::ones({8})}};
  const Module norm = module_of(
      source("torch.relu(torch.batch_norm(y, None, None, self.mean, self.var, True, 0.1, 1e-5, False))"),
      tensors);
  const Module dropout = module_of(source("torch.dropout(y, 0.5, True)"), tensors);
  for (const bool fuse : {false, true})
    for (const int batch : {1, 4, 16}) {
      nn::Model model;
      model.name = model.torchscript = file("m.pt");
      nn::EngineOptions options;
      options.batch = batch;
      options.warn = [](const std::string&) {};
      const at::Tensor x = at::randn({batch, 3, 32, 32});
      const auto error = [&] {
        return error_of([&] {
          (fuse ? make_fused_engine(model, options) : make_torch_engine(model, options))
              ->run(x.data_ptr<float>(), 32, 32);
        });
      };
      norm.save(file("m.pt"));
      EXPECT_THAT(
          error(),
          AllOf(StartsWith(file("m.pt") +
                           ": the features of an image depend on its neighbours in the batch (image 1"),
                HasSubstr(
                    "): it was probably traced in training mode; call model.eval() before torch.jit.trace or "
                    "torch.jit.script, and export it again")))
          << fuse << batch;
      dropout.save(file("m.pt"));
      EXPECT_THAT(error(),
                  AllOf(StartsWith(file("m.pt") + ": the features of an image change from call to call ("),
                        HasSubstr("dropout is active")))
          << fuse << batch;
    }
}

TEST_F(TorchTest, ModelsThatSqueezeOrWantANumberOfImagesStillRun) {
  const at::Tensor x = at::randn({4, 3, 6, 6});
  for (const auto& [source, values] :
       {std::pair{"def forward(self, x):\n    return torch.squeeze(torch.mean(x, [2, 3], True))\n", 3},
        std::pair{"def forward(self, x):\n    return torch.relu(x).view([4, -1])\n", 108}}) {
    module_of(source, {}).save(file("m.pt"));
    const auto engine = fused(file("m.pt"), 4, [](const std::string& text) { ADD_FAILURE() << text; });
    EXPECT_EQ(engine->run(x.data_ptr<float>(), 6, 6).at(0).shape, (Shape{4, values}));
  }
}

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
  for (const char* body : {
           "torch.tanh(x)",
           "torch.hardtanh(x, 0.0, 4.0)",
           "x + 1.0",
           "torch.add(x, x, alpha=2)",
           "torch.mean(x, [1, 2])",
           "torch.max_pool2d(torch.constant_pad_nd(x, [1, 1, 1, 1], 0.0), [2, 2], [2, 2])",
           "torch.max_pool2d(x, [2, 3], [2, 2])",
           "torch.constant_pad_nd(x, [0, 1, 0, 1], 0.0)",
           "torch.conv2d(torch.constant_pad_nd(x, [0, 1, 0, 1], 1.0), self.w, None, [1, 1], [0, 0], [1, 1], "
           "1)",
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
           "torch.batch_norm(torch.mean(x, [2, 3]), None, None, self.mean, self.var, False, 0.1, 1e-5, "
           "False)",
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

TEST_F(TorchTest, BitsDependNeitherOnSlotNorOnNeighboursNorOnTheCall) {
  small_mobilenet().save(file("m.pt"));
  const auto engine = fused(file("m.pt"), 4);
  at::manual_seed(6);
  const at::Tensor one = at::randn({3, 32, 32});
  std::vector<std::vector<float>> rows;
  for (int call = 0; call < 12; ++call) {
    at::Tensor batch = call % 2 ? at::randn({4, 3, 32, 32}) : at::zeros({4, 3, 32, 32});
    const int slot = call % 4;
    batch[slot].copy_(one);
    const Tensor got = engine->run(batch.data_ptr<float>(), 32, 32).at(0);
    const std::int64_t one_row = got.size() / 4;
    rows.emplace_back(got.as<float>() + slot * one_row, got.as<float>() + (slot + 1) * one_row);
  }
  for (const auto& row : rows) EXPECT_EQ(row, rows.front());
}

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

TEST_F(TorchTest, UnusableFilesGiveOneLineEach) {
  small_mobilenet().save(file("good.pt"));
  std::string content;
  {
    std::ifstream in(file("good.pt"), std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto check = [&](const std::string& name, const std::string& text) {
    std::ofstream(file(name), std::ios::binary) << text;
    const std::string error = error_of([&] { load_torchscript(file(name)); });
    EXPECT_THAT(error,
                StartsWith(file(name) + ": expected a TorchScript archive, got a file that LibTorch "));
    EXPECT_THAT(
        error,
        HasSubstr(
            "export the model with torch.jit.script or torch.jit.trace and .save(), or copy the file again"));
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  };
  check("empty.pt", "");
  check("text.pt", "no model at all\n");
  for (const int percent : {1, 50, 90, 99})
    check("cut.pt", content.substr(0, content.size() * static_cast<std::size_t>(percent) / 100));
  EXPECT_THAT(error_of([&] { load_torchscript(file("absent.pt")); }), HasSubstr("absent.pt"));
}

TEST_F(TorchTest, ModelsOfTheWrongFormAreNamed) {
  const auto backbone = [&](const std::string& source) {
    module_of(source, {{"w", at::randn({8, 3, 1, 1})}}).save(file("m.pt"));
    return fused(file("m.pt"), 2);
  };
  std::vector<float> images(2 * 3 * 4 * 4);
  EXPECT_EQ(error_of([&] { backbone("def forward(self, x, y):\n    return x + y\n"); }),
            file("m.pt") +
                ": expected a forward that takes one tensor of images, got one with 2 arguments; wrap the "
                "model so that it takes [n,3,height,width]");
  EXPECT_EQ(
      error_of([&] { backbone("def forward(self, x):\n    return (x, x)\n")->run(images.data(), 4, 4); }),
      file("m.pt") +
          ": expected a model that returns one tensor, got Tuple; wrap it so that forward returns the "
          "features alone, or name what you want with taps");
  EXPECT_EQ(
      error_of([&] { backbone("def forward(self, x):\n    return x.sum()\n")->run(images.data(), 4, 4); }),
      file("m.pt") +
          ": expected an output with one row per image, [2,...], got []; the model must keep the batch "
          "as the first axis");
  try {
    backbone("def forward(self, x):\n    return torch.linear(x, torch.zeros([5, 7]), None)\n")
        ->run(images.data(), 4, 4);
    FAIL();
  } catch (const nn::UnfitInput& e) {
    EXPECT_THAT(e.what(), StartsWith("the model does not take images of 4 x 4 ([n,3,4,4]): "));
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
  }
}

/// Random weights, as `untrained` makes them.
std::unique_ptr<nn::Engine> random_engine(const std::string& name, bool fuse,
                                          std::vector<std::string> taps = {}) {
  nn::Model model;
  model.name = name;
  model.architecture = nn::make_architecture(name);
  nn::EngineOptions options;
  for (const std::string& tap : taps) options.taps.push_back(nn::resolve_tap(*model.architecture, tap));
  options.batch = 2;
  options.forget = 3;
  options.warn = [](const std::string& text) { ADD_FAILURE() << text; };
  return fuse ? make_fused_engine(model, options) : make_torch_engine(model, options);
}

TEST_F(TorchTest, FusedEnginesAreWithinTheStatedToleranceOfTheReference) {
  Random random(4);
  for (const char* name : {"resnet18", "resnet50", "vgg11_bn", "mobilenet_v2", "mobilenet_v1_050",
                           "efficientnet_b0", "resnet20", "lenet"}) {
    // oneDNN pools to 7 x 7 only what is a multiple of that.
    const std::string_view network(name);
    const int side = network == "resnet20" || network == "lenet" ? 32 : network == "vgg11_bn" ? 224 : 64;
    std::vector<float> images(2u * 3u * static_cast<std::size_t>(side * side));
    for (float& v : images) v = static_cast<float>(random.uniform(-2, 2));
    const Tensor wanted = random_engine(name, false)->run(images.data(), side, side).at(0);
    const Tensor got = random_engine(name, true)->run(images.data(), side, side).at(0);
    ASSERT_EQ(got.shape, wanted.shape) << name;
    const at::Tensor a = at::from_blob(got.data, {got.size()}),
                     b = at::from_blob(wanted.data, {wanted.size()});
    EXPECT_LE(relative_error(a, b), 1e-4) << name;
    EXPECT_GT(b.abs().max().item<float>(), 0) << name;
  }
}

TEST_F(TorchTest, TapsOfAnArchitectureAreTheValuesOnTheWay) {
  std::vector<float> images(2u * 3u * 64u * 64u, 0.5f);
  const auto engine = random_engine("resnet18", true, {"layer2", "layer4", "avgpool"});
  const auto out = engine->run(images.data(), 64, 64);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].shape, (Shape{2, 128, 8, 8}));
  EXPECT_EQ(out[1].shape, (Shape{2, 512, 2, 2}));
  EXPECT_EQ(out[2].shape, (Shape{2, 512, 1, 1}));
  // The last is the mean of the one before.
  for (int c = 0; c < 512; ++c) {
    const float* v = out[1].as<float>() + 4 * c;
    EXPECT_NEAR(out[2].as<float>()[c], (v[0] + v[1] + v[2] + v[3]) / 4,
                1e-4f * (1 + std::fabs(out[2].as<float>()[c])));
  }
}

TEST_F(TorchTest, ADeviceThatIsNotThereIsNamed) {
  EXPECT_EQ(error_of([] { Device device("gpu"); }),
            "device: expected auto, cpu, cuda or cuda:NUMBER, got 'gpu'");
  EXPECT_THAT(error_of([] { Device device("cuda:77"); }), StartsWith("device: 'cuda:77' is not available: "));
  EXPECT_TRUE(Device("cpu").is_cpu());
}

}  // namespace
}  // namespace graft::libtorch
