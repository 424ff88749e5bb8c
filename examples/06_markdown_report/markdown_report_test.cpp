#include <gtest/gtest.h>

#include <graft/testing/contract.h>

using graft::testing::StageHarness;

TEST(MarkdownReport, ObeysTheContract) {
  EXPECT_EQ(graft::testing::check_contract("markdown_report"), "");
}

TEST(MarkdownReport, ListsScoresAndTheMostCertainMistakes) {
  graft::Predictions knn{.learner = "knn", .classes = {"ants", "a|b"}};
  knn.test.keys = {"1.jpg", "2.jpg", "3.jpg", "4.jpg"};
  knn.test.labels = {{0}, {0}, {1}, {}};
  knn.test.scores = graft::Scores(4, 2);
  knn.test.scores.values = {0.5F, 0.5F, 0.25F, 0.75F, 0.5F, 0.5F, 1, 0};
  StageHarness stage("markdown_report", "{mistakes: 1}");
  EXPECT_EQ(stage.report({knn}).files.at("report.md"),
            "# Results\n\n| learner | test inputs | accuracy | log loss |\n|---|---|---|---|\n"
            "| knn | 3 | 0.3333 | 0.9242 |\n"
            "\n## Most certain mistakes of knn\n\n| input | predicted | truth | score |\n|---|---|---|---|\n"
            "| 2.jpg | a\\|b | ants | 0.7500 |\n");

  const graft::ReportOutput out = stage.report({knn});
  ASSERT_EQ(out.sections.size(), 1U);
  EXPECT_EQ(out.sections[0].title, "Most certain mistakes");
  EXPECT_EQ(graft::fault_of_section(out.sections[0]), "");
  EXPECT_EQ(std::get<graft::SectionTable>(out.sections[0].parts.at(1)).rows,
            (std::vector<std::vector<std::string>>{{"knn", "2.jpg", "a|b", "ants", "0.7500"}}));
}
