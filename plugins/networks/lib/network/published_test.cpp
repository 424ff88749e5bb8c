#include <network/published.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>

#include <graft/error.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>

#include <network/bind.h>
#include <network/cost.h>
#include <network/testing/test_tensors.h>
#include "zoo/tensor_map.h"

namespace graft::nn {
namespace {

using ::testing::HasSubstr;

/// A folder that goes away with the test, with a small ViT as timm publishes it: width 8, patches of 4 px, a
/// grid of 3 x 3, two blocks, five classes.
class PublishedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-published-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    put("cls_token", {1, 1, 8});
    put("pos_embed", {1, 10, 8});
    put("patch_embed.proj.weight", {8, 3, 4, 4});
    put("patch_embed.proj.bias", {8});
    for (const std::string block : {"blocks.0.", "blocks.1."}) {
      linear(block + "attn.qkv", 24, 8);
      linear(block + "attn.proj", 8, 8);
      linear(block + "mlp.fc1", 16, 8);
      linear(block + "mlp.fc2", 8, 16);
      for (const std::string norm : {"norm1", "norm2"}) {
        put(block + norm + ".weight", {8});
        put(block + norm + ".bias", {8});
      }
    }
    put("norm.weight", {8});
    put("norm.bias", {8});
    linear("head", 5, 8);
    config_ = R"({"architecture": "vit_tiny", "global_pool": "token", "model_args": {"num_heads": 2}})";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const Shape& shape) { tensors_[name] = test::filled(shape, 0.5f); }
  void linear(const std::string& name, std::int64_t out, std::int64_t in) {
    put(name + ".weight", {out, in});
    put(name + ".bias", {out});
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  ModelFiles files() const {
    write("model.safetensors", to_safetensors(tensors_));
    if (!config_.empty()) write("config.json", config_);
    return find_model_files(folder_);
  }
  std::string error() const {
    try {
      const auto found = open_published(files());
      return found ? "no error" : "of no known family";
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

TEST_F(PublishedTest, SizesComeFromTheTensors) {
  const auto found = open_published(files());
  ASSERT_TRUE(found);
  const Architecture& net = found->architecture;
  EXPECT_EQ(net.features, 8);
  EXPECT_EQ(net.classes, 5);
  EXPECT_EQ(net.find("blocks.1.attn.heads")->heads, 2);
  EXPECT_EQ(resolve_tap(net, "blocks.1"), "blocks.1.add2");
  const Cost cost = cost_of(net, 12, 20);  // 3 x 5 patches and the class token
  EXPECT_EQ(cost.layers[static_cast<std::size_t>(net.find("embed") - net.layers.data())].output,
            (Shape{16, 8}));
  // The class token has its position already.
  EXPECT_EQ(bind(net, *found->weights).at("embed.prefix").as<float>()[0], 1.0f);
  EXPECT_THAT(found->notes, ::testing::IsEmpty());
}

TEST_F(PublishedTest, WhatIsGuessedIsSaid) {
  config_ = R"({"global_pool": "", "model_args": {"num_heads": 2}})";
  linear("head", 5, 16);
  const auto found = open_published(files());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->architecture.features, 16);
  EXPECT_THAT(found->notes, ::testing::ElementsAre(
                                "guessed: config.json leaves the pooling out: features are the class token "
                                "and the mean of the patches, one after the other"));
}

TEST_F(PublishedTest, FilesThatContradictEachOtherAreRefused) {
  config_ = R"({"model_args": {"num_heads": 3}})";
  EXPECT_EQ(error(),
            "FOLDER: `model_args.num_heads` in config.json is 3, which does not divide the width of the "
            "tensors, 8");
  config_ = R"({"patch_size": 16, "num_attention_heads": 2})";
  EXPECT_EQ(error(),
            "FOLDER: config.json has `patch_size`: 16, but the tensors have a patch of 4: the two belong to "
            "different models; download both again");
  config_ = R"({"num_hidden_layers": 1000000000, "num_attention_heads": 2})";
  EXPECT_EQ(
      error(),
      "FOLDER: its description has `num_hidden_layers`: 1000000000, expected a whole number up to 10000000");
  config_ = R"({"image_size": 224, "num_attention_heads": 2})";
  EXPECT_EQ(
      error(),
      "FOLDER: config.json has `image_size`: 224, which gives 56 patches a side with patches of 4 px, but "
      "tensor 'pos_embed' has positions for 3");
  config_ = "";
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_EQ(error(),
            "FOLDER: nothing specifies how many heads its attention has (its width is 8): give `heads`, or "
            "name the "
            "folder with its config.json");
  config_ = "{";
  EXPECT_THAT(error(), HasSubstr("FOLDER/config.json: is not valid JSON"));
}

TEST_F(PublishedTest, TensorsThatDoNotFitAreNamedAllAtOnce) {
  tensors_.erase("blocks.1.mlp.fc1.weight");
  put("blocks.0.attn.proj.weight", {8, 9});
  EXPECT_EQ(error(),
            "FOLDER/model.safetensors: has the tensors of vit_tiny, but not all fit\n"
            "  missing (1): blocks.1.mlp.fc1.weight [16,8]\n"
            "  of another shape (1): blocks.0.attn.proj.weight [8,9], expected [8,8]\n"
            "  download the file again, or export the model as TorchScript");
}

TEST_F(PublishedTest, ABlockWithMoreInItIsAnotherNetwork) {
  put("blocks.0.attn.q_norm.weight", {4});
  EXPECT_EQ(
      error(),
      "FOLDER: has a tensor 'blocks.0.attn.q_norm.weight', which no block of vit_tiny has: it is another "
      "network; export it as TorchScript");
}

TEST_F(PublishedTest, TimmsOwnArgumentsCount) {
  config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 2, "embed_dim": 16}})";
  EXPECT_EQ(error(),
            "FOLDER: config.json has `model_args.embed_dim`: 16, but the tensors have a width of 8: the two "
            "belong to different models; download both again");
  config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 2, "img_size": 224}})";
  EXPECT_EQ(
      error(),
      "FOLDER: config.json has `model_args.img_size`: 224, which gives 56 patches a side with patches of 4 "
      "px, but tensor 'pos_embed' has positions for 3");
  EXPECT_EQ(
      [&] {
        try {
          config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 2}})";
          open_published(files(), 4);
        } catch (const Error& fault) {
          return std::string(fault.what()).substr(folder_.string().size());
        }
        return std::string("no error");
      }(),
      ": `heads` is 4, but config.json has `model_args.num_heads`: 2");
}

