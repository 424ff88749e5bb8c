// Published image encoders through whole configs, from picture files to features, with nothing in the config
// but the folder: the network's owner has computed the same from the same pictures.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/payload.h>
#include <graft/testing/stage_harness.h>

#include <network/normalizer.h>
#include <network/published.h>

#include "program.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

fs::path encoders() {
  const char* data = std::getenv("GRAFT_DATA");
  return data == nullptr ? fs::path() : fs::path(data) / "../golden/encoders";
}

template <typename T>
struct Dataset {
  Shape shape;
  std::vector<T> values;
};

template <typename T>
std::optional<Dataset<T>> read_dataset(const fs::path& path, const std::string& name, hid_t type) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  std::optional<Dataset<T>> out;
  if (H5Lexists(file, name.c_str(), H5P_DEFAULT) > 0) {
    const hid_t set = H5Dopen2(file, name.c_str(), H5P_DEFAULT), space = H5Dget_space(set);
    std::vector<hsize_t> sides(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
    H5Sget_simple_extent_dims(space, sides.data(), nullptr);
    out.emplace();
    out->shape.assign(sides.begin(), sides.end());
    out->values.resize(static_cast<std::size_t>(elements(out->shape)));
    H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->values.data());
    H5Sclose(space);
    H5Dclose(set);
  }
  H5Fclose(file);
  return out;
}

double attribute(const fs::path& path, const std::string& dataset, const char* name) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, dataset.c_str(), H5P_DEFAULT);
  double value = 0;
  if (H5Aexists(set, name) > 0) {
    const hid_t attr = H5Aopen(set, name, H5P_DEFAULT);
    H5Aread(attr, H5T_NATIVE_DOUBLE, &value);
    H5Aclose(attr);
  }
  H5Dclose(set);
  H5Fclose(file);
  return value;
}

std::string png_of(const std::uint8_t* rgb, std::int64_t height, std::int64_t width) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, rgb, 0, nullptr);
  std::string out(size, '\0');
  png_image_write_to_memory(&image, out.data(), &size, 0, rgb, 0, nullptr);
  out.resize(size);
  return out;
}

/// A folder as it was published, and what its files do not tell.
struct Folder {
  std::string name;
  std::string file = {};      ///< Of several weights in the folder.
  std::string backbone = {};  ///< Beside `model`, where nothing in the files tells.
  std::string decode = {};    ///< In the same way.
  std::string output = "features";
  double levels =
      0;  ///< By which the owner's input may differ: at ties of rounding, or as it resizes floats.
  /// The owner resizes floats: each pixel moves, by up to half a level, not 1 % of them by a whole one. That
  /// has three times the variance's root.
  double noise = 1;
};

void PrintTo(const Folder& folder, std::ostream* out) {
  *out << folder.name << folder.file;
}

class Folders : public ::testing::TestWithParam<Folder> {
 protected:
  void SetUp() override {
    const Folder& folder = GetParam();
    if (!fs::exists(encoders() / folder.name))
      GTEST_SKIP() << "reference files are looked for in ../golden/encoders beside GRAFT_DATA";
    model_ = fs::canonical(encoders() / folder.name / folder.file).string();
    reference_ = encoders() / folder.name / "reference.h5";
    const auto pictures = read_dataset<std::uint8_t>(reference_, "images_u8", H5T_NATIVE_UINT8);
    ASSERT_TRUE(pictures);
    const std::int64_t height = pictures->shape[1], width = pictures->shape[2];
    for (std::int64_t i = 0; i < pictures->shape[0]; ++i)
      pictures_.push_back(png_of(pictures->values.data() + i * height * width * 3, height, width));
  }

  std::string model_;
  fs::path reference_;
  std::vector<std::string> pictures_;
};

