// Published networks other than transformers: what their tensors and the files beside them decide, and what
// is refused.

#include <network/published.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/safetensors.h>

#include <network/cost.h>
#include <network/testing/test_tensors.h>
#include <network/weight_fit.h>

namespace graft::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A folder that goes away with the test, and a model in it.
class PublishedCnnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-published-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const Shape& shape) { tensors_[name] = test::filled(shape, 0.5f); }
  void conv(const std::string& name, std::int64_t out, std::int64_t in, std::int64_t kernel = 1) {
    put(name + ".weight", {out, in, kernel, kernel});
  }
  void norm(const std::string& name, std::int64_t channels) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      put(name + part, {channels});
  }
  void linear(const std::string& name, std::int64_t out, std::int64_t in) {
    put(name + ".weight", {out, in});
    put(name + ".bias", {out});
  }
  /// Two stages of a bottleneck each, whose middle convolution has groups of four channels.
  void put_resnext() {
    conv("conv1", 8, 3, 7);
    norm("bn1", 8);
    for (const int stage : {1, 2}) {
      const std::string at = fmt::format("layer{}.0.", stage);
      const std::int64_t in = stage == 1 ? 8 : 16, width = 8 * stage, out = 16 * stage;
      conv(at + "conv1", width, in);
      conv(at + "conv2", width, 4, 3);
      conv(at + "conv3", out, width);
      norm(at + "bn1", width);
      norm(at + "bn2", width);
      norm(at + "bn3", out);
      conv(at + "downsample.0", out, in);
      norm(at + "downsample.1", out);
    }
    linear("fc", 5, 32);
  }
  /// One stage of two blocks, in the names of torchvision or of timm.
  void put_swin(bool timm) {
    conv(timm ? "patch_embed.proj" : "features.0.0", 8, 3, 4);
    put(timm ? "patch_embed.proj.bias" : "features.0.0.bias", {8});
    linear("norm", 8, 1);
    put("norm.weight", {8});
    for (const int i : {0, 1}) {
      const std::string at = fmt::format(fmt::runtime(timm ? "layers.0.blocks.{}." : "features.1.{}."), i);
      for (const char* name : {"norm1", "norm2"}) {
        put(at + name + ".weight", {8});
        put(at + name + ".bias", {8});
      }
      linear(at + "attn.qkv", 24, 8);
      linear(at + "attn.proj", 8, 8);
      put(at + "attn.relative_position_bias_table", {9, 2});
      linear(at + (timm ? "mlp.fc1" : "mlp.0"), 16, 8);
      linear(at + (timm ? "mlp.fc2" : "mlp.3"), 8, 16);
    }
    linear(timm ? "head.fc" : "head", 3, 8);
  }

  std::optional<Published> open(const std::string& name = "model.safetensors") {
    std::ofstream(folder_ / name, std::ios::binary) << to_safetensors(tensors_);
    if (!config_.empty()) std::ofstream(folder_ / "config.json") << config_;
    return open_published(find_model_files(config_.empty() ? folder_ / name : folder_));
  }
  std::string error(const std::string& name = "model.safetensors") {
    try {
      return open(name) ? "no error" : "of no known family";
    } catch (const Error& fault) {
      std::string text = fault.what();
      for (std::size_t at; (at = text.find(folder_.string())) != std::string::npos;)
        text.replace(at, folder_.string().size(), "FOLDER");
      return text;
    }
  }

  std::filesystem::path folder_;
  test::Tensors tensors_;
  std::string config_;
};

Shape output_of(const Architecture& net, int height, int width) {
  return cost_of(net, height, width).layers.back().output;
}

TEST_F(PublishedCnnTest, SizesAndGroupsComeFromTheTensors) {
  put_resnext();
  put("layer1.0.bn1.num_batches_tracked", {1});
  const auto found = open();
  ASSERT_TRUE(found);
  const Architecture& net = found->architecture;
  EXPECT_EQ(net.name, "ResNet");
  EXPECT_EQ(net.find("layer2.0.conv2")->groups, 4);
  EXPECT_EQ(net.find("layer2.0.conv2")->stride, 2);
  EXPECT_EQ(net.features, 32);
  EXPECT_EQ(net.classes, 5);
  EXPECT_EQ(output_of(net, 64, 40), Shape{5});
  EXPECT_EQ(resolve_tap(net, "layer1"), "layer1.0.relu3");
  EXPECT_THAT(
      found->notes,
      ElementsAre("guessed: images are resized to 232 px (bilinear), of which 224 are cut out, as for the "
                  "published weights; another training may have had others"));
}

