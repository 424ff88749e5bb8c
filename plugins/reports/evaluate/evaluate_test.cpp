#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <limits>
#include <set>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using ::testing::ElementsAre;
using ::testing::StrEq;

Predictions::Part part(std::size_t classes, std::vector<float> scores, std::vector<std::int32_t> labels) {
  Predictions::Part p;
  p.scores = Scores(labels.size(), classes);
  p.scores.values = std::move(scores);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    p.keys.push_back("image" + std::to_string(i) + ".jpg");
    p.labels.emplace_back();
    if (labels[i] >= 0) p.labels.back().push_back(labels[i]);
  }
  return p;
}

Predictions probe() {
  return {"probe",
          {"ants", "bees"},
          part(2, {0.9F, 0.1F, 0.6F, 0.4F}, {0, 1}),
          part(2, {0.8F, 0.2F, 0.3F, 0.7F, 0.6F, 0.4F, 0.1F, 0.9F}, {0, 1, 1, 1}),
          Value::map()};
}

const Figure* figure(const ReportOutput& out, const std::string& learner, Split split,
                     const std::string& name) {
  for (const Figure& f : out.figures)
    if (f.learner == learner && f.split == split && f.name == name) return &f;
  return nullptr;
}

/// The splits of which there are figures.
std::vector<std::string> splits(const ReportOutput& out, const std::string& learner) {
  std::vector<std::string> found;
  for (const Figure& f : out.figures)
    if (f.learner == learner && (found.empty() || found.back() != to_string(f.split)))
      found.emplace_back(to_string(f.split));
  return found;
}

std::vector<std::string> names(const Value& map) {
  std::vector<std::string> out;
  for (const auto& [key, value] : map.as_map()) out.push_back(key);
  return out;
}

TEST(Evaluate, PrintsALinePerLearner) {
  Predictions knn = probe();
  knn.learner = "neighbours";
  knn.test = part(2, {1, 0, 0, 1, 0, 1, 0, 1}, {0, 1, 1, 1});
  StageHarness evaluate("evaluate");
  EXPECT_THAT(evaluate.report({probe(), knn}).text, StrEq("test        n  accuracy  95 % interval  balanced  "
                                                          "macro F1  log loss     ECE  val n  val accuracy\n"
                                                          "probe       4    0.7500    0.301-0.954    0.8333  "
                                                          "  0.7333    0.4004  0.3000      2        0.5000\n"
                                                          "neighbours  4    1.0000    0.510-1.000    1.0000  "
                                                          "  1.0000    0.0000  0.0000      2        0.5000\n"
                                                          "\n"
                                                          "probe on test\n"
                                                          "true \\ predicted  ants  bees  recall\n"
                                                          "ants                 1     0   1.000\n"
                                                          "bees                 1     2   0.667\n"
                                                          "\n"
                                                          "neighbours on test\n"
                                                          "true \\ predicted  ants  bees  recall\n"
                                                          "ants                 1     0   1.000\n"
                                                          "bees                 0     3   1.000\n"));
}

TEST(Evaluate, PutsTheFiguresIntoTheResults) {
  StageHarness evaluate("evaluate");
  const ReportOutput out = evaluate.report({probe()});
  ASSERT_THAT(names(out.learners), ElementsAre("probe"));
  ASSERT_THAT(names(*out.learners.find("probe")), ElementsAre("val", "test"));
  EXPECT_THAT(splits(out, "probe"), ElementsAre("val", "test"));
  const Figure& accuracy = *figure(out, "probe", Split::Test, "accuracy");
  EXPECT_EQ(accuracy.n, 4U);
  EXPECT_EQ(accuracy.value, 0.75);
  EXPECT_NEAR(accuracy.interval->first, 0.301, 0.001);
  const Figure& top = *figure(out, "probe", Split::Test, "top_5_accuracy");
  EXPECT_FALSE(top.value);
  EXPECT_EQ(top.undefined, "it takes more than 5 classes, there are 2");
  EXPECT_EQ(figure(out, "probe", Split::Test, "hamming_loss"), nullptr);
  const Value& test = *out.learners.find("probe")->find("test");
  EXPECT_THAT(names(test), ElementsAre("confusion", "per_class", "calibration"));
  EXPECT_EQ(test.find("confusion")->to_json(), "[[1,0],[1,2]]");
  EXPECT_EQ(
      test.find("per_class")->as_list()[0].to_json(),
      R"({"class":"ants","support":1,"predicted":2,"precision":0.5,"recall":1.0,"f1":0.6666666666666666,)"
      R"("average_precision":1.0,"roc_auc":1.0})");
  EXPECT_EQ(test.find("calibration")->as_list().size(), 15U);
}