TEST_F(PublishedTest, APreprocessingThatCannotBeIsRefused) {
  const auto with = [&](const std::string& preprocessor) {
    write("preprocessor_config.json", preprocessor);
    return testing::error_of([&] { zoo::preprocessing_of(files(), {}); });
  };
  EXPECT_EQ(with(R"({"size": {"height": 1000000000, "width": 1000000000}})"),
            "its description has `size.height`: 1000000000, expected a whole number up to 10000000");
  EXPECT_EQ(with(R"({"size": {"height": 20000, "width": 20000}})"),
            "preprocessor_config.json has images of 20000 px: expected 1 to 16384");
  EXPECT_EQ(
      with(R"({"size": {"height": 12, "width": 16}})"),
      "preprocessor_config.json has `size`: {\"height\":12,\"width\":16}: images that are not square are "
      "not prepared here; give `resize` and `crop` of decode, and leave the file out");
  EXPECT_EQ(with(R"({"image_mean": [0, 0, 0], "image_std": [1, 0, 1]})"),
            "its description has a standard deviation of 0: expected more than 0");
  EXPECT_EQ(with(R"({"image_mean": ["a", 0, 0], "image_std": [1, 1, 1]})"),
            "its description has \"a\" as a mean or deviation: expected a number");
  EXPECT_EQ(with(R"({"image_mean": [0.5], "image_std": [1, 1, 1]})"),
            "its description has [0.5] as a mean or deviation: expected one number, or three");
  EXPECT_EQ(with(R"({"do_rescale": false})"),
            "preprocessor_config.json has `do_rescale`: false: its images are prepared elsewhere, as is not "
            "done here; give the sizes of decode and `normalize`, and leave the file out");
  EXPECT_EQ(with(R"({"do_normalize": "no"})"),
            "its description has `do_normalize`: \"no\", expected true or false");
  EXPECT_EQ(with(R"({"resample": 99})"),
            "preprocessor_config.json has `resample`: 99, expected 1 to 4 (lanczos, bilinear, bicubic, box)");
  EXPECT_EQ(
      with(R"({"rescale_factor": 1})"),
      "preprocessor_config.json has `rescale_factor`: 1, expected 1/255; give `normalize`, and leave the "
      "file out");
}

