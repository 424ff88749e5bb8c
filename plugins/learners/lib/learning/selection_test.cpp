#include <learning/selection.h>

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include <learning/testing/fixtures.h>

namespace graft::learning {
namespace {

using ::testing::ElementsAre;

Value candidate(int k) {
  Value v = Value::map();
  v["k"] = k;
  return v;
}

TEST(NearestByRatio, IsTheNearestOfTheList) {
  EXPECT_EQ(nearest_by_ratio<double>({0.001, 0.3, 50}, 1), 0.3);
  EXPECT_EQ(nearest_by_ratio<std::size_t>({1, 15, 200}, 20), 15U);
  EXPECT_EQ(nearest_by_ratio<double>({0.5, 2}, 1), 0.5);  // the lower one of two
}

TEST(Ascending, HasEveryValueOnce) {
  EXPECT_THAT(ascending<int>({3, 1, 3, 2}), ElementsAre(1, 2, 3));
}

TEST(CandidateSelection, KeepsTheFirstOfTheBest) {
  CandidateSelection selection(metrics::Criterion::Accuracy);
  EXPECT_TRUE(selection.add(candidate(1), metrics::Score{0.5, 1}));
  EXPECT_TRUE(selection.add(candidate(2), metrics::Score{0.75, 2}));
  EXPECT_FALSE(selection.add(candidate(3), metrics::Score{0.75, 2}));
  EXPECT_FALSE(selection.add(candidate(4), metrics::Score{0.5, 0.1}));
  EXPECT_EQ(selection.best(), 1U);
  EXPECT_EQ(selection.best_score().accuracy, 0.75);
  EXPECT_EQ(selection.path().as_list().at(1).to_json(), R"({"k":2,"val_accuracy":0.75,"val_log_loss":2.0})");
  EXPECT_EQ(selection.path().as_list().size(), 4U);
}

TEST(CandidateSelection, TakesTheFirstWithoutVal) {
  CandidateSelection selection(metrics::Criterion::LogLoss);
  EXPECT_TRUE(selection.add(candidate(1), {}));
  EXPECT_FALSE(selection.add(candidate(2), {}));
  EXPECT_EQ(selection.path().as_list().at(0).to_json(), R"({"k":1})");
}

TEST(ChosenOn, SaysWhatDecided) {
  EXPECT_STREQ(chosen_on(true, 3), "val");
  EXPECT_STREQ(chosen_on(true, 1), "given");
  EXPECT_STREQ(chosen_on(false, 3), "nothing");
}

/// Scores every row with a number of its own.
class Constant final : public Predictor {
 public:
  explicit Constant(float score) : score_(score) {}
  Scores predict(const std::vector<const RowSet*>& tables, Parallel&) const override {
    Scores out(tables[0]->rows(), 1);
    out.values.assign(out.values.size(), score_);
    return out;
  }
  void save(Bundle&) const override {}

 private:
  float score_;
};

/// What comes of a fit that chooses 1 and refits to 2.
LearnerResult fit(const RowSet& val, bool refits) {
  const MemoryRows train({1, 2}, 1, {0, 1});
  Sequential sequential;
  const std::atomic<bool> interrupted = false;
  Interruptible parallel(sequential, interrupted);
  const LearnerInput input{{{"table", &train, &val, &train}}, {"a", "b"}, parallel, ""};
  return choose_and_refit(
      input,
      [&](LearnerResult& out) {
        out.predictor = std::make_unique<Constant>(1.0F);
        return refits ? std::optional(2.0F) : std::nullopt;
      },
      [&](float choice, Value& summary) {
        summary["refit"]["rows"] = 3;
        return std::make_unique<Constant>(choice);
      });
}

float score_of(const LearnerResult& result) {
  const MemoryRows row({1}, 1, {0});
  Sequential sequential;
  return result.predictor->predict({&row}, sequential).values[0];
}

TEST(ChooseAndRefit, ScoresValByTheChosenModelAndReturnsTheRefit) {
  const LearnerResult result = fit(MemoryRows({5, 6}, 1, {0, 1}), true);
  EXPECT_THAT(result.val.values, ElementsAre(1, 1));
  EXPECT_EQ(score_of(result), 2);
  EXPECT_EQ(result.summary.find("refit")->find("rows")->as_int(), 3);
}

TEST(ChooseAndRefit, LetsTheChosenModelStandWhereNothingIsLeftToAdd) {
  const LearnerResult without_val = fit(MemoryRows({}, 1, {}), true);
  EXPECT_EQ(score_of(without_val), 1);
  EXPECT_EQ(without_val.val.rows, 0U);
  EXPECT_EQ(without_val.summary.find("refit"), nullptr);
  EXPECT_EQ(score_of(fit(MemoryRows({5}, 1, {0}), false)), 1);
}

}  // namespace
}  // namespace graft::learning
