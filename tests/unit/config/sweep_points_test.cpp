#include "config/sweep_points.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run/sweep.h"
#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> points(const std::vector<std::string>& grids,
                                const std::filesystem::path& list = {}) {
  Diagnostics diagnostics;
  std::vector<std::string> out;
  for (const SweepPoint& point : sweep_points(grids, list, diagnostics)) {
    std::string line;
    for (const Override& o : point) line += o.key + "=" + to_value(o.value).to_json() + " ";
    out.push_back(line);
  }
  EXPECT_TRUE(diagnostics.empty()) << diagnostics.render();
  return out;
}

TEST(SweepPoints, TheLastGridChangesFastest) {
  EXPECT_THAT(points({"a.x=[1, 2]", "b.y=p,q"}),
              ElementsAre("a.x=1 b.y=\"p\" ", "a.x=1 b.y=\"q\" ", "a.x=2 b.y=\"p\" ", "a.x=2 b.y=\"q\" "));
  EXPECT_THAT(points({"seed=7"}), ElementsAre("seed=7 "));
  EXPECT_THAT(points({"a.x=[[1, 2], [3]]"}), ElementsAre("a.x=[1,2] ", "a.x=[3] "));
  EXPECT_THAT(points({"a.with={x: 1}"}), ElementsAre("a.with={\"x\":1} "));
  EXPECT_THAT(points({"a.x=[null, '1', yes]"}), ElementsAre("a.x=null ", "a.x=\"1\" ", "a.x=\"yes\" "));
}

TEST(SweepPoints, EveryEntryOfTheListWithEveryCombinationOfTheGrids) {
  const test::TempFolder folder;
  const auto list =
      folder.write("list.yaml", "- {m.x: 1, m.y: 2}\n- {m.with: {}, n.z: 3, m.plugin: p}\n- {}\n");
  EXPECT_THAT(points({"a=[0, 1]"}, list),
              ElementsAre("m.x=1 m.y=2 a=0 ", "m.x=1 m.y=2 a=1 ", "m.plugin=\"p\" m.with={} n.z=3 a=0 ",
                          "m.plugin=\"p\" m.with={} n.z=3 a=1 ", "a=0 ", "a=1 "));
}

TEST(SweepPoints, AKeyHasOneValueInACombination) {
  const test::TempFolder folder;
  const auto list = folder.write("list.yaml", "- {m.x: 1}\n");
  const auto fault = [&](const std::vector<std::string>& grids) {
    Diagnostics diagnostics;
    EXPECT_TRUE(sweep_points(grids, list, diagnostics).empty());
    return diagnostics.render();
  };
  EXPECT_THAT(
      fault({"a.x=[1, 2]", "a.x=3"}),
      ::testing::HasSubstr("error: a.x is varied twice in one combination; give it one list of values"));
  EXPECT_THAT(fault({"m.x=[1, 2]"}), ::testing::HasSubstr("list.yaml:1:4: error: m.x is varied twice"));
}

/// A learner's scores on val; NaN: it lacks the score.
SplitFigures val_of(std::uint64_t n, double accuracy, double balanced, double log_loss) {
  SplitFigures out;
  out.n = n;
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, double>>{
           {"accuracy", accuracy}, {"balanced", balanced}, {"log_loss", log_loss}})
    if (!std::isnan(value)) out.values[name] = value;
  return out;
}

SweepRow row(const std::vector<SplitFigures>& figures) {
  SweepRow out;
  for (const SplitFigures& f : figures) out.learners.push_back({"l", f, 0});
  out.learners.push_back({"without val", {}, 0});
  return out;
}

TEST(SweepBestOf, ByTheMetricThenTheTieBreakThenPosition) {
  const std::vector<FigureSpec> specs{higher_is_better("accuracy").criterion(), higher_is_better("balanced"),
                                      lower_is_better("log_loss").tie_break()};
  const auto best = [&](const std::vector<SweepRow>& rows, const char* metric) {
    const auto b = best_of(rows, specs, metric);
    return b ? b->metric + " " + std::to_string(b->row) + "." + std::to_string(b->learner) : "none";
  };
  const double none = std::nan("");
  const std::vector<SweepRow> rows{row({val_of(10, 0.8, 0.7, 0.5), val_of(10, 0.9, 0.6, 0.6)}),
                                   row({val_of(10, 0.9, 0.8, 0.4), val_of(10, 0.9, 0.8, 0.4)}),
                                   row({val_of(10, 0.5, 0.1, 0.3)})};
  EXPECT_EQ(best(rows, "accuracy"), "accuracy 1.0");
  EXPECT_EQ(best(rows, ""), "accuracy 1.0");  // the criterion
  EXPECT_EQ(best(rows, "balanced"), "balanced 1.0");
  EXPECT_EQ(best(rows, "log_loss"), "log_loss 2.0");
  EXPECT_EQ(best({row({})}, "accuracy"), "none");
  EXPECT_EQ(best({row({val_of(10, none, none, 0.3)})}, "accuracy"), "none");
  EXPECT_EQ(best({row({val_of(10, none, none, 0.3)})}, ""), "none");
  EXPECT_EQ(best({row({val_of(0, 1.0, none, none)})}, "accuracy"), "none");
  EXPECT_EQ(best({row({val_of(10, 0.5, none, none), val_of(10, 0.5, none, 9.0)})}, "accuracy"),
            "accuracy 0.1");
}

}  // namespace
}  // namespace graft
