#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <graft/learner.h>

namespace graft {
namespace {

Scores rows(std::size_t classes, std::vector<float> values) {
  Scores s(values.size() / classes, classes);
  s.values = std::move(values);
  return s;
}

const std::vector<std::string> kClasses{"ants", "bees"};

std::string text_of(const Scores& scores, bool multi_label = false) {
  const auto found = improper_scores(scores, multi_label);
  return found ? found->describe("a.jpg", kClasses) : "proper";
}

TEST(ImproperScores, AreThoseThatAreNoProbabilities) {
  EXPECT_EQ(text_of(rows(2, {0.25F, 0.75F, 1, 0, 0.1F, 0.9F})), "proper");
  EXPECT_EQ(text_of(Scores(0, 2)), "proper");
  EXPECT_EQ(text_of(rows(2, {0.3333F, 0.6667F, 1.0005F, -0.0004F})), "proper") << "rounding";
  EXPECT_EQ(text_of(rows(2, {0.5F, 1.5F})), "'a.jpg' has the score 1.5 for class 'bees'");
  EXPECT_EQ(text_of(rows(2, {-3, 4})), "'a.jpg' has the score -3 for class 'ants'");
  EXPECT_EQ(text_of(rows(2, {0.5F, NAN})), "'a.jpg' has the score nan for class 'bees'");
  EXPECT_EQ(text_of(rows(2, {INFINITY, 0})), "'a.jpg' has the score inf for class 'ants'");
  EXPECT_EQ(text_of(rows(2, {0.5F, 0.6F})), "the scores of 'a.jpg' add up to 1.1");
  EXPECT_EQ(text_of(rows(2, {0.5F, 0.6F}), true), "proper") << "each class is a question of its own";
  EXPECT_EQ(text_of(rows(2, {0.5F, 1.6F}), true), "'a.jpg' has the score 1.6 for class 'bees'");
}

TEST(ImproperScores, AreCountedAndOrderedUnlessOneIsNotANumber) {
  const auto found = improper_scores(rows(2, {1, 0, 2, 0, 0.5F, 0.5F, 0, 7}), false);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rows, 2U);
  EXPECT_EQ(found->first, 1U);
  EXPECT_EQ(found->column, 0U);
  EXPECT_TRUE(found->has_order);
  EXPECT_FALSE(improper_scores(rows(2, {2, 0, 2, NAN}), false)->has_order);
  EXPECT_TRUE(improper_scores(rows(2, {2, 0, -INFINITY, INFINITY}), false)->has_order);
}

}  // namespace
}  // namespace graft