TEST_F(PublishedCnnTest, TheDescriptionBesideThemDecidesTheImages) {
  put_resnext();
  config_ =
      R"({"architecture": "resnext_small", "pretrained_cfg": {"input_size": [3, 96, 96], "crop_pct": 0.96,
                "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}})";
  const auto found = open();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->architecture.name, "resnext_small");
  EXPECT_EQ(found->architecture.preprocessing.crop, 96);
  EXPECT_EQ(found->architecture.preprocessing.resize, 100);
  EXPECT_EQ(found->architecture.preprocessing.filter, "bicubic");
  EXPECT_EQ(found->architecture.preprocessing.mean[1], 0.5);
  EXPECT_THAT(found->notes, IsEmpty());
}

TEST_F(PublishedCnnTest, ANetworkOfTheListKeepsItsNameUnlessItIsDescribed) {
  tensors_ = test::weights_of(make_architecture("efficientnet_b0"));
  EXPECT_FALSE(open());
  EXPECT_EQ(best_fit(*open_weights(find_model_files(folder_ / "model.safetensors")))->architecture.name,
            "efficientnet_b0");
  config_ = R"({"architecture": "b0", "pretrained_cfg": {"input_size": [3, 192, 192]}})";
  const auto found = open();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->architecture.preprocessing.crop, 192);
  const Cost ours = cost_of(found->architecture, 64, 64),
             listed = cost_of(make_architecture("efficientnet_b0"), 64, 64);
  EXPECT_EQ(ours.parameters, listed.parameters);
  EXPECT_EQ(ours.multiply_adds, listed.multiply_adds);
}

TEST_F(PublishedCnnTest, WrappersAreLookedBehind) {
  put_resnext();
  test::Tensors wrapped;
  for (const auto& [name, tensor] : tensors_) wrapped["module.backbone." + name] = tensor;
  wrapped["module.projector.0.weight"] = test::filled({4, 32}, 0.5f);
  tensors_ = wrapped;
  const auto found = open();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->architecture.features, 32);
  EXPECT_EQ(found->weights->read({"conv1.weight"}).size(), 1u);
}

TEST_F(PublishedCnnTest, LowPassFiltersAreKnownByTheName) {
  put_resnext();
  EXPECT_EQ(open("resnetblur_small.safetensors")->architecture.find("layer2.0.aa")->op, Op::BlurPool);
  config_ = R"({"architecture": "seresnextaa_small"})";
  std::filesystem::remove(folder_ / "resnetblur_small.safetensors");
  const auto found = open();
  EXPECT_EQ(found->architecture.find("layer2.0.aa")->op, Op::WindowAvgPool);
  EXPECT_EQ(found->architecture.find("layer2.0.conv2")->stride, 1);
  EXPECT_EQ(found->architecture.find("maxpool"), nullptr);
  EXPECT_EQ(output_of(found->architecture, 64, 40), Shape{5});
}