TEST_P(Folders, ImagesAreWhatTheOwnersPreprocessingMakes) {
  const Folder& folder = GetParam();
  const auto wanted = read_dataset<float>(reference_, "input", H5T_NATIVE_FLOAT);
  ASSERT_TRUE(wanted);
  testing::StageHarness decode(
      "decode", "{network: \"" + model_ + "\"" + (folder.decode.empty() ? "" : ", " + folder.decode) + "}");
  const auto published = nn::open_published(nn::find_model_files(model_), 0);
  ASSERT_TRUE(published);
  std::vector<ParamFault> faults;
  const Params normalize(resolve({Normalizer::parameter()}, Value::map(), faults));
  const Normalizer normalizer(normalize.object("normalize"), published->architecture.preprocessing);
  const double deviation = *std::min_element(published->architecture.preprocessing.deviation.begin(),
                                             published->architecture.preprocessing.deviation.end());
  const std::size_t each = wanted->values.size() / pictures_.size();
  double off = 0;
  for (std::size_t i = 0; i < pictures_.size(); ++i) {
    const Payload payload = decode.apply(testing::StageHarness::bytes(pictures_[i]));
    const Image& image = std::get<Image>(payload);
    ASSERT_EQ((Shape{image.height, image.width}), (Shape{wanted->shape[2], wanted->shape[3]}));
    std::vector<float> input(each);
    normalizer.pack(image, input.data());
    for (std::size_t k = 0; k < each; ++k)
      off = std::max(
          off, std::fabs(static_cast<double>(input[k]) - static_cast<double>(wanted->values[i * each + k])));
  }
  const double levels = off * 255 * deviation;
  std::cout << fmt::format("{}{}: input within {:.2g} of 255\n", folder.name, folder.file, levels);
  EXPECT_LE(levels, folder.levels > 0 ? folder.levels : 1e-4);
}

TEST_P(Folders, AWholeConfigGivesTheOwnersFeatures) {
  const Folder& folder = GetParam();
  const TempFolder work;
  for (std::size_t i = 0; i < pictures_.size(); ++i)
    work.write(fmt::format("pictures/{}.png", i), pictures_[i]);
  work.write("config.yaml",
             fmt::format(R"(name: folder
stages:
  images: {{plugin: files, with: {{paths: [pictures]}}}}
  pixels:
    plugin: decode
    from: images
{}  features:
    plugin: backbone
    from: pixels
    with: {{model: "{}"{}}}
  table: {{plugin: feature_table, from: features}}
)",
                         folder.decode.empty()
                             ? ""
                             : fmt::format("    with: {{network: \"{}\", {}}}\n", model_, folder.decode),
                         model_, folder.backbone.empty() ? "" : ", " + folder.backbone));
  const test::ProgramResult run = test::run_program({"run", "config.yaml", "--quiet"}, work.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(test::run_program({"store", "export", "folder/table", "out.h5"}, work.path()).exit_code, 0);
  const auto got = read_dataset<float>(work / "out.h5", "features", H5T_NATIVE_FLOAT);
  const auto wanted = read_dataset<float>(reference_, folder.output, H5T_NATIVE_FLOAT);
  ASSERT_TRUE(got && wanted);
  ASSERT_EQ(got->values.size(), wanted->values.size());
  double off = 0, scale = 1;
  for (std::size_t k = 0; k < got->values.size(); ++k) {
    off = std::max(off,
                   std::fabs(static_cast<double>(got->values[k]) - static_cast<double>(wanted->values[k])));
    scale = std::max(scale, std::fabs(static_cast<double>(wanted->values[k])));
  }
  const double allowed =
      attribute(reference_, folder.output, "max_abs_diff_if_1_percent_of_input_moves_by_1_of_255");
  std::cout << fmt::format("{}{}: {} within {:.1e} (allowed {:.1e}, largest {:.2g})\n", folder.name,
                           folder.file, folder.output, off, allowed, scale);
  EXPECT_LE(off, std::max(folder.noise * allowed, 2e-5 * scale));
}

/// Rows of the backbone for the pictures of a folder, prepared by its own preprocessing.
std::vector<Tensor> rows_of(const std::string& name, const std::string& more) {
  const std::string model = fs::canonical(encoders() / name).string();
  testing::StageHarness decode("decode", "{network: \"" + model + "\"}");
  testing::StageHarness backbone("backbone", "{model: \"" + model + "\", " + more + "}");
  const auto pictures =
      *read_dataset<std::uint8_t>(encoders() / name / "reference.h5", "images_u8", H5T_NATIVE_UINT8);
  const std::int64_t height = pictures.shape[1], width = pictures.shape[2];
  std::vector<Payload> images;
  for (std::int64_t i = 0; i < pictures.shape[0]; ++i)
    images.push_back(decode.apply(testing::StageHarness::bytes(
        png_of(pictures.values.data() + i * height * width * 3, height, width))));
  std::vector<Tensor> out;
  for (const auto& outcome : backbone.apply_batch(images)) out.push_back(std::get<Tensor>(outcome.payload));
  return out;
}

Dataset<float> reference(const std::string& name, const std::string& dataset) {
  return *read_dataset<float>(encoders() / name / "reference.h5", dataset, H5T_NATIVE_FLOAT);
}

