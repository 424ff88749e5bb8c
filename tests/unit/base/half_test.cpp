#include <graft/half.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <graft/random.h>

namespace graft {
namespace {

bool is_nan(std::uint16_t half) {
  return (half & 0x7fffu) > 0x7c00u;
}

/// Both ways of one block agree, whatever its length and place.
void expect_agreement(const std::vector<float>& in) {
  std::vector<std::uint16_t> fast(in.size()), slow(in.size());
  to_half(in.data(), in.size(), fast.data());
  to_half_portable(in.data(), in.size(), slow.data());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (std::isnan(in[i]))
      ASSERT_TRUE(is_nan(fast[i]) && is_nan(slow[i])) << i;
    else
      ASSERT_EQ(fast[i], slow[i]) << in[i];
  }
}

TEST(Half, EveryHalfComesBack) {
  std::vector<std::uint16_t> halves(65536), back(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> fast(65536), slow(65536);
  from_half(halves.data(), halves.size(), fast.data());
  from_half_portable(halves.data(), halves.size(), slow.data());
  to_half(fast.data(), fast.size(), back.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (is_nan(halves[i])) {
      ASSERT_TRUE(std::isnan(fast[i]) && std::isnan(slow[i]) && is_nan(back[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(fast[i]), std::bit_cast<std::uint32_t>(slow[i])) << i;
      ASSERT_EQ(back[i], halves[i]);
    }
  }
}

TEST(Half, InstructionsAndArithmeticGiveTheSameBits) {
  Random random(6);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> in(random.below(9000));
    for (float& v : in) v = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));  // of every kind
    expect_agreement(in);
    // Around the halves: ties, subnormals, the way to infinity.
    for (float& v : in) {
      const auto half = static_cast<std::uint16_t>(random.below(0x7c01));
      float near = 0;
      from_half_portable(&half, 1, &near);
      std::uint32_t bits = std::bit_cast<std::uint32_t>(near) + (random.below(3) == 0 ? 0x1000u : 0u);
      bits += static_cast<std::uint32_t>(random.below(3)) - 1;
      v = std::bit_cast<float>(bits) * (random.below(2) == 0 ? 1.0f : -1.0f);
    }
    expect_agreement(in);
  }
  expect_agreement({65504, 65519.996f, 65520, 1e30f, std::numeric_limits<float>::infinity(), 0x1p-24f,
                    0x1p-25f, 0x1.000002p-25f, -0.0f, std::numeric_limits<float>::quiet_NaN()});
}

}  // namespace
}  // namespace graft
