#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <set>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/random.h>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::StrEq;

/// Learners that are right with a given chance, decided by a hash of learner and key; they grow better with
/// the number of rows that they are trained on.
class FakeTrials final : public Trials {
 public:
  struct Call {
    std::string learner;
    Rows rows;
  };

  FakeTrials(std::size_t train, std::size_t val, std::size_t test) {
    for (std::size_t i = 0; i < train + val + test; ++i)
      inputs_.push_back({"image" + std::to_string(i),
                         {static_cast<std::int32_t>(i % 2)},
                         i < train         ? Split::Train
                         : i < train + val ? Split::Val
                                           : Split::Test});
  }

  /// Every n-th input shows none of the classes.
  void make_negative(std::size_t n) {
    for (std::size_t i = 0; i < inputs_.size(); i += n) {
      inputs_[i].labels.clear();
      inputs_[i].negative = true;
    }
    multi_label_ = true;
  }

  const std::vector<Input>& inputs(const std::string&) override { return inputs_; }

  Result fit(const std::string& learner, const Rows& rows) override {
    calls.push_back({learner, rows});
    if (calls.size() == full_after) throw FatalError("No space left on device");
    if (calls.size() == fails_in) throw Error(learner + ": the file is gone");
    if (rows.train.size() + rows.val.size() < least) throw Error(learner + ": too few inputs");
    return {scores(learner, rows.score, rows.train.size() + rows.val.size()), 0.25};
  }

  Predictions predictions(const std::string& learner) const {
    std::vector<std::size_t> test;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i].split == Split::Test) test.push_back(i);
    return {learner,      {"ants", "bees"}, {}, scores(learner, test, inputs_.size() - test.size()),
            Value::map(), multi_label_};
  }

  std::vector<Call> calls;
  std::size_t least = 0;       ///< At least this many inputs are needed.
  std::size_t full_after = 0;  ///< The disk is full in this call; 0: never.
  std::size_t fails_in = 0;    ///< This call fails; 0: none.

 private:
  Predictions::Part scores(const std::string& learner, const std::vector<std::size_t>& which,
                           std::size_t trained) const {
    Predictions::Part part;
    part.scores = Scores(which.size(), 2);
    for (std::size_t r = 0; r < which.size(); ++r) {
      const Input& input = inputs_[which[r]];
      part.keys.push_back(input.key);
      part.labels.push_back(input.labels);
      part.negative.push_back(input.negative);
      const double chance = learner == "good" ? 0.99 : 1 - 0.5 / std::sqrt(static_cast<double>(trained));
      const bool right = Random(hash64(learner + input.key)).chance(chance);
      if (!input.negative)
        part.scores.row(r)[static_cast<std::size_t>(right ? input.labels[0] : 1 - input.labels[0])] = 1;
      else if (!right)
        part.scores.row(r)[0] = 1;
    }
    return part;
  }

  std::vector<Input> inputs_;
  bool multi_label_ = false;
};

TEST(Compare, CrossValidatesOverTrainAndVal) {
  FakeTrials trials(30, 10, 20);
  StageHarness compare("compare", "{cv: 4, repeats: 2}");
  const ReportOutput out =
      compare.report({trials.predictions("good"), trials.predictions("learning")}, &trials);
  ASSERT_EQ(trials.calls.size(), 2u * 2 * 4);
  for (std::size_t repeat = 0; repeat < 2; ++repeat) {
    std::set<std::size_t> held_out;
    for (std::size_t f = 0; f < 4; ++f) {
      const FakeTrials::Call& call = trials.calls[4 * repeat + f];
      const FakeTrials::Call& other = trials.calls[8 + 4 * repeat + f];
      EXPECT_EQ(call.learner, "good");
      EXPECT_EQ(other.learner, "learning");
      EXPECT_EQ(call.rows.score, other.rows.score);  // the same folds
      EXPECT_EQ(call.rows.score.size(), 10u);
      EXPECT_EQ(call.rows.train.size(), 24u);
      EXPECT_EQ(call.rows.val.size(), 6u);
      std::set<std::size_t> all(call.rows.train.begin(), call.rows.train.end());
      all.insert(call.rows.val.begin(), call.rows.val.end());
      all.insert(call.rows.score.begin(), call.rows.score.end());
      EXPECT_EQ(all.size(), 40u);
      EXPECT_LT(*all.rbegin(), 40u);  // nothing of test
      held_out.insert(call.rows.score.begin(), call.rows.score.end());
    }
    EXPECT_EQ(held_out.size(), 40u);
  }
  EXPECT_NE(trials.calls[0].rows.score, trials.calls[4].rows.score);  // assigned again
  const Value& cv = *out.facts.find("cross_validation");
  EXPECT_EQ(cv.find("inputs")->as_int(), 40);
  EXPECT_EQ(cv.find("best")->as_string(), "good");
  EXPECT_THAT(out.text, HasSubstr("cross-validation, 2 x 4 folds of 40 inputs\n"));
  EXPECT_THAT(out.files.at("folds.csv"),
              StartsWith("learner,repeat,fold,train,val,scored,accuracy,balanced_accuracy,log_loss\n"
                         "good,1,1,24,6,10,"));
  EXPECT_EQ(std::count(out.files.at("folds.csv").begin(), out.files.at("folds.csv").end(), '\n'), 17);
}