/// The largest difference of rows from a dataset with a row for each.
double difference(const std::vector<Tensor>& rows, const Dataset<float>& wanted) {
  double off = 0;
  const std::size_t each = wanted.values.size() / static_cast<std::size_t>(wanted.shape[0]);
  for (std::size_t i = 0; i < static_cast<std::size_t>(wanted.shape[0]); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(rows[i].size()), each);
    for (std::size_t k = 0; k < each; ++k)
      off = std::max(off, std::fabs(static_cast<double>(rows[i].as<float>()[k]) -
                                    static_cast<double>(wanted.values[i * each + k])));
  }
  return off;
}

#define SKIP_WITHOUT_FOLDERS() \
  if (!fs::exists(encoders())) GTEST_SKIP() << "reference files are looked for in ../golden/encoders"

TEST(Pools, OfTheLastBlocksAsDinov2sLinearEvaluation) {
  SKIP_WITHOUT_FOLDERS();
  for (const auto& [name, heads] :
       {std::pair("meta-dinov2-vits14", "heads: 2"), std::pair("meta-dinov2-vits14_reg4", "heads: 3")}) {
    const auto rows = rows_of(name, std::string(heads) + ", last_blocks: 2");
    EXPECT_LE(difference(rows, reference(name, "linear_eval_last2_cls_and_mean")), 1e-4) << name;
    // Of one block: the class token, which the owner's features are, and the mean of the patches.
    const auto one = rows_of(name, std::string(heads) + ", last_blocks: 1");
    const auto both = rows_of(name, std::string(heads) + ", pool: cls_avg");
    EXPECT_EQ(std::memcmp(one[0].data, both[0].data, one[0].bytes()), 0) << name;
  }
}

TEST(Pools, PatchesByTheirPlace) {
  SKIP_WITHOUT_FOLDERS();
  const auto rows = rows_of("meta-dinov2-vits14_reg4", "heads: 3, pool: none");
  EXPECT_EQ(rows[0].shape, (Shape{6, 6, 48}));
  EXPECT_LE(difference(rows, reference("meta-dinov2-vits14_reg4", "patch_tokens")), 1e-4);
  const auto two = rows_of("meta-dinov2-vits14_reg4", "heads: 3, pool: none, last_blocks: 2");
  ASSERT_EQ(two[0].shape, (Shape{6, 6, 96}));
  for (std::int64_t at = 0; at < 36; ++at)
    EXPECT_TRUE(std::equal(rows[0].as<float>() + at * 48, rows[0].as<float>() + at * 48 + 48,
                           two[0].as<float>() + at * 96 + 48));
}

TEST(Pools, LeavePrefixTokensOutOfAverages) {
  SKIP_WITHOUT_FOLDERS();
  const Dataset<float> tokens = reference("timm-uni2", "tokens");  // [3,9 + 36,48], after the norm
  Dataset<float> cls{{3, 48}, {}}, mean{{3, 48}, {}};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t c = 0; c < 48; ++c) {
      const float* of = tokens.values.data() + i * 45 * 48 + c;
      cls.values.push_back(of[0]);
      double sum = 0;
      for (std::size_t t = 9; t < 45; ++t) sum += static_cast<double>(of[t * 48]);
      mean.values.push_back(static_cast<float>(sum / 36));
    }
  EXPECT_LE(difference(rows_of("timm-uni2", "heads: 3, pool: cls"), cls), 1e-4);
  EXPECT_LE(difference(rows_of("timm-uni2", "heads: 3, pool: avg"), mean), 1e-4);
  EXPECT_LE(difference(rows_of("timm-uni2", "heads: 3, taps: norm"), mean), 1e-4)
      << "avg is the default of taps";
  EXPECT_LE(difference(rows_of("timm-uni2", "heads: 3, taps: norm, pool: cls"), cls), 1e-4);
}

TEST(Pools, AtATapOfABlock) {
  SKIP_WITHOUT_FOLDERS();
  const Dataset<float> block = reference("hf-dinov2-small", "block_0");  // [1,1 + 36,48]
  const Dataset<float> cls{{1, 48}, {block.values.begin(), block.values.begin() + 48}};
  EXPECT_LE(difference(rows_of("hf-dinov2-small", "taps: blocks.0, pool: cls"), cls), 1e-4);
  EXPECT_LE(difference(rows_of("hf-dinov2-small", "taps: blocks.0, pool: flatten"), block), 1e-4);
}

