#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <image/resize.h>
#include <image/testing/fixtures.h>

namespace graft {
namespace {

using image::fixtures::difference;
using ::testing::HasSubstr;
using testing::StageHarness;
using namespace std::string_literals;

const std::string kFittings = GRAFT_TEST_SOURCE_DIR "/plugins/pixels/lib/image/testdata/fit.bin";

Image noise(int width, int height) {
  Random random(8);
  Image out = Image::allocate(width, height);
  for (std::size_t i = 0; i < out.bytes(); ++i) out.data[i] = static_cast<std::uint8_t>(random.next());
  return out;
}

Image fit(StageHarness& stage, const Image& in, std::uint32_t view = 0) {
  return std::get<Image>(stage.apply(in, "item", view));
}

TEST(ResizePlugin, EqualsTorchvision) {
  const auto fittings = image::fixtures::fittings(kFittings);
  EXPECT_EQ(fittings.size(), 42u);
  for (const auto& f : fittings) {
    StageHarness stage("resize", f.params);
    ASSERT_EQ(stage.as<Transform>().views(), f.views.size()) << f.params;
    for (std::uint32_t view = 0; view < f.views.size(); ++view)
      EXPECT_EQ(difference(fit(stage, f.source, view), f.views[view]), "")
          << f.source.width << " x " << f.source.height << ", " << f.params << ", view " << view;
  }
}

TEST(ResizePlugin, ANetworkStandsForWhatItWasTrainedOn) {
  const Image in = noise(61, 47);
  const auto fitted = [&](const std::string& params) {
    StageHarness stage("resize", params);
    return fit(stage, in);
  };
  EXPECT_EQ(difference(fitted("{network: efficientnet_b0}"), fitted("{filter: bicubic}")), "");
  EXPECT_EQ(
      difference(fitted("{network: resnet20, fit: stretch}"), fitted("{resize: 32, crop: 32, fit: stretch}")),
      "");
}

TEST(ResizePlugin, DeclaresItsViews) {
  const StageHarness stage("resize");
  const ViewsRule& rule = stage.schema().views;
  EXPECT_EQ(rule.param, "crops");
  EXPECT_EQ(rule.choices, (std::vector<std::pair<std::string, std::uint32_t>>{{"five", 5}, {"ten", 10}}));
}

TEST(ResizePlugin, CountsItsOwnViewsFastest) {
  StageHarness stage("resize", "{resize: 20, crop: 8, crops: five}");
  const Image in = noise(24, 30);
  // The stage before made views, too: this is the third crop of the second of them.
  EXPECT_EQ(difference(fit(stage, in, 7), fit(stage, in, 2)), "");
}

TEST(ResizePlugin, FillsALargeCentreCrop) {
  StageHarness stage("resize", "{resize: null, crop: 5, fill: [9, 8, 7]}");
  const Image got = fit(stage, noise(3, 4));
  for (const int x : {0, 4})
    EXPECT_EQ(std::string(got.row(2) + 3 * x, got.row(2) + 3 * x + 3), "\x09\x08\x07");
  EXPECT_EQ(difference(image::view(got, {1, 0, 3, 4}), noise(3, 4)), "");
}

TEST(ResizePlugin, ACropMayHoldNothingButFill) {
  StageHarness stage("resize", "{resize: 4, pad: 10, crop: 6, crops: five, fill: 50}");
  const Image got = fit(stage, noise(9, 9));
  EXPECT_EQ(std::string(got.data, got.data + got.bytes()), std::string(6 * 6 * 3, 50));
}

TEST(ResizePlugin, ReadsViewsOfLargerImages) {
  StageHarness stage("resize", "{resize: null, crop: null}");
  const Image in = image::view(noise(20, 10), {3, 2, 8, 6});
  EXPECT_EQ(difference(fit(stage, in), in), "");
  StageHarness crop("resize", "{resize: null, crop: 4}");
  EXPECT_EQ(difference(fit(crop, in), image::view(in, {2, 1, 4, 4})), "");
}

TEST(ResizePlugin, RejectsWhatCannotBeFitted) {
  const auto outcome = [](const std::string& params, const Image& in) {
    try {
      StageHarness stage("resize", params);
      fit(stage, in);
      return "ok"s;
    } catch (const Reject& r) {
      return r.code() + ": " + r.what();
    }
  };
  EXPECT_EQ(
      outcome("{resize: 16, crop: 17, crops: five}", noise(40, 20)),
      "too-small: the image has 32 x 16 pixels where crops of 17 x 17 are cut; resize it to more, or pad it");
  EXPECT_EQ(outcome("{resize: 16, crop: 17, crops: ten, pad: 1}", noise(40, 20)), "ok");
  EXPECT_EQ(outcome("{resize: 4000, crop: null}", noise(1, 30000)),
            "too-large: after resizing the image would have 4000 x 120000000 pixels, more than max_pixels: "
            "64000000");
  EXPECT_EQ(outcome("{resize: null, pad: 40, crop: null, max_pixels: 6400}", noise(1, 1)),
            "too-large: after resizing the image would have 81 x 81 pixels, more than max_pixels: 6400");
  EXPECT_EQ(outcome("{crop: 100, max_pixels: 9999}", noise(4, 4)),
            "too-large: after resizing the image would have 100 x 100 pixels, more than max_pixels: 9999");
  EXPECT_EQ(outcome("{}", Image()), "empty: expected an image with pixels, got 0 x 0");
}

TEST(ResizePlugin, NamesContradictions) {
  const auto fault = [](const std::string& params) {
    try {
      StageHarness stage("resize", params);
      return "ok"s;
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_THAT(
      fault("{resize: [320, 240]}"),
      HasSubstr("resize: [320, 240] gives two sides, but fit: shorter takes that of the shorter one; write "
                "resize: 240, or fit: stretch or letterbox"));
  EXPECT_THAT(fault("{resize: null, fit: letterbox}"),
              HasSubstr("fit: letterbox needs a size; write resize: [width, height]"));
  EXPECT_THAT(fault("{resize: null, fit: stretch}"), HasSubstr("fit: stretch needs a size"));
  EXPECT_THAT(fault("{crop: null, crops: ten}"),
              HasSubstr("crops: ten needs the size of the crops; write crop: 224"));
  EXPECT_THAT(fault("{pad: [1, 2]}"),
              HasSubstr("pad: expected one number or [left, top, right, bottom], got 2 numbers"));
  EXPECT_THAT(fault("{fill: [1, 2]}"),
              HasSubstr("fill: expected one number or [red, green, blue], got 2 numbers"));
  EXPECT_THAT(fault("{fill: 256}"), HasSubstr("256 is out of range: expected from 0 to 255"));
  EXPECT_THAT(fault("{crops: 5}"), HasSubstr("expected one of centre, five, ten"));
  EXPECT_EQ(fault("{resize: [320, 240], fit: letterbox, crop: null}"), "ok");
}

}  // namespace
}  // namespace graft