TEST(Compare, FollowsLearnersOverTheNumberOfInputs) {
  FakeTrials trials(60, 20, 200);
  StageHarness compare("compare", "{shots: [1, 4, all], draws: 3}");
  const ReportOutput out =
      compare.report({trials.predictions("good"), trials.predictions("learning")}, &trials);
  ASSERT_EQ(trials.calls.size(), 2u * 2 * 3);
  for (const FakeTrials::Call& call : trials.calls) {
    EXPECT_EQ(call.rows.score.size(), 200u);
    EXPECT_TRUE(call.rows.val.empty() || call.rows.train.size() == 3 * call.rows.val.size());
    for (const std::size_t i : call.rows.train) EXPECT_LT(i, 80u);
  }
  EXPECT_EQ(trials.calls[0].rows.train.size(), 2u);
  EXPECT_EQ(trials.calls[3].rows.train.size() + trials.calls[3].rows.val.size(), 8u);
  const Value::List& points = out.facts.find("shots")->find("learners")->find("learning")->as_list();
  EXPECT_EQ(points[2].find("shots")->as_string(), "all");
  EXPECT_LT(points[0].find("accuracy")->find("mean")->as_double(),
            points[1].find("accuracy")->find("mean")->as_double());
  EXPECT_LT(points[1].find("accuracy")->find("mean")->as_double(),
            points[2].find("accuracy")->find("mean")->as_double());
  EXPECT_THAT(out.text,
              HasSubstr("accuracy on test, mean of 3 draws\ninputs of each class       1       4     all\n"));
  EXPECT_THAT(out.files.at("shots.csv"), HasSubstr("\nlearning,all,1,60,20,200,"));
  EXPECT_THAT(compare.warnings(), IsEmpty());
}

TEST(Compare, SaysHowSureADifferenceIs) {
  FakeTrials trials(0, 0, 400);
  Predictions good = trials.predictions("good"), other = trials.predictions("learning");
  StageHarness compare("compare");
  const ReportOutput out = compare.report({good, other, good}, &trials);
  EXPECT_THAT(trials.calls, IsEmpty());
  const Value& difference = *out.facts.find("test")->find("learning");
  EXPECT_EQ(difference.find("n")->as_int(), 400);
  const double mean = difference.find("difference")->as_double();
  EXPECT_LT(difference.find("interval")->as_list()[1].as_double(), 0);
  EXPECT_LT(difference.find("interval")->as_list()[0].as_double(), mean);
  EXPECT_THAT(out.text, HasSubstr("good      400  +0.0000 (+0.0000 to +0.0000)\n"));
  EXPECT_THAT(out.files.at("differences.csv"),
              StartsWith("on,learner,against,n,accuracy_difference,low,high\ntest,learning,good,400,"));
}

TEST(Compare, LeavesOutTrialsThatCannotBeDone) {
  FakeTrials trials(30, 10, 20);
  trials.least = 5;
  StageHarness compare("compare", "{shots: [1, 4], draws: 2, on_test: false}");
  const ReportOutput out = compare.report({trials.predictions("good")}, &trials);
  EXPECT_THAT(
      compare.warnings(),
      ElementsAre("draw 1 of 1 inputs of each class, draw 2 of 1 inputs of each class failed and is left "
                  "out: good: too few inputs"));
  EXPECT_THAT(out.text, HasSubstr("inputs of each class  1       4\ngood                  -  "));
  const Value::List& points = out.facts.find("shots")->find("learners")->find("good")->as_list();
  EXPECT_THAT(points[0].to_json(), HasSubstr(R"("accuracy":{"mean":null,"deviation":null})"));
  EXPECT_GT(points[1].find("accuracy")->find("mean")->as_double(), 0.5);
  trials.least = 100;
  const ReportOutput none = StageHarness("compare", "{cv: 2}").report({trials.predictions("good")}, &trials);
  EXPECT_THAT(none.text, HasSubstr("good  0 of 2         -         -         -"));
}