TEST(Pools, ThatANetworkDoesNotHaveAreNamed) {
  SKIP_WITHOUT_FOLDERS();
  const auto fault = [](const std::string& name, const std::string& more) -> std::string {
    try {
      rows_of(name, more);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(fault("hf-siglip-vit", "pool: cls"), "SigLIP has no class token; take avg, attention or none");
  EXPECT_EQ(fault("hf-siglip-vit", "pool: attention"), "no error");
  EXPECT_EQ(fault("hf-dinov2-small", "pool: attention"),
            "attention pools the last tokens of a network that has such a pool, DINOv2 has none; at layer "
            "norm, take cls, avg, cls_avg or none");
  EXPECT_EQ(fault("hf-dinov2-small", "last_blocks: 3"), "3 is more than the 2 blocks of DINOv2");
  EXPECT_EQ(fault("hf-dinov2-small", "last_blocks: 2, pool: max"),
            "expected cls, avg, cls_avg or none beside last_blocks, got max");
  EXPECT_EQ(fault("hf-dinov2-small", "last_blocks: 2, taps: norm"),
            "expected one of taps, concatenate and last_blocks, got taps, last_blocks");
  EXPECT_EQ(fault("timm-convnext_tiny", "last_blocks: 2"),
            "ConvNeXt is not a vision transformer; name layers with `concatenate`");
  EXPECT_EQ(
      fault("timm-convnext_tiny", "taps: stages.0, pool: cls"),
      "cls is for tokens, but layer stages.0.blocks.0.add of ConvNeXt gives [12,16,16] for an image; take "
      "avg, max, gem, flatten or none");
  EXPECT_THAT(fault("timm-convnext_tiny", "heads: 2"),
              ::testing::EndsWith("ConvNeXt has no attention; leave `heads` out"));
  EXPECT_THAT(fault("timm-convnext_tiny", "rules: hf"),
              ::testing::EndsWith("the owners of ConvNeXt do not disagree; leave `rules` out"));
}

TEST(Pools, DenseFeaturesKeepTheirPlaceInATable) {
  SKIP_WITHOUT_FOLDERS();
  const std::string model = fs::canonical(encoders() / "hf-dinov2-small").string();
  const auto pictures = *read_dataset<std::uint8_t>(encoders() / "hf-dinov2-small" / "reference.h5",
                                                    "images_u8", H5T_NATIVE_UINT8);
  const TempFolder work;
  work.write("pictures/0.png", png_of(pictures.values.data(), pictures.shape[1], pictures.shape[2]));
  work.write("config.yaml", fmt::format(R"(name: dense
stages:
  images: {{plugin: files, with: {{paths: [pictures]}}}}
  pixels: {{plugin: decode, from: images}}
  features: {{plugin: backbone, from: pixels, with: {{model: "{}", pool: none}}}}
  table: {{plugin: feature_table, from: features, with: {{rows: shaped}}}}
)",
                                        model));
  const test::ProgramResult run = test::run_program({"run", "config.yaml", "--quiet"}, work.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(test::run_program({"store", "export", "dense/table", "out.h5"}, work.path()).exit_code, 0);
  const auto dense = *read_dataset<float>(work / "out.h5", "features", H5T_NATIVE_FLOAT);
  EXPECT_EQ(dense.shape, (Shape{1, 6, 6, 48}));
  const Dataset<float> tokens = reference("hf-dinov2-small", "tokens");  // the class token, then the patches
  double off = 0;
  for (std::size_t i = 0; i < dense.values.size(); ++i)
    off = std::max(
        off, std::fabs(static_cast<double>(dense.values[i]) - static_cast<double>(tokens.values[48 + i])));
  EXPECT_LE(off, 1e-4);

  // The manifest has what the files decided, and from where that is known.
  const std::string manifest = test::slurp(work / "runs/dense/manifest.json");
  EXPECT_THAT(manifest, ::testing::HasSubstr("\"LayerNorm's eps\""));
  EXPECT_THAT(manifest, ::testing::HasSubstr("preprocessor_config.json"));
  // A changed description of the folder makes another table.
  fs::copy(model, work / "copy");
  const auto again = [&] {
    const auto result =
        test::run_program({"run", "config.yaml", "--set", "features.model=copy"}, work.path());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out + result.err;
  };
  EXPECT_THAT(again(), ::testing::HasSubstr("table: 1 rows (0 computed, 1 reused)"));
  std::string config = test::slurp(work / "copy/config.json");
  config.replace(config.find("1e-06"), 5, "1e-05");
  work.write("copy/config.json", config);
  EXPECT_THAT(again(), ::testing::HasSubstr("table: 1 rows (1 computed, 0 reused)"));
}

TEST(Pools, AFileWithoutItsFolderIsWarnedOf) {
  SKIP_WITHOUT_FOLDERS();
  const std::string model = fs::canonical(encoders() / "hf-vit/model.safetensors").string();
  testing::StageHarness backbone("backbone", "{model: \"" + model + "\", heads: 2}");
  EXPECT_THAT(backbone.warnings(),
              ::testing::ElementsAre(model +
                                     ": what its files do not give was guessed, and owners of such weights "
                                     "differ: `graft model check " +
                                     model + "` names it"));
  testing::StageHarness decided("backbone", "{model: \"" + model + "\", heads: 2, rules: timm}");
  EXPECT_THAT(decided.warnings(), ::testing::IsEmpty());
}

TEST(Pools, EmbedTakesAFolder) {
  SKIP_WITHOUT_FOLDERS();
  const std::string model = fs::canonical(encoders() / "hf-siglip-vit").string();
  const auto pictures = *read_dataset<std::uint8_t>(encoders() / "hf-siglip-vit" / "reference.h5",
                                                    "images_u8", H5T_NATIVE_UINT8);
  const TempFolder work;
  work.write("a.png", png_of(pictures.values.data(), pictures.shape[1], pictures.shape[2]));
  const test::ProgramResult embed =
      test::run_program({"embed", "a.png", "--model", model, "--out", "out.h5"}, work.path());
  ASSERT_EQ(embed.exit_code, 0) << embed.err;
  const auto got = *read_dataset<float>(work / "out.h5", "features", H5T_NATIVE_FLOAT);
  const Dataset<float> wanted = reference("hf-siglip-vit", "features");
  for (std::size_t i = 0; i < 48; ++i) EXPECT_NEAR(got.values[i], wanted.values[i], 1e-4);
}

const Folder kFolders[] = {
    {"timm-vit-augreg"},
    {"timm-deit-distilled"},
    {"timm-uni2", "", "heads: 3"},
    {"timm-virchow"},
    {"timm-vit-clip_openai"},
    {"timm-dinov2-vit_small_patch14_dinov2"},
    {"timm-dinov2-vit_small_patch14_reg4_dinov2"},
    {"timm-dinov2-vit_giant_patch14_dinov2"},
    {"timm-dinov3-vit_small_patch16_dinov3_qkvb"},
    {"timm-dinov3-vit_small_plus_patch16_dinov3"},
    {"timm-siglip-vit_base_patch16"},
    {"meta-dinov2-vits14", "", "heads: 2"},
    {"meta-dinov2-vits14_reg4", "", "heads: 3"},
    {"meta-dinov2-vitg14", "", "heads: 2"},
    {"meta-dinov3-vits16", "", "", "resize: 64, crop: 64", "features", 1.001},
    {"meta-dinov3-vits16plus", "", "", "resize: 40, crop: 40", "features", 1.001},
    {"hf-vit"},
    {"hf-dinov2-small"},
    {"hf-dinov2-giant"},
    {"hf-dinov2_with_registers-small"},
    {"hf-dinov3_vit-vits16", "", "", "", "features", 0.502, 3},
    {"hf-dinov3_vit-vits16plus", "", "", "", "features", 0.502, 3},
    {"hf-clip-vit"},
    {"hf-siglip-vit"},
    {"openai-clip-vit_b16", "state_dict.pth"},
    {"openai-clip-vit_b16", "ViT-B-16.pt"},
    {"openclip-vit-laion"},
    {"openclip-siglip"},
    {"torchvision-vit_b_16", "", "heads: 2"},
    {"timm-convnext_tiny"},
    {"timm-convnextv2_tiny"},
    {"timm-dinov3_convnext_tiny"},
    {"meta-convnext_tiny", "", "", "resize: 73, crop: 64"},
    {"meta-convnextv2_tiny", "", "", "resize: 73, crop: 64"},
    {"meta-dinov3_convnext_tiny", "", "", "resize: 64, crop: 64", "features", 1.001},
    {"torchvision-convnext_tiny", "", "", "resize: 67, crop: 64"},
    {"onnx-resnet", "model.onnx", "taps: [fc]", "resize: 64, crop: 64", "logits"},
    {"onnx-timm_vit", "model_dynamic.onnx", "taps: [head]", "resize: 48, crop: 48", "logits"},
    {"onnx-dinov2_interpolated", "model.onnx", "", "resize: 28, crop: 28"},
};

INSTANTIATE_TEST_SUITE_P(Golden, Folders, ::testing::ValuesIn(kFolders), [](const auto& info) {
  std::string name = info.param.name + info.param.file;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace graft
