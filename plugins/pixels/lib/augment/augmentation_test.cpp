#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <graft/testing/stage_harness.h>
#include <image/geometry.h>
#include <image/testing/fixtures.h>

#include <augment/testing/augmentation_fixture.h>

namespace graft::augment {
namespace {

using image::fixtures::difference;
using ::testing::HasSubstr;

const char* const kAll = R"(["flip", "vertical_flip", {"random_resized_crop": {"size": 20}},
    {"random_crop": {"padding": 3, "padding_mode": "reflect"}}, {"rotate": {"filter": "bilinear"}},
    {"affine": {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear": [-5, 5, -5, 5]}},
    {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}, "grey", "blur", "cutout",
    "rand_augment"])";

std::string fault(const std::string& operations) {
  try {
    make_augmentation(operations);
    return "none";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Augmentation, IsAPureFunctionOfSeedKeyAndView) {
  const Augmentation a = make_augmentation(kAll), b = make_augmentation(kAll);
  const Image in = noise(40, 30);
  const Image first = a.apply(in, 7, "x", 0);
  a.apply(in, 7, "y", 0);
  EXPECT_EQ(difference(a.apply(in, 7, "x", 0), first), "");
  EXPECT_EQ(difference(b.apply(in, 7, "x", 0), first), "");
  EXPECT_NE(difference(a.apply(in, 7, "x", 1), first), "");
  EXPECT_NE(difference(a.apply(in, 7, "y", 0), first), "");
  EXPECT_NE(difference(a.apply(in, 8, "x", 0), first), "");
}

TEST(Augmentation, GivesTheSamePixelsOnAnyNumberOfThreadsAndInAnyOrder) {
  const Augmentation augmentation = make_augmentation(kAll);
  const Image in = noise(40, 30);
  constexpr std::size_t kViews = 120;
  std::vector<Image> forwards(kViews), backwards(kViews), together(kViews);
  const auto view = [&](std::size_t i) {
    return augmentation.apply(in, 7, "k", static_cast<std::uint32_t>(i));
  };
  for (std::size_t i = 0; i < kViews; ++i) forwards[i] = view(i);
  for (std::size_t i = kViews; i-- > 0;) backwards[i] = view(i);
  testing::Threads(8).for_each(kViews, [&](std::size_t i) { together[i] = view(i); });
  for (std::size_t i = 0; i < kViews; ++i) {
    EXPECT_EQ(difference(backwards[i], forwards[i]), "") << i;
    EXPECT_EQ(difference(together[i], forwards[i]), "") << i;
  }
}

// Known answers: another machine, compiler or version must give these, too. (Pixels of the operations
// themselves are checked against Pillow; this is about the random numbers.)
TEST(Augmentation, DrawsTheSameNumbersEverywhere) {
  const Augmentation augmentation = make_augmentation(kAll);
  const Image in = noise(40, 30);
  std::string all;
  for (std::uint32_t view = 0; view < 200; ++view) {
    const Image out = augmentation.apply(in, 7, "k", view);
    for (int y = 0; y < out.height; ++y) all.append(reinterpret_cast<const char*>(out.row(y)), 3u * 20u);
  }
  EXPECT_EQ(digest(all).hex(), "1e98c3da3ee72888b9c7097688efc52e");
}

TEST(Augmentation, LeavesTheInputAlone) {
  const Augmentation augmentation = make_augmentation(kAll);
  const Image in = noise(40, 30), copy = noise(40, 30);
  for (std::uint32_t view = 0; view < 50; ++view) augmentation.apply(in, 1, "x", view);
  EXPECT_EQ(difference(in, copy), "");
}

TEST(Augmentation, ReadsImagesWithAStride) {
  const Augmentation augmentation = make_augmentation(kAll);
  const Image wide = noise(60, 30), part = image::view(wide, {7, 3, 40, 20});
  Image packed = Image::allocate(40, 20);
  for (int y = 0; y < 20; ++y) std::copy_n(part.row(y), 120, packed.row(y));
  for (std::uint32_t view = 0; view < 50; ++view)
    EXPECT_EQ(difference(augmentation.apply(part, 1, "x", view), augmentation.apply(packed, 1, "x", view)),
              "");
}

TEST(Augmentation, TakesImagesOfAnySize) {
  const Augmentation augmentation = make_augmentation(kAll);
  for (int w = 1; w < 6; ++w)
    for (int h = 1; h < 6; ++h)
      for (std::uint32_t view = 0; view < 20; ++view) {
        const Image out = augmentation.apply(noise(w, h), 1, "x", view);
        EXPECT_EQ(out.width, 20);
        EXPECT_EQ(out.height, 20);
      }
}

TEST(Augmentation, WithoutOperationsHandsBackTheSamePixels) {
  const Image in = noise(9, 5);
  EXPECT_EQ(make_augmentation("[]").apply(in, 1, "x", 0).data, in.data);
}

TEST(Augmentation, OneMoreOperationLeavesTheOthersAsTheyWere) {
  const Image in = noise(12, 12);
  // Operations that do nothing here: the crop takes all of it, the factor is 1.
  const std::string crop = R"({"random_resized_crop": {"size": 12, "scale": [1, 1], "ratio": [1, 1]}})";
  const Augmentation flip = make_augmentation(R"(["flip"])");
  for (const std::string& more : {"[\"flip\", " + crop + "]", "[" + crop + ", \"flip\"]",
                                  std::string(R"(["flip", "color_jitter", {"flip": {"p": 0}}])")}) {
    const Augmentation both = make_augmentation(more);
    for (std::uint32_t view = 0; view < 100; ++view)
      EXPECT_EQ(difference(both.apply(in, 1, "x", view), flip.apply(in, 1, "x", view)), "") << more;
  }
}

TEST(Augmentation, OperationsOfOneNameDrawApart) {
  // With one stream the two would always undo each other.
  const Augmentation twice = make_augmentation(R"(["flip", "flip"])");
  const Image in = noise(9, 5);
  int same = 0;
  for (std::uint32_t view = 0; view < 1000; ++view)
    same += difference(twice.apply(in, 1, "x", view), in).empty();
  EXPECT_NEAR(same, 500, 64);  // four standard deviations
}

TEST(Augmentation, AppliesInTheOrderGiven) {
  const char* const pad = R"({"random_crop": {"size": 10, "padding": 1, "fill": 255}})";
  const char* const dark = R"({"color_jitter": {"brightness": [0, 0]}})";
  const Image in = noise(8, 8);
  const Image dark_last = make_augmentation(std::string("[") + pad + "," + dark + "]").apply(in, 1, "x", 0);
  const Image dark_first = make_augmentation(std::string("[") + dark + "," + pad + "]").apply(in, 1, "x", 0);
  EXPECT_EQ(dark_last.data[0], 0);
  EXPECT_EQ(dark_first.data[0], 255);
}

TEST(Augmentation, DefaultsAreWrittenOut) {
  const ParamSpec spec = Augmentation::parameter({"flip"});
  EXPECT_EQ(spec.default_value.to_json(), R"([{"flip":{"p":0.5}}])");
  EXPECT_EQ(
      spec.fields.at(0).names(),
      (std::vector<std::string>{"flip", "vertical_flip", "rotate", "affine", "random_resized_crop",
                                "random_crop", "cutout", "color_jitter", "grey", "blur", "rand_augment"}));
  EXPECT_THAT(
      [] { Augmentation::parameter({"flop"}); },
      ::testing::ThrowsMessage<Error>(HasSubstr("a default that cannot be used: 'flop' is not allowed")));
}

TEST(Augmentation, NamesTheValueAtFault) {
  EXPECT_EQ(fault(R"(["flip", {"rotate": {"degrees": [30, 10]}}])"),
            "operations.1.rotate.degrees: expected [low, high], got [30, 10]; exchange the two");
  EXPECT_EQ(fault(R"([{"rotate": {"degrees": -5}}])"),
            "operations.0.rotate.degrees: expected [low, high], or one number of at least 0, got -5");
  EXPECT_EQ(fault(R"([{"random_resized_crop": {"scale": [0.9, 0.5]}}])"),
            "operations.0.random_resized_crop.scale: expected [low, high], got [0.9, 0.5]; exchange the two");
  EXPECT_EQ(fault(R"([{"cutout": {"fill": [1, 2]}}])"),
            "operations.0.cutout.fill: expected one grey value, or three (red, green, blue), got 2");
  EXPECT_EQ(fault(R"([{"blur": {"kernel": 4}}])"),
            "operations.0.blur.kernel: expected an odd number of taps, got 4; try 5");
  EXPECT_EQ(fault(R"([{"affine": {"shear": [1, 2, 3]}}])"),
            "operations.0.affine.shear: expected one, two or four values, got 3");
  EXPECT_EQ(
      fault(R"([{"affine": {"shear": [-1, 1, 3, 2]}}])"),
      "operations.0.affine.shear: expected [low x, high x, low y, high y], got [-1, 1, 3, 2]; exchange low "
      "and high");
  EXPECT_EQ(fault(R"([{"rand_augment": {"magnitude": 31}}])"),
            "operations.0.rand_augment.magnitude: expected less than `bins` (31), got 31");
  EXPECT_THAT(fault(R"([{"flip": {"p": 2}}])"), HasSubstr("2 is out of range: expected from 0 to 1"));
  EXPECT_THAT(fault(R"(["colour_jitter"])"), HasSubstr("did you mean 'color_jitter'?"));
}

}  // namespace
}  // namespace graft::augment
