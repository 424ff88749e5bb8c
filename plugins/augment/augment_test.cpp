#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <image/fixtures.h>
#include <image/resize.h>

namespace graft {
namespace {

using image::fixtures::difference;
using ::testing::HasSubstr;
using testing::StageHarness;

Image noise(int width, int height, std::uint64_t seed = 1) {
  Random random(seed);
  Image image = Image::allocate(width, height);
  for (std::size_t i = 0; i < image.bytes(); ++i)
    image.data[i] = static_cast<std::uint8_t>(random.below(256));
  return image;
}

Image apply(StageHarness& stage, const Image& in, const std::string& key = "item", std::uint32_t view = 0) {
  return std::get<Image>(stage.apply(in, key, view));
}

std::string fault(const std::string& params) {
  try {
    StageHarness stage("augment", params);
    return "ok";
  } catch (const Error& e) {
    return e.what();
  }
}

const std::string kAll =
    "{views: 3, random_resized_crop: {size: 20}, color_jitter: {brightness: 0.4, contrast: 0.4, saturation: "
    "0.4, "
    "hue: 0.1}}";

TEST(Augment, IsAPureFunctionOfSeedKeyAndView) {
  StageHarness a("augment", kAll, 7), b("augment", kAll, 7), other_seed("augment", kAll, 8);
  const Image in = noise(40, 30);
  const Image first = apply(a, in, "x", 0);
  apply(a, in, "y", 0);
  EXPECT_EQ(difference(apply(a, in, "x", 0), first), "");
  EXPECT_EQ(difference(apply(b, in, "x", 0), first), "");
  EXPECT_NE(difference(apply(a, in, "x", 1), first), "");
  EXPECT_NE(difference(apply(a, in, "y", 0), first), "");
  EXPECT_NE(difference(apply(other_seed, in, "x", 0), first), "");
  EXPECT_EQ(a.as<Transform>().views(), 3u);
  EXPECT_TRUE(a.schema().output_depends_on_key);
  EXPECT_TRUE(a.schema().output_depends_on_seed);
}

TEST(Augment, LeavesTheSharedInputAlone) {
  StageHarness stage("augment", kAll);
  const Image in = noise(40, 30), copy = noise(40, 30);
  for (std::uint32_t view = 0; view < 20; ++view) apply(stage, in, "x", view);
  EXPECT_EQ(difference(in, copy), "");
}

TEST(Augment, WithoutOperationsNothingChanges) {
  StageHarness stage("augment", "{flip: 0}");
  const Image in = noise(9, 5);
  EXPECT_EQ(apply(stage, in).data, in.data);
}

TEST(Augment, FlipsWithItsProbability) {
  StageHarness never("augment", "{flip: 0}"), always("augment", "{flip: 1}"), often("augment", "{flip: 0.3}");
  const Image in = noise(9, 5), mirror = image::mirrored(in);
  EXPECT_EQ(difference(apply(always, in), mirror), "");
  int flipped = 0;
  for (int i = 0; i < 4000; ++i) {
    const Image out = apply(often, in, std::to_string(i));
    if (difference(out, mirror).empty())
      ++flipped;
    else
      EXPECT_EQ(difference(out, in), "");
  }
  EXPECT_NEAR(flipped / 4000.0, 0.3, 0.03);  // four standard deviations
}

TEST(Augment, OneOperationDoesNotMoveAnother) {
  StageHarness flip("augment", "{flip: 0.5}");
  StageHarness both("augment", "{flip: 0.5, random_resized_crop: {size: 12, scale: [1, 1], ratio: [1, 1]}}");
  const Image in = noise(12, 12);  // the crop takes all of it
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(difference(apply(both, in, std::to_string(i)), apply(flip, in, std::to_string(i))), "");
}

// An image that tells where a crop was taken: red grows with x, green with y.
Image ramps(int side) {
  Image image = Image::allocate(side, side);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      image.row(y)[3 * x] = static_cast<std::uint8_t>(x);
      image.row(y)[3 * x + 1] = static_cast<std::uint8_t>(y);
      image.row(y)[3 * x + 2] = 0;
    }
  return image;
}

TEST(Augment, CropsHaveTorchvisionsDistribution) {
  StageHarness stage("augment", "{flip: 0, random_resized_crop: {size: 32, filter: box}}");
  const Image in = ramps(250);
  double area = 0, log_ratio = 0, centre = 0;
  constexpr int kTrials = 3000;
  for (int i = 0; i < kTrials; ++i) {
    const Image out = apply(stage, in, std::to_string(i));
    ASSERT_EQ(out.width, 32);
    ASSERT_EQ(out.height, 32);
    // Neighbouring columns are width / 32 apart.
    const double w = (out.row(16)[3 * 31] - out.row(16)[0]) * 32.0 / 31;
    const double h = (out.row(31)[3 * 16 + 1] - out.row(0)[3 * 16 + 1]) * 32.0 / 31;
    area += w * h / (250.0 * 250.0);
    log_ratio += std::log(w / h);
    centre += out.row(16)[3 * 16];
    EXPECT_GT(w * h / (250.0 * 250.0), 0.065);
    EXPECT_LT(std::fabs(std::log(w / h)), std::log(4.0 / 3) + 0.1);
  }
  // Uniform in [0.08, 1], less the few tall and wide ones that do not fit: torchvision 0.14 gives 0.479.
  EXPECT_NEAR(area / kTrials, 0.479, 0.02);
  EXPECT_NEAR(log_ratio / kTrials, 0.0, 0.02);
  EXPECT_NEAR(centre / kTrials, 125.0, 4.0);
}

TEST(Augment, FallsBackToTheLargestCentredCrop) {
  // Nothing of 90 % of the area has a ratio near 1 in a strip.
  StageHarness stage("augment", "{flip: 0, random_resized_crop: {size: 16, scale: [0.9, 1]}}");
  const Image wide = noise(100, 12), tall = noise(12, 100);
  EXPECT_EQ(difference(apply(stage, wide),
                       image::resize(image::view(wide, {42, 0, 16, 12}), 16, 16, image::Filter::Bilinear)),
            "");
  EXPECT_EQ(difference(apply(stage, tall),
                       image::resize(image::view(tall, {0, 42, 12, 16}), 16, 16, image::Filter::Bilinear)),
            "");
}

TEST(Augment, CropsOfTinyImagesWork) {
  StageHarness stage("augment", "{random_resized_crop: {size: 8}}");
  for (int w = 1; w < 6; ++w)
    for (int h = 1; h < 6; ++h) EXPECT_EQ(apply(stage, noise(w, h), std::to_string(w * h)).width, 8);
}

TEST(Augment, BrightnessScales) {
  StageHarness stage("augment", "{flip: 0, color_jitter: {brightness: 0.5}}");
  const Image in = StageHarness::image(2, 2, {100, 50, 20});
  double sum = 0, least = 9, most = 0;
  for (int i = 0; i < 2000; ++i) {
    const Image out = apply(stage, in, std::to_string(i));
    const double factor = out.data[0] / 100.0;
    sum += factor;
    least = std::min(least, factor);
    most = std::max(most, factor);
    EXPECT_NEAR(out.data[1], 50 * factor, 0.8);
    EXPECT_NEAR(out.data[2], 20 * factor, 0.8);
  }
  EXPECT_NEAR(sum / 2000, 1.0, 0.03);
  EXPECT_NEAR(least, 0.5, 0.02);
  EXPECT_NEAR(most, 1.5, 0.02);
}

TEST(Augment, ContrastKeepsTheMeanAndSaturationTheLightness) {
  StageHarness contrast("augment", "{flip: 0, color_jitter: {contrast: 0.9}}");
  StageHarness saturation("augment", "{flip: 0, color_jitter: {saturation: 0.5}}");
  Image in = Image::allocate(2, 1);
  const std::uint8_t grey[] = {90, 90, 90, 150, 150, 150};
  std::memcpy(in.data, grey, sizeof grey);
  const Image colour = StageHarness::image(1, 1, {120, 100, 90});
  for (int i = 0; i < 200; ++i) {
    const Image a = apply(contrast, in, std::to_string(i));
    EXPECT_NEAR(a.data[0] + a.data[3], 240, 1.01);
    const Image b = apply(saturation, colour, std::to_string(i));
    EXPECT_NEAR(.299 * b.data[0] + .587 * b.data[1] + .114 * b.data[2], 104.8, 1.2);
  }
}

TEST(Augment, HueTurnsInHsv) {
  StageHarness stage("augment", "{flip: 0, color_jitter: {hue: 0.5}}");
  const Image red = StageHarness::image(1, 1, {200, 40, 40}), grey = StageHarness::image(1, 1, {90, 90, 90});
  std::map<int, int> brightest;
  for (int i = 0; i < 3000; ++i) {
    const Image out = apply(stage, red, std::to_string(i));
    EXPECT_EQ(*std::max_element(out.data, out.data + 3), 200);
    EXPECT_EQ(*std::min_element(out.data, out.data + 3), 40);
    ++brightest[static_cast<int>(std::max_element(out.data, out.data + 3) - out.data)];
    EXPECT_EQ(difference(apply(stage, grey, std::to_string(i)), grey), "");
  }
  for (const auto& [channel, count] : brightest) EXPECT_NEAR(count, 1000, 120) << channel;
}

TEST(Augment, GivesTheSamePixelsOnAnyThread) {
  StageHarness stage("augment", kAll);
  const Image in = noise(40, 30);
  std::vector<Image> alone, together(60);
  for (std::uint32_t i = 0; i < 60; ++i) alone.push_back(apply(stage, in, "k", i));
  testing::Threads(4).for_each(60, [&](std::size_t i) {
    Item item;
    auto entry = std::make_shared<Entry>();
    entry->key = "k";
    item.entry = entry;
    item.view = static_cast<std::uint32_t>(i);
    item.payload = in;
    together[i] = std::get<Image>(stage.as<Transform>().apply(item));
  });
  for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(difference(together[i], alone[i]), "");
}

TEST(Augment, ChecksItsParameters) {
  EXPECT_EQ(fault("{random_resized_crop: {scale: [0.9, 0.5]}}"),
            "random_resized_crop.scale: expected [low, high], got [0.900000, 0.500000]; exchange the two");
  EXPECT_THAT(fault("{random_resized_crop: {scale: [0.5]}}"), HasSubstr("expected 2 values, got 1"));
  EXPECT_THAT(fault("{flip: 2}"), HasSubstr("flip: 2 is out of range: expected from 0 to 1"));
  EXPECT_THAT(fault("{color_jitter: {hue: 0.7}}"),
              HasSubstr("0.7 is out of range: expected from 0 to 0.5 turns"));
  EXPECT_THAT(fault("{views: 0}"), HasSubstr("views: 0 is out of range"));
  EXPECT_THAT(fault("{colour_jitter: {}}"), HasSubstr("did you mean 'color_jitter'?"));
}

}  // namespace
}  // namespace graft
