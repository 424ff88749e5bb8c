#include <image/resize.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include <graft/error.h>
#include <graft/random.h>

#include <image/testing/fixtures.h>
#include "resize_variants.h"

namespace graft::image {
namespace {

constexpr Filter kFilters[] = {Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos};

Image noise(Random& random, int width, int height, int gap = 0) {
  Image image = Image::allocate(width + gap, height);
  for (std::size_t i = 0; i < image.bytes(); ++i) {
    const auto v = random.below(320);  // both ends often: they meet the negative lobes
    image.data[i] = static_cast<std::uint8_t>(v < 32 ? 0 : v >= 288 ? 255 : v - 32);
  }
  return view(image, {0, 0, width, height});
}

TEST(Resize, EqualsPillow) {
  int cases = 0;
  for (fixtures::Reader in(GRAFT_IMAGE_TESTDATA "/resize.bin"); in.more(); ++cases) {
    const int w = in.number(), h = in.number(), to_w = in.number(), to_h = in.number();
    const Image source = in.image(w, h);
    for (const Filter filter : kFilters) {
      const Image wanted = in.image(to_w, to_h);
      const Rect all{0, 0, to_w, to_h};
      const Part part = Part::whole(source);
      SCOPED_TRACE(std::to_string(w) + "x" + std::to_string(h) + " to " + std::to_string(to_w) + "x" +
                   std::to_string(to_h) + ", filter " + std::to_string(static_cast<int>(filter)));
      EXPECT_EQ(fixtures::difference(resize(source, to_w, to_h, filter), wanted), "");
      for (const auto variant : {resize_reference, resize_portable, resize_avx2})
        EXPECT_EQ(fixtures::difference(variant(part, {to_w, to_h}, all, filter), wanted), "");
    }
  }
  EXPECT_EQ(cases, 9);
}

TEST(Resize, OfTensorsRoundsOnce) {
  // Two pixels become one, then two rows: 0.25 x (1 + 0 + 0 + 0) is 0 if rounded once, 1 if after each pass.
  Image source = Image::allocate(2, 2);
  std::fill_n(source.data, source.bytes(), std::uint8_t{0});
  for (int c = 0; c < 3; ++c) source.row(0)[c] = 1;
  const Rect all{0, 0, 1, 1};
  EXPECT_EQ(int{resize_tensor(Part::whole(source), {1, 1}, all, Filter::Box).row(0)[0]}, 0);
  EXPECT_EQ(int{resize(Part::whole(source), {1, 1}, all, Filter::Box).row(0)[0]}, 1);
  for (fixtures::Reader in(GRAFT_IMAGE_TESTDATA "/resize.bin"); in.more();) {
    const int w = in.number(), h = in.number(), to_w = in.number(), to_h = in.number();
    const Image picture = in.image(w, h);
    for (const Filter filter : kFilters) {
      const Image pillow = in.image(to_w, to_h);
      const Image once = resize_tensor(Part::whole(picture), {to_w, to_h}, {0, 0, to_w, to_h}, filter);
      // The others overshoot, which is cut off after each pass, or once.
      for (int y = 0; y < to_h && (filter == Filter::Box || filter == Filter::Bilinear); ++y)
        for (int i = 0; i < 3 * to_w; ++i)
          ASSERT_LE(std::abs(int{once.row(y)[i]} - int{pillow.row(y)[i]}), 1);
      if (to_w < 3 || to_h < 3) continue;
      const Rect part{1, 1, to_w - 2, to_h - 2};
      const Image cut = resize_tensor(Part::whole(picture), {to_w, to_h}, part, filter);
      EXPECT_EQ(fixtures::difference(cut, view(once, part)), "");
    }
  }
}

TEST(Resize, EqualsPillowOnABoxBetweenPixels) {
  int cases = 0;
  for (fixtures::Reader in(GRAFT_IMAGE_TESTDATA "/box.bin"); in.more(); ++cases) {
    const int w = in.number(), h = in.number(), to_w = in.number(), to_h = in.number();
    Frame frame{{w, h}};
    for (double* side : {&frame.left, &frame.top, &frame.right, &frame.bottom}) *side = in.number() / 8.0;
    const Part part{in.image(w, h), 0, 0, frame};
    for (const Filter filter : kFilters) {
      const Image wanted = in.image(to_w, to_h);
      SCOPED_TRACE(std::to_string(cases) + ", filter " + std::to_string(static_cast<int>(filter)));
      for (const auto variant : {resize_reference, resize_portable, resize_avx2})
        EXPECT_EQ(fixtures::difference(variant(part, {to_w, to_h}, {0, 0, to_w, to_h}, filter), wanted), "");
    }
  }
  EXPECT_EQ(cases, 3);
}

// A side of 1 to n pixels, small ones often.
int side(Random& random, std::uint64_t n) {
  return static_cast<int>(1 + random.below(random.chance(.2) ? std::min<std::uint64_t>(n, 4) : n));
}

Rect part_of(Random& random, Size size) {
  Rect rect{0, 0, side(random, static_cast<std::uint64_t>(size.width)),
            side(random, static_cast<std::uint64_t>(size.height))};
  rect.x = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.width - rect.width + 1)));
  rect.y = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size.height - rect.height + 1)));
  return rect;
}

