#include <learning/warnings.h>

#include <gmock/gmock.h>

#include <graft/testing/error_of.h>

namespace graft::learning {
namespace {

using graft::testing::error_of;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Warnings : public ::testing::Test {
 protected:
  std::vector<std::string> texts_;
  Warn warn_ = [this](const std::string& text) { texts_.push_back(text); };
  std::vector<std::string> classes_ = {"a", "b", "c", "d", "e", "f", "g", "h"};
};

TEST_F(Warnings, NameAFewAbsentClassesAndCountTheRest) {
  warn_absent_classes({0, 1, 2, 3, 4, 5, 6, 7}, classes_, warn_);
  EXPECT_THAT(texts_, IsEmpty());
  warn_absent_classes({0, 2, 3, 4, 5, 6, 7}, classes_, warn_);
  warn_absent_classes({7}, classes_, warn_, "nothing is known of it");
  warn_absent_val_classes({0, 1, 2, 3, 4, 5, 6}, classes_, "k", warn_);
  EXPECT_THAT(texts_, ElementsAre("no train rows of b: the score of such a class is 0",
                                  "no train rows of a, b, c, d, e and 2 more: nothing is known of it",
                                  "no val rows of h: k is chosen without such a class"));
}

TEST_F(Warnings, NameTheValuesThatAreTakenWithoutVal) {
  warn_no_val_rows("table", {{"k", 1, 5, 20}, {"temperature", 1, 1, 0.07}}, warn_);
  EXPECT_THAT(texts_, IsEmpty());
  warn_no_val_rows("table", {{"k", 3, 15, 20}, {"temperature", 1, 1, 0.07}}, warn_);
  warn_no_val_rows("table", {{"k", 3, 15, 20}, {"temperature", 2, 0.1, 0.07}}, warn_);
  EXPECT_THAT(
      texts_,
      ElementsAre(
          "table 'table' has no labelled val rows to choose k on: taking k = 15 (nearest to 20); give "
          "the source a val split, or set k to one value",
          "table 'table' has no labelled val rows to choose k and temperature on: taking k = 15 "
          "(nearest to 20), temperature = 0.1 (nearest to 0.07); give the source a val split, or set "
          "each to one value"));
}

TEST_F(Warnings, ConstantFeaturesAndRowsOfZeros) {
  Sequential sequential;
  const MemoryRows table({0, 0, 0, 0, 0, 0}, 2, {0, 1, 0});
  const FeatureRows rows(table, 2, 1 << 20, sequential);
  EXPECT_EQ(warn_constant_features(rows, "table", RowScaler::Kind::L2, sequential, warn_), 2U);
  EXPECT_THAT(texts_, ElementsAre("table 'table': all 2 features are the same in all train rows: every input "
                                  "gets the shares of the classes as its scores; check the backbone and its "
                                  "normalisation",
                                  "table 'table': 3 train rows have zeros only; they have no direction, and "
                                  "scale: l2 leaves them as they are"));
}

TEST(Require, EnoughRowsAndClasses) {
  EXPECT_EQ(error_of([] { require_rows("table", 0); }),
            "table 'table' has no labelled train rows: expected at least 1; check the labels, the splits and "
            "the rejected inputs");
  EXPECT_EQ(error_of([] { require_classes("table", 1, 3, metrics::LabelMode::Single); }),
            "table 'table' has train rows of 1 of its 3 classes: expected at least 2 classes to tell apart; "
            "check the labels, the splits and the rejected inputs");
  EXPECT_EQ(
      error_of([] { require_classes("table", 0, 3, metrics::LabelMode::Multi); }),
      "table 'table' has train rows of 0 of its 3 classes: expected at least 1 class; check the labels, "
      "the splits and the rejected inputs");
  require_classes("table", 1, 3, metrics::LabelMode::Multi);
}

}  // namespace
}  // namespace graft::learning
