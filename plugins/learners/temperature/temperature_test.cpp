#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <cmath>

#include <graft/random.h>

namespace graft {
namespace {

using graft::testing::StageHarness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StrEq;

Predictions predictions(std::size_t classes, std::vector<float> scores,
                        std::vector<std::vector<std::int32_t>> labels) {
  Predictions p;
  p.learner = "probe";
  for (std::size_t c = 0; c < classes; ++c) p.classes.push_back("c" + std::to_string(c));
  p.val.scores = Scores(labels.size(), classes);
  p.val.scores.values = std::move(scores);
  p.val.labels = std::move(labels);
  for (std::size_t r = 0; r < p.val.labels.size(); ++r) p.val.keys.push_back("row" + std::to_string(r));
  return p;
}

Predictions six_rows() {
  return predictions(3,
                     {0.9F, 0.05F, 0.05F, 0.6F, 0.3F, 0.1F, 0.2F, 0.7F, 0.1F, 0.01F, 0.01F, 0.98F, 0.4F,
                      0.35F, 0.25F, 0.99F, 0.005F, 0.005F},
                     {{0}, {1}, {1}, {2}, {2}, {0}});
}

/// Rows whose logits were multiplied by `sharpening`: the right temperature is that number.
Predictions drawn(std::size_t rows, std::size_t classes, double sharpening, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> scores;
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<double> z(classes), p(classes);
    double sum = 0, sharp = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      z[c] = random.normal();
      sum += p[c] = std::exp(z[c]);
      sharp += std::exp(sharpening * z[c]);
    }
    double u = random.uniform() * sum;
    std::size_t label = 0;
    while (label + 1 < classes && (u -= p[label]) > 0) ++label;
    labels.push_back({static_cast<std::int32_t>(label)});
    for (std::size_t c = 0; c < classes; ++c)
      scores.push_back(static_cast<float>(std::exp(sharpening * z[c]) / sharp));
  }
  return predictions(classes, std::move(scores), std::move(labels));
}

double fact(const Value& summary, const char* part, const char* name) {
  return summary.find(part)->find(name)->as_double();
}

TEST(Temperature, IsThatOfLeastLogLoss) {
  // scipy.optimize.minimize_scalar of the mean log loss by T.
  StageHarness stage("temperature");
  const CalibratorResult result = stage.calibrate(six_rows());
  EXPECT_NEAR(result.summary.find("temperature")->as_double(), 0.8795457898, 1e-6);
  EXPECT_NEAR(fact(result.summary, "before", "log_loss"), 0.5137592797, 1e-7);
  EXPECT_NEAR(fact(result.summary, "after", "log_loss"), 0.5108752979, 1e-7);
  EXPECT_THAT(stage.warnings(), IsEmpty());
}

TEST(Temperature, OfSeveralLabelsARowIsThatOfLeastBinaryLogLoss) {
  // Rows without labels are unlabelled.
  Predictions p =
      predictions(2, {0.9F, 0.2F, 0.6F, 0.7F, 0.3F, 0.1F, 0.5F, 0.5F, 0.8F, 0.4F}, {{0}, {0}, {}, {}, {1}});
  p.multi_label = true;
  Predictions q = predictions(2, {0.9F, 0.2F, 0.6F, 0.7F, 0.8F, 0.4F}, {{0}, {0}, {1}});
  q.multi_label = true;
  StageHarness stage("temperature");
  const double with = stage.calibrate(p).summary.find("temperature")->as_double();
  const double without = stage.calibrate(q).summary.find("temperature")->as_double();
  EXPECT_EQ(with, without);
  const CalibratorResult result = stage.calibrate(q);
  for (const double t : {without * 0.99, without * 1.01}) {
    const auto at = StageHarness("temperature", "{temperature: " + std::to_string(t) + "}").calibrate(q);
    EXPECT_GT(fact(at.summary, "after", "log_loss"), fact(result.summary, "after", "log_loss"));
  }
}