TEST(Evaluate, LeavesItsNumbersAsTables) {
  Predictions knn = probe();
  knn.learner = "a,b";
  knn.classes[0] = "\"ants\"";
  knn.val = {};
  const ReportOutput out = StageHarness("evaluate").report({probe(), knn});
  const auto& files = out.files;
  EXPECT_EQ(files.size(), 5U);
  EXPECT_THAT(files.at("scores.csv"), ::testing::StartsWith("learner,split,score,n,value,low,high,undefined\n"
                                                            "probe,val,accuracy,2,0.5,"));
  EXPECT_THAT(files.at("scores.csv"),
              ::testing::HasSubstr("\n\"a,b\",test,top_5_accuracy,4,,,,\"it takes more than 5 classes, there "
                                   "are 2\"\n"));
  EXPECT_THAT(files.at("classes.csv"),
              ::testing::HasSubstr("\nprobe,test,ants,1,2,0.5,1,0.6666666666666666,1,1\n"));
  EXPECT_THAT(files.at("confusion.csv"), ::testing::HasSubstr("\nprobe,test,bees,ants,1\n"));
  EXPECT_THAT(files.at("confusion.csv"), ::testing::HasSubstr("\n\"a,b\",test,\"\"\"ants\"\"\","));
  EXPECT_THAT(files.at("calibration.csv"), ::testing::HasSubstr("\nprobe,test,0.0000,0.0667,0,,\n"));
  EXPECT_EQ(files.at("paired.csv"),
            "learner,against,n,accuracy_difference,low,high\nprobe,\"a,b\",4,0,0,0\n");
  EXPECT_EQ(out.facts.to_json(),
            R"({"paired":{"probe":{"a,b":{"n":4,"difference":0.0,"interval":[0.0,0.0]}}}})");
  Predictions several = probe();
  several.multi_label = true;
  const ReportOutput multi = StageHarness("evaluate").report({several});
  EXPECT_EQ(multi.files.size(), 2U) << "scores and classes";
  EXPECT_TRUE(multi.facts.is_null());
}

TEST(Evaluate, DeclaresEveryFigureThatItGives) {
  StageHarness evaluate("evaluate");
  Predictions several = probe();
  several.learner = "several";
  several.multi_label = true;
  const ReportOutput out = evaluate.report({probe(), several});
  std::set<std::string> declared, given;
  for (const FigureSpec& spec : evaluate.schema().figures) declared.insert(spec.name);
  for (const Figure& f : out.figures) given.insert(f.name);
  EXPECT_EQ(given, declared);
}

/// Of the classes 0 to n - 1; four rows, of which one is wrong.
Predictions of_classes(std::size_t n) {
  Predictions p{"probe", {}, {}, {}, Value::map()};
  for (std::size_t c = 0; c < n; ++c) p.classes.push_back(std::to_string(c));
  std::vector<float> scores(4 * n);
  const std::size_t guesses[] = {5, 99, 5, 5};
  for (std::size_t r = 0; r < 4; ++r) scores[r * n + guesses[r]] = 1;
  p.test = part(n, std::move(scores), {5, 99, 7, 5});
  return p;
}

TEST(Evaluate, PutsTheConfusionOfManyClassesIntoTheResultsAsPairs) {
  StageHarness evaluate("evaluate");
  const ReportOutput few = evaluate.report({of_classes(100)}), many = evaluate.report({of_classes(101)});
  const Value& whole = *few.learners.find("probe")->find("test");
  EXPECT_EQ(whole.find("confusion_pairs"), nullptr);
  ASSERT_EQ(whole.find("confusion")->as_list().size(), 100U);
  EXPECT_EQ(whole.find("confusion")->as_list()[7].as_list()[5].as_int(), 1);
  const Value& test = *many.learners.find("probe")->find("test");
  EXPECT_THAT(names(test), ElementsAre("confusion_pairs", "per_class", "calibration"));
  EXPECT_EQ(test.find("confusion_pairs")->to_json(), "[[5,5,2],[7,5,1],[99,99,1]]");
  EXPECT_EQ(figure(many, "probe", Split::Test, "accuracy")->value, 0.75);
}

