// Pixels against Pillow and torchvision: testdata/make_fixtures.py.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <graft/error.h>
#include <image/testing/fixtures.h>

#include <augment/augmentation.h>
#include "blur.h"
#include "colour.h"
#include "warp.h"

#include <augment/testing/augmentation_fixture.h>

namespace graft::augment {
namespace {

using image::fixtures::difference;

struct Case {
  std::string name;
  Image before, after;
  double number() const { return std::stod(name.substr(name.find(' ') + 1)); }
};

std::vector<Case> cases(const std::string& file) {
  std::vector<Case> all;
  for (image::fixtures::Reader in(std::string(GRAFT_AUGMENT_TESTDATA) + "/" + file); in.more();) {
    Case one;
    one.name = in.text(in.number());
    for (Image* image : {&one.before, &one.after}) {
      const int width = in.number(), height = in.number();
      *image = in.image(width, height);
    }
    all.push_back(std::move(one));
  }
  return all;
}

int largest_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return 256;
  int most = 0;
  for (int y = 0; y < a.height; ++y)
    for (int i = 0; i < 3 * a.width; ++i) most = std::max(most, std::abs(a.row(y)[i] - b.row(y)[i]));
  return most;
}

int values_that_differ(const Image& a, const Image& b) {
  int n = 0;
  for (int y = 0; y < a.height; ++y)
    for (int i = 0; i < 3 * a.width; ++i) n += a.row(y)[i] != b.row(y)[i];
  return n;
}

TEST(WarpReference, NearestEqualsPillowAndBilinearButForRounding) {
  constexpr Colour kFill{200, 100, 50};
  const auto all = cases("warp.bin");
  ASSERT_EQ(all.size(), 60u);
  for (const Case& one : all) {
    std::istringstream words(one.name);
    std::string kind, filter;
    words >> kind >> filter;
    const Sampling sampling = filter == "nearest" ? Sampling::Nearest : Sampling::Bilinear;
    const int width = one.before.width, height = one.before.height;
    Image got;
    if (kind == "rotate") {
      double degrees;
      bool expand;
      words >> degrees >> expand;
      const Rotation turned = rotation(width, height, degrees, expand);
      got = warp(one.before, turned.matrix, turned.width, turned.height, sampling, kFill);
    } else {
      AffineChange change;
      words >> change.degrees >> change.translate_x >> change.translate_y >> change.scale >> change.shear_x >>
          change.shear_y;
      got = warp(one.before, affine_about_centre(width, height, change), width, height, sampling, kFill);
    }
    ASSERT_TRUE(words) << one.name;
    if (sampling == Sampling::Nearest) {
      EXPECT_EQ(difference(got, one.after), "") << one.name << " of " << width << " x " << height;
    } else {
      EXPECT_LE(largest_difference(got, one.after), 1) << one.name << " of " << width << " x " << height;
      EXPECT_LE(values_that_differ(got, one.after), 3 * got.width * got.height / 100) << one.name;
    }
  }
}

TEST(ColourReference, EqualsPillow) {
  const std::map<std::string, Image (*)(const Image&, double)> operations{
      {"Brightness", adjust_brightness},
      {"Contrast", adjust_contrast},
      {"Color", adjust_saturation},
      {"Sharpness", adjust_sharpness},
      {"grey", [](const Image& image, double) { return to_grey(image); }},
      {"posterize", [](const Image& image, double bits) { return posterize(image, static_cast<int>(bits)); }},
      {"solarize", solarize},
      {"autocontrast", [](const Image& image, double) { return autocontrast(image); }},
      {"equalize", [](const Image& image, double) { return equalize(image); }}};
  std::set<std::string> seen;
  for (const Case& one : cases("colour.bin")) {
    const std::string kind = one.name.substr(0, one.name.find(' '));
    const auto operation = operations.find(kind);
    if (operation == operations.end()) continue;
    seen.insert(kind);
    EXPECT_EQ(difference(operation->second(one.before, one.number()), one.after), "") << one.name;
  }
  EXPECT_EQ(seen.size(), operations.size());
}

TEST(ColourReference, HueAndBlurAreWithinOneOfTorchvision) {
  int hues = 0, blurs = 0;
  for (const Case& one : cases("colour.bin")) {
    if (one.name.starts_with("hue")) {
      ++hues;
      EXPECT_LE(largest_difference(adjust_hue(one.before, one.number()), one.after), 1) << one.name;
    } else if (one.name.starts_with("blur")) {
      ++blurs;
      std::istringstream words(one.name.substr(4));
      int size;
      double sigma;
      words >> size >> sigma;
      EXPECT_LE(largest_difference(gaussian_blur(one.before, size, sigma), one.after), 1) << one.name;
    }
  }
  EXPECT_EQ(hues, 5);
  EXPECT_EQ(blurs, 5);
}

// One operation at a time: everything that torchvision may do is reached, and nothing else.
TEST(RandAugmentReference, DrawsTorchvisionsOperationsAtTheirMagnitudes) {
  for (const std::string magnitude : {"9", "25"}) {
    const Augmentation augmentation =
        make_augmentation(R"([{"rand_augment": {"operations": 1, "magnitude": )" + magnitude + "}}]");
    std::vector<Case> wanted;
    for (Case& one : cases("rand_augment.bin"))
      if (one.name.starts_with(magnitude + " ")) wanted.push_back(std::move(one));
    ASSERT_EQ(wanted.size(), 23u);
    std::map<std::string, int> count;
    constexpr std::uint32_t kDraws = 1400;
    for (std::uint32_t view = 0; view < kDraws; ++view) {
      const Image got = augmentation.apply(wanted[0].before, 1, "key", view);
      const auto found = std::find_if(wanted.begin(), wanted.end(),
                                      [&](const Case& one) { return difference(got, one.after).empty(); });
      ASSERT_NE(found, wanted.end()) << "draw " << view << " is nothing that torchvision does";
      ++count[found->name];
    }
    EXPECT_EQ(count.size(), 14u);
    for (const auto& [name, n] : count) EXPECT_NEAR(n, 100, 40) << name;  // four standard deviations
  }
}

}  // namespace
}  // namespace graft::augment