TEST(Compare, ScoresOverFewerFoldsSaySo) {
  FakeTrials trials(30, 10, 20);
  trials.fails_in = 3;
  StageHarness compare("compare", "{cv: 4, on_test: false, shots: [2], draws: 3}");
  const ReportOutput out =
      compare.report({trials.predictions("good"), trials.predictions("learning")}, &trials);
  EXPECT_THAT(compare.warnings(), ElementsAre("fold 3 failed and is left out: good: the file is gone"));
  EXPECT_THAT(out.text, HasSubstr("\n           folds          accuracy"));
  EXPECT_THAT(out.text, HasSubstr("\ngood      3 of 4  "));
  EXPECT_THAT(out.text, HasSubstr("\nlearning       4  "));
  const Value& cv = *out.facts.find("cross_validation");
  EXPECT_EQ(cv.find("learners")->find("good")->find("trials")->as_int(), 3);
  EXPECT_EQ(cv.find("learners")->find("learning")->find("trials")->as_int(), 4);
  EXPECT_EQ(cv.find("best")->as_string(), "learning")
      << "of fewer folds, which may be easier, is not the best";
  trials.fails_in = trials.calls.size() + 8 + 2;
  const ReportOutput curve =
      compare.report({trials.predictions("good"), trials.predictions("learning")}, &trials);
  EXPECT_THAT(curve.text, HasSubstr("(2 of 3)"));
  EXPECT_EQ(curve.facts.find("shots")->find("learners")->find("good")->as_list()[0].find("trials")->as_int(),
            2);
}

TEST(Compare, AFoldThatFailedLeavesItsInputsInTheCountAndOneFoldHasNoDeviation) {
  FakeTrials trials(30, 10, 20);
  trials.fails_in = 1;
  StageHarness compare("compare", "{cv: 2, on_test: false}");
  const ReportOutput out = compare.report({trials.predictions("good")}, &trials);
  EXPECT_THAT(out.text, HasSubstr("cross-validation, 1 x 2 folds of 40 inputs\n"));
  const Value& cv = *out.facts.find("cross_validation");
  EXPECT_EQ(cv.find("inputs")->as_int(), 40);
  EXPECT_THAT(out.text, HasSubstr(" +- -"));
  const Value& accuracy = *cv.find("learners")->find("good")->find("accuracy");
  EXPECT_GT(accuracy.find("mean")->as_double(), 0.5);
  EXPECT_THAT(accuracy.to_json(), HasSubstr(R"("deviation":null)"));
}

TEST(Compare, TellsOfClassesWithTooFewInputs) {
  FakeTrials trials(5, 0, 4);
  StageHarness compare("compare", "{shots: [3], draws: 1}");
  compare.report({trials.predictions("good")}, &trials);
  EXPECT_THAT(compare.warnings(),
              ElementsAre("shots: 3 inputs of each class are wanted, bees has 2: all of them are taken"));
}

TEST(Compare, InputsThatShowNoneOfTheClassesAreAClassOfTheirOwn) {
  FakeTrials trials(5, 0, 4);
  trials.make_negative(5);  // one of train, one of test
  StageHarness shots("compare", "{shots: [3], draws: 1}");
  shots.report({trials.predictions("good")}, &trials);
  EXPECT_THAT(shots.warnings(),
              ElementsAre("shots: 3 inputs of each class are wanted, none of the classes has 1, ants has 2, "
                          "bees has 2: all of them are taken"));
  ASSERT_EQ(trials.calls.size(), 1u);
  EXPECT_EQ(trials.calls[0].rows.train.size() + trials.calls[0].rows.val.size(), 5u);
  EXPECT_THAT(trials.calls[0].rows.score, ElementsAre(5, 6, 7, 8));

  FakeTrials more(30, 10, 20);
  more.make_negative(4);
  StageHarness cv("compare", "{cv: 5}");
  const ReportOutput out = cv.report({more.predictions("good"), more.predictions("learning")}, &more);
  EXPECT_EQ(out.facts.find("cross_validation")->find("inputs")->as_int(), 40);
  for (std::size_t f = 0; f < 5; ++f)  // 10 of 40 are negative
    EXPECT_EQ(std::count_if(more.calls[f].rows.score.begin(), more.calls[f].rows.score.end(),
                            [](std::size_t i) { return i % 4 == 0; }),
              2);
}

TEST(Compare, AFullDiskInOneTrialEndsTheRun) {
  FakeTrials trials(30, 10, 20);
  trials.full_after = 3;
  StageHarness compare("compare", "{cv: 4}");
  EXPECT_THROW(compare.report({trials.predictions("good")}, &trials), FatalError);
  EXPECT_EQ(trials.calls.size(), 3u);
}

TEST(Compare, RefusesWhatCannotBeCompared) {
  FakeTrials trials(20, 0, 0);
  EXPECT_THAT(error_of([&] { StageHarness("compare", "{cv: 1}"); }),
              StrEq("cv: 1 is out of range: expected from 2 to 100 folds"));
  EXPECT_THAT(
      error_of(
          [&] { StageHarness("compare", "{shots: [2]}").report({trials.predictions("good")}, &trials); }),
      StrEq("shots: learning curves are of test, which has no labelled input; give the source a test split"));
  EXPECT_THAT(error_of([&] { StageHarness("compare", "{shots: [many]}"); }),
              StrEq("shots.0: 'many' is not allowed here (allowed: all)"));
  Predictions other = trials.predictions("good");
  other.learner = "other";
  other.classes = {"cats", "dogs"};
  EXPECT_THAT(error_of([&] {
                StageHarness("compare").report({trials.predictions("good"), other}, &trials);
              }),
              StrEq("'good' and 'other' have other classes: only learners of one source can be compared"));
}

}  // namespace
}  // namespace graft
