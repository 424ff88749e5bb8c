// What is changed in the graph of a script: taps, padding, channels.

#include <graft/random.h>

#include "align_channels.h"
#include "fold_padding.h"
#include "tap_modules.h"
#include "testing/torch_fixture.h"

namespace graft::libtorch {
namespace {

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

}  // namespace
}  // namespace graft::libtorch
