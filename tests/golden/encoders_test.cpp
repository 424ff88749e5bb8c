// Published image encoders, computed by their owners' code: small models with random weights, their inputs
// and outputs. Runs where the reference data lies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <network/bind.h>
#include <network/engine.h>
#include <network/published.h>
#include <network/reference.h>

#include <fused_engine.h>
#include "encoder_reference.h"
#if GRAFT_HAS_TORCH
#include <libtorch/torch_engine.h>
#endif

namespace graft {
namespace {

namespace fs = std::filesystem;
using golden::Dataset;
using golden::encoders_folder;
using golden::Reference;
using preprocessing::Preprocessing;

/// What a folder is compared by: our layer for the owner's output. Names that the folder lacks are left out.
struct Model {
  std::string name;
  std::optional<int> heads = {};  ///< Where nothing in the files tells.
  std::string file = {};          ///< Of several weights in the folder.
  /// Beside, or in place of, the usual ones; " hwc" after a name: the owner has the channels last.
  std::map<std::string, std::string> outputs = {};
};

void PrintTo(const Model& model, std::ostream* out) {
  *out << model.name << ' ' << model.file;
}

std::map<std::string, std::string> outputs_of(const Model& model) {
  std::map<std::string, std::string> out = {
      {"features", ""}, {"logits", "head"}, {"tokens", "norm"}, {"embed", "embed"}, {"block_0", "blocks.0"}};
  for (const auto& [theirs, ours] : model.outputs) out[theirs] = ours;
  return out;
}

/// Pictures as a network takes them, and what the owner's code makes of them.
struct Case {
  std::string prefix;  ///< "", "g4x9_", "s64x64_"
  Dataset images;      ///< [n,3,h,w]
};

std::vector<Case> cases_of(const Reference& reference, const Preprocessing& p) {
  std::vector<Case> out{{"", *reference.find("input")}};
  for (const std::string& name : reference.names()) {
    const std::string end = "_image_u8";
    if (!name.ends_with(end)) continue;
    out.push_back({name.substr(0, name.size() - end.size() + 1),
                   golden::normalised(*reference.find(name), p.mean, p.deviation)});
  }
  return out;
}

class Encoders : public ::testing::TestWithParam<Model> {};

TEST_P(Encoders, GivesWhatItsOwnersCodeGives) {
  const Model& model = GetParam();
  const fs::path at = encoders_folder() / model.name;
  if (!fs::exists(at))
    GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
  auto published = nn::open_published(nn::find_model_files(at / model.file), model.heads);
  ASSERT_TRUE(published);
  const nn::Architecture& net = published->architecture;
  const Reference reference(at / "reference.h5");

  std::vector<std::string> theirs, taps;
  std::vector<bool> channels_last;
  for (const auto& [their, our] : outputs_of(model)) {
    if (!reference.find(their)) continue;
    theirs.push_back(their);
    channels_last.push_back(our.ends_with(" hwc"));
    taps.push_back(our.empty() ? net.tap : nn::resolve_tap(net, our.substr(0, our.find(' '))));
  }
  nn::Model described;
  described.name = model.name;
  described.architecture = net;
  described.weights = nn::bind(net, *published->weights, taps);
  const nn::Architecture needed = nn::reduced_to(net, taps);

  std::map<std::string, double> worst;
  for (const Case& one : cases_of(reference, net.preprocessing)) {
    const int height = static_cast<int>(one.images.shape[2]), width = static_cast<int>(one.images.shape[3]);
    const auto count = static_cast<std::size_t>(one.images.shape[0]);
    const std::size_t pixels = 3 * static_cast<std::size_t>(height * width);
    const auto compare = [&](const std::string& engine, const auto& value_of, double allowed) {
      for (std::size_t t = 0; t < theirs.size(); ++t) {
        const auto wanted = reference.find(one.prefix + theirs[t]);
        if (!wanted) continue;
        const std::size_t kept = static_cast<std::size_t>(wanted->shape[0]),
                          each = wanted->values.size() / kept;
        double scale = 1, off = 0;
        for (const float v : wanted->values) scale = std::max(scale, std::fabs(static_cast<double>(v)));
        // Of images with the channels last, value k is that of a pixel and a channel.
        const std::size_t channels = channels_last[t] ? static_cast<std::size_t>(wanted->shape.back()) : 1;
        for (std::size_t i = 0; i < std::min(kept, count); ++i) {
          const auto got = value_of(t, i);
          ASSERT_EQ(got.size(), each) << one.prefix + theirs[t];
          for (std::size_t k = 0; k < each; ++k)
            off = std::max(
                off, std::fabs(static_cast<double>(got[k % channels * (each / channels) + k / channels]) -
                               static_cast<double>(wanted->values[i * each + k])) /
                         scale);
        }
        worst[engine] = std::max(worst[engine], off);
        EXPECT_LE(off, allowed) << engine << ", " << one.prefix << theirs[t];
      }
    };

    std::vector<std::vector<nn::PlainValue>> plain;
    for (std::size_t i = 0; i < count; ++i)
      plain.push_back(
          nn::reference(needed, described.weights,
                        {one.images.values.begin() + static_cast<std::ptrdiff_t>(i * pixels),
                         one.images.values.begin() + static_cast<std::ptrdiff_t>((i + 1) * pixels)},
                        height, width, taps));
    compare(
        "plain", [&](std::size_t t, std::size_t i) { return plain[i][t].data; }, 2e-5);

    nn::EngineOptions options;
    options.batch = static_cast<int>(count);
    options.taps = taps;
    options.warn = [&](const std::string& text) { ADD_FAILURE() << text; };
    const auto compare_engine = [&](const std::string& name, const nn::Engine& engine, double allowed) {
      const std::vector<Tensor> values = engine.run(one.images.values.data(), height, width);
      compare(
          name,
          [&](std::size_t t, std::size_t i) {
            const std::int64_t each = values[t].size() / values[t].shape[0];
            const float* from = values[t].as<float>() + static_cast<std::int64_t>(i) * each;
            return std::vector<float>(from, from + each);
          },
          allowed);
    };
    compare_engine("fused", fused::FusedEngine(described, options), 1e-4);
#if GRAFT_HAS_TORCH
    const auto torch = libtorch::make_torch_engine(described, options);
    torch->enter_thread();
    compare_engine("torch", *torch, 2e-5);
#endif
  }
  for (const auto& [engine, off] : worst)
    std::cout << fmt::format("{} {}: {} within {:.1e}\n", model.name, model.file, engine, off);
}

const std::map<std::string, std::string> kConvNext = {{"stem", "stem.1"},
                                                      {"stage_0", "stages.0"},
                                                      {"map", "stages.3"},
                                                      {"logits", "head.fc"},
                                                      {"pooled", "head.flatten"}};

/// Their maps have the channels last.
const std::map<std::string, std::string> kTimmSwin = {{"stem", "patch_embed.norm hwc"},
                                                      {"block_0", "layers.0.blocks.0 hwc"},
                                                      {"stage_0", "layers.0 hwc"},
                                                      {"stage_1", "layers.1 hwc"},
                                                      {"map", "norm hwc"},
                                                      {"logits", "head"}};

/// What most convolutional networks call their parts.
std::map<std::string, std::string> cnn(const std::string& stem, const std::string& stage,
                                       const std::string& map, const std::string& logits) {
  std::map<std::string, std::string> out = {{"map", map}, {"logits", logits}};
  if (!stem.empty()) out["stem"] = stem;
  if (!stage.empty()) out["stage_0"] = stage;
  return out;
}

/// An ONNX model in each of its files.
struct OnnxFolder {
  const char* name;
  std::vector<std::string> files;
  const char* logits;  ///< Our name for the layer that gives them.
};
const std::vector<std::string> kAllOnnx = {"model.onnx", "model_dynamic.onnx", "model_opset13.onnx",
                                           "model_opset13_dynamic.onnx"};
const std::vector<std::string> kTwoOnnx = {"model.onnx", "model_opset13_dynamic.onnx"};
const OnnxFolder kOnnx[] = {
    {"onnx-resnet", kAllOnnx, "fc"},
    {"onnx-densenet", kTwoOnnx, "classifier"},
    {"onnx-mobilenet_v3", kTwoOnnx, "classifier.3"},
    {"onnx-efficientnet", kTwoOnnx, "classifier.1"},
    {"onnx-regnet_y", kTwoOnnx, "fc"},
    {"onnx-shufflenet_v2", kTwoOnnx, "fc"},
    {"onnx-convnext", kAllOnnx, "classifier.2"},
    {"onnx-timm_vit", kAllOnnx, "head"},
    {"onnx-torchvision_vit", kAllOnnx, "heads.head"},
    {"onnx-dinov2_interpolated", kTwoOnnx, ""},
    {"onnx-swin", {"model.onnx", "model_opset13.onnx"}, "head"},
};

std::vector<Model> onnx_models() {
  std::vector<Model> out;
  for (const OnnxFolder& folder : kOnnx)
    for (const std::string& file : folder.files)
      out.push_back({folder.name, {}, file, {{"logits", folder.logits}}});
  return out;
}

const Model kModels[] = {
    {"timm-vit-augreg"},
    {"timm-deit-distilled"},
    {"timm-uni2", 3},
    {"timm-virchow"},
    {"timm-vit-clip_openai"},
    {"timm-dinov2-vit_small_patch14_dinov2"},
    {"timm-dinov2-vit_small_patch14_reg4_dinov2"},
    {"timm-dinov2-vit_giant_patch14_dinov2"},
    {"timm-dinov3-vit_small_patch16_dinov3_qkvb"},
    {"timm-dinov3-vit_small_plus_patch16_dinov3"},
    {"timm-siglip-vit_base_patch16"},
    {"meta-dinov2-vits14", 2},
    {"meta-dinov2-vits14_reg4", 3},
    {"meta-dinov2-vitg14", 2},
    {"meta-dinov3-vits16", 2},
    {"meta-dinov3-vits16plus", 3},
    {"hf-vit"},
    {"hf-dinov2-small"},
    {"hf-dinov2-giant"},
    {"hf-dinov2_with_registers-small"},
    {"hf-dinov3_vit-vits16"},
    {"hf-dinov3_vit-vits16plus"},
    {"hf-clip-vit", {}, {}, {{"embed", "norm_pre"}, {"pooled", "pool"}}},
    {"hf-siglip-vit"},
    {"openai-clip-vit_b16", {}, "state_dict.pth", {{"embed", "norm_pre"}, {"pooled", "pool"}}},
    {"openclip-vit-laion", {}, {}, {{"embed", "norm_pre"}, {"ln_post", "norm"}}},
    {"openclip-siglip", {}, {}, {{"pooled", "pool"}}},
    {"torchvision-vit_b_16", 2},
    {"timm-convnext_tiny", {}, {}, kConvNext},
    {"timm-convnextv2_tiny", {}, {}, kConvNext},
    {"timm-dinov3_convnext_tiny", {}, {}, kConvNext},
    {"meta-convnext_tiny", {}, {}, kConvNext},
    {"meta-convnextv2_tiny", {}, {}, kConvNext},
    {"meta-dinov3_convnext_tiny", {}, {}, kConvNext},
    {"torchvision-convnext_tiny", {}, {}, kConvNext},
    {"timm-resnet50", {}, {}, cnn("", "layer1", "layer4", "fc")},
    {"timm-resnet50d", {}, {}, cnn("", "layer1", "layer4", "fc")},
    {"timm-seresnext50_32x4d", {}, {}, cnn("", "layer1", "layer4", "fc")},
    {"timm-regnety_004", {}, {}, cnn("stem", "s1", "s4", "head.fc")},
    {"torchvision-regnet_y_400mf", {}, {}, cnn("stem", "trunk_output.block1", "trunk_output", "fc")},
    {"timm-tf_efficientnetv2_s", {}, {}, cnn("act1", "blocks.0", "act2", "classifier")},
    {"torchvision-efficientnet_v2_s", {}, {}, cnn("features.0", "features.1", "features.7", "classifier.1")},
    {"timm-mobilenetv3_large_100", {}, {}, cnn("act1", "blocks.0", "blocks.6", "classifier")},
    {"torchvision-mobilenet_v3_large",
     {},
     {},
     {{"stem", "features.0"}, {"block_0", "features.4"}, {"map", "features.16"}, {"logits", "classifier.3"}}},
    {"torchvision-densenet121", {}, {}, cnn("", "features.denseblock1", "relu", "classifier")},
    {"timm-swin_tiny", {}, {}, kTimmSwin},
    {"microsoft-swin_tiny", {}, {}, kTimmSwin},
    {"torchvision-swin_t",
     {},
     {},
     {{"stem", "features.0.2 hwc"},
      {"block_0", "features.1.0 hwc"},
      {"stage_0", "features.1 hwc"},
      {"map", "norm"},
      {"logits", "head"}}},
};

std::string name_of_model(const ::testing::TestParamInfo<Model>& info) {
  std::string name = info.param.name + (info.param.name.starts_with("onnx-") ? "_" + info.param.file : "");
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, Encoders, ::testing::ValuesIn(kModels), name_of_model);
INSTANTIATE_TEST_SUITE_P(GoldenOnnx, Encoders, ::testing::ValuesIn(onnx_models()), name_of_model);

// Whatever the order of its operators: the graph itself, one operator after the other.
TEST(GoldenEncoders, OnnxNetworksComputeWhatTheirGraphsDo) {
  if (!fs::exists(encoders_folder()))
    GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
  for (const Model& model : onnx_models()) {
    const nn::ModelFiles files = nn::find_model_files(encoders_folder() / model.name / model.file);
    const auto off = nn::difference_from_graph(files, *nn::open_published(files));
    ASSERT_TRUE(off) << model.name;
    EXPECT_LE(*off, 1e-6) << model.name << ' ' << model.file;
  }
}

TEST(GoldenEncoders, FoldersThatAreNotComparedYet) {
  if (!fs::exists(encoders_folder()))
    GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(encoders_folder())) {
    const std::string name = entry.path().filename();
    const bool covered = name == "torchvision-formula" ||  // by a test of its own
                         std::any_of(std::begin(kModels), std::end(kModels),
                                     [&](const Model& model) { return model.name == name; }) ||
                         std::any_of(std::begin(kOnnx), std::end(kOnnx),
                                     [&](const OnnxFolder& folder) { return folder.name == name; });
    if (entry.is_directory() && !covered) left.push_back(name);
  }
  std::sort(left.begin(), left.end());
  std::cout << fmt::format("not compared yet ({}): {}\n", left.size(), fmt::join(left, ", "));
}

}  // namespace
}  // namespace graft
