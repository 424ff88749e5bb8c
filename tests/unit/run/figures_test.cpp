#include "run/figures.h"

#include <gmock/gmock.h>

#include <cmath>

namespace graft {
namespace {

PluginSchema schema() {
  PluginSchema s = PluginSchema::report("Scores.");
  s.figure(higher_is_better("accuracy").criterion())
      .figure(lower_is_better("log_loss").tie_break())
      .figure(lower_is_better("hamming_loss").titled("Hamming"));
  return s;
}

Figure figure(std::string name, std::optional<double> value) {
  return {"probe", Split::Val, std::move(name), 10, value, value ? "" : "no rows of a class", {}};
}

TEST(Figures, GoIntoTheResultsAndComeBack) {
  Figure accuracy = figure("accuracy", 0.1 + 0.2);
  accuracy.interval = {0.25, 0.4};
  Value learners = Value::map();
  add_figures({accuracy, figure("log_loss", {}), figure("hamming_loss", 0)}, learners);
  EXPECT_EQ(learners.to_json(),
            R"({"probe":{"val":{"n":10,"accuracy":0.30000000000000004,"log_loss":null,"hamming_loss":0.0,)"
            R"("accuracy_interval":[0.25,0.4],"undefined":{"log_loss":"no rows of a class"}}}})");
  const auto back = figures_from(learners.find("probe")->find("val"), schema().figures);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->n, 10U);
  EXPECT_EQ(back->values, (std::map<std::string, double>{{"accuracy", 0.1 + 0.2}, {"hamming_loss", 0}}));
  EXPECT_FALSE(figures_from(nullptr, schema().figures));
  const Value text("x");
  EXPECT_FALSE(figures_from(&text, schema().figures));
}

TEST(Figures, OfAReportAreChecked) {
  const auto fault = [](const Figure& f) { return fault_of_figures({f}, schema(), {"probe"}); };
  EXPECT_EQ(fault(figure("accuracy", 0.5)), "");
  EXPECT_EQ(fault(figure("accuracy", {})), "");
  EXPECT_EQ(fault(figure("f1", 0.5)), "a score 'f1' of 'probe' that its schema does not declare");
  EXPECT_EQ(fault(figure("accuracy", std::nan(""))),
            "a score 'accuracy' of 'probe' that is nan: expected a finite value");
  Figure f = figure("accuracy", 0.5);
  f.learner = "knn";
  EXPECT_EQ(fault(f), "scores of 'knn', which is none of its learners");
  f = figure("accuracy", 0.5);
  f.split = Split::Train;
  EXPECT_EQ(fault(f), "a score 'accuracy' of 'probe' that is of train, which reports do not see");
  f = figure("accuracy", 0.5);
  f.undefined = "why not";
  EXPECT_EQ(fault(f), "a score 'accuracy' of 'probe' that has both a value and a reason to have none");
  f = figure("accuracy", 0.5);
  f.interval = {0.6, 0.4};
  EXPECT_EQ(fault(f),
            "a score 'accuracy' of 'probe' that has the interval 0.6 to 0.4: expected two finite values, the "
            "lower first");
  f = figure("accuracy", 0.5);
  f.n = 0;
  EXPECT_EQ(fault(f), "a score 'accuracy' of 'probe' that is of no rows");
  EXPECT_EQ(fault_of_figures({figure("accuracy", 1), figure("accuracy", 1)}, schema(), {"probe"}),
            "the score 'accuracy' of 'probe' on val twice");
}

TEST(Figures, TheBestLearnerIsTheOneByItsCriterionThenByTheTieBreak) {
  const auto best = [](const std::vector<std::pair<double, double>>& accuracy_and_loss) {
    std::vector<std::pair<std::string, SplitFigures>> learners;
    for (const auto& [accuracy, loss] : accuracy_and_loss) {
      SplitFigures f;
      f.n = 10;
      if (!std::isnan(accuracy)) f.values["accuracy"] = accuracy;
      f.values["log_loss"] = loss;
      learners.emplace_back(std::to_string(learners.size()), f);
    }
    return best_of_learners(learners, schema().figures);
  };
  EXPECT_EQ(best({{0.5, 1}, {0.9, 3}, {0.9, 2}, {0.9, 2}}), "2");
  EXPECT_EQ(best({{std::nan(""), 0}, {0.1, 3}}), "1");
  EXPECT_EQ(best({{std::nan(""), 0}}), "");
  EXPECT_EQ(best({}), "");
}

TEST(Figures, OfDifferentCriteriaNoLearnerIsTheBest) {
  const auto criterion = [](const char* name) {
    FigureSpec spec;
    spec.name = name;
    return spec.criterion();
  };
  const std::vector<FigureSpec> specs = {criterion("accuracy"), criterion("map")};
  SplitFigures a, b;
  a.n = b.n = 10;
  a.values["accuracy"] = 0.93;
  b.values["map"] = 0.95;
  EXPECT_EQ(best_of_learners({{"a", a}, {"b", b}}, specs), "");
  a.values["map"] = 0.94;
  EXPECT_EQ(best_of_learners({{"a", a}, {"b", b}}, specs), "b");
}

}  // namespace
}  // namespace graft
