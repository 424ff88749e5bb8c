#include "pooling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include <graft/error.h>

namespace {

using graft::Shape;

std::vector<float> run(const std::vector<float>& value, const Shape& shape, Pooling pooling,
                       double power = 3) {
  const graft::Tensor out = pooled(value.data(), shape, pooling, power);
  return {out.as<float>(), out.as<float>() + out.size()};
}

TEST(Pooling, ByHand) {
  const std::vector<float> value{1, 2, 3, 6, -1, -2, -3, 8};  // two channels of 2 x 2
  const Shape shape{2, 2, 2};
  EXPECT_EQ(run(value, shape, Pooling::Average), (std::vector<float>{3, 0.5f}));
  EXPECT_EQ(run(value, shape, Pooling::Maximum), (std::vector<float>{6, 8}));
  const auto gem = run(value, shape, Pooling::GeM, 3);
  EXPECT_NEAR(gem[0], std::cbrt((1.0 + 8 + 27 + 216) / 4), 1e-6);
  EXPECT_NEAR(gem[1], std::cbrt((3e-18 + 512) / 4), 1e-6);
  EXPECT_EQ(run(value, shape, Pooling::Flatten), value);
  EXPECT_EQ(pooled(value.data(), shape, Pooling::Flatten, 3).shape, Shape{8});
  EXPECT_EQ(pooled(value.data(), shape, Pooling::None, 3).shape, shape);
}

TEST(Pooling, GeMOfPowerOneIsTheMeanAndOfAGreatPowerTheMaximum) {
  const std::vector<float> value{0.25f, 0.5f, 1, 4};
  EXPECT_NEAR(run(value, {1, 2, 2}, Pooling::GeM, 1)[0], run(value, {1, 2, 2}, Pooling::Average)[0], 1e-6);
  EXPECT_NEAR(run(value, {1, 2, 2}, Pooling::GeM, 80)[0], 4, 0.1);
}

TEST(Pooling, OfTokensPatchesAlone) {
  // A class token, a register, and patches of 1 x 2.
  const std::vector<float> value{9, 8, 70, 70, 1, 2, 3, -4};
  const Shape shape{4, 2};
  const graft::nn::TokenLayout layout{1, 2, 1, 2};
  const auto of = [&](Pooling pooling) {
    const graft::Tensor out = pooled(value.data(), shape, pooling, 1, layout);
    EXPECT_EQ(out.shape, pooled_shape(shape, pooling, layout));
    return std::vector<float>(out.as<float>(), out.as<float>() + out.size());
  };
  EXPECT_EQ(of(Pooling::Class), (std::vector<float>{9, 8}));
  EXPECT_EQ(of(Pooling::Average), (std::vector<float>{2, -1}));
  EXPECT_EQ(of(Pooling::Maximum), (std::vector<float>{3, 2}));
  EXPECT_EQ(of(Pooling::ClassAverage), (std::vector<float>{9, 8, 2, -1}));
  EXPECT_EQ(of(Pooling::None), (std::vector<float>{1, 2, 3, -4}));
  EXPECT_EQ(of(Pooling::Flatten), value);
  EXPECT_EQ(pooled_shape(shape, Pooling::None, layout), (Shape{1, 2, 2}));
  EXPECT_EQ(pooled_shape({2, 3, 4}, Pooling::None, {}), (Shape{2, 3, 4}));
}

TEST(Pooling, TokensOfAnUnknownNetworkStayUnlessTheClassTokenIsWanted) {
  const std::vector<float> value{9, 8, 1, 2, 3, -4};
  EXPECT_EQ(run(value, {3, 2}, Pooling::Average), value);
  EXPECT_EQ(run(value, {3, 2}, Pooling::Class), (std::vector<float>{9, 8}));
  EXPECT_EQ(run(value, {3, 2}, Pooling::ClassAverage), (std::vector<float>{9, 8, 2, -1}));
}

TEST(Pooling, AVectorStays) {
  const std::vector<float> value{1, 2, 3};
  EXPECT_EQ(run(value, {3}, Pooling::Average), value);
}

TEST(Pooling, LengthBecomesOneAndZerosStay) {
  const graft::Tensor vector = pooled(std::vector<float>{3, 4}.data(), {2}, Pooling::None, 1);
  normalise_length(vector);
  EXPECT_FLOAT_EQ(vector.as<float>()[0], 0.6f);
  EXPECT_FLOAT_EQ(vector.as<float>()[1], 0.8f);
  const graft::Tensor zero = pooled(std::vector<float>{0, 0}.data(), {2}, Pooling::None, 1);
  normalise_length(zero);
  EXPECT_EQ(zero.as<float>()[0], 0);
}

TEST(Pooling, AnUnknownWordIsNamed) {
  EXPECT_THROW(pooling_from("mean"), graft::Error);
}

}  // namespace