TEST_F(PublishedTest, ProcessorsOfHuggingFaceHaveTheirOwnDefaults) {
  const auto with = [&](const std::string& preprocessor) {
    write("preprocessor_config.json", preprocessor);
    return to_string(zoo::preprocessing_of(files(), {}));
  };
  // As OpenAI's CLIP was published there: a bare number is the shorter side.
  EXPECT_EQ(with(R"({"size": 224, "crop_size": 224, "do_center_crop": true, "resample": 3,
                     "feature_extractor_type": "CLIPFeatureExtractor",
                     "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})"),
            "shorter side to 224 px (bicubic), crop 224 px (centre: floor), mean 0.5, std 0.5");
  EXPECT_EQ(with(R"({"size": 224, "resample": 2, "feature_extractor_type": "ViTFeatureExtractor",
                     "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})"),
            "squashed to 224 x 224 px (bilinear), mean 0.5, std 0.5");
  EXPECT_EQ(with(R"({"size": 256, "crop_size": 224, "do_center_crop": true, "resample": 3,
                     "feature_extractor_type": "DeiTFeatureExtractor", "do_normalize": false})"),
            "squashed to 256 x 256 px (bicubic), crop 224 px (centre: floor), mean 0.0, std 1.0");
  EXPECT_EQ(with(R"({"size": {"shortest_edge": 224}, "crop_pct": 0.875,
                     "image_processor_type": "ConvNextImageProcessor"})"),
            "shorter side to 256 px (bilinear), crop 224 px (centre: floor), normalize: imagenet");
}

TEST_F(PublishedTest, ADescriptionOfAnotherFormDoesNotCount) {
  write("open_clip_config.json", R"({"model_cfg": {"vision_cfg": {"width": 9, "image_size": 999}}})");
  write("preprocessor_config.json", R"({"size": {"height": 999, "width": 999}})");
  EXPECT_EQ(open_published(files())->architecture.preprocessing.crop, 12);
}

TEST_F(PublishedTest, WrappersAreFoundAndNamed) {
  test::Tensors wrapped;
  for (const auto& [name, tensor] : tensors_) {
    wrapped["module.backbone." + name] = tensor;
    wrapped["module_ema.backbone." + name] = tensor;
  }
  tensors_ = wrapped;
  const auto found = open_published(files());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->prefix, "module.backbone.");
  EXPECT_THAT(found->notes,
              ::testing::ElementsAre("the network is under the prefix 'module.backbone.'",
                                     "not used: the network under the prefix 'module_ema.backbone.'"));
  EXPECT_EQ(bind(found->architecture, *found->weights).size(), 32u);
}

TEST_F(PublishedTest, TwoNetworksOfOneNameAreNotGuessedBetween) {
  test::Tensors wrapped;
  for (const auto& [name, tensor] : tensors_) {
    wrapped["a." + name] = tensor;
    wrapped["b." + name] = tensor;
  }
  tensors_ = wrapped;
  EXPECT_EQ(error(),
            "FOLDER: has the tensors of a ViT more than once, under the prefixes 'a.' and 'b.', and nothing "
            "says which are meant; save one network's state_dict alone");
}

TEST_F(PublishedTest, WhatWasTakenFromWhere) {
  const auto found = open_published(files());
  ASSERT_TRUE(found);
  std::string text;
  for (const Finding& f : found->findings) text += f.what + ": " + f.value + " <- " + f.from + "\n";
  EXPECT_EQ(text,
            "size: width 8, 2 blocks, MLP 16, patches of 4 px <- shapes of tensors\n"
            "prefix tokens: class, 0 registers <- names and shapes of tensors\n"
            "family: vit_tiny <- names of tensors, as timm has them\n"
            "rules: timm <- whose names the tensors have\n"
            "LayerNorm's eps: 1e-06 <- the family\n"
            "activation: Gelu <- the name of the architecture\n"
            "heads: 2 <- `model_args.num_heads` in config.json\n"
            "positions: 3 x 3, at other sizes by the rule of timm <- shapes of tensors, the family\n"
            "pooling: cls <- config.json\n"
            "preprocessing: shorter side to 13 px (bicubic), crop 12 px, mean 0.5, std 0.5 <- config.json\n");
}

