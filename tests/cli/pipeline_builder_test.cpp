// Pipelines that are built in C++: the results of the same config, and errors with stage and parameter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/pipeline_builder.h>
#include <graft/testing/error_of.h>

#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// The pipeline of kStripes.
PipelineBuilder stripes(const std::filesystem::path& folder) {
  PipelineBuilder p("stripes");
  p.setting("threads", 2);
  p.stage("images", "image_folder")
      .with("root", (folder / "photos").string())
      .with("splits.train", "train")
      .with("splits.val", "val")
      .with("splits.test", "test");
  p.stage("pixels", "decode").from("images").with("resize", 14).with("crop", 12).with("crops", "five");
  p.stage("features", "backbone").from("pixels").with("model", (folder / "net.safetensors").string());
  p.stage("table", "feature_table").from("features");
  p.stage("small", "resize").from("pixels").with("resize", 6).with("crop", nullptr);
  p.stage("rows", "pixel_table").from("small");
  p.stage("probe", "linear_probe").from("table");
  p.stage("knn", "knn").from("table").with("k", Value::List{1, 5});
  p.stage("sure", "temperature").from("knn");
  p.stage("surer", "temperature").from("sure").with("temperatures", Value::List{2});
  p.stage("mlp", "mlp").from("rows").with("hidden", Value::List{8}).with("epochs", 5);
  p.stage("nearest", "prototypes").from("rows");
  p.stage("both", "hybrid").from("table");
  PipelineBuilder::Stage& report = p.stage("report", "evaluate");
  for (const std::string& learner : kStripesLearners) report.from(learner);
  return p;
}

TEST(PipelineBuilder, GivesWhatTheConfigGives) {
  const TempFolder folder;
  run_stripes(folder);
  const PipelineBuilder pipeline = stripes(folder.path());
  EXPECT_THAT(pipeline.check(), IsEmpty());
  PipelineOptions options;
  options.out = folder / "built";
  options.store = folder / "built-store";
  options.quiet = true;
  const PipelineResult result = pipeline.run(options);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.folder, options.out);
  EXPECT_THAT(result.text, HasSubstr("accuracy"));
  EXPECT_EQ(result.results.find("learners")->as_map().size(), kStripesLearners.size());
  EXPECT_EQ(slurp(folder / "run/config.yaml"), slurp(folder / "built/config.yaml"));
  EXPECT_EQ(slurp(folder / "run/inputs.csv"), slurp(folder / "built/inputs.csv"));
  for (const std::string& learner : kStripesLearners) {
    const std::string predictions = slurp(folder / "run/predictions" / (learner + ".csv"));
    EXPECT_GT(predictions.size(), 100u);
    EXPECT_EQ(predictions, slurp(folder / "built/predictions" / (learner + ".csv"))) << learner;
    EXPECT_EQ(slurp(folder / "run/models" / learner / "weights.safetensors"),
              slurp(folder / "built/models" / learner / "weights.safetensors"))
        << learner;
  }

  // The store of the config serves it, too, and the YAML that it amounts to is that of the run.
  options.store = folder / ".graft";
  const PipelineResult again = pipeline.run(options);
  for (const auto& [name, table] : again.results.find("tables")->as_map())
    EXPECT_EQ(table.find("computed")->as_int(), 0) << table.to_json();
  EXPECT_EQ(pipeline.yaml(), slurp(folder / "run/config.yaml"));
}

TEST(PipelineBuilder, ErrorsNameStageAndParameter) {
  const TempFolder folder;
  write_photographs(folder);
  PipelineBuilder p("wrong");
  p.setting("threads", 0).setting("memry", "1GiB").setting("retry.times", 50);
  p.stage("images", "image_folder").with("rot", "photos");
  p.stage("pixels", "decode").from("imags").with("crop", "wide").with("crop", -1);
  p.stage("features", "backbon").from("pixels");
  p.stage("rows", "pixel_table").from("pixels").on_error("ignore").splits({"train", "vall"});
  p.stage("knn", "knn").from("rows").with("k", Value::List{1, 0});
  p.stage("knn", "knn").from("rows");
  const std::vector<std::string> errors = p.check();
  EXPECT_THAT(
      errors,
      ElementsAre(
          "pipeline 'wrong', setting 'threads': error: threads: expected auto or an integer from 1 to 1024, "
          "got '0'",
          "pipeline 'wrong', setting 'memry': error: unknown parameter 'memry'; did you mean 'memory'? "
          "(allowed: "
          "in_flight, max_rejects, memory, on_error, read_ahead, retry, stall_limit, stall_seconds, threads)",
          "pipeline 'wrong', setting 'retry.times': error: retry.times: 50 is out of range: expected from 0 "
          "to 20",
          "pipeline 'wrong', stage 'images': error: missing parameter 'root' (folder): Folder with one "
          "sub-folder "
          "per class, or with one per split that holds those.",
          StartsWith(
              "pipeline 'wrong', stage 'images', parameter 'rot': error: unknown parameter 'rot'; did you "
              "mean 'root'? (allowed: "),
          "pipeline 'wrong', stage 'pixels': error: no stage 'imags'; did you mean 'images'? (stages: "
          "images, "
          "features, rows, knn)",
          "pipeline 'wrong', stage 'pixels', parameter 'crop': error: crop: -1 is out of range: expected "
          "from 1 to "
          "16384 px",
          StartsWith("pipeline 'wrong', stage 'features': error: unknown plugin 'backbon'; did you mean "
                     "'backbone'? (allowed: "),
          "pipeline 'wrong', stage 'rows': error: on_error: 'ignore' is not allowed here (allowed: reject, "
          "fail)",
          "pipeline 'wrong', stage 'rows': error: splits: 'vall' is not a split; did you mean 'val'? "
          "(allowed: "
          "train, val, test)",
          "pipeline 'wrong', stage 'knn', parameter 'k.1': error: k.1: 0 is out of range: expected from 1 to "
          "10000",
          "pipeline 'wrong', stage 'knn': error: another stage has this id; give each its own"));
  std::string all = "12 errors in the pipeline 'wrong'; nothing was run";
  for (const std::string& error : errors) all += "\n" + error;
  EXPECT_EQ(error_of([&] { p.run(); }), all);
  EXPECT_EQ(error_of([&] { p.yaml(); }), all);
}