TEST(Resize, EveryVariantEqualsTheReference) {
  Random random(7);
  for (int trial = 0; trial < 600; ++trial) {
    SCOPED_TRACE(trial);
    const Image source = noise(random, side(random, 90), side(random, 90), static_cast<int>(random.below(3)));
    const Size size{random.chance(.2) ? source.width : side(random, 160),
                    random.chance(.2) ? source.height : side(random, 160)};
    const Filter filter = kFilters[random.below(4)];
    const Rect crop = part_of(random, size);
    Part whole = Part::whole(source);
    if (random.chance(.3)) {
      // The picture does not fill the last pixels, as after a decoder that shrinks.
      whole.frame.right -= random.uniform();
      whole.frame.bottom -= random.uniform();
      whole.frame.left += (whole.frame.right - whole.frame.left) * random.uniform() / 4;
      whole.frame.top += (whole.frame.bottom - whole.frame.top) * random.uniform() / 4;
    }
    const Image wanted = resize_reference(whole, size, crop, filter);
    // Only the needed pixels, in memory that ends with them: a sanitizer sees whoever reads others.
    const Rect need = source_of(whole.frame, size, crop, filter);
    const Image seen = upright(upright(view(source, need), 3), 3);
    const Part part{seen, need.x, need.y, whole.frame};
    for (const auto variant : {resize_reference, resize_portable, resize_avx2}) {
      EXPECT_EQ(fixtures::difference(variant(whole, size, crop, filter), wanted), "");
      EXPECT_EQ(fixtures::difference(variant(part, size, crop, filter), wanted), "");
    }
    const Rect all{0, 0, static_cast<int>(size.width), static_cast<int>(size.height)};
    EXPECT_EQ(fixtures::difference(wanted, view(resize(whole, size, all, filter), crop)), "");
  }
}

TEST(Resize, HugeReductionsDoNotOverflow) {
  // Some 20,000 taps: sums of the weights' low parts leave 32 bits.
  Random random(4);
  for (const bool wide : {false, true}) {
    const Image source = noise(random, wide ? 20'000 : 9, wide ? 9 : 20'000);
    for (const Filter filter : kFilters) {
      const Part part = Part::whole(source);
      const Image wanted = resize_reference(part, {3, 3}, {0, 0, 3, 3}, filter);
      for (const auto variant : {resize_portable, resize_avx2})
        EXPECT_EQ(fixtures::difference(variant(part, {3, 3}, {0, 0, 3, 3}, filter), wanted), "");
    }
  }
}

TEST(Resize, RefusesAPartThatLacksPixels) {
  Random random(6);
  const Image source = noise(random, 20, 20);
  const Part part{view(source, {5, 0, 15, 20}), 5, 0, Frame::whole({20, 20})};
  EXPECT_EQ(resize(part, {10, 10}, {4, 0, 6, 10}, Filter::Box).width, 6);
  try {
    resize(part, {10, 10}, {2, 0, 6, 10}, Filter::Box);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the part of the image does not hold the pixels that the crop is made from");
  }
}

