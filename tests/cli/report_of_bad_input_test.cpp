// Runs that have little to report on: the page opens, and says what is missing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportOfBadInput : public ::testing::Test {
 protected:
  /// Into runs/bad. `learners`: lines of stages, and the learners of the reports.
  ProgramResult run(const std::string& source, const std::string& learners, const std::string& reported) {
    folder_.write("config.yaml",
                  "name: bad\nrun: {threads: 2, max_rejects: 100%}\nstages:\n  images: " + source +
                      "\n  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
                      "  rows: {plugin: pixel_table, from: pixels}\n" +
                      learners + "  report: {plugin: evaluate, from: " + reported +
                      "}\n  page: {plugin: page, from: " + reported + "}\n");
    return run_program({"run", "config.yaml", "--plugin-dir", GRAFT_TEST_PLUGINS}, folder_.path());
  }
  /// A PPM image of one colour.
  void image(const std::string& path, int shade) {
    std::string ppm = "P6\n8 8\n255\n";
    for (int i = 0; i < 8 * 8 * 3; ++i) ppm += static_cast<char>(shade + i % 5);
    folder_.write(path, ppm);
  }
  /// `train` and `test` images of each class in a folder per split.
  void images(int train, int test, const std::vector<std::string>& classes, std::size_t tested) {
    for (std::size_t c = 0; c < classes.size(); ++c)
      for (int i = 0; i < train + test; ++i)
        if (i < train || c < tested)
          image("data/" + std::string(i < train ? "train" : "test") + "/" + classes[c] + "/" +
                    std::to_string(i) + ".ppm",
                static_cast<int>(c) * 100 + i);
  }
  static constexpr const char* kFolders =
      "{plugin: image_folder, with: {root: data, splits: {train: train}}}";
  static constexpr const char* kTested =
      "{plugin: image_folder, with: {root: data, splits: {train: train, test: test}}}";
  static constexpr const char* kKnn = "  knn: {plugin: knn, from: rows, with: {k: 3}}\n";

  std::string page(const std::string& folder = "bad") const {
    return slurp(folder_ / ("runs/" + folder + "/report.html"));
  }

  TempFolder folder_;
};

TEST_F(ReportOfBadInput, WithoutTestItSaysThatNothingWasMeasured) {
  images(20, 0, {"ants", "bees"}, 0);
  const ProgramResult r = run(kFolders, kKnn, "knn");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(page(),
              AllOf(HasSubstr("There are no labelled test inputs: how good it is on new images has not "
                              "been measured."),
                    HasSubstr("<h3><bdi>knn</bdi> on val</h3>")));
}

TEST_F(ReportOfBadInput, OfOneClassInTestItSaysSoAndWhyScoresHaveNoValue) {
  images(20, 5, {"ants", "bees"}, 1);
  const ProgramResult r = run(kTested, kKnn, "knn");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(page(),
              HasSubstr(" All of them are of one class, <bdi>ants</bdi>: whether classes are told apart "
                        "has not been measured."));
  const json test = json::parse(slurp(folder_ / "runs/bad/results.json"))["learners"]["knn"]["test"];
  EXPECT_TRUE(test["roc_auc"].is_null());
  EXPECT_EQ(test["undefined"]["roc_auc"], "all rows are of one class");
}

TEST_F(ReportOfBadInput, OfOneClassAltogetherThereIsAWarning) {
  images(20, 5, {"ants"}, 1);
  const ProgramResult r =
      run(kTested, std::string(kKnn) + "  means: {plugin: prototypes, from: rows}\n", "[knn, means]");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  for (const char* learner : {"knn", "means"})
    EXPECT_THAT(r.err,
                HasSubstr(std::string(learner) + ": all train rows are of one class, 'ants': every input "
                                                 "is taken for it, and scores say nothing"));
  EXPECT_THAT(page(), HasSubstr("every input is taken for it, and scores say nothing"));
}

