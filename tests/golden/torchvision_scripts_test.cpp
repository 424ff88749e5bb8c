// Networks of torchvision as TorchScript, traced and scripted, through both engines: every row of every batch
// equals what PyTorch gives for the image alone. Runs where Debian's python3-torchvision is installed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft {
namespace {

constexpr int kImages = 8;
constexpr double kAllowed = 1e-4;  // of the largest value
const char* const kPython = "/usr/bin/python3";

/// As `pixel` of torchvision_scripts.py.
Image drawn(std::uint32_t i, int side) {
  Image image = Image::allocate(side, side);
  for (std::uint32_t y = 0; y < static_cast<std::uint32_t>(side); ++y)
    for (std::uint32_t x = 0; x < static_cast<std::uint32_t>(side); ++x)
      for (std::uint32_t c = 0; c < 3; ++c) {
        const std::uint32_t mixed = (i * 57 + y * 1311 + x * 7 + c * 101 + 1) * 2654435761U;
        image.row(static_cast<int>(y))[3 * x + c] = static_cast<std::uint8_t>(mixed ^ (mixed >> 15));
      }
  return image;
}

/// What PyTorch gave for each image alone.
struct Wanted {
  std::int32_t side = 0, size = 0;
  std::vector<float> features;
  float scale = 0;
};

Wanted read(const std::string& path) {
  Wanted out;
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(&out.side), sizeof out.side);
  in.read(reinterpret_cast<char*>(&out.size), sizeof out.size);
  out.features.resize(static_cast<std::size_t>(kImages) * static_cast<std::size_t>(out.size));
  in.read(reinterpret_cast<char*>(out.features.data()),
          static_cast<std::streamsize>(out.features.size() * sizeof(float)));
  EXPECT_TRUE(in) << path;
  for (const float v : out.features) out.scale = std::max(out.scale, std::fabs(v));
  return out;
}

class TorchvisionScripts : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchvisionScripts, EveryRowIsThatOfTheImageAlone) {
  const std::string python(kPython), name(GetParam());
  if (std::system((python + " -c 'import torchvision' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs Debian's python3-torchvision";
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "needs the engine torch, which this build leaves out";
  const test::TempFolder folder;
  const std::string at = folder.path().string();
  ASSERT_EQ(std::system(
                (python + " " GRAFT_TEST_SOURCE_DIR "/tests/golden/torchvision_scripts.py " + at + " " + name)
                    .c_str()),
            0);
  const Wanted wanted = read(at + "/" + name + ".features");
  ASSERT_GT(wanted.scale, 0);
  std::vector<Image> images;
  for (std::uint32_t i = 0; i < kImages; ++i) images.push_back(drawn(i, wanted.side));

  double worst = 0;
  for (const std::string form : {"traced", "scripted"})
    for (const std::string engine : {"fused", "torch"})
      for (const int batch : {1, 3, 8}) {
        testing::StageHarness stage("backbone", "{model: \"" + at + "/" + name + "." + form +
                                                    ".pt\", pool: flatten, batch: " + std::to_string(batch) +
                                                    ", engine: " + engine + "}");
        // 3 + 3 + 2 and 8, then 5: a short batch last.
        for (const int all : {kImages, 5})
          for (int first = 0; first < all && (all == kImages || batch == 8); first += batch) {
            const int n = std::min(batch, all - first);
            const auto out =
                stage.apply_batch(std::vector<Payload>(images.begin() + first, images.begin() + first + n));
            for (int i = 0; i < n; ++i) {
              const auto* row = std::get_if<Tensor>(&out[static_cast<std::size_t>(i)].payload);
              ASSERT_NE(row, nullptr) << out[static_cast<std::size_t>(i)].reject_text;
              ASSERT_EQ(row->size(), wanted.size);
              const float* alone =
                  wanted.features.data() + static_cast<std::ptrdiff_t>(first + i) * wanted.size;
              double off = 0;
              for (std::int64_t k = 0; k < row->size(); ++k)
                off = std::max(off, std::fabs(static_cast<double>(row->as<float>()[k]) - alone[k]));
              worst = std::max(worst, off / wanted.scale);
              EXPECT_LE(off, kAllowed * wanted.scale)
                  << form << ", engine " << engine << ", image " << first + i << " in batches of " << batch;
            }
          }
        for (const std::string& warning : stage.warnings())
          RecordProperty(form + "_" + engine + "_" + std::to_string(batch), warning);
      }
  RecordProperty("largest_difference", std::to_string(worst));
}

INSTANTIATE_TEST_SUITE_P(Networks, TorchvisionScripts,
                         ::testing::Values("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0",
                                           "efficientnet_b1", "efficientnet_b2", "googlenet", "inception_v3",
                                           "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
                                           "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
                                           "regnet_x_1_6gf", "regnet_x_400mf", "regnet_x_800mf",
                                           "regnet_y_400mf", "regnet_y_800mf", "resnet18", "resnet34",
                                           "resnet50", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
                                           "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0",
                                           "squeezenet1_1", "vgg11_bn"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft
