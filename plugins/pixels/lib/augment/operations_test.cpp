// What the operations draw, and what they do with it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <graft/testing/stage_harness.h>
#include <image/resize.h>
#include <image/testing/fixtures.h>

#include "blur.h"
#include "colour.h"
#include "pixels.h"
#include "warp.h"

#include <augment/testing/augmentation_fixture.h>

namespace graft::augment {
namespace {

using image::fixtures::difference;

constexpr int kTrials = 4000;

Image colour(int width, int height, Colour c) {
  return filled(width, height, c);
}

void for_each_view(const std::string& operations, const Image& in, int trials,
                   const std::function<void(const Image&)>& look) {
  const Augmentation augmentation = make_augmentation(operations);
  for (int i = 0; i < trials; ++i) look(augmentation.apply(in, 42, "item", static_cast<std::uint32_t>(i)));
}

TEST(Operations, AreAppliedWithTheirProbability) {
  const Image in = noise(12, 9);
  for (const std::string name : {"flip", "vertical_flip", "rotate", "affine", "cutout", "color_jitter",
                                 "grey", "blur", "rand_augment"}) {
    std::string members;  // so that every application changes something
    if (name == "rotate" || name == "affine") members = R"(, "degrees": [10, 20])";
    if (name == "color_jitter") members = R"(, "brightness": [0.1, 0.3])";
    if (name == "cutout") members = R"(, "scale": [0.1, 0.2], "ratio": [1, 1])";
    if (name == "blur") members = R"(, "sigma": 1)";
    if (name == "rand_augment") members = R"(, "operations": 20)";
    const auto changed = [&](const char* p) {
      int n = 0;
      for_each_view("[{\"" + name + "\": {\"p\": " + p + members + "}}]", in, kTrials,
                    [&](const Image& out) { n += difference(out, in).empty() ? 0 : 1; });
      return n;
    };
    EXPECT_EQ(changed("0"), 0) << name;
    EXPECT_NEAR(changed("0.3") / double(kTrials), 0.3, 0.03) << name;  // four standard deviations
    EXPECT_EQ(changed("1"), kTrials) << name;
  }
}

TEST(Operations, AtTheirNeutralValuesChangeNothing) {
  const Image in = noise(13, 8);
  for (const char* operation :
       {R"({"rotate": {"degrees": 0}})",
        R"({"rotate": {"degrees": 0, "filter": "bilinear", "expand": true}})",
        R"({"rotate": {"degrees": [360, 360]}})", R"("affine")", R"({"affine": {"filter": "bilinear"}})",
        R"("color_jitter")", R"("random_crop")", R"({"cutout": {"scale": [0, 0], "p": 1}})",
        R"({"blur": {"kernel": 1}})", R"({"color_jitter": {"hue": [0.0, 0.0], "contrast": [1, 1]}})",
        R"({"blur": {"sigma": 0.01}})"})
    for_each_view(std::string("[") + operation + "]", in, 20,
                  [&](const Image& out) { EXPECT_EQ(difference(out, in), "") << operation; });
  for (auto adjust : {adjust_brightness, adjust_contrast, adjust_saturation, adjust_sharpness})
    EXPECT_EQ(difference(adjust(in, 1), in), "");
  EXPECT_EQ(difference(adjust_hue(in, 0), in), "");
  EXPECT_EQ(difference(posterize(in, 8), in), "");
  EXPECT_EQ(difference(solarize(in, 256), in), "");
}

TEST(Operations, UndoThemselves) {
  const Image in = noise(13, 8);
  for (const std::string flip : {"flip", "vertical_flip"}) {
    const std::string once = "{\"" + flip + "\": {\"p\": 1}}";
    for_each_view("[" + once + "," + once + "]", in, 3,
                  [&](const Image& out) { EXPECT_EQ(difference(out, in), "") << flip; });
  }
  for_each_view(
      R"([{"rotate": {"degrees": [90, 90], "expand": true}}, {"rotate": {"degrees": [-90, -90], "expand": true}}])",
      in, 3, [&](const Image& out) { EXPECT_EQ(difference(out, in), ""); });
  EXPECT_EQ(difference(solarize(solarize(in, 0), 0), in), "");
}

TEST(Flip, ExchangesSides) {
  const Image in = noise(9, 5);
  for_each_view(R"([{"flip": {"p": 1}}])", in, 1,
                [&](const Image& out) { EXPECT_EQ(difference(out, image::mirrored(in)), ""); });
  for_each_view(R"([{"vertical_flip": {"p": 1}}])", in, 1, [&](const Image& out) {
    for (int y = 0; y < 5; ++y) EXPECT_TRUE(std::equal(out.row(y), out.row(y) + 27, in.row(4 - y)));
  });
}

// An image that tells where a pixel came from: red grows with x, green with y.
Image ramps(int side) {
  Image image = Image::allocate(side, side);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      image.row(y)[3 * x] = static_cast<std::uint8_t>(x);
      image.row(y)[3 * x + 1] = static_cast<std::uint8_t>(y);
      image.row(y)[3 * x + 2] = 255;
    }
  return image;
}

TEST(RandomResizedCrop, HasTorchvisionsDistribution) {
  double area = 0, log_ratio = 0, centre = 0;
  for_each_view(R"([{"random_resized_crop": {"size": 32, "filter": "box"}}])", ramps(250), kTrials,
                [&](const Image& out) {
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
                });
  // Uniform in [0.08, 1], less the few tall and wide ones that do not fit: torchvision 0.14 gives 0.479.
  EXPECT_NEAR(area / kTrials, 0.479, 0.02);
  EXPECT_NEAR(log_ratio / kTrials, 0.0, 0.02);
  EXPECT_NEAR(centre / kTrials, 125.0, 4.0);
}

TEST(RandomResizedCrop, FallsBackToTheLargestCentredCrop) {
  // Nothing of 90 % of the area has a ratio near 1 in a strip.
  const char* const strip = R"([{"random_resized_crop": {"size": 16, "scale": [0.9, 1]}}])";
  const Image wide = noise(100, 12), tall = noise(12, 100);
  for_each_view(strip, wide, 1, [&](const Image& out) {
    EXPECT_EQ(
        difference(out, image::resize(image::view(wide, {42, 0, 16, 12}), 16, 16, image::Filter::Bilinear)),
        "");
  });
  for_each_view(strip, tall, 1, [&](const Image& out) {
    EXPECT_EQ(
        difference(out, image::resize(image::view(tall, {0, 42, 12, 16}), 16, 16, image::Filter::Bilinear)),
        "");
  });
}

TEST(RandomResizedCrop, KeepsTheSizeWhereItHasNone) {
  const char* const own = R"([{"random_resized_crop": {"size": null, "scale": [0.3, 0.5]}}])";
  for_each_view(own, noise(31, 18), 10, [&](const Image& out) {
    EXPECT_EQ(out.width, 31);
    EXPECT_EQ(out.height, 18);
  });
}

TEST(RandomCrop, PlacesThePartUniformly) {
  std::map<int, int> columns, rows;
  for_each_view(R"([{"random_crop": {"size": 8}}])", ramps(12), kTrials, [&](const Image& out) {
    ASSERT_EQ(out.width, 8);
    ASSERT_EQ(out.height, 8);
    ++columns[out.data[0]];
    ++rows[out.data[1]];
    EXPECT_EQ(out.row(7)[3 * 7], out.data[0] + 7);
    EXPECT_EQ(out.row(7)[3 * 7 + 1], out.data[1] + 7);
  });
  ASSERT_EQ(columns.size(), 5u);
  ASSERT_EQ(rows.size(), 5u);
  for (const auto& [at, n] : columns) EXPECT_NEAR(n, kTrials / 5.0, 101) << at;  // four standard deviations
}

TEST(RandomCrop, PadsWithAColourTheEdgeOrTheMirroredImage) {
  // Row and column of the image that (x, y) of the crop is, padding of 2 added to 4 x 4 pixels, all of it
  // cut.
  const auto edge = [](const char* mode) {
    Image out;
    for_each_view(
        std::string(R"([{"random_crop": {"size": 8, "padding": 2, "fill": [7, 8, 9], "padding_mode": ")") +
            mode + "\"}}]",
        ramps(4), 1, [&](const Image& got) { out = got; });
    std::vector<int> red;
    for (int x = 0; x < 8; ++x) red.push_back(out.row(3)[3 * x]);
    return red;
  };
  EXPECT_EQ(edge("constant"), (std::vector<int>{7, 7, 0, 1, 2, 3, 7, 7}));
  EXPECT_EQ(edge("edge"), (std::vector<int>{0, 0, 0, 1, 2, 3, 3, 3}));
  EXPECT_EQ(edge("reflect"), (std::vector<int>{2, 1, 0, 1, 2, 3, 2, 1}));
}

TEST(RandomCrop, RejectsImagesThatAreTooSmall) {
  const Augmentation crop = make_augmentation(R"([{"random_crop": {"size": 32, "padding": 2}}])");
  try {
    crop.apply(noise(40, 20), 1, "x", 0);
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "too-small");
    EXPECT_STREQ(
        e.what(),
        "random_crop: expected at least 32 x 32 pixels with 2 of padding on every side, got 40 x 20; resize "
        "the image first, or raise `padding`");
  }
}

TEST(Rotate, ReachesItsRangeUniformly) {
  // The direction of a single bright pixel right of the centre.
  Image in = colour(101, 101, {0, 0, 0});
  for (int y = 48; y < 53; ++y)
    for (int x = 88; x < 93; ++x) in.row(y)[3 * x] = 255;
  double sum = 0, least = 99, most = -99;
  for_each_view(R"([{"rotate": {"degrees": [-10, 30]}}])", in, kTrials, [&](const Image& out) {
    double sx = 0, sy = 0, n = 0;
    for (int y = 0; y < 101; ++y)
      for (int x = 0; x < 101; ++x)
        if (out.row(y)[3 * x] == 255) {
          sx += x - 50;
          sy += 50 - y;
          ++n;
        }
    const double degrees = std::atan2(sy / n, sx / n) * 57.29578;
    sum += degrees;
    least = std::min(least, degrees);
    most = std::max(most, degrees);
  });
  EXPECT_NEAR(sum / kTrials, 10, 0.8);  // four standard deviations
  EXPECT_NEAR(least, -10, 0.5);
  EXPECT_NEAR(most, 30, 0.5);
}

TEST(Rotate, ExpandHoldsTheWholeImage) {
  for_each_view(R"([{"rotate": {"degrees": 180, "expand": true}}])", colour(40, 20, {255, 255, 255}), 200,
                [](const Image& out) {
                  int white = 0;
                  for (int y = 0; y < out.height; ++y)
                    for (int x = 0; x < out.width; ++x) white += out.row(y)[3 * x] == 255;
                  EXPECT_NEAR(white, 800, 40);  // a third of the pixels along the border
                });
}

TEST(Rotate, RejectsStripsThatWouldGrowTooLarge) {
  const Augmentation rotate = make_augmentation(R"([{"rotate": {"degrees": [45, 45], "expand": true}}])");
  try {
    rotate.apply(noise(16000, 2), 1, "x", 0);
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "too-large");
    EXPECT_STREQ(e.what(),
                 "rotate with `expand` makes 11316 x 11316 pixels of 16000 x 2, more than 67108864; leave "
                 "`expand` out, "
                 "or make the image smaller first");
  }
}

TEST(Affine, TranslatesByWholePixelsWithinItsShare) {
  std::map<int, int> shifts;
  for_each_view(R"([{"affine": {"translate": [0.2, 0], "fill": 200}}])", ramps(20), kTrials,
                [&](const Image& out) {
                  // The pixel at (10, 10) came from (10 - dx, 10).
                  ++shifts[10 - out.row(10)[30]];
                  EXPECT_EQ(out.row(10)[31], 10);
                });
  ASSERT_EQ(shifts.size(), 9u);  // -4 to 4, the ends half as often
  EXPECT_NEAR(shifts[0], kTrials / 8.0, 84);
  EXPECT_NEAR(shifts[4], kTrials / 16.0, 62);
  EXPECT_NEAR(shifts[-4], kTrials / 16.0, 62);
}

TEST(ColorJitter, DrawsFactorsAboutOne) {
  double sum = 0, least = 9, most = 0;
  for_each_view(R"([{"color_jitter": {"brightness": 0.5}}])", colour(2, 2, {100, 50, 20}), kTrials,
                [&](const Image& out) {
                  const double factor = (out.data[0] + 0.5) / 100.0;
                  sum += factor;
                  least = std::min(least, factor);
                  most = std::max(most, factor);
                  EXPECT_NEAR(out.data[1], 50 * factor, 1.3);
                  EXPECT_NEAR(out.data[2], 20 * factor, 1.3);
                });
  EXPECT_NEAR(sum / kTrials, 1.0, 0.02);
  EXPECT_NEAR(least, 0.5, 0.02);
  EXPECT_NEAR(most, 1.5, 0.02);
  for_each_view(R"([{"color_jitter": {"brightness": [1.2, 1.3]}}])", colour(1, 1, {100, 50, 20}), 200,
                [](const Image& out) {
                  EXPECT_GE(out.data[0], 119);
                  EXPECT_LE(out.data[0], 130);
                });
  // A factor above 1 reaches below 0 on paper only.
  for_each_view(R"([{"color_jitter": {"brightness": 3}}])", colour(1, 1, {50, 50, 50}), 200,
                [](const Image& out) { EXPECT_LE(out.data[0], 200); });
}

TEST(ColorJitter, TurnsTheHueAllTheWay) {
  std::map<long, int> brightest;
  const Image red = colour(1, 1, {200, 40, 40}), grey = colour(1, 1, {90, 90, 90});
  for_each_view(R"([{"color_jitter": {"hue": 0.5}}])", red, 3000, [&](const Image& out) {
    EXPECT_EQ(*std::max_element(out.data, out.data + 3), 200);
    EXPECT_EQ(*std::min_element(out.data, out.data + 3), 40);
    ++brightest[std::max_element(out.data, out.data + 3) - out.data];
  });
  for (const auto& [channel, count] : brightest) EXPECT_NEAR(count, 1000, 120) << channel;
  for_each_view(R"([{"color_jitter": {"hue": 0.5}}])", grey, 100,
                [&](const Image& out) { EXPECT_EQ(difference(out, grey), ""); });
}

TEST(Blur, KeepsEvenAreasAndTheMean) {
  const Image even = colour(30, 20, {13, 128, 250});
  for_each_view(R"([{"blur": {"sigma": [0.5, 8]}}])", even, 100,
                [&](const Image& out) { EXPECT_EQ(difference(out, even), ""); });
  Image spot = colour(41, 41, {0, 0, 0});
  spot.row(20)[60] = 255;
  const Image out = gaussian_blur(spot, 13, 2);
  EXPECT_NEAR(out.row(20)[60], 255 / (2 * 3.14159265 * 4), 1);  // the density at its centre
  EXPECT_EQ(out.row(20)[60 + 6], out.row(20)[60 - 6]);
  EXPECT_EQ(out.row(18)[60], out.row(20)[60 + 6]);
}

TEST(Blur, GoesOnMirroredBeyondTheBorder) {
  for (const auto& [position, wanted] : std::vector<std::pair<int, int>>{
           {-1, 1}, {-4, 2}, {-7, 1}, {0, 0}, {3, 3}, {4, 2}, {6, 0}, {7, 1}, {601, 1}})
    EXPECT_EQ(reflected(position, 4), wanted) << position;
  EXPECT_EQ(reflected(-5, 1), 0);
}

TEST(Cutout, PaintsOneRectangleOfTheRightSize) {
  double area = 0;
  int untouched = 0;
  for_each_view(R"([{"cutout": {"p": 1, "fill": [1, 2, 3]}}])", colour(100, 100, {255, 255, 255}), kTrials,
                [&](const Image& out) {
                  int left = 100, right = -1, top = 100, bottom = -1, n = 0;
                  for (int y = 0; y < 100; ++y)
                    for (int x = 0; x < 100; ++x) {
                      if (out.row(y)[3 * x] == 255) continue;
                      EXPECT_EQ(out.row(y)[3 * x + 2], 3);
                      left = std::min(left, x), right = std::max(right, x);
                      top = std::min(top, y), bottom = std::max(bottom, y), ++n;
                    }
                  if (n == 0) {
                    ++untouched;
                    return;
                  }
                  const int w = right - left + 1, h = bottom - top + 1;
                  ASSERT_EQ(n, w * h);
                  area += n / 10000.0;
                  EXPECT_GE(n, 150);
                  EXPECT_LE(n, 3500);
                  EXPECT_GE(double(h) / w, 0.25);
                  EXPECT_LE(double(h) / w, 3.7);
                });
  EXPECT_EQ(untouched, 0);
  EXPECT_NEAR(area / kTrials, 0.174, 0.006);  // torchvision 0.14 over 100000 draws
}

TEST(RandAugment, AtMagnitudeZeroKeepsShapesAndSizes) {
  const Image in = noise(30, 20);
  for_each_view(R"([{"rand_augment": {"magnitude": 0, "operations": 1}}])", in, 300, [&](const Image& out) {
    const bool by_histogram =
        difference(out, autocontrast(in)).empty() || difference(out, equalize(in)).empty();
    const bool solarized = difference(out, solarize(in, 255)).empty();
    EXPECT_TRUE(by_histogram || solarized || difference(out, in).empty());
  });
}

}  // namespace
}  // namespace graft::augment