TEST_F(ReportOfBadInput, WhereEverythingIsRejectedThePageOfTheFailedRunSaysWhy) {
  for (const char* name : {"a/1.png", "a/2.png", "b/3.png", "b/4.png"})
    folder_.write(std::string("data/train/") + name, "no picture");
  const ProgramResult r = run(kFolders, kKnn, "knn");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, AllOf(HasSubstr("there are no train rows: all 4 inputs were rejected"),
                           HasSubstr("what the failed run had is in runs/bad.failed/report.html\n")));
  EXPECT_THAT(page("bad.failed"),
              AllOf(HasSubstr("<strong>This run has failed</strong>, and the page shows what it had: stage "
                              "&#39;knn&#39; (knn, config.yaml"),
                    HasSubstr("there are no train rows: all 4 inputs were rejected"),
                    HasSubstr("<p>0 of 4 inputs were used, 4 rejected.</p>"), Not(HasSubstr(".bad.run-"))));
  EXPECT_THAT(run_program({"report", "runs/bad.failed"}, folder_.path()).out,
              HasSubstr("report   runs/bad.failed/report.html\n"));
}

// One rule for all of them: the run says so, measures that need probabilities have no value, and others are
// there.
TEST_F(ReportOfBadInput, OfScoresThatAreNoProbabilitiesThePageSaysSoAndShowsTheOthers) {
  images(20, 5, {"ants", "bees"}, 2);
  struct Improper {
    const char *does, *got;
    bool has_order;
  };
  for (const auto& [does, got, has_order] :
       {Improper{"NaN", "&#39;test/ants/20.ppm&#39; has the score nan for class &#39;ants&#39;", false},
        Improper{"infinity", "&#39;test/ants/20.ppm&#39; has the score inf for class &#39;bees&#39;", true},
        Improper{"scores of 3", "&#39;test/ants/20.ppm&#39; has the score 3 for class &#39;ants&#39;", true},
        Improper{"negative scores", "&#39;test/ants/20.ppm&#39; has the score -1 for class &#39;ants&#39;",
                 true},
        Improper{"sums of 1.5", "the scores of &#39;test/ants/20.ppm&#39; add up to 1.5", true}}) {
    SCOPED_TRACE(does);
    const ProgramResult r = run(kTested,
                                std::string(kKnn) +
                                    "  strange: {plugin: misbehaving_learner, from: rows, with: "
                                    "{does: " +
                                    does + "}}\n",
                                "[strange, knn]");
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.err,
                HasSubstr("stage 'strange' (misbehaving_learner, config.yaml:8:3): scores of 10 of 10 test "
                          "inputs are not class probabilities, for example "));
    const std::string what = std::string("scores of 10 of 10 inputs are not class probabilities: ") + got;
    EXPECT_THAT(page(),
                AllOf(HasSubstr("<h3><bdi>strange</bdi> on test</h3><p class=\"warnings\">Its " + what),
                      HasSubstr("<strong><bdi>knn</bdi></strong> is the best of 2 learners on val"),
                      HasSubstr("<h3><bdi>knn</bdi> on test</h3>")));
    const json all = json::parse(slurp(folder_ / "runs/bad/results.json"))["learners"];
    EXPECT_TRUE(all["knn"]["test"]["log_loss"].is_number());
    const json& test = all["strange"]["test"];
    for (const char* score : {"log_loss", "brier", "ece"}) {
      EXPECT_TRUE(test[score].is_null()) << score;
      EXPECT_THAT(test["undefined"][score].get<std::string>(),
                  HasSubstr("scores of 10 of 10 inputs are not"));
    }
    for (const char* score : {"accuracy", "macro_f1", "roc_auc"})
      EXPECT_EQ(test[score].is_number(), has_order) << score;
    EXPECT_EQ(test.contains("confusion"), has_order);
  }
}

TEST_F(ReportOfBadInput, WhatCannotBeCalibratedFailsTheRunWithTheLearnerAndTheInput) {
  images(20, 5, {"ants", "bees"}, 2);
  const ProgramResult r =
      run(kTested,
          std::string(kKnn) +
              "  strange: {plugin: misbehaving_learner, from: rows, with: {does: val scores of "
              "infinity}}\n  warm: {plugin: temperature, from: strange}\n",
          "[knn, warm]");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              AllOf(HasSubstr("stage 'warm' (temperature, config.yaml:9:3): 'strange': scores of "),
                    HasSubstr("has the score inf for class 'ants'; a temperature corrects probabilities: "
                              "mend the learner, or take this stage out")));
  EXPECT_THAT(page("bad.failed"), HasSubstr("This run has failed"));
}