TEST_F(PublishedCnnTest, TensorsThatDoNotGoTogetherAreNamed) {
  put_resnext();
  tensors_.erase("layer2.0.bn2.running_var");
  put("layer1.0.bn3.bias", {3});
  EXPECT_EQ(error(),
            "FOLDER/model.safetensors: has the tensors of ResNet, but not all fit\n"
            "  missing (1): layer2.0.bn2.running_var [16]\n"
            "  of another shape (1): layer1.0.bn3.bias [3], expected [16]\n"
            "  download the file again, or export the model as TorchScript");
  put_resnext();
  conv("layer2.0.downsample.0", 24, 16);
  norm("layer2.0.downsample.1", 24);
  EXPECT_EQ(
      error(),
      "FOLDER/model.safetensors: the sum 'layer2.0.add' is of 32 channels from 'layer2.0.bn3' and 24 from "
      "'layer2.0.downsample.1': tensors of two networks");
  put_resnext();
  conv("layer2.0.conv2", 16, 3, 3);
  EXPECT_EQ(
      error(),
      "FOLDER/model.safetensors: tensor 'layer2.0.conv2.weight' is [16,3,3,3]: expected a convolution of 16 "
      "channels");
  put_resnext();
  put("layer1.0.se.conv.weight", {1, 1, 3});
  EXPECT_EQ(
      error(),
      "FOLDER/model.safetensors: has a tensor 'layer1.0.se.conv.weight', which no ResNet has (1 such): it is "
      "another network; export it as TorchScript");
  tensors_.erase("layer1.0.se.conv.weight");
  config_ = R"({"model_args": {"act_layer": "silu"}})";
  EXPECT_EQ(error(),
            "FOLDER: config.json has `model_args.act_layer`: \"silu\", which graft does not know: export the "
            "model as "
            "TorchScript");
  config_ = R"({"global_pool": "max"})";
  EXPECT_EQ(error(),
            "FOLDER: config.json has `global_pool`: max, expected avg: export the model as TorchScript");
}

TEST_F(PublishedCnnTest, ADescriptionThatSaysNothingOfImagesChangesNothing) {
  put_resnext();
  const auto alone = open();
  for (const char* config :
       {"{}", "null", R"({"model_type": "resnet"})", R"({"architectures": ["ResNet"]})"}) {
    config_ = config;
    const auto found = open();
    ASSERT_TRUE(found) << config;
    EXPECT_EQ(to_string(found->architecture.preprocessing), to_string(alone->architecture.preprocessing))
        << config;
    EXPECT_EQ(found->notes, alone->notes) << config;
  }
  // A network that can be made by name is that one.
  tensors_ = test::weights_of(make_architecture("resnet18"));
  EXPECT_EQ(error(), "of no known family");
  config_ = R"({"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 288, 288]}})";
  EXPECT_EQ(open()->architecture.preprocessing.crop, 288);
  config_ = "[1, 2]";
  EXPECT_EQ(
      error(),
      "FOLDER/config.json: expected an object ({...}) that describes the model, got a list; download it "
      "again");
}

TEST_F(PublishedCnnTest, AnEfficientNetIsTheOneOfItsChannels) {
  const auto of_stem = [&](std::int64_t stem, std::int64_t in, std::int64_t head) {
    tensors_.clear();
    conv("features.0.0", stem, 3, 3);
    norm("features.0.1", stem);
    conv("features.1.0.block.0.0", stem, in, 3);
    norm("features.1.0.block.0.1", stem);
    for (int stage = 2; in == 1 && stage <= 7; ++stage) {
      conv(fmt::format("features.{}.0.block.0.0", stage), stem, 1, 3);
      norm(fmt::format("features.{}.0.block.0.1", stage), stem);
    }
    const std::string last = in == 1 ? "features.8" : "features.2";
    conv(last + ".0", head, stem);
    norm(last + ".1", head);
    linear("classifier.1", 3, head);
    auto found = open();
    EXPECT_EQ(found->notes.size(), head == 1536 || in > 1 ? 1u : 2u);
    return found->architecture;
  };
  const Architecture small = of_stem(24, 24, 16), large = of_stem(32, 32, 16);
  EXPECT_EQ(small.preprocessing.crop, 384);
  EXPECT_EQ(small.preprocessing.mean[0], 0.485);
  EXPECT_EQ(small.find("features.0.1")->eps, 1e-3);
  EXPECT_EQ(large.preprocessing.crop, 480);
  EXPECT_EQ(large.preprocessing.mean[0], 0.5);
  EXPECT_EQ(of_stem(40, 1, 1536).preprocessing.crop, 300);
  const Architecture other = of_stem(40, 1, 48);
  EXPECT_EQ(other.find("features.0.1")->eps, 1e-5);
  EXPECT_EQ(other.find("features.2.0.block.0.0")->stride, 2);
  EXPECT_EQ(other.find("features.5.0.block.0.0")->stride, 1);
}