TEST(PipelineBuilder, WhatYamlCannotSayIsAnErrorToo) {
  EXPECT_THAT(PipelineBuilder("empty").check(),
              ElementsAre("pipeline 'empty': error: it has no stage; add stages with stage(id, plugin)"));
  EXPECT_THAT(
      PipelineBuilder("No Name").check(),
      ElementsAre("pipeline 'No Name': error: 'No Name' is not a valid run name: use a-z, 0-9, _ and -",
                  "pipeline 'No Name': error: it has no stage; add stages with stage(id, plugin)"));
  Value deep = 1;
  for (int i = 0; i < 40; ++i) deep = Value::List{deep};
  PipelineBuilder p("deep");
  p.seed(18446744073709551615u).stage("images", "synthetic").with("train", deep).with("val", std::nan(""));
  std::string depth = "train";
  for (int i = 0; i < 33; ++i) depth += ".0";
  EXPECT_THAT(
      p.check(),
      ElementsAre(
          "pipeline 'deep', setting 'seed': error: seed: expected an integer from 0 to "
          "9223372036854775807, got 1.8446744073709552e+19",
          "pipeline 'deep', stage 'images': error: nothing uses the output of stage 'images' "
          "(synthetic); connect a stage with `from: images`, or remove it",
          "pipeline 'deep', stage 'images', parameter 'train': error: train: expected integer, got "
          "list",
          "pipeline 'deep', stage 'images', parameter '" + depth + "': error: a value may be 32 levels deep",
          "pipeline 'deep', stage 'images', parameter 'val': error: val: expected integer, got nan"));
}

TEST(PipelineBuilder, AValueOfAnyDepthIsAnError) {
  const auto deep = [] {
    Value value = 1;
    for (int i = 0; i < 100'000; ++i) {
      Value outer = Value::list();
      outer.push(std::move(value));
      value = std::move(outer);
    }
    return value;
  };
  PipelineBuilder p("deep");
  p.setting("threads", deep());
  p.stage("images", "synthetic").with("train", deep());
  p.stage("rows", "pixel_table").from("images");
  EXPECT_THAT(p.check(), Contains(AllOf(StartsWith("pipeline 'deep', setting 'threads"),
                                        EndsWith("error: a value may be 32 levels deep"))));
  EXPECT_THAT(p.check(), Contains(AllOf(StartsWith("pipeline 'deep', stage 'images', parameter 'train.0"),
                                        EndsWith("error: a value may be 32 levels deep"))));
}

TEST(PipelineBuilder, TextsStayAsTheyAre) {
  PipelineBuilder p("texts");
  p.stage("images", "image_folder").with("root", "${NOBODY_SETS_THIS}/photos");
  p.stage("pixels", "decode").from("images");
  p.stage("rows", "pixel_table").from("pixels");
  EXPECT_THAT(
      p.check(),
      ElementsAre("pipeline 'texts', stage 'images', parameter 'root': error: root: no such folder: " +
                  (std::filesystem::current_path() / "${NOBODY_SETS_THIS}/photos").string()));
}

TEST(PipelineBuilder, AFailedRunIsAnErrorWithTheLabelOfTheStage) {
  const TempFolder folder;
  folder.write("photos/a/1.ppm", "P6 20 16 255\n" + std::string(960, 'x'));
  folder.write("photos/b/1.ppm", "P6 20 16 255\nshort");
  PipelineBuilder p("failing");
  p.stage("images", "image_folder").with("root", (folder / "photos").string());
  p.stage("pixels", "decode").from("images").with("resize", nullptr).with("crop", nullptr).on_error("fail");
  p.stage("rows", "pixel_table").from("pixels");
  PipelineOptions options;
  options.out = folder / "run";
  options.store = folder / "store";
  options.quiet = true;
  EXPECT_EQ(
      error_of([&] { p.run(options); }),
      "stage 'pixels' (decode, pipeline 'failing'), item 'b/1.ppm': the PNM file ends early: expected 973 "
      "bytes, got 18; copy or download it again [truncated]");
}

}  // namespace
}  // namespace graft::test