TEST(Temperature, RowsThatShowNoneOfTheClassesCount) {
  Predictions p =
      predictions(2, {0.9F, 0.2F, 0.6F, 0.7F, 0.3F, 0.1F, 0.5F, 0.5F, 0.8F, 0.4F}, {{0}, {0}, {}, {}, {1}});
  p.multi_label = true;
  p.val.negative = {false, false, true};  // the fourth row is unlabelled
  StageHarness stage("temperature");
  const CalibratorResult result = stage.calibrate(p);
  EXPECT_EQ(result.summary.find("val_rows")->as_int(), 4);
  const double found = result.summary.find("temperature")->as_double();
  for (const double t : {found * 0.99, found * 1.01}) {
    const auto at = StageHarness("temperature", "{temperature: " + std::to_string(t) + "}").calibrate(p);
    EXPECT_GT(fact(at.summary, "after", "log_loss"), fact(result.summary, "after", "log_loss"));
  }
}

TEST(Temperature, FindsHowMuchTooSureScoresAre) {
  for (const double sharpening : {0.5, 1.0, 3.0}) {
    StageHarness stage("temperature");
    const CalibratorResult result = stage.calibrate(drawn(20000, 5, sharpening, 7));
    EXPECT_NEAR(result.summary.find("temperature")->as_double() / sharpening, 1, 0.04);
    EXPECT_LT(fact(result.summary, "after", "ece"), 0.02);
    EXPECT_LE(fact(result.summary, "after", "brier"), fact(result.summary, "before", "brier") + 1e-4);
  }
}

TEST(Temperature, LeavesEveryDecisionAsItWas) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const std::size_t classes = 2 + random.below(6);
    Predictions p = drawn(200, classes, random.uniform(0.2, 30), seed);
    // Near ties and votes of nothing, as k-NN gives them.
    for (std::size_t r = 0; r < 50; ++r) {
      float* row = p.val.scores.row(r);
      std::fill(row, row + classes, 0.0F);
      row[0] = std::nextafter(0.5F, 0.0F);
      row[1] = 0.5F;
    }
    const auto decisions = [&](const Scores& of) {
      std::vector<std::ptrdiff_t> out;
      for (std::size_t r = 0; r < of.rows; ++r)
        out.push_back(std::max_element(of.row(r), of.row(r) + classes) - of.row(r));
      return out;
    };
    const double t = std::exp(random.uniform(-3, 5));
    Scores scores = p.val.scores;
    StageHarness("temperature", "{temperature: " + std::to_string(t) + "}")
        .calibrate(p)
        .calibration->apply(scores);
    EXPECT_EQ(decisions(scores), decisions(p.val.scores)) << "seed " << seed << ", T " << t;
    for (std::size_t r = 0; r < scores.rows; ++r) {
      float sum = 0;
      for (std::size_t c = 0; c < classes; ++c) sum += scores.row(r)[c];
      ASSERT_NEAR(sum, 1, 1e-5);
    }
  }
}

/// What of two scores is higher, or that they are equal, by class.
std::vector<int> order_of(const float* row, std::size_t classes) {
  std::vector<int> out;
  for (std::size_t a = 0; a < classes; ++a)
    for (std::size_t b = 0; b < a; ++b) out.push_back((row[a] > row[b]) - (row[a] < row[b]));
  return out;
}

TEST(Temperature, LeavesTheOrderOfAllClassesAsItWas) {
  for (const bool several : {false, true})
    for (const char* t : {"0.001", "0.05", "0.7", "3", "1000"}) {
      Random random(7);
      const std::size_t classes = 9, rows = 300;
      Predictions p = drawn(rows, classes, 2, 11);
      p.multi_label = several;
      for (std::size_t r = 0; r < rows; ++r) {
        float* row = p.val.scores.row(r);
        // A step of a float apart, equal, below what is clipped, and 0.
        row[1] = std::nextafter(row[0], 1.0F);
        row[2] = row[0];
        row[3] = 1e-20F * static_cast<float>(1 + random.below(9));
        row[4] = 1e-30F;
        row[5] = 0;
        if (several) {
          row[6] = std::nextafter(0.5F, 0.0F);
          row[7] = 0.5F;
          row[8] = std::nextafter(1.0F, 0.0F);
        }
      }
      Scores scores = p.val.scores;
      StageHarness("temperature", "{temperature: " + std::string(t) + "}")
          .calibrate(p)
          .calibration->apply(scores);
      for (std::size_t r = 0; r < rows; ++r) {
        ASSERT_EQ(order_of(scores.row(r), classes), order_of(p.val.scores.row(r), classes))
            << "several " << several << ", T " << t << ", row " << r;
        for (std::size_t c = 0; c < classes; ++c) {
          ASSERT_GE(scores.row(r)[c], 0);
          ASSERT_LE(scores.row(r)[c], 1);
          if (several) {
            ASSERT_EQ(scores.row(r)[c] >= 0.5F, p.val.scores.row(r)[c] >= 0.5F)
                << "T " << t << ", class " << c;
          }
        }
      }
    }
}