TEST_F(PublishedTest, RulesOfAnotherOwner) {
  ModelFiles described = files();
  described.rules = preprocessing::Rules::HuggingFace;
  const auto found = open_published(described);
  ASSERT_TRUE(found);
  const Architecture& net = found->architecture;
  EXPECT_EQ(net.find("norm")->eps, 1e-12);
  EXPECT_EQ(net.find("embed")->positions, PositionRule::HuggingFace);
  EXPECT_EQ(to_string(net.preprocessing), "squashed to 12 x 12 px (bilinear), mean 0.5, std 0.5");
}

TEST_F(PublishedTest, AFileAloneSaysWhatIsGuessed) {
  const ModelFiles with_config = files();
  const auto found = open_published(find_model_files(with_config.weights), 2);
  ASSERT_TRUE(found);
  EXPECT_THAT(
      found->notes,
      ::testing::ElementsAre(
          "guessed: the rules are those of timm, because no config.json is beside the file; with `rules: "
          "original`: images squashed to 12 x 12 px (bilinear), mean 0.5, std 0.5; with `rules: hf`: "
          "LayerNorm's eps 1e-12, positions at other sizes as huggingface, images squashed to 12 x 12 px "
          "(bilinear), mean 0.5, std 0.5"));
}

TEST_F(PublishedTest, TheNearestFamilyOfAnUnknownNetwork) {
  tensors_.erase("patch_embed.proj.weight");
  put("mixer.weight", {8, 8});
  const auto file = open_weights(files());
  EXPECT_FALSE(open_published(files()));
  EXPECT_EQ(
      nearest_family(*file),
      "these weights fit no architecture that graft knows (graft model list) and no family (graft model "
      "list --families); the nearest family is ViT: 31 of 32 tensors have its names "
      "(blocks.0.attn.proj.bias, blocks.0.attn.proj.weight, blocks.0.attn.qkv.bias, ...), the others do "
      "not (mixer.weight); export the model as TorchScript");
}

TEST_F(PublishedTest, WeightsThatAreNotFiniteAreRefused) {
  tensors_.at("norm.bias").as<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  const auto found = open_published(files());
  ASSERT_TRUE(found);
  EXPECT_THAT(
      [&] { bind(found->architecture, *found->weights); },
      ::testing::ThrowsMessage<Error>(HasSubstr("tensor 'norm.bias' has 1 of 8 values that are not finite")));
}

TEST_F(PublishedTest, SeveralFilesWithAnIndexAreOne) {
  test::Tensors first(tensors_.begin(), std::next(tensors_.begin(), 5)),
      second(std::next(tensors_.begin(), 5), tensors_.end());
  std::string index = R"({"weight_map": {)";
  for (const auto& [name, tensor] : tensors_)
    index += (name == tensors_.begin()->first ? "\"" : ", \"") + name + "\": \"" +
             (first.contains(name) ? "a" : "b") + ".safetensors\"";
  write("a.safetensors", to_safetensors(first));
  write("model.safetensors.index.json", index + "}}");
  write("config.json", config_);
  const auto open = [&]() -> std::string {
    try {
      const auto found = open_published(find_model_files(folder_));
      return found ? std::to_string(bind(found->architecture, *found->weights).size()) : "of no known family";
    } catch (const Error& fault) {
      return fault.what();
    }
  };
  EXPECT_EQ(open(), (folder_ / "model.safetensors.index.json").string() +
                        ": names b.safetensors, which is not there (one of its 2 files): download it, too");
  write("b.safetensors", to_safetensors(second));
  EXPECT_EQ(open(), "32");
  const std::string whole = to_safetensors(second);
  write("b.safetensors", whole.substr(0, 100));
  EXPECT_THAT(open(), ::testing::AllOf(HasSubstr("b.safetensors: its header claims "),
                                       HasSubstr("it is truncated or damaged; copy it again")));
  write("b.safetensors", whole.substr(0, whole.size() - 4));
  EXPECT_THAT(open(), ::testing::AllOf(HasSubstr("b.safetensors: is not a valid safetensors file: tensor '"),
                                       HasSubstr("it is truncated or damaged")));
  // An index that leaves a tensor out.
  write("b.safetensors", whole);
  std::string shorter = index + "}}";
  const std::string entry = ", \"norm.weight\": \"b.safetensors\"";
  ASSERT_NE(shorter.find(entry), std::string::npos);
  shorter.erase(shorter.find(entry), entry.size());
  write("model.safetensors.index.json", shorter);
  EXPECT_EQ(open(), (folder_ / "model.safetensors.index.json").string() +
                        ": has the tensors of vit_tiny, but not all fit\n  missing (1): norm.weight [8]\n"
                        "  download the file again, or export the model as TorchScript");
  write("model.safetensors.index.json", index + "}}");
  write("b.safetensors", to_safetensors(first));
  EXPECT_THAT(open(), HasSubstr("is not in b.safetensors, where the index has it; download both again"));
}