// Wherever the failure is among the stages, the page of the run tells of it, and none tells of a success.
TEST_F(ReportOfBadInput, APageThatWasMadeBeforeTheFailureIsMadeAgain) {
  images(20, 5, {"ants", "bees"}, 2);
  for (const char* late : {"{plugin: misbehaving_whole, from: knn, with: {at: report, does: exception}}",
                           "{plugin: misbehaving_whole, from: knn, with: {does: metrics of nobody}}",
                           "{plugin: misbehaving_report, from: knn, with: {at: report, does: exception}}"}) {
    SCOPED_TRACE(late);
    folder_.write("config.yaml",
                  std::string("name: bad\nrun: {threads: 2}\nstages:\n  images: ") + kTested +
                      "\n  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
                      "  rows: {plugin: pixel_table, from: pixels}\n" +
                      kKnn +
                      "  page: {plugin: page, from: knn}\n  report: {plugin: evaluate, from: knn}\n  late: " +
                      late + "\n");
    const ProgramResult r =
        run_program({"run", "config.yaml", "--plugin-dir", GRAFT_TEST_PLUGINS}, folder_.path());
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_THAT(r.err, HasSubstr("what the failed run had is in runs/bad.failed/report.html\n"));
    EXPECT_THAT(page("bad.failed"),
                AllOf(HasSubstr("<strong>This run has failed</strong>, and the page shows "
                                "what it had: stage &#39;late&#39; (misbehaving_"),
                      HasSubstr("config.yaml:10:3"), HasSubstr("; failed 20"),
                      HasSubstr("<h3><bdi>knn</bdi> on test</h3>")));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "runs/bad"));
  }
}

TEST_F(ReportOfBadInput, EveryStageThatGivesAPageTellsOfTheFailure) {
  images(20, 5, {"ants", "bees"}, 2);
  const ProgramResult r = run(kTested,
                              std::string(kKnn) +
                                  "  first: {plugin: misbehaving_whole, from: knn, with: {does: a page}}\n"
                                  "  late: {plugin: misbehaving_whole, from: knn, with: {at: report, does: "
                                  "int}}\n",
                              "knn");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(page("bad.failed"), HasSubstr("a page of failure")) << "the first stage that gives one";
  EXPECT_THAT(slurp(folder_ / "runs/bad.failed/reports/page/report.html"), HasSubstr("This run has failed"));
  EXPECT_THAT(slurp(folder_ / "runs/bad.failed/log.txt"),
              HasSubstr("no page of the failed run: stage 'late'"));
}

TEST_F(ReportOfBadInput, PagesOfTwoStagesAreTwoFiles) {
  images(20, 5, {"ants", "bees"}, 2);
  const ProgramResult r = run(kTested,
                              std::string(kKnn) +
                                  "  means: {plugin: prototypes, from: rows}\n"
                                  "  other: {plugin: page, from: means}\n",
                              "knn");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out,
              HasSubstr("report   runs/bad/report.html\nreport   runs/bad/reports/page/report.html\n"));
  EXPECT_THAT(page(),
              AllOf(HasSubstr("<h3><bdi>means</bdi> on test</h3>"), Not(HasSubstr("<bdi>knn</bdi> on"))));
  EXPECT_THAT(slurp(folder_ / "runs/bad/reports/page/report.html"),
              HasSubstr("<h3><bdi>knn</bdi> on test</h3>"));
}

TEST_F(ReportOfBadInput, CopiesInTwoSplitsAreNamed) {
  images(20, 5, {"ants", "bees"}, 2);
  image("data/test/ants/copy.ppm", 0);     // that of train/ants/0
  image("data/train/bees/copy.ppm", 100);  // that of train/bees/0
  const ProgramResult r =
      run("{plugin: image_folder, with: {root: data, splits: {train: train, test: test}, val_fraction: 0}}",
          kKnn, "knn");
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json found = json::parse(slurp(folder_ / "runs/bad/results.json"))["duplicates"]["images"];
  EXPECT_EQ(found["inputs"], 2);
  EXPECT_EQ(found["in_other_splits"], 1);
  ASSERT_EQ(found["examples"].size(), 2U);
  EXPECT_NE(found["examples"][0]["split"], found["examples"][0]["of"]["split"]) << "leaks come first";
  EXPECT_THAT(page(),
              AllOf(HasSubstr("<p>2 inputs have the content of an earlier one; 1 of them is in another "
                              "split, which makes scores too good.</p>"),
                    HasSubstr("test/ants/copy.ppm"), HasSubstr("train/bees/copy.ppm")));
}

}  // namespace
}  // namespace graft::test
