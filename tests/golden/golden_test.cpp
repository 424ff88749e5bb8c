// Reference outputs of other software, made with real photographs: skipped where the data are not there.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <graft/testing/stage_harness.h>

#include "golden_file.h"

namespace graft {
namespace {

using golden::data_folder;
using golden::Golden;
using testing::StageHarness;

std::string photograph(const std::string& key) {
  for (const char* below : {"/hymenoptera/val/", "/hymenoptera/", "/"})
    if (const std::string path = data_folder() + below + key; std::filesystem::is_regular_file(path)) {
      std::ostringstream content;
      content << std::ifstream(path, std::ios::binary).rdbuf();
      return content.str();
    }
  ADD_FAILURE() << "no photograph " << key;
  return {};
}

TEST(Golden, PixelsAreThoseOfPillow) {
  SKIP_WITHOUT_DATA();
  const Golden golden("resize_pillow.h5");
  ASSERT_EQ(golden.keys().size(), 13u);
  const std::tuple<const char*, const char*, int> recipes[] = {
      {"bilinear_short256_crop224", "{resize: 256, crop: 224, filter: bilinear}", 224},
      {"bicubic_short224_crop224", "{resize: 224, crop: 224, filter: bicubic}", 224},
      {"lanczos_short96_crop96", "{resize: 96, crop: 96, filter: lanczos}", 96}};
  for (const auto& [dataset, params, side] : recipes) {
    StageHarness decode("decode", params);
    const auto wanted = golden.read<std::uint8_t>(dataset, H5T_NATIVE_UINT8);
    const std::size_t one = 3u * static_cast<std::size_t>(side * side);
    ASSERT_EQ(wanted.size(), 13 * one);
    for (std::size_t i = 0; i < golden.keys().size(); ++i) {
      const Image image =
          std::get<Image>(decode.apply(StageHarness::bytes(photograph(golden.keys()[i])), golden.keys()[i]));
      ASSERT_EQ(image.width, side);
      ASSERT_EQ(image.height, side);
      std::size_t different = 0;
      int largest = 0;
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < 3 * side; ++x) {
          const int off =
              std::abs(image.row(y)[x] - wanted[i * one + static_cast<std::size_t>(3 * side * y + x)]);
          different += off > 0 ? 1 : 0;
          largest = std::max(largest, off);
        }
      EXPECT_LE(largest, 1) << dataset << " " << golden.keys()[i];
      EXPECT_LE(static_cast<double>(different), 0.01 * static_cast<double>(one))
          << dataset << " " << golden.keys()[i];
    }
  }
}

TEST(Golden, FeaturesAreThoseOfPyTorch) {
  SKIP_WITHOUT_DATA();
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  const Golden golden("hymenoptera_val_mobilenet_v1_075.h5");
  const auto wanted = golden.read<float>("features", H5T_NATIVE_FLOAT);
  constexpr std::size_t kDim = 768;
  ASSERT_EQ(wanted.size(), golden.keys().size() * kDim);
  StageHarness decode("decode", "{resize: 256, crop: 224}");
  StageHarness backbone(
      "backbone",
      "{model: \"" + data_folder() + "/weights/mobilenet_v1_075_imagenet.torchscript.pt\", normalize: tf}");
  constexpr std::size_t kBatch = 8;
  for (std::size_t first = 0; first < golden.keys().size(); first += kBatch) {
    std::vector<Payload> images;
    for (std::size_t i = first; i < std::min(first + kBatch, golden.keys().size()); ++i)
      images.push_back(decode.apply(StageHarness::bytes(photograph(golden.keys()[i])), golden.keys()[i]));
    const auto out = backbone.apply_batch(images);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto& row = std::get<Tensor>(out[i].payload);
      ASSERT_EQ(row.shape, Shape{static_cast<std::int64_t>(kDim)});
      const float* expected = &wanted[(first + i) * kDim];
      float scale = 0, off = 0;
      for (std::size_t d = 0; d < kDim; ++d) {
        scale = std::max(scale, std::fabs(expected[d]));
        off = std::max(off, std::fabs(row.as<float>()[d] - expected[d]));
      }
      EXPECT_LE(off, 1e-3f * scale) << golden.keys()[first + i];
    }
  }
}

}  // namespace
}  // namespace graft