TEST(Temperature, OfLogitsThatAreFarApartIsTheSoftmaxByT) {
  // scipy.special.softmax(numpy.log(p) / T)
  const Predictions p = predictions(3, {0.7F, 0.2F, 0.1F}, {{0}});
  Scores scores = p.val.scores;
  StageHarness("temperature", "{temperature: 2}").calibrate(p).calibration->apply(scores);
  EXPECT_NEAR(scores.values[0], 0.522879379, 1e-7);
  EXPECT_NEAR(scores.values[1], 0.279490789, 1e-7);
  EXPECT_NEAR(scores.values[2], 0.197629832, 1e-7);
}

TEST(Temperature, ListsTheFiguresFromHighToLow) {
  StageHarness stage("temperature", "{temperatures: [1, 4, 2, 4]}");
  const Value summary = stage.calibrate(six_rows()).summary;
  const Value::List& list = summary.find("temperatures")->as_list();
  std::vector<double> temperatures, drawn_accuracy;
  for (const Value& v : list) {
    temperatures.push_back(v.find("temperature")->as_double());
    drawn_accuracy.push_back(v.find("drawn_balanced_accuracy")->as_double());
    EXPECT_EQ(v.find("balanced_accuracy")->as_double(), list.front().find("balanced_accuracy")->as_double());
  }
  EXPECT_THAT(temperatures, ElementsAre(4, 2, 1));
  EXPECT_LT(drawn_accuracy[0], drawn_accuracy[1]);
  EXPECT_LT(drawn_accuracy[1], drawn_accuracy[2]);
  EXPECT_EQ(list[2], *summary.find("before"));
}

TEST(Temperature, OneLeavesTheBits) {
  const Predictions p = six_rows();
  Scores scores = p.val.scores;
  StageHarness("temperature", "{temperature: 1}").calibrate(p).calibration->apply(scores);
  EXPECT_EQ(scores.values, p.val.scores.values);
}

TEST(Temperature, WithoutValScoresStayAndPeopleAreTold) {
  StageHarness stage("temperature");
  const CalibratorResult result = stage.calibrate(predictions(2, {}, {}));
  EXPECT_EQ(result.summary.find("temperature")->as_double(), 1);
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "nothing");
  EXPECT_THAT(stage.warnings(),
              ElementsAre("'probe' has no labelled val rows to fit a temperature to: its scores stay as they "
                          "are; give the source a val split, or set temperature"));
}

TEST(Temperature, RefusesScoresThatAreNoProbabilities) {
  const Predictions p = predictions(2, {0.5F, 0.5F, 3, 0.5F}, {{0}, {1}});
  try {
    StageHarness("temperature").calibrate(p);
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_STREQ(
        e.what(),
        "'probe': scores of 1 of 2 inputs are not class probabilities: 'row1' has the score 3 for class "
        "'c0'; a temperature corrects probabilities: mend the learner, or take this stage out");
  }
}

TEST(Temperature, RowsThatAreAllRightLeadToTheLimit) {
  StageHarness stage("temperature");
  const CalibratorResult result = stage.calibrate(predictions(2, {0.9F, 0.1F, 0.2F, 0.8F}, {{0}, {1}}));
  EXPECT_EQ(result.summary.find("temperature")->as_double(), 0.05);
  EXPECT_THAT(stage.warnings(),
              ElementsAre("the temperature of 'probe' ends at its limit of 0.05: its 2 val rows are all "
                          "classified right, which says little of how sure it may be; give it more val "
                          "rows, or set temperature"));
}

/// Votes of all or nothing: 1 for one class and 0 for the others, of which the first `right` rows are right.
Predictions votes(std::size_t classes, std::size_t rows, std::size_t right) {
  std::vector<float> scores;
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t r = 0; r < rows; ++r) {
    labels.push_back({static_cast<std::int32_t>(r % classes)});
    const std::size_t voted = (r + (r < right ? 0 : 1)) % classes;
    for (std::size_t c = 0; c < classes; ++c) scores.push_back(c == voted ? 1.0F : 0.0F);
  }
  return predictions(classes, std::move(scores), std::move(labels));
}

