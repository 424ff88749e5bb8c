// graft runs, graft runs diff, graft graph.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"
#include "small_run.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class RunsTest : public ::testing::Test {
 protected:
  ProgramResult graft(const std::vector<std::string>& arguments) const {
    return run_program(arguments, folder_.path());
  }
  void run(const std::vector<std::string>& more) const {
    folder_.write("config.yaml", kSmallRun);
    std::vector<std::string> arguments{"run", "config.yaml", "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult r = graft(arguments);
    ASSERT_EQ(r.exit_code, 0) << r.err;
  }
  TempFolder folder_;
};

TEST_F(RunsTest, AreListedWithTheBestLearnerAndItsScore) {
  run({});
  run({"--set", "knn.k=1", "--out", "runs/one"});
  folder_.write("runs/broken.failed/status.json", R"({"status":"failed","error":"no disk\nat all"})");
  folder_.write("runs/notes.txt", "mine");
  folder_.write("runs/mine/notes.txt", "mine");
  const ProgramResult r = graft({"runs"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(
      r.out,
      ContainsRegex(
          "^run +finished +data +inputs +best on val +score +95 % interval +seconds +state\n"
          "runs/one +20[0-9TZ:-]+ +synthetic +120 +(probe|knn) +test accuracy +[0-9.]+ +[0-9.]+-[0-9.]+ "
          "+[0-9.]+ +complete\n"));
  EXPECT_THAT(r.out, ContainsRegex("\nruns/small "));
  EXPECT_THAT(r.out, ContainsRegex("\nruns/broken.failed +- .* failed: no disk\n$"));
  EXPECT_THAT(r.out, Not(HasSubstr("mine")));

  const json found = json::parse(graft({"runs", "--json"}).out);
  ASSERT_EQ(found.size(), 3u);
  const json results = json::parse(slurp(folder_ / "runs/one/results.json"));
  EXPECT_EQ(found[0]["folder"], "runs/one");
  const json& test = results["learners"][found[0]["best"]["learner"].get<std::string>()]["test"];
  EXPECT_EQ(found[0]["best"]["value"], test["accuracy"]);
  EXPECT_EQ(found[0]["best"]["interval"], test["accuracy_interval"]);
}

TEST_F(RunsTest, DamagedRunsAreNamedWithAReason) {
  folder_.write("runs/a/results.json", "{}");
  folder_.write("runs/b/manifest.json", "{}");
  folder_.write("runs/c/status.json", "{\"status\"");
  folder_.write("runs/d/config.yaml", "name: d");
  folder_.write("runs/d/log.txt", "");
  folder_.write("runs/e/manifest.json", "{}");
  folder_.write("runs/e/results.json", "{}");
  folder_.write("runs/mine/config.yaml", "name: of another program");
  const ProgramResult r = graft({"runs"});
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_EQ(r.out, "no runs in runs\n");
  EXPECT_EQ(r.err,
            "warning: runs/a is left out: it has no manifest.json\n"
            "warning: runs/b is left out: it has no results.json\n"
            "warning: runs/c is left out: runs/c/status.json: not valid JSON at byte 10\n"
            "warning: runs/d is left out: it has no manifest.json, results.json and status.json\n"
            "warning: runs/e is left out: cannot open runs/e/config.yaml: No such file or directory\n");
  EXPECT_EQ(graft({"runs", "--json"}).err, r.err);
}

TEST_F(RunsTest, TwoRunsAreCompared) {
  run({});
  run({"--set", "knn.k=1", "--set", "images.train=80", "--out", "other"});
  const ProgramResult r = graft({"runs", "diff", "runs/small", "other"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, ContainsRegex("^config\n(  .*\n)*  images.with.train +60 +-> +80\n"));
  EXPECT_THAT(r.out, ContainsRegex("\n  knn.with.k +.* +-> +\\[1\\]\n"));
  EXPECT_THAT(r.out,
              ContainsRegex("\ndata and plugins\n  inputs ok +120 +-> +140\n  inputs total +120 +-> +140\n"));
  EXPECT_THAT(r.out, HasSubstr("\nscores\n"));
  // Of a stage that one lacks, or that has another plugin, its parameters say nothing.
  run({"--set", "knn.plugin=prototypes", "--out", "third"});
  EXPECT_THAT(graft({"runs", "diff", "runs/small", "third"}).out,
              HasSubstr("config\n  knn.plugin  knn  ->  prototypes\n\ndata and plugins\n"));
  EXPECT_EQ(graft({"runs", "diff", "other", "other"}).out,
            "config\n  the same\n\ndata and plugins\n  the same\n\nscores\n  the same\n");
  const json found = json::parse(graft({"runs", "diff", "runs/small", "other", "--json"}).out);
  EXPECT_EQ(found["config"]["images.with.train"], (json{"60", "80"}));
}

TEST_F(RunsTest, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(
      graft({"runs"}).err,
      "error: runs is not a folder: runs are where you have run graft, or in --out DIR\nusage: graft runs\n");
  folder_.write("runs/x/y", "");
  EXPECT_EQ(graft({"runs"}).out, "no runs in runs\n");
  const ProgramResult one = graft({"runs", "diff", "runs/x"});
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_THAT(one.err, HasSubstr("error: two RUNs expected, got 1: "));
  const ProgramResult none = graft({"runs", "diff", "runs/x", "runs/x"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(none.err,
            "error: runs/x is not the folder of a complete run: it has no results.json and manifest.json\n");
  EXPECT_THAT(graft({"runs", "dif"}).err, HasSubstr("no command 'runs dif'; did you mean 'diff'?"));
}

TEST_F(RunsTest, ThePageOfARunHasDrawingsForPapers) {
  run({});
  const ProgramResult none = graft({"report", "runs/small"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(none.err,
            "error: runs/small has no report.html: add a stage such as `page: {plugin: page, from: [probe]}` "
            "to its "
            "config and run it again; its rows are stored\n");
  folder_.write("paged.yaml", std::string(kSmallRun) + "  page: {plugin: page, from: [probe, knn]}\n");
  const ProgramResult paged = graft({"run", "paged.yaml", "--quiet"});
  ASSERT_EQ(paged.exit_code, 0) << paged.err;
  const ProgramResult r = graft({"report", "runs/small", "--svg", "figures"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(
      r.out, ContainsRegex("^report   runs/small/report.html\ndrawings [0-9]+ in figures, with their numbers "
                           "as .csv\n$"));
  EXPECT_THAT(slurp(folder_ / "figures/confusion_probe.svg"), HasSubstr("<svg class=\"chart confusion\""));
  EXPECT_THAT(slurp(folder_ / "figures/confusion_probe.csv"), HasSubstr("true,predicted,rows\n"));
  const json found = json::parse(graft({"report", "runs/small", "--json"}).out);
  EXPECT_EQ(found["page"], "runs/small/report.html");
  EXPECT_THAT(found["drawings"].dump(), HasSubstr("runs/small/reports/page/stages.svg"));
}

TEST_F(RunsTest, AConfigIsPrintedAsAGraph) {
  folder_.write("config.yaml", kSmallRun);
  const ProgramResult dot = graft({"graph", "config.yaml"});
  ASSERT_EQ(dot.exit_code, 0) << dot.err;
  EXPECT_THAT(dot.out, HasSubstr("digraph \"small\" {\n  rankdir=LR;\n"));
  EXPECT_THAT(dot.out, HasSubstr("  s0 [label=\"images\\nsynthetic\\nu8[32,32,3]\"];\n"));
  EXPECT_THAT(dot.out, ContainsRegex("s2 \\[label=\"rows.nfeature_table[^\n]*shape=cylinder\\];\n"));
  EXPECT_THAT(dot.out,
              HasSubstr("  s0 -> s1;\n  s1 -> s2;\n  s2 -> s3;\n  s2 -> s4;\n  s3 -> s5;\n  s4 -> s5;\n}\n"));
  const ProgramResult mermaid = graft({"graph", "config.yaml", "--format", "mermaid"});
  EXPECT_THAT(mermaid.out, HasSubstr("flowchart LR\n  s0[\"images<br>synthetic<br>u8[32,32,3]\"]\n"));
  EXPECT_THAT(mermaid.out, HasSubstr("  s4 --> s5\n"));
  const json found = json::parse(graft({"graph", "config.yaml", "--json"}).out);
  EXPECT_EQ(found["stages"][5]["from"], (json{"probe", "knn"}));
  EXPECT_THAT(graft({"graph", "config.yaml", "--format", "png"}).err,
              HasSubstr("error: --format: 'png' is not allowed here (allowed: dot, mermaid, svg)\n"));
  const ProgramResult svg = graft({"graph", "config.yaml", "--format", "svg"});
  EXPECT_THAT(svg.out, ContainsRegex("^<svg class=\"chart graph\" width=\"[0-9]+\" height=\"[0-9]+\""));
  EXPECT_THAT(svg.out, HasSubstr("aria-label=\"The stages of small\""));
  EXPECT_THAT(svg.out, HasSubstr(">u8[32,32,3]</text>"));
}

TEST_F(RunsTest, AreComparedOnTheirCommonTestInputs) {
  run({});
  run({"--set", "knn.k=1", "--set", "images.train=80", "--out", "runs/<b>"});
  const ProgramResult r = graft({"report", "runs/small", "runs/<b>", "--html", "c.html"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, "comparison c.html\n");
  const json found = json::parse(graft({"report", "runs/small", "runs/<b>", "--json"}).out);
  const json& paired = found["others"][0]["paired"];
  EXPECT_EQ(paired["inputs"], 40);
  const auto accuracy = [&](const std::string& run, const json& learner) {
    return json::parse(slurp(folder_ / run /
                             "results.json"))["learners"][learner.get<std::string>()]["test"]["accuracy"]
        .get<double>();
  };
  EXPECT_NEAR(paired["difference"].get<double>(),
              accuracy("runs/<b>", paired["second"]) - accuracy("runs/small", paired["first"]), 1e-12);
  const std::string html = slurp(folder_ / "c.html");
  EXPECT_THAT(html, HasSubstr("<h1>Comparison of 2 runs</h1>"));
  EXPECT_THAT(html, HasSubstr("<bdi>runs/&lt;b&gt;</bdi> against <bdi>runs/small</bdi>"));
  EXPECT_THAT(html, HasSubstr("On 40 test inputs that both have scored, "));
  EXPECT_THAT(
      html,
      HasSubstr("<th scope=\"row\">images.with.train</th><td><bdi>60</bdi></td><td><bdi>80</bdi></td>"));
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  const ProgramResult text = graft({"report", "runs/small", "runs/<b>"});
  EXPECT_THAT(text.out, HasSubstr("\nruns/small -> runs/<b>\nOn 40 test inputs that both have scored, "));
  // Without test inputs of the same name there is nothing to pair.
  run({"--out", "runs/other"});
  folder_.write("runs/other/predictions/probe.csv", "key,split,label,predicted\nx,test,a,a\n");
  folder_.write("runs/other/predictions/knn.csv", "key,split,label,predicted\nx,test,a,a\n");
  EXPECT_THAT(graft({"report", "runs/small", "runs/other"}).out,
              HasSubstr("Not paired: no test input with the same name and label is in both.\n"));
  EXPECT_EQ(graft({"report", "runs/small", "--html", "c.html"}).exit_code, 2);
  EXPECT_EQ(graft({"report", "runs/small", "nowhere"}).err,
            "error: nowhere is not the folder of a complete run: it has no results.json and manifest.json\n");
}

}  // namespace
}  // namespace graft::test
