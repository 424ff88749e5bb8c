#include <augment/batch_mix.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <graft/value.h>

namespace graft::augment {
namespace {

BatchMixer mixer(double mixup, double cutmix) {
  Value given = Value::map();
  given["mixup"] = mixup;
  given["cutmix"] = cutmix;
  std::vector<ParamFault> faults;
  const Params params(resolve(BatchMixer::parameters(), given, faults));
  EXPECT_TRUE(faults.empty());
  return BatchMixer(params);
}

bool same(const BatchMix& a, const BatchMix& b) {
  return a.partner == b.partner && a.own == b.own && a.cut == b.cut && a.box == b.box;
}

TEST(SampleBeta, HasMeanAndVarianceOfTheDistribution) {
  for (const double alpha : {0.05, 0.2, 0.8, 1.0, 4.0, 50.0}) {
    Random random(11);
    constexpr int kDraws = 40000;
    double sum = 0, squares = 0, extreme = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = numeric::sample_beta(alpha, random);
      ASSERT_GE(x, 0);
      ASSERT_LE(x, 1);
      sum += x;
      squares += (x - 0.5) * (x - 0.5);
      extreme += x < 0.1 || x > 0.9 ? 1 : 0;
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(variance / kDraws)) << alpha;
    EXPECT_NEAR(squares / kDraws, variance, 0.03 * variance) << alpha;
    const double wanted = alpha == 1 ? 0.2 : alpha == 0.2 ? 0.673 : -1;  // uniform; NumPy, a million draws
    if (wanted >= 0) {
      EXPECT_NEAR(extreme / kDraws, wanted, 0.01) << alpha;
    }
  }
}

TEST(SampleBeta, SurvivesAlphasOfAnySize) {
  for (const double alpha : {1e-8, 1e-3, 100.0}) {
    Random random(3);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(std::isfinite(numeric::sample_beta(alpha, random))) << alpha;
  }
}

TEST(BatchMixer, IsOffByDefault) {
  std::vector<ParamFault> faults;
  const BatchMixer off{Params(resolve(BatchMixer::parameters(), Value::map(), faults))};
  const BatchMix mix = off.draw(8, 4, 4, 1, 0, 0);
  EXPECT_FALSE(mix.active());
  EXPECT_EQ(mix.own, 1);
}

TEST(BatchMixer, IsAPureFunctionOfSeedEpochAndBatch) {
  const BatchMixer a = mixer(0.4, 1), b = mixer(0.4, 1);
  const BatchMix first = a.draw(64, 32, 32, 7, 3, 5);
  EXPECT_TRUE(same(first, a.draw(64, 32, 32, 7, 3, 5)));
  EXPECT_TRUE(same(first, b.draw(64, 32, 32, 7, 3, 5)));
  EXPECT_FALSE(same(first, a.draw(64, 32, 32, 8, 3, 5)));
  EXPECT_FALSE(same(first, a.draw(64, 32, 32, 7, 4, 5)));
  EXPECT_FALSE(same(first, a.draw(64, 32, 32, 7, 3, 6)));
}

TEST(BatchMixer, PairsByAPermutation) {
  for (const std::size_t n : {1u, 2u, 7u, 128u}) {
    BatchMix mix = mixer(1, 0).draw(n, 8, 8, 1, 0, 0);
    ASSERT_EQ(mix.partner.size(), n);
    std::sort(mix.partner.begin(), mix.partner.end());
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(mix.partner[i], i);
  }
}

TEST(BatchMixer, ChoosesEitherWithEqualChances) {
  const BatchMixer both = mixer(0.2, 1), cut = mixer(0, 1), sum = mixer(0.2, 0);
  int cuts = 0;
  for (std::uint64_t batch = 0; batch < 2000; ++batch) {
    cuts += both.draw(4, 16, 16, 1, 0, batch).cut;
    EXPECT_TRUE(cut.draw(4, 16, 16, 1, 0, batch).cut);
    EXPECT_FALSE(sum.draw(4, 16, 16, 1, 0, batch).cut);
  }
  EXPECT_NEAR(cuts, 1000, 90);  // four standard deviations
}

TEST(BatchMixer, CorrectsTheWeightToTheBoxThatIsLeft) {
  const BatchMixer cutmix = mixer(0, 1);
  double own = 0;
  bool clipped = false;
  for (std::uint64_t batch = 0; batch < 4000; ++batch) {
    const BatchMix mix = cutmix.draw(2, 20, 30, 1, 0, batch);
    EXPECT_GE(mix.box.x, 0);
    EXPECT_GE(mix.box.y, 0);
    EXPECT_LE(mix.box.x + mix.box.width, 30);
    EXPECT_LE(mix.box.y + mix.box.height, 20);
    EXPECT_DOUBLE_EQ(mix.own, 1 - mix.box.width * mix.box.height / 600.0);
    clipped = clipped || mix.box.x == 0;
    own += mix.own;
  }
  EXPECT_TRUE(clipped);
  EXPECT_NEAR(own / 4000, 0.708, 0.012);  // the same draw in NumPy, 200000 batches
}

// Three planes of distinct numbers, told apart by an offset.
std::vector<float> planes(int height, int width, float offset) {
  std::vector<float> out(static_cast<std::size_t>(3 * height * width));
  std::iota(out.begin(), out.end(), offset);
  return out;
}

TEST(BatchMix, MixupAddsPixelsByWeight) {
  BatchMix mix;
  mix.partner = {1, 0};
  mix.own = 0.75;
  std::vector<float> image = planes(2, 3, 0);
  mix.apply(image.data(), planes(2, 3, 100).data(), 2, 3);
  for (std::size_t i = 0; i < image.size(); ++i) EXPECT_FLOAT_EQ(image[i], static_cast<float>(i) + 25);
}

TEST(BatchMix, CutmixCopiesTheBoxAndNothingElse) {
  BatchMix mix;
  mix.partner = {1, 0};
  mix.cut = true;
  mix.box = {1, 2, 3, 2};
  const int height = 5, width = 6;
  std::vector<float> image = planes(height, width, 0);
  mix.apply(image.data(), planes(height, width, 1000).data(), height, width);
  for (int plane = 0; plane < 3; ++plane)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const int at = (plane * height + y) * width + x;
        const bool inside = x >= 1 && x < 4 && y >= 2 && y < 4;
        EXPECT_EQ(image[static_cast<std::size_t>(at)], static_cast<float>(at + (inside ? 1000 : 0)));
      }
}

}  // namespace
}  // namespace graft::augment
