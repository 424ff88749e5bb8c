// Networks of torchvision in their full size, with weights that a formula gives
// (torchvision-formula/arch.json of the reference data): opened as files, by the loops and by both engines.
// Runs where the reference data lies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/value.h>
#include <network/bind.h>
#include <network/engine.h>
#include <network/published.h>
#include <network/reference.h>
#include <network/weight_fit.h>

#include <fused_engine.h>
#include "encoder_reference.h"
#include "temp_folder.h"
#if GRAFT_HAS_TORCH
#include <libtorch/torch_engine.h>
#endif

namespace graft {
namespace {

using golden::Dataset;
using golden::Reference;

/// Numbers in [0, 1) that belong to a name.
class Formula {
 public:
  explicit Formula(const std::string& name) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  double next() {
    std::uint64_t z = state_ + ++count_ * 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return static_cast<double>(z >> 40) / (1 << 24);
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL, count_ = 0;
};

std::vector<float> tensor_by_formula(const std::string& name, const Shape& shape, double gain) {
  Formula formula(name);
  const auto n = static_cast<std::size_t>(elements(shape));
  const double spread =
      gain * std::sqrt(6.0 * static_cast<double>(shape[0]) / static_cast<double>(elements(shape)));
  std::vector<float> out(n);
  for (float& v : out) {
    const double u = formula.next();
    v = static_cast<float>(name.ends_with("running_var")    ? 0.5 + u
                           : name.ends_with("running_mean") ? 0.2 * (u - 0.5)
                           : shape.size() > 1               ? (2 * u - 1) * spread
                           : name.ends_with("weight")       ? 0.5 + u
                                                            : 0.2 * (u - 0.5));
  }
  return out;
}

/// A safetensors file of all tensors that are floats, written one by one.
void write_weights(const std::filesystem::path& path, const Value& network) {
  std::string header = "{";
  std::int64_t at = 0;
  std::vector<std::pair<std::string, Shape>> tensors;
  for (const auto& [name, type_and_shape] : network.find("tensors")->as_map()) {
    if (type_and_shape.as_list()[0].as_string() != "float32") continue;
    Shape shape;
    for (const Value& side : type_and_shape.as_list()[1].as_list()) shape.push_back(side.as_int());
    const std::int64_t bytes = 4 * elements(shape);
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                          at > 0 ? "," : "", name, fmt::join(shape, ","), at, at + bytes);
    at += bytes;
    tensors.emplace_back(name, shape);
  }
  header += "}";
  std::ofstream out(path, std::ios::binary);
  const std::uint64_t size = header.size();
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out << header;
  for (const auto& [name, shape] : tensors) {
    const std::vector<float> values = tensor_by_formula(name, shape, network.find("gain")->as_double());
    out.write(reinterpret_cast<const char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
  ASSERT_TRUE(out.good()) << path;
}

class Formulas : public ::testing::TestWithParam<const char*> {};

TEST_P(Formulas, GiveTorchvisionsLogits) {
  const std::string name = GetParam();
  const auto folder = golden::encoders_folder() / "torchvision-formula";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
  std::ifstream json(folder / (name + ".json"));
  const Value description =
      Value::from_json(std::string(std::istreambuf_iterator<char>(json), std::istreambuf_iterator<char>()));
  const Reference reference(folder / "reference.h5");

  const test::TempFolder temporary;
  const auto path = temporary / (name + ".safetensors");
  write_weights(path, description);
  const nn::ModelFiles files = nn::find_model_files(path);
  auto published = nn::open_published(files);
  const std::unique_ptr<nn::WeightFile> weights =
      published ? std::move(published->weights) : nn::open_weights(files);
  const nn::Architecture net =
      published ? std::move(published->architecture) : nn::best_fit(*weights)->architecture;

  // Our layer for the owner's output; means of maps, where `call` ends with the name of the module.
  std::map<std::string, std::string> outputs = {{"logits", net.layers.back().name}};
  if (reference.find(name + "/features")) outputs["features"] = net.tap;
  for (const char* mean : {"stem_mean_per_channel", "stage_0_mean_per_channel"})
    if (reference.find(name + "/" + mean)) {
      const std::string call = reference.call_of(name + "/" + mean);
      const std::string module = call.substr(call.rfind(' ') + 1);
      // SqueezeNet's ReLU after it had written over the value by the time that its mean was taken.
      outputs[mean] = nn::resolve_tap(net, name == "squeezenet1_1" ? "features.1" : module);
    }
  std::vector<std::string> taps;
  for (const auto& [theirs, ours] : outputs) taps.push_back(ours);
  nn::Model model;
  model.name = name;
  model.architecture = net;
  model.weights = nn::bind(net, *weights, taps);

  const std::int64_t side = description.find("input")->as_int();
  const Dataset pixels = *reference.find(fmt::format("image_u8_{}", side));
  std::map<std::string, double> worst;
  const auto compare = [&](const Dataset& images, const std::string& wanted_logits) {
    const auto count = static_cast<std::size_t>(images.shape[0]);
    const auto check = [&](const std::string& engine, std::size_t image, std::size_t tap, const auto& got,
                           double allowed) {
      const std::string theirs = std::next(outputs.begin(), static_cast<std::ptrdiff_t>(tap))->first;
      // Of the other normalisation, there are the logits alone.
      if (theirs != "logits" && wanted_logits != "logits") return;
      const Dataset wanted = *reference.find(name + "/" + (theirs == "logits" ? wanted_logits : theirs));
      double scale = 1, off = 0;
      for (const float v : wanted.values) scale = std::max(scale, std::fabs(static_cast<double>(v)));
      const std::size_t channels = wanted.values.size() / count, area = got.size() / channels;
      ASSERT_EQ(got.size(), channels * area) << theirs;
      for (std::size_t c = 0; c < channels; ++c) {
        double mean = 0;
        for (std::size_t i = 0; i < area; ++i) mean += static_cast<double>(got[c * area + i]);
        mean /= static_cast<double>(area);
        off =
            std::max(off, std::fabs(mean - static_cast<double>(wanted.values[image * channels + c])) / scale);
      }
      worst[engine] = std::max(worst[engine], off);
      EXPECT_LE(off, allowed) << engine << ", " << theirs << ", image " << image;
    };
    const std::size_t size = images.values.size() / count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto first = images.values.begin() + static_cast<std::ptrdiff_t>(i * size);
      const auto values =
          nn::reference(net, model.weights, {first, first + static_cast<std::ptrdiff_t>(size)},
                        static_cast<int>(side), static_cast<int>(side), taps);
      for (std::size_t t = 0; t < taps.size(); ++t) check("plain", i, t, values[t].data, 2e-5);
    }
    nn::EngineOptions options;
    options.batch = static_cast<int>(count);
    options.taps = taps;
    options.warn = [](const std::string& text) { ADD_FAILURE() << text; };
    const auto check_engine = [&](const std::string& engine, const nn::Engine& one, double allowed) {
      const std::vector<Tensor> values =
          one.run(images.values.data(), static_cast<int>(side), static_cast<int>(side));
      for (std::size_t t = 0; t < taps.size(); ++t)
        for (std::size_t i = 0; i < count; ++i) {
          const std::int64_t each = values[t].size() / values[t].shape[0];
          const float* from = values[t].as<float>() + static_cast<std::int64_t>(i) * each;
          check(engine, i, t, std::vector<float>(from, from + each), allowed);
        }
    };
    check_engine("fused", fused::FusedEngine(model, options), 1e-4);
#if GRAFT_HAS_TORCH
    const auto torch = libtorch::make_torch_engine(model, options);
    torch->enter_thread();
    check_engine("torch", *torch, 2e-5);
#endif
  };
  constexpr std::array<double, 3> kMean = {0.485, 0.456, 0.406}, kDeviation = {0.229, 0.224, 0.225};
  compare(golden::normalised(pixels, kMean, kDeviation), "logits");
  // What the network would do to its input belongs to the normalisation of the images.
  const bool transforms = reference.find(name + "/logits_transform_input").has_value();
  EXPECT_EQ(net.preprocessing.mean[0] == 0.5, transforms);
  if (transforms)
    compare(golden::normalised(pixels, net.preprocessing.mean, net.preprocessing.deviation),
            "logits_transform_input");
  for (const auto& [engine, off] : worst)
    std::cout << fmt::format("{}: {} within {:.1e}\n", name, engine, off);
}

INSTANTIATE_TEST_SUITE_P(Golden, Formulas,
                         ::testing::Values("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2",
                                           "inception_v3", "googlenet", "densenet121", "mobilenet_v2",
                                           "shufflenet_v2_x1_0", "squeezenet1_1", "mnasnet1_0",
                                           "efficientnet_b1", "vgg11_bn"),
                         [](const auto& info) { return std::string(info.param); });

TEST(GoldenFormula, GivesTheSamplesOfItsDescription) {
  const auto folder = golden::encoders_folder() / "torchvision-formula";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
  const Reference reference(folder / "reference.h5");
  const std::vector<float> wanted = reference.find("formula_sample")->values,
                           got = tensor_by_formula("conv1.weight", {64, 3, 7, 7}, 1);
  EXPECT_EQ(std::vector<float>(got.begin(), got.begin() + 8), wanted);
  std::vector<float> norm;
  for (const char* part : {"bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"}) {
    const std::vector<float> values = tensor_by_formula(part, {4}, 1);
    norm.insert(norm.end(), values.begin(), values.end());
  }
  EXPECT_EQ(norm, reference.find("formula_sample_bn")->values);
}

}  // namespace
}  // namespace graft
