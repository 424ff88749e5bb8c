// Models that a run has left, applied to files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "npy.h"
#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PredictTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    run_stripes(*folder_);
  }
  static void TearDownTestSuite() { delete folder_; }

  static ProgramResult predict(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "predict");
    return run_program(arguments, folder_->path());
  }

  static TempFolder* folder_;
};
TempFolder* PredictTest::folder_ = nullptr;

TEST_F(PredictTest, ScoresHaveTheBitsOfTheRun) {
  for (const std::string& learner : kStripesLearners) {
    const auto wanted = test_scores(*folder_, learner);
    ASSERT_EQ(wanted.size(), 10u);
    const ProgramResult r = predict({"run/models/" + learner, "photos/test"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const auto lines = csv_fields(r.out);
    ASSERT_EQ(lines.size(), 11u) << r.out;
    EXPECT_EQ(lines[0], (std::vector<std::string>{"key", "predicted", "across", "along", "rejected"}));
    for (std::size_t i = 1; i < lines.size(); ++i)
      EXPECT_EQ((std::vector<std::string>{lines[i][1], lines[i][2], lines[i][3]}), wanted.at(lines[i][0]))
          << learner << " " << lines[i][0];
    EXPECT_THAT(r.err, EndsWith("10 of 10 inputs predicted by '" + learner + "' of " +
                                folder_->path().string() + "/run\n"));
  }
}

TEST_F(PredictTest, OfARunTheBestOnValIsTaken) {
  const json learners = json::parse(slurp(*folder_ / "run/results.json"))["learners"];
  double best = 0;
  for (const auto& [name, l] : learners.items()) best = std::max(best, l["val"]["accuracy"].get<double>());
  const ProgramResult r = predict({"run/", "photos/test/along/1.ppm"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const std::string name = r.err.substr(r.err.find('\'') + 1, r.err.rfind('\'') - r.err.find('\'') - 1);
  EXPECT_EQ(learners[name]["val"]["accuracy"].get<double>(), best) << r.err;
}

TEST_F(PredictTest, AnInputWithoutScoresIsALineInItsPlace) {
  folder_->write("odd/text.jpg", "no image");
  const ProgramResult r = predict(
      {"run", "--learner", "probe", "odd/missing.ppm", "photos/test/along/0.ppm", "odd/text.jpg", "--quiet"});
  EXPECT_EQ(r.exit_code, 3);
  const auto lines = csv_fields(r.out);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[1], (std::vector<std::string>{"odd/missing.ppm", "", "", "",
                                                "missing: cannot open the file: No such file or directory"}));
  EXPECT_EQ(lines[2][0], "photos/test/along/0.ppm");
  EXPECT_EQ(lines[2][4], "");
  EXPECT_EQ(lines[3][0], "odd/text.jpg");
  EXPECT_THAT(r.out, HasSubstr("not-an-image: "));
  EXPECT_EQ(r.err, "");
}

TEST_F(PredictTest, WritesWhatIsAskedFor) {
  const std::string image = "photos/test/along/0.ppm";
  const auto whole = csv_fields(predict({"run", "--learner", "probe", image, "--quiet"}).out);
  const double across = std::stod(whole.at(1).at(2)), along = std::stod(whole[1][3]);
  ASSERT_GT(along, across);

  const auto top = csv_fields(predict({"run", "--learner", "probe", image, "--top", "1", "--quiet"}).out);
  EXPECT_EQ(top.at(0), (std::vector<std::string>{"key", "predicted", "class1", "score1", "rejected"}));
  EXPECT_EQ(top.at(1), (std::vector<std::string>{image, "along", "along", whole[1][3], ""}));

  const auto none =
      csv_fields(predict({"run", "--learner", "probe", image, "--threshold", "1", "--quiet"}).out);
  EXPECT_EQ(none.at(1).at(1), "");

  const ProgramResult lines =
      predict({"run", "--learner", "probe", image, "odd/missing.ppm", "--json", "--quiet"});
  EXPECT_EQ(lines.exit_code, 3);
  std::istringstream in(lines.out);
  std::string first, second, third;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_FALSE(std::getline(in, third)) << third;
  const json scored = json::parse(first), rejected = json::parse(second);
  EXPECT_EQ(scored["key"], image);
  EXPECT_EQ(scored["predicted"], json::array({"along"}));
  EXPECT_EQ(scored["scores"]["along"].get<float>(), static_cast<float>(along));
  EXPECT_EQ(rejected["rejected"]["code"], "missing");

  const ProgramResult file = predict({"run", "--learner", "probe", image, "--out", "out.csv", "--quiet"});
  EXPECT_EQ(file.out, "");
  EXPECT_EQ(csv_fields(slurp(*folder_ / "out.csv")), whole);
}

TEST_F(PredictTest, FeaturesAreKeptWhereThereIsAStoreForThem) {
  const ProgramResult first = predict({"run", "--learner", "knn", "photos/test", "--store", "kept"});
  const ProgramResult second = predict({"run", "--learner", "knn", "photos/test", "--store", "kept"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.out, first.out);
  EXPECT_TRUE(std::filesystem::exists(*folder_ / "kept/tables"));
  // The rows are those of the run.
  const ProgramResult store = run_program({"store", "ls", "--store", "kept", "--json"}, folder_->path());
  const ProgramResult own = run_program({"store", "ls", "--json"}, folder_->path());
  for (const json& table : json::parse(store.out)) {
    const std::string fingerprint = table["fingerprint"];
    EXPECT_THAT(own.out, HasSubstr(fingerprint));
  }
}

TEST_F(PredictTest, NamesTheTrainingImagesThatAreMostAlike) {
  // The run lists them for test, every view by itself.
  std::map<std::string, std::vector<std::string>> wanted;
  for (const auto& fields : csv_fields(slurp(*folder_ / "run/neighbours/knn.csv")))
    if (fields.at(1) == "0" && fields[2] == "test") {
      std::vector<std::string>& near = wanted["photos/" + fields[0]];
      if (std::find(near.begin(), near.end(), fields[4]) == near.end())
        near.insert(near.end(), {fields[4], fields[5]});
    }
  const ProgramResult r =
      predict({"run", "--learner", "knn", "photos/test", "odd/missing.ppm", "--quiet", "--neighbors", "2"});
  EXPECT_EQ(r.exit_code, 3) << r.err;
  const auto lines = csv_fields(r.out);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(lines[0], (std::vector<std::string>{"key", "predicted", "across", "along", "neighbor1",
                                                "similarity1", "neighbor2", "similarity2", "rejected"}));
  for (std::size_t i = 1; i <= 10; ++i) {
    const std::vector<std::string>& near = wanted.at(lines[i][0]);
    EXPECT_EQ(lines[i][4], near.at(0));
    EXPECT_EQ(lines[i][5], near.at(1));
    EXPECT_EQ(lines[i].size(), 9u);
  }
  EXPECT_EQ(lines[11].size(), 9u);
  const json line = json::parse(
      predict({"run", "--learner", "knn", "photos/test/along/0.ppm", "--quiet", "--neighbors", "1", "--json"})
          .out);
  EXPECT_EQ(line["neighbors"][0]["key"], wanted.at("photos/test/along/0.ppm").at(0));
  EXPECT_THAT(predict({"run", "--learner", "probe", "photos/test", "--neighbors", "1"}).err,
              StartsWith("error: 'probe' keeps no training images to compare with: "));
}

TEST_F(PredictTest, AsManyNeighboursAreNamedAsAreAskedFor) {
  // Each training image has five rows, and the run lists the nearest 5 or 10 rows.
  for (const char* learner : {"knn", "both"}) {
    const ProgramResult r = predict(
        {"run", "--learner", learner, "photos/test/along/0.ppm", "--quiet", "--neighbors", "30", "--json"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const json near = json::parse(r.out)["neighbors"];
    ASSERT_EQ(near.size(), 30u) << learner;
    std::set<std::string> keys;
    for (std::size_t n = 0; n < near.size(); ++n) {
      keys.insert(near[n]["key"].get<std::string>());
      EXPECT_LE(near[n]["similarity"], near[n == 0 ? 0 : n - 1]["similarity"]);
    }
    EXPECT_EQ(keys.size(), 30u) << learner;
    // All that there are.
    EXPECT_EQ(json::parse(predict({"run", "--learner", learner, "photos/test/along/0.ppm", "--quiet",
                                   "--neighbors", "1000", "--json"})
                              .out)["neighbors"]
                  .size(),
              36u);
  }
}

TEST_F(PredictTest, NamesOfFilesMayBeAnyBytes) {
  const std::string plain = "photos/test/along/0.ppm";
  for (const std::string& name : {std::string("caf\xe9.ppm"), std::string("a${HOME} $${x}.ppm")}) {
    folder_->write("odd/" + name, slurp(*folder_ / plain));
    const ProgramResult r = predict({"run", "--learner", "probe", plain, "odd/" + name, "--quiet"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const auto lines = csv_fields(r.out);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[2][0], "odd/" + name);
    EXPECT_EQ(lines[2][2], lines[1][2]);
  }
}

TEST_F(PredictTest, NoImageIsListedAsItsOwnNeighbour) {
  for (const char* learner : {"knn", "both"}) {
    std::size_t of_val = 0;
    for (const auto& fields :
         csv_fields(slurp(*folder_ / "run/neighbours" / (std::string(learner) + ".csv")))) {
      of_val += fields.at(2) == "val" ? 1 : 0;
      EXPECT_NE(fields.at(0), fields.at(4)) << learner;
    }
    EXPECT_GT(of_val, 0u);
  }
}

TEST_F(PredictTest, OfTheRunsImagesOnlyThoseOfTestHaveItsScores) {
  // predictions/ID.csv has, for val, the scores of the model before it was fitted again.
  std::map<std::string, std::string> of_run;
  for (const auto& fields : csv_fields(slurp(*folder_ / "run/predictions/probe.csv")))
    of_run["photos/" + fields.at(0)] = fields.at(4);
  std::size_t same = 0, other = 0;
  for (const char* split : {"test", "val"})
    for (const auto& fields :
         csv_fields(predict({"run", "--learner", "probe", "photos/" + std::string(split), "--quiet"}).out)) {
      if (fields.at(0) == "key") continue;
      const bool is_same = of_run.at(fields.at(0)) == fields.at(2);
      EXPECT_TRUE(is_same || std::string(split) == "val") << fields.at(0);
      ++(is_same ? same : other);
    }
  EXPECT_EQ(same + other, 22u);
  EXPECT_GT(other, 0u);
  const std::string help = predict({"--help"}).out;
  EXPECT_THAT(help, HasSubstr("--out FILE"));
  std::string words;
  for (const char c : help) words += c == '\n' ? ' ' : c;
  EXPECT_THAT(words, HasSubstr("The model was fitted on train and val in the end: it looks better on their "
                               "images than it is"));
}

TEST_F(PredictTest, FeaturesAreWrittenWhereTheyAreAskedFor) {
  const ProgramResult plain = predict({"run", "--learner", "probe", "photos/test", "--quiet"});
  const ProgramResult r =
      predict({"run", "--learner", "probe", "photos/test", "--quiet", "--features", "features.npy"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, plain.out);
  // Those of the run are as many floats for each of its 46 images of five crops.
  ASSERT_EQ(run_program({"store", "export", "stripes/table", "all.npy"}, folder_->path()).exit_code, 0);
  const std::string some = slurp(*folder_ / "features.npy"), all = slurp(*folder_ / "all.npy");
  EXPECT_THAT(some, StartsWith("\x93NUMPY"));
  EXPECT_THAT(some, HasSubstr("'shape': (50, "));
  EXPECT_EQ((some.size() - 128) * 46, (all.size() - 128) * 10);

  EXPECT_THAT(predict({"run", "photos/test", "--features", "features.npy"}).err,
              StartsWith("error: features.npy exists: remove it, or choose another file\n"));
  EXPECT_THAT(predict({"run", "photos/test", "--features", "x.csv"}).err,
              StartsWith("error: --features: expected FILE.h5 or FILE.npy, got 'x.csv'\n"));
}

TEST_F(PredictTest, InNpyEveryInputHasItsViews) {
  const ProgramResult r = predict({"run", "--learner", "probe", "photos/test/along/0.ppm", "odd/missing.ppm",
                                   "photos/test/along/1.ppm", "--features", "gaps.npy"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_THAT(r.err, HasSubstr("warning: gaps.npy: 5 rows without features are NaN, so that there is a row "
                               "for every input\n"));
  std::vector<bool> wanted(15, false);
  std::fill_n(wanted.begin() + 5, 5, true);
  EXPECT_EQ(rows_with_nan(slurp(*folder_ / "gaps.npy"), 15), wanted);

  const ProgramResult none =
      predict({"run", "--learner", "probe", "odd/missing.ppm", "--features", "none.npy"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.out, HasSubstr("\nodd/missing.ppm,,,,"));
  EXPECT_THAT(none.err, HasSubstr("warning: none.npy was not written: no input has features\n"));
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "none.npy"));
}

TEST_F(PredictTest, OneSetNamesTheNewPlaceOfANetwork) {
  const TempFolder moved;
  write_photographs(moved);
  const auto network = moved / "net.safetensors", now = moved / "weights/moved.safetensors";
  std::filesystem::copy_file(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors", network);
  // The network of `pixels` is that of the backbone downstream.
  moved.write("config.yaml", R"(name: moved
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images}
  features: {plugin: backbone, from: pixels, with: {model: net.safetensors}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
)");
  const ProgramResult run = run_program({"run", "config.yaml", "--out", "run", "--quiet"}, moved.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const ProgramResult before = run_program({"predict", "run", "photos/test"}, moved.path());
  ASSERT_EQ(before.exit_code, 0) << before.err;
  std::filesystem::create_directories(moved / "weights");
  std::filesystem::rename(network, now);
  const ProgramResult gone = run_program({"predict", "run", "photos/test"}, moved.path());
  EXPECT_EQ(gone.exit_code, 1);
  EXPECT_THAT(gone.err, HasSubstr("name its place with --set "));
  for (const char* parameter : {"features.model", "pixels.network"}) {
    const ProgramResult r =
        run_program({"predict", "run", "photos/test", "--set", parameter + std::string("=") + now.string()},
                    moved.path());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(r.out, before.out);
  }
}

TEST_F(PredictTest, OtherFeaturesThanThoseOfTrainingAreAnError) {
  std::filesystem::copy(*folder_ / "run", *folder_ / "changed", std::filesystem::copy_options::recursive);
  std::string config = slurp(*folder_ / "changed/config.yaml");
  const std::size_t at = config.find("resize: [14]");
  ASSERT_NE(at, std::string::npos) << config;
  config.replace(at, 12, "resize: [16]");
  folder_->write("changed/config.yaml", config);
  const ProgramResult r = predict({"changed", "--learner", "probe", "photos/test"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_THAT(r.err,
              StartsWith("error: the features of 'probe' are no longer those that the model was trained on: "
                         "pixels.resize"));
  EXPECT_THAT(r.err, HasSubstr("; train it again, or bring back what was changed\n"));
}

TEST_F(PredictTest, WhatIsNoModelIsAnError) {
  EXPECT_THAT(predict({"nowhere", "x.jpg"}).err,
              StartsWith("error: nowhere is not there: expected the folder of a run"));
  EXPECT_THAT(predict({"photos", "x.jpg"}).err,
              StartsWith("error: photos holds no models: expected the folder of a "
                         "complete run with learners\n"));
  EXPECT_THAT(
      predict({"run", "x.jpg", "--learner", "prob"}).err,
      StartsWith(
          "error: --learner prob: no such model in run; did you mean 'probe'? (models: both, knn, mlp, "
          "nearest, probe, sure, surer)\n"));
  const ProgramResult none = predict({"run"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, StartsWith("error: INPUT is missing"));
}

TEST(Predict, OfASourceOfImagesFilesAreDecodedAsTheyAre) {
  const TempFolder folder;
  folder.write("config.yaml", R"(name: drawn
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 10}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows}
  report: {plugin: evaluate, from: probe}
)");
  ASSERT_EQ(run_program({"run", "config.yaml", "--out", "run", "--quiet"}, folder.path()).exit_code, 0);
  folder.write("fits.ppm", "P6 24 24 255\n" + std::string(24 * 24 * 3, 'x'));
  folder.write("other.ppm", "P6 20 24 255\n" + std::string(20 * 24 * 3, 'x'));
  const ProgramResult r = run_program({"predict", "run", "fits.ppm"}, folder.path());
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const ProgramResult other = run_program({"predict", "run", "other.ppm"}, folder.path());
  EXPECT_NE(other.exit_code, 0) << other.out;
}

}  // namespace
}  // namespace graft::test
