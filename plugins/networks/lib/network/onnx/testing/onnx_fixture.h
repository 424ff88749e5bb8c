#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <graft/random.h>
#include <graft/testing/error_of.h>

#include <network/operation.h>
#include <network/published.h>
#include <network/testing/onnx_writer.h>

namespace graft::nn {

/// Writes ONNX models and reads them as networks.
class OnnxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-onnx-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<float> noise(std::size_t n, double low = -0.5, double high = 0.5) {
    std::vector<float> out(n);
    for (float& v : out) v = static_cast<float>(random_.uniform(low, high));
    return out;
  }
  void weight(test::OnnxWriter& to, const std::string& name, const test::OnnxWriter::Ints& shape,
              double low = -0.5, double high = 0.5) {
    std::size_t count = 1;
    for (const std::int64_t n : shape) count *= static_cast<std::size_t>(n);
    to.weight(name, shape, noise(count, low, high));
  }
  static void scalar(test::OnnxWriter& to, const std::string& name, float value) {
    to.weight(name, {}, {value});
  }

  ModelFiles write(const std::string& bytes) const {
    std::ofstream(folder_ / "m.onnx", std::ios::binary) << bytes;
    return find_model_files(folder_ / "m.onnx");
  }
  /// The network of a model, which must compute what its graph does.
  Published read(const test::OnnxWriter& model) {
    const ModelFiles files = write(model.bytes());
    Published out = std::move(*open_published(files));
    EXPECT_LE(*difference_from_graph(files, out), 2e-6);
    return out;
  }
  /// Without the path in front.
  std::string error(const std::string& bytes) const {
    const ModelFiles files = write(bytes);
    std::string text = graft::testing::error_of([&] { open_published(files); });
    const std::string path = (folder_ / "m.onnx").string() + ": ";
    return text.starts_with(path) ? text.substr(path.size()) : "no path: " + text;
  }
  std::string error(const test::OnnxWriter& model) const { return error(model.bytes()); }

  static std::vector<std::string> operations_of(const Published& model) {
    std::vector<std::string> out;
    for (const Layer& layer : model.architecture.layers) out.emplace_back(to_string(layer.op));
    return out;
  }

  /// x, then a 1 x 1 convolution to `channels`: "c".
  test::OnnxWriter image(const test::OnnxWriter::Ints& sides, std::int64_t channels,
                         std::int64_t opset = 17) {
    test::OnnxWriter to(opset);
    to.input("x", {-1, 3, sides[0], sides[1]});
    weight(to, "stem.weight", {channels, 3, 1, 1});
    to.node("Conv", {"x", "stem.weight"}, {"c"});
    return to;
  }
  /// The mean of the channels of `from`, and a linear layer: the output "y".
  void head(test::OnnxWriter& to, const std::string& from, std::int64_t channels) {
    to.node("GlobalAveragePool", {from}, {"pooled"});
    to.node("Flatten", {"pooled"}, {"flat"});
    weight(to, "fc.weight", {5, channels});
    weight(to, "fc.bias", {5});
    to.node("Gemm", {"flat", "fc.weight", "fc.bias"}, {"y"}, {test::OnnxWriter::number("transB", 1)});
    to.output("y");
  }

  std::filesystem::path folder_;
  Random random_{7};
};

}  // namespace graft::nn