TEST(Temperature, OfVotesOfAllOrNothingIsThatOfTheirAccuracy) {
  // The log loss is least where the score of the winner is the accuracy.
  const double apart = std::log1p(-0x1p-52) - std::log(0x1p-52);
  for (const std::size_t classes : {2U, 3U, 10U}) {
    for (const std::size_t right : {250U, 330U, 399U}) {
      const double accuracy = static_cast<double>(right) / 400;
      const double expected = apart / std::log(accuracy * static_cast<double>(classes - 1) / (1 - accuracy));
      StageHarness stage("temperature");
      const CalibratorResult result = stage.calibrate(votes(classes, 400, right));
      EXPECT_NEAR(result.summary.find("temperature")->as_double() / expected, 1, 1e-9)
          << classes << " classes, " << right << " of 400 right";
      EXPECT_NEAR(fact(result.summary, "after", "ece"), 0, 1e-6);
      EXPECT_THAT(stage.warnings(), IsEmpty());
    }
  }
}

TEST(Temperature, AtTheUpperLimitPeopleAreToldWhatValIsLike) {
  const auto warnings = [](const Predictions& p) {
    StageHarness stage("temperature");
    EXPECT_EQ(stage.calibrate(p).summary.find("temperature")->as_double(), 1000);
    return stage.warnings();
  };
  EXPECT_THAT(warnings(votes(2, 40, 20)),
              ElementsAre("the temperature of 'probe' ends at its limit of 1000: its 40 val rows are "
                          "classified as if by chance (accuracy 0.5000; one class for all: 0.5000), which "
                          "says little of how sure it may be; give it more val rows, or set temperature"));
  // Right by a little, wrong by a lot.
  EXPECT_THAT(
      warnings(
          predictions(2, {0.6F, 0.4F, 0.6F, 0.4F, 0.4F, 0.6F, 0.4F, 0.6F, 1, 0}, {{0}, {0}, {1}, {1}, {1}})),
      ElementsAre("the temperature of 'probe' ends at its limit of 1000: the log loss of its 5 val rows "
                  "(accuracy 0.8000) still falls there, which says little of how sure it may be; give it "
                  "more val rows, or set temperature"));
  Predictions p = predictions(2, {1, 0, 0, 1, 1, 0, 0, 1}, {{0}, {1}, {1}, {0}});
  p.multi_label = true;
  EXPECT_THAT(warnings(p),
              ElementsAre("the temperature of 'probe' ends at its limit of 1000: its 4 val rows are "
                          "classified as if by chance (0.5000 of the decisions are right), which says little "
                          "of how sure it may be; give it more val rows, or set temperature"));
}

TEST(Temperature, AtTheLowerLimitRowsAreCalledRightOnlyIfTheyAre) {
  // Wrong by less than can be seen.
  StageHarness stage("temperature");
  const CalibratorResult result =
      stage.calibrate(predictions(2, {0.5F, std::nextafter(0.5F, 0.0F), 0.45F, 0.55F}, {{1}, {1}}));
  EXPECT_EQ(result.summary.find("temperature")->as_double(), 0.05);
  EXPECT_THAT(stage.warnings(),
              ElementsAre("the temperature of 'probe' ends at its limit of 0.05: the log loss of its 2 val "
                          "rows (accuracy 0.5000) still falls there, which says little of how sure it may "
                          "be; give it more val rows, or set temperature"));
}

TEST(Temperature, SavedAndLoadedItGivesTheSameBits) {
  StageHarness stage("temperature");
  const Predictions p = drawn(100, 4, 2.5, 3);
  const CalibratorResult result = stage.calibrate(p);
  Bundle bundle;
  result.calibration->save(bundle);
  bundle.facts = Value::from_json(bundle.facts.to_json());
  Scores one = p.val.scores, other = p.val.scores;
  result.calibration->apply(one);
  stage.as<Calibrator>().load(bundle)->apply(other);
  EXPECT_EQ(one.values, other.values);

  bundle.facts["temperature"] = -1;
  try {
    stage.as<Calibrator>().load(bundle);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), StrEq("'temperature' of the bundle is -1: expected a number above 0; the bundle is "
                                "damaged or of another plugin; train the model again"));
  }
}

}  // namespace
}  // namespace graft
