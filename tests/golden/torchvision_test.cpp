// The networks of torchvision, opened from its own state_dicts, give its own logits. Runs where Debian's
// python3-torchvision is installed.

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

constexpr int kClasses = 1000;
const char* const kPython = "/usr/bin/python3";

/// As `pixel` of torchvision_logits.py.
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

struct Network {
  const char* name;
  const char* classifier;
  const char* more = "";  ///< Parameters.
  int side = 224;         ///< As SIDES of torchvision_logits.py.
};

void PrintTo(const Network& network, std::ostream* out) {
  *out << network.name;
}

class Torchvision : public ::testing::TestWithParam<Network> {};

TEST_P(Torchvision, OpensItsStateDictAndGivesItsLogits) {
  const std::string python(kPython);
  if (std::system((python + " -c 'import torchvision' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs Debian's python3-torchvision";
  const auto [name, classifier, more, side] = GetParam();
  const test::TempFolder folder;
  const std::string at = folder.path().string();
  ASSERT_EQ(std::system((python + " " GRAFT_TEST_SOURCE_DIR "/tests/golden/torchvision_logits.py " + at +
                         " " + name + " 2>/dev/null")
                            .c_str()),
            0);
  std::vector<float> wanted(2 * kClasses);
  std::ifstream(at + "/" + name + ".logits", std::ios::binary)
      .read(reinterpret_cast<char*>(wanted.data()),
            static_cast<std::streamsize>(wanted.size() * sizeof(float)));
  float scale = 0;
  for (const float v : wanted) scale = std::max(scale, std::fabs(v));
  ASSERT_GT(scale, 0);

  for (const std::string engine : {"fused", "torch"}) {
    if (engine == "torch" && !GRAFT_HAS_TORCH) continue;
    testing::StageHarness stage("backbone", "{model: \"" + at + "/" + name + ".pth\", taps: " + classifier +
                                                ", batch: 2, engine: " + engine + more + "}");
    const auto out = stage.apply_batch({drawn(0, side), drawn(1, side)});
    // A file alone leaves open how images were prepared: one warning names that.
    EXPECT_THAT(stage.warnings(), ::testing::Each(::testing::HasSubstr("was guessed")));
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& logits = std::get<Tensor>(out[i].payload);
      ASSERT_EQ(logits.size(), kClasses) << out[i].reject_text;
      float off = 0;
      for (std::size_t c = 0; c < kClasses; ++c)
        off = std::max(off, std::fabs(logits.as<float>()[c] - wanted[i * kClasses + c]));
      EXPECT_LE(off, 1e-4f * scale) << engine;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, Torchvision,
    ::testing::Values(Network{"resnet18", "fc"}, Network{"resnet50", "fc"}, Network{"vgg16", "classifier.6"},
                      Network{"mobilenet_v2", "classifier.1"}, Network{"efficientnet_b0", "classifier.1"},
                      Network{"vit_b_16", "head"}, Network{"convnext_tiny", "head.fc"},
                      Network{"swin_t", "head"}, Network{"maxvit_t", "classifier.5"},
                      Network{"regnet_y_400mf", "fc"}, Network{"efficientnet_v2_s", "classifier.1", "", 384},
                      Network{"mobilenet_v3_large", "classifier.3"}, Network{"densenet121", "classifier"},
                      // Made without `transform_input`, which published weights have.
                      Network{"inception_v3", "fc", ", normalize: imagenet", 299},
                      Network{"googlenet", "fc", ", normalize: imagenet"},
                      Network{"shufflenet_v2_x1_0", "fc"}, Network{"squeezenet1_1", "classifier"},
                      Network{"mnasnet1_0", "classifier.1"}, Network{"resnext50_32x4d", "fc"},
                      Network{"wide_resnet50_2", "fc"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace graft
