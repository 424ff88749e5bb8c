#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>

#include <libtorch/device.h>
#include <libtorch/program.h>
#include <libtorch/torch_engine.h>

namespace graft::libtorch {

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
inline Module module_of(const std::string& source,
                        const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  Module module("M");
  module.register_attribute("training", c10::BoolType::get(), true);
  for (const auto& [name, value] : tensors) module.register_parameter(name, value, false);
  module.define(source);
  module.eval();
  return module;
}

/// Convolutions with TensorFlow's 'same' padding, ReLU6, and a number of channels that no block divides.
inline Module small_mobilenet() {
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

/// As MobileNet v3: hardswish after convolutions, squeeze-and-excitation, a residual sum; with a number of
/// channels that neither blocks of 8 nor of 16 divide. `seen`: another operation depends on the channels of
/// the block.
inline Module small_mobilenet_v3(std::int64_t channels, bool seen) {
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

/// The fused engine over a TorchScript file.
inline std::unique_ptr<nn::Engine> fused(
    const std::string& path, int batch,
    std::function<void(const std::string&)> warn = [](const std::string&) {}) {
  nn::Model model;
  model.name = model.torchscript = path;
  nn::EngineOptions options;
  options.batch = batch;
  options.warn = std::move(warn);
  return make_fused_engine(model, options);
}

inline double relative_error(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).abs().max() / wanted.abs().max()).item<double>();
}

}  // namespace graft::libtorch
