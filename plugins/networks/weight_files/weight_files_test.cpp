#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include <graft/random.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <network/architecture.h>

namespace graft {
namespace {

using testing::error_of;
using testing::StageHarness;

// Weights for a network, all zero.
std::string weights_file(const char* name, const nn::Architecture& net) {
  std::map<std::string, Tensor> tensors;
  for (const nn::Layer& layer : net.layers)
    for (const nn::Parameter& p : nn::parameters_of(layer)) {
      Tensor& t = tensors[p.path] = Tensor::allocate(DType::F32, p.shape);
      std::fill_n(t.as<float>(), t.size(), 0.0f);
    }
  std::string path = ::testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << to_safetensors(tensors);
  return path;
}

// What `resize` makes of one image of noise.
Image resized(StageHarness& stage) {
  static const Image kNoise = [] {
    Image image = Image::allocate(341, 289);
    Random random(5);
    for (std::size_t i = 0; i < image.bytes(); ++i)
      image.data[i] = static_cast<std::uint8_t>(random.below(256));
    return image;
  }();
  return std::get<Image>(stage.apply(kNoise));
}

bool same(const Image& a, const Image& b) {
  return a.width == b.width && a.height == b.height && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

TEST(WeightFiles, AFileStandsForWhatItsNetworkWasTrainedOn) {
  const auto resnet = weights_file("weight_files_resnet20", nn::make_architecture("resnet20"));
  const auto lenet = weights_file("weight_files_lenet",
                                  nn::make_architecture("lenet", {.classes = {}, .width = {}, .side = 48}));
  const std::pair<std::string, std::string> cases[] = {
      {resnet, "resize: 32, crop: 32, filter: bilinear"},
      {lenet, "resize: 48, crop: 48, filter: bilinear"},
  };
  for (const auto& [weights, sizes] : cases) {
    StageHarness by_network("resize", "{network: '" + weights + "'}"), by_size("resize", "{" + sizes + "}");
    EXPECT_TRUE(same(resized(by_network), resized(by_size))) << weights;
    EXPECT_THAT(by_network.warnings(), ::testing::IsEmpty());
    std::filesystem::remove(weights);
  }
}

TEST(WeightFiles, ATorchScriptFileDoesNotContainItsSizes) {
  const std::string script = GRAFT_TEST_SOURCE_DIR "/plugins/networks/lib/network/testdata/script.pt";
  StageHarness stage("resize", "{network: '" + script + "'}"), usual("resize", "{resize: 256, crop: 224}"),
      crop("resize", "{network: '" + script + "', crop: 8}"),
      both("resize", "{network: '" + script + "', resize: 10, crop: 8}");
  EXPECT_TRUE(same(resized(stage), resized(usual)));
  EXPECT_EQ(resized(crop).width, 8);
  const std::string warning =
      script +
      " is a TorchScript archive, which does not specify the size it was trained on: images are made as for "
      "ImageNet, resize 256 and crop 224; give resize and crop where that is wrong";
  EXPECT_THAT(stage.warnings(), ::testing::ElementsAre(warning));
  EXPECT_THAT(crop.warnings(), ::testing::ElementsAre(warning));
  EXPECT_THAT(both.warnings(), ::testing::IsEmpty());
}

TEST(WeightFiles, WeightsOfNoKnownNetworkAreAnError) {
  nn::Architecture strange = nn::make_architecture("lenet");
  std::erase_if(strange.layers, [](const nn::Layer& l) { return l.name == "conv2"; });
  const std::string weights = weights_file("weight_files_strange", strange);
  EXPECT_EQ(error_of([&] { StageHarness("resize", "{network: '" + weights + "'}"); }),
            weights +
                ": these weights fit no architecture that graft knows (the nearest is lenet); name it with "
                "`network` (graft model list), or give resize, crop and filter");
  std::filesystem::remove(weights);
}

}  // namespace
}  // namespace graft