TEST_F(PublishedTest, OfSeveralFilesTheFolderIsTheModel) {
  const auto error_at = [](const std::filesystem::path& model) -> std::string {
    try {
      open_weights(find_model_files(model));
    } catch (const Error& fault) {
      return fault.what();
    }
    return "";
  };
  const std::filesystem::path index = folder_ / "model.safetensors.index.json";
  write("weights", to_safetensors(tensors_));
  write("model.safetensors.index.json", R"({"weight_map": {"norm.weight": "weights"}})");
  EXPECT_EQ(error_at(index),
            index.string() +
                ": is the index of several files of weights: give the folder that they are in, " +
                folder_.string());
  EXPECT_EQ(error_at(folder_),
            index.string() +
                ": names weights, which is not a weights file by its name (*.safetensors, *.bin, "
                "*.pth, *.pt): name it so, here and in the index");
}

TEST_F(PublishedTest, SizesThatNobodyHasAreRefusedBeforeMemoryIsTaken) {
  config_ = R"({"num_register_tokens": 1000000000, "num_attention_heads": 2})";
  EXPECT_EQ(error(),
            "FOLDER: its description has `num_register_tokens`: 1000000000, expected a whole number up to "
            "10000000");
  config_ = R"({"num_register_tokens": 4, "num_attention_heads": 2})";
  EXPECT_EQ(
      error(),
      "FOLDER: config.json has `num_register_tokens`: 4, but the tensors have a number of register tokens "
      "of 0: the two belong to different models; download both again");
  config_ = R"({"image_size": 1000000000, "num_attention_heads": 2})";
  EXPECT_EQ(error(),
            "FOLDER: its description has `image_size`: 1000000000, expected a whole number up to 10000000");
  config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 1000000001}})";
  EXPECT_EQ(error(),
            "FOLDER: its description has `model_args.num_heads`: 1000000001, expected a whole number up to "
            "10000000");
  config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 2},
                "pretrained_cfg": {"input_size": [3, 1000000, 1000000]}})";
  EXPECT_EQ(error(), "FOLDER: config.json has images of 1000000 px: expected 1 to 16384");
  config_ = R"({"architecture": "vit_tiny", "model_args": {"num_heads": 2},
                "pretrained_cfg": {"input_size": "big"}})";
  EXPECT_EQ(error(), "FOLDER: config.json has `input_size`: \"big\", expected [3, height, width]");
}

TEST_F(PublishedTest, AFolderWithoutWeightsOrWithSeveralIsRefused) {
  const auto find = [&]() -> std::string {
    try {
      find_model_files(folder_);
      return "no error";
    } catch (const Error& fault) {
      return fault.what();
    }
  };
  EXPECT_THAT(find(),
              HasSubstr("expected a folder with weights (model.safetensors, pytorch_model.bin), found none"));
  write("a.pth", "");
  write("b.pth", "");
  EXPECT_THAT(find(), HasSubstr("has several files of weights (a.pth, b.pth): name the one that is meant"));
}

}  // namespace
}  // namespace graft::nn