TEST(Evaluate, PrintsTheWorstOfManyClassesAndWhatItConfuses) {
  Predictions p{"probe", {"ants", "bees", "cats", "dogs", "elks"}, {}, {}, Value::map()};
  const std::vector<std::int32_t> truth = {0, 0, 0, 1, 1, 2, 2, 3}, guess = {0, 1, 1, 1, 2, 2, 2, 3};
  std::vector<float> scores(40);
  for (std::size_t r = 0; r < 8; ++r) scores[5 * r + static_cast<std::size_t>(guess[r])] = 1;
  p.test = part(5, scores, truth);
  Predictions worse = p;
  worse.learner = "worse";
  worse.val = part(5, {1, 0, 0, 0, 0}, {1});
  p.val = part(5, {1, 0, 0, 0, 0}, {0});  // the best on val is shown
  const std::string text = StageHarness("evaluate").report({worse, p}).text;
  EXPECT_THAT(text.substr(text.find("\n\n")), StrEq("\n\nprobe on test: the worst of 5 classes\n"
                                                    "      n  recall  precision     F1\n"
                                                    "bees  2   0.500      0.333  0.400\n"
                                                    "ants  3   0.333      1.000  0.500\n"
                                                    "cats  2   1.000      0.667  0.800\n"
                                                    "\n"
                                                    "probe on test: what it confuses most often\n"
                                                    "true  predicted  rows  of the class\n"
                                                    "ants       bees     2        66.7 %\n"
                                                    "bees       cats     1        50.0 %\n"));
  EXPECT_THAT(StageHarness("evaluate", "{confusion_up_to: 0}").report({p}).text,
              ::testing::Not(::testing::HasSubstr("worst")));
}

TEST(Evaluate, FitsItsTablesToTheTerminal) {
  StageHarness evaluate("evaluate");
  const std::string wide = evaluate.report({probe()}).text;
  EXPECT_EQ(evaluate.report({probe()}, nullptr, nullptr, 95).text, wide);
  EXPECT_THAT(evaluate.report({probe()}, nullptr, nullptr, 50).text,
              StrEq("test   n  accuracy  95 % interval  balanced\n"
                    "probe  4    0.7500    0.301-0.954    0.8333\n"
                    "\n"
                    "test   macro F1  log loss     ECE  val n\n"
                    "probe    0.7333    0.4004  0.3000      2\n"
                    "\n"
                    "test   val accuracy\n"
                    "probe        0.5000\n"
                    "\n"
                    "probe on test\n"
                    "true \\ predicted  ants  bees  recall\n"
                    "ants                 1     0   1.000\n"
                    "bees                 1     2   0.667\n"));
}