TEST(Resize, KeepsAConstantImageConstant) {
  for (const Filter filter : kFilters) {
    const Image source = Image::allocate(31, 17);
    std::fill_n(source.data, source.bytes(), std::uint8_t{201});
    const Image out = resize(source, 12, 40, filter);
    EXPECT_EQ(std::count(out.data, out.data + out.bytes(), 201), static_cast<std::ptrdiff_t>(out.bytes()));
  }
}

TEST(Resize, TouchesOnlyWhatTheCropNeeds) {
  // The whole result would have 10^9 columns.
  Random random(3);
  const Image source = noise(random, 2000, 1);
  const Size size = with_shorter_side({source.width, source.height}, 500'000);
  EXPECT_EQ(size.width, 1'000'000'000);
  const Image out = resize(Part::whole(source), size, centre_crop(size, 64, 64), Filter::Bicubic);
  EXPECT_EQ(out.width, 64);
  EXPECT_EQ(out.height, 64);
}

TEST(Resize, RefusesACropOutsideTheImage) {
  Random random(1);
  const Image source = noise(random, 8, 8);
  try {
    resize(Part::whole(source), {10, 12}, {3, 0, 8, 4}, Filter::Box);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "expected a crop within 10 x 12 pixels, got 8 x 4 at 3, 0");
  }
  EXPECT_THROW(resize(Part::whole(source), {4, 4}, {-1, 0, 2, 2}, Filter::Box), Error);
  EXPECT_THROW(resize(Part::whole(source), {4, 4}, {0, 0, 0, 2}, Filter::Box), Error);
}

TEST(Geometry, RoundsLikeTorchvision) {
  EXPECT_EQ(with_shorter_side({500, 375}, 256), (Size{341, 256}));
  EXPECT_EQ(with_shorter_side({375, 500}, 256), (Size{256, 341}));
  EXPECT_EQ(with_shorter_side({100, 100}, 7), (Size{7, 7}));
  EXPECT_EQ(with_shorter_side({1, 64000}, 2), (Size{2, 128000}));
  // round() to even: (341 - 224) / 2 = 58.5, (339 - 224) / 2 = 57.5
  EXPECT_EQ(centre_crop({341, 256}, 224, 224), (Rect{58, 16, 224, 224}));
  EXPECT_EQ(centre_crop({339, 224}, 224, 224), (Rect{58, 0, 224, 224}));
  // Larger than the image: the odd pixel of padding goes right and below.
  EXPECT_EQ(centre_crop({5, 8}, 8, 8), (Rect{-1, 0, 8, 8}));
}

TEST(Geometry, FiltersHaveNames) {
  EXPECT_EQ(filter_from("lanczos"), Filter::Lanczos);
  try {
    filter_from("cubic");
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "expected a filter (box, bilinear, bicubic, lanczos), got 'cubic'");
  }
}

TEST(Geometry, OrientationsUndoEachOther) {
  Random random(9);
  const Image source = noise(random, 5, 3);
  // Mirrors and the half turn are their own inverses; the quarter turns undo each other.
  const int inverse[] = {1, 2, 3, 4, 5, 8, 7, 6};
  for (int o = 1; o <= 8; ++o)
    EXPECT_EQ(fixtures::difference(upright(upright(source, o), inverse[o - 1]), source), "") << o;
  EXPECT_EQ(upright(source, 6).width, 3);
  EXPECT_EQ(upright(source, 0).data, source.data);
  EXPECT_EQ(upright(source, 9).data, source.data);
}

TEST(Geometry, AViewMustLieWithinTheImage) {
  Random random(2);
  const Image source = noise(random, 5, 3);
  EXPECT_EQ(view(source, {4, 2, 1, 1}).data, source.row(2) + 12);
  EXPECT_THROW(view(source, {4, 2, 2, 1}), Error);
  EXPECT_THROW(view(source, {-1, 0, 2, 1}), Error);
}

}  // namespace
}  // namespace graft::image