TEST_F(PublishedCnnTest, ASwinHasTheWindowsAndHeadsOfItsBiases) {
  put_swin(false);
  const auto found = open();
  ASSERT_TRUE(found);
  const Layer& layer = *found->architecture.find("features.1.1.attn.windows");
  EXPECT_EQ(layer.kernel, Extent(2));
  EXPECT_EQ(layer.heads, 2);
  EXPECT_EQ(layer.shift, 1);
  EXPECT_EQ(output_of(found->architecture, 20, 28), Shape{3});
  put("features.1.1.attn.relative_position_bias_table", {15, 2});
  EXPECT_EQ(
      error(),
      "FOLDER/model.safetensors: tensor 'features.1.1.attn.relative_position_bias_table' is [15,2]: expected "
      "[(2 side - 1)^2,heads] for windows that are squares");
  put("features.1.1.attn.relative_position_bias_table", {9, 3});
  EXPECT_EQ(error(),
            "FOLDER/model.safetensors: 'features.1.1.attn.qkv' gives 24 values for 3 heads of a width of 8: "
            "expected "
            "thrice the width, which the heads divide");
}

TEST_F(PublishedCnnTest, TimmsSwinRefusesImagesThatTimmWouldDivideOtherwise) {
  put_swin(true);
  put("layers.0.blocks.1.attn_mask", {4, 4, 4});
  put("layers.0.blocks.0.attn.relative_position_index", {4, 4});
  const auto found = open();
  ASSERT_TRUE(found);
  EXPECT_EQ(output_of(found->architecture, 20, 28), Shape{3});
  EXPECT_THAT(
      [&] { output_of(found->architecture, 4, 28); },
      ::testing::ThrowsMessage<Error>(HasSubstr("takes images that are no smaller than a window of 2 x 2 px "
                                                "(timm would make a smaller window and change its biases)")));
  put("absolute_pos_embed", {1, 49, 8});
  EXPECT_THAT(error(), HasSubstr("has a tensor 'absolute_pos_embed', which no Swin Transformer has"));
}

TEST_F(PublishedCnnTest, TimmsFilesOfInvertedResidualsNeedAName) {
  conv("conv_stem", 8, 3, 3);
  norm("bn1", 8);
  conv("blocks.0.0.conv_dw", 8, 1, 3);
  norm("blocks.0.0.bn1", 8);
  conv("blocks.0.0.conv_pw", 8, 8);
  norm("blocks.0.0.bn2", 8);
  conv("conv_head", 16, 8);
  norm("bn2", 16);
  linear("classifier", 3, 16);
  EXPECT_EQ(
      error(),
      "FOLDER/model.safetensors: has the tensors of timm's EfficientNet, MobileNet or MNASNet, and is named "
      "'model', which does not specify the activation: name the folder with its config.json, or export it as "
      "TorchScript");
  const auto made_of = [&](const char* name) {
    config_ = fmt::format(R"({{"architecture": "{}"}})", name);
    return open()->architecture;
  };
  const Architecture lite = made_of("tf_efficientnet_lite0"), mnasnet = made_of("mnasnet_100");
  EXPECT_EQ(lite.find("act1")->op, Op::Relu6);
  EXPECT_EQ(lite.find("conv_stem")->padding_rule, PaddingRule::Same);
  EXPECT_EQ(lite.find("bn1")->eps, 1e-3);
  EXPECT_EQ(mnasnet.find("act1")->op, Op::Relu);
  EXPECT_EQ(mnasnet.find("conv_stem")->padding, (Padding{1, 1, 1, 1}));
  EXPECT_EQ(mnasnet.find("bn1")->eps, 1e-5);
  config_ = R"({"architecture": "efficientnet_blur_b0"})";
  EXPECT_THAT(error(), HasSubstr("is named 'efficientnet_blur_b0', which does not specify the activation"));
}

TEST_F(PublishedCnnTest, AMobileNetOfAnotherLengthIsRefused) {
  conv("features.0.0", 8, 3, 3);
  for (int i = 1; i <= 14; ++i) conv(fmt::format("features.{}.block.0.0", i), 8, 1, 3);
  EXPECT_EQ(error(), "FOLDER/model.safetensors: has 14 blocks: a MobileNet v3 has 15 (large) or 11 (small)");
}

}  // namespace
}  // namespace graft::nn