// A list of lists of 50,000 classes would be 2.5e9 numbers.
TEST(Evaluate, SizesOfItsResultsGrowWithClassesAndRows) {
  const ReportOutput out = StageHarness("evaluate").report({of_classes(50'000)});
  const Value& test = *out.learners.find("probe")->find("test");
  EXPECT_EQ(test.find("confusion_pairs")->as_list().size(), 3U);
  EXPECT_EQ(test.find("per_class")->as_list().size(), 50'000U);
}

TEST(Evaluate, LeavesOutPartsWithoutLabelledRows) {
  StageHarness evaluate("evaluate", "{confusion_up_to: 0}");
  Predictions only_val = probe();
  only_val.test = {};
  Predictions unlabelled = probe();
  unlabelled.test = part(2, {0.5F, 0.5F}, {-1});
  for (const Predictions& p : {only_val, unlabelled}) {
    const ReportOutput out = evaluate.report({p});
    EXPECT_THAT(names(*out.learners.find("probe")), ElementsAre("val"));
    EXPECT_THAT(splits(out, "probe"), ElementsAre("val"));
    EXPECT_THAT(out.text, StrEq("val    n  accuracy  95 % interval  balanced  macro F1  log loss     ECE\n"
                                "probe  2    0.5000    0.095-0.905    0.5000    0.3333    0.5108  0.3500\n"));
  }
  Predictions nothing = only_val;
  nothing.val = {};
  const ReportOutput out = evaluate.report({nothing});
  EXPECT_EQ(out.learners.to_json(), R"({"probe":{}})");
  EXPECT_EQ(out.text, "no labelled val or test rows: nothing to evaluate\n");

  Predictions only_test = probe();
  only_test.learner = "other";
  only_test.val = {};
  EXPECT_THAT(
      evaluate.report({only_val, only_test}).text,
      StrEq(
          "test   n  accuracy  95 % interval  balanced  macro F1  log loss     ECE  val n  val accuracy\n"
          "probe  -         -              -         -         -         -       -      2        0.5000\n"
          "other  4    0.7500    0.301-0.954    0.8333    0.7333    0.4004  0.3000      -             -\n"));
}

TEST(Evaluate, SkipsUnlabelledRows) {
  Predictions p = probe();
  p.test = part(2, {0.8F, 0.2F, 0, 1, 0.3F, 0.7F, 0.6F, 0.4F, 0.1F, 0.9F}, {0, -1, 1, 1, 1});
  StageHarness evaluate("evaluate");
  EXPECT_EQ(evaluate.report({p}).learners, evaluate.report({probe()}).learners);
}

TEST(Evaluate, PrintsAwkwardNamesSafely) {
  Predictions p = probe();
  p.classes = {"\x1b[31mred\n",
               "schr\xc3\xb6"
               "dingers katze im karton"};
  StageHarness evaluate("evaluate");
  const std::string text = evaluate.report({p}).text;
  const std::string name =
      "schr\xc3\xb6"
      "dingers katze im..";
  EXPECT_THAT(text.substr(text.find("true")),
              StrEq("true \\ predicted         \\x1b[31mred\\n  " + name + "  recall\n" +
                    "\\x1b[31mred\\n                        1                        0   1.000\n" + name +
                    "              1                        2   0.667\n"));
}

TEST(Evaluate, ScoresSeveralLabelsARow) {
  Predictions p = probe();
  p.multi_label = true;
  p.test.labels = {{0}, {0, 1}, {}, {1}};
  StageHarness evaluate("evaluate");
  const ReportOutput out = evaluate.report({p});
  EXPECT_THAT(out.text,
              StrEq("test   n     mAP  macro F1  micro F1  accuracy  Hamming  log loss  val mAP\n"
                    "probe  3  1.0000    0.8333    0.8571    0.6667   0.1667    0.3696   1.0000\n"));
  EXPECT_EQ(figure(out, "probe", Split::Test, "hamming_loss")->n, 3U);  // the row without labels is left out
  EXPECT_EQ(figure(out, "probe", Split::Test, "balanced_accuracy"), nullptr);
  EXPECT_THAT(names(*out.learners.find("probe")->find("test")), ElementsAre("per_class"));
}

TEST(Evaluate, ScoresRowsThatShowNoneOfTheClasses) {
  Predictions p{"probe", {"ants", "bees", "cats"}, {}, {}, Value::map(), true};
  p.test.scores = Scores(7, 3);
  p.test.scores.values = {0.9F, 0.2F, 0.6F, 0.4F, 0.7F,  0.6F, 0.8F, 0.5F, 0.1F, 0.3F, 0.1F,
                          0.2F, 0.2F, 0.1F, 0.4F, 0.55F, 0.6F, 0.6F, 0.9F, 0.9F, 0.9F};
  p.test.labels = {{0, 2}, {1}, {}, {0}, {}, {1, 2}, {}};
  p.test.negative = {false, false, true, false, true};  // the last row is unlabelled
  for (int i = 0; i < 7; ++i) p.test.keys.push_back("image" + std::to_string(i) + ".jpg");
  StageHarness evaluate("evaluate");
  const ReportOutput out = evaluate.report({p});
  EXPECT_THAT(out.text,
              StrEq("test   n     mAP  macro F1  micro F1  accuracy  Hamming  log loss  val mAP\n"
                    "probe  6  0.7889    0.6667    0.6667    0.3333   0.2778    0.5124        -\n"));
  EXPECT_EQ(figure(out, "probe", Split::Test, "accuracy")->n, 6U);

  // Where no train or val row is one, learners cannot tell them: single-label scores are without.
  Predictions single = probe();
  single.test = part(2, {0.8F, 0.2F, 0, 1, 0.3F, 0.7F, 0.6F, 0.4F, 0.1F, 0.9F}, {0, -1, 1, 1, 1});
  single.test.negative = {false, true, false, false, false};
  EXPECT_EQ(evaluate.report({single}).learners, evaluate.report({probe()}).learners);
}

// Scores that are no probabilities still order the classes, unless one of them is not a number.
TEST(Evaluate, MeasuresWhatScoresAllowAndSaysWhyTheRestHasNoValue) {
  const std::string reason =
      "scores of 1 of 4 inputs are not class probabilities: 'image2.jpg' has the score ";
  for (const auto& [score, got] :
       {std::pair(3.0F, "3"), std::pair(std::numeric_limits<float>::infinity(), "inf"),
        std::pair(-1.0F, "-1")}) {
    SCOPED_TRACE(got);
    Predictions p = probe();
    p.test.scores.values[5] = score;
    const ReportOutput out = StageHarness("evaluate").report({p});
    for (const char* name : {"log_loss", "ece", "brier"}) {
      EXPECT_FALSE(figure(out, "probe", Split::Test, name)->value) << name;
      EXPECT_EQ(figure(out, "probe", Split::Test, name)->undefined, reason + got + " for class 'bees'");
    }
    EXPECT_EQ(figure(out, "probe", Split::Test, "accuracy")->value, score > 0 ? 1 : 0.75);
    EXPECT_TRUE(figure(out, "probe", Split::Test, "accuracy")->interval);
    EXPECT_TRUE(figure(out, "probe", Split::Test, "roc_auc")->value);
    EXPECT_TRUE(figure(out, "probe", Split::Val, "log_loss")->value) << "those of val are well";
    EXPECT_THAT(names(*out.learners.find("probe")->find("test")), ElementsAre("confusion", "per_class"));
  }
}

TEST(Evaluate, MeasuresNothingWhereAScoreIsNotANumber) {
  Predictions strange = probe();
  strange.learner = "strange";
  for (Predictions::Part* each : {&strange.val, &strange.test})
    each->scores.values[0] = std::numeric_limits<float>::quiet_NaN();
  const ReportOutput out = StageHarness("evaluate").report({strange, probe()});
  std::size_t figures = 0;
  for (const Figure& f : out.figures)
    if (f.learner == "strange") {
      ++figures;
      EXPECT_FALSE(f.value) << f.name;
      EXPECT_THAT(f.undefined, ::testing::HasSubstr("'image0.jpg' has the score nan for class 'ants'"))
          << f.name;
    }
  EXPECT_GT(figures, 20U);
  EXPECT_EQ(out.learners.find("strange")->to_json(), "{}");
  EXPECT_TRUE(out.facts.is_null()) << "there are no decisions to compare";
  EXPECT_THAT(out.text,
              StrEq("test     n  accuracy  95 % interval  balanced  macro F1  log loss     ECE  val n  "
                    "val accuracy\n"
                    "strange  4         -              -         -         -         -       -      2  "
                    "           -\n"
                    "probe    4    0.7500    0.301-0.954    0.8333    0.7333    0.4004  0.3000      2  "
                    "      0.5000\n"
                    "\n"
                    "probe on test\n"
                    "true \\ predicted  ants  bees  recall\n"
                    "ants                 1     0   1.000\n"
                    "bees                 1     2   0.667\n"));
  EXPECT_THAT(out.files.at("scores.csv"), ::testing::HasSubstr("strange,test,accuracy,4,,,,"));
}

TEST(Evaluate, OfSeveralLabelsDecisionsNeedProbabilities) {
  Predictions p = probe();
  p.multi_label = true;
  p.test.scores.values[5] = 3;
  const ReportOutput out = StageHarness("evaluate").report({p});
  for (const char* name : {"accuracy", "macro_f1", "hamming_loss", "log_loss"})
    EXPECT_FALSE(figure(out, "probe", Split::Test, name)->value) << name;
  for (const char* name : {"mean_average_precision", "roc_auc"})
    EXPECT_TRUE(figure(out, "probe", Split::Test, name)->value) << name;
}

TEST(Evaluate, RefusesPredictionsThatMakeNoSense) {
  StageHarness evaluate("evaluate");
  Predictions p = probe();
  p.test.labels[2] = {0, 1};
  EXPECT_THAT(error_of([&] { evaluate.report({p}); }),
              StrEq("predictions of 'probe' on test: item 'image2.jpg' has 2 labels: expected one, as the "
                    "inputs of train and val have; leave one to each, or move some such inputs to train"));
  p = probe();
  p.val.labels[1] = {2};
  EXPECT_THAT(error_of([&] { evaluate.report({p}); }),
              StrEq("predictions of 'probe' on val: item 'image1.jpg' has label 2: expected 0 to 1; check "
                    "the labels of "
                    "the source"));
  p = probe();
  p.classes.push_back("wasps");
  EXPECT_THAT(
      error_of([&] { evaluate.report({p}); }),
      StrEq(
          "predictions of 'probe' on val: 2 keys, 2 labels and scores of 2 rows x 2 classes: expected one of "
          "each for the 3 classes; the learner returned scores of the wrong shape"));
}

}  // namespace
}  // namespace graft
