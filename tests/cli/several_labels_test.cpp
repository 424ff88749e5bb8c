// Accuracy and log loss of several labels: one definition, for every reporter.

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;

/// A BMP of 32 x 32 noisy pixels whose blue, green and red say which of three labels it has.
std::string bmp(unsigned labels, unsigned seed) {
  constexpr int kSide = 32;
  std::string out(54, '\0');
  const auto put = [&](std::size_t at, std::uint32_t v) {
    for (int i = 0; i < 4; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
  };
  out[0] = 'B';
  out[1] = 'M';
  put(2, 54 + 3 * kSide * kSide);
  put(10, 54);
  put(14, 40);
  put(18, kSide);
  put(22, kSide);
  out[26] = 1;
  out[28] = 24;
  for (int i = 0; i < 3 * kSide * kSide; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const bool has = (labels >> (i % 3) & 1u) != 0;
    out += static_cast<char>(static_cast<int>(seed >> 25) + (has ? 100 : 40));
  }
  return out;
}

class SeveralLabels : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string list = "path,labels,split\n";
    unsigned seed = 7;
    for (int i = 0; i < 90; ++i) {
      seed = seed * 1664525u + 1013904223u;
      const unsigned labels = 1 + (seed >> 20) % 7;
      const std::string split = i < 50 ? "train" : i < 74 ? "val" : "test";
      const std::string name = "i" + std::to_string(i) + ".bmp";
      // Some of the labels are wrong, so that no learner is right everywhere.
      folder_.write(name, bmp(i % 6 == 0 ? labels ^ 1u : labels, seed));
      std::string names;
      for (int c = 0; c < 3; ++c)
        if ((labels >> c & 1u) != 0) names += std::string(names.empty() ? "" : "|") + "abc"[c];
      if (split == "val" && i % 5 == 0) names += "|rare";  // train has no image of it
      list += name + "," + names + "," + split + "\n";
    }
    folder_.write("list.csv", list);
  }
  json run(const std::string& stages, const std::string& learners, const std::string& list = "list.csv") {
    const auto config =
        folder_.write("config.yaml",
                      "name: several\nrun: {threads: 2}\nstages:\n"
                      "  images: {plugin: image_list, with: {file: " +
                          list +
                          ", labels: labels}}\n"
                          "  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}\n" +
                          stages + "  report: {plugin: evaluate, from: [" + learners + "]}\n");
    const ProgramResult r = run_program({"run", config, "--quiet", "--store", folder_ / "s"}, folder_.path());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return json::parse(slurp(folder_ / "runs/several/results.json"))["learners"];
  }
  static void expect_same(const json& learner, const json& told, double tolerance) {
    EXPECT_NEAR(told["val_accuracy"], learner["val"]["accuracy"], 1e-9);
    EXPECT_NEAR(told["val_log_loss"], learner["val"]["log_loss"], tolerance);
  }
  /// The scores from predictions.csv, by scikit-learn's definitions.
  void expect_by_hand(const std::string& id, const json& val) const {
    std::istringstream lines(slurp(folder_ / ("runs/several/predictions/" + id + ".csv")));
    std::string line;
    std::getline(lines, line);
    const std::vector<std::string> head = split(line, ',');
    double right = 0, loss = 0, n = 0;
    const auto classes = static_cast<double>(head.size() - 4);
    while (std::getline(lines, line)) {
      const std::vector<std::string> fields = split(line, ',');
      if (fields[1] != "val") continue;
      const std::vector<std::string> labels = split(fields[2], ';');
      bool exact = true;
      for (std::size_t c = 4; c < head.size(); ++c) {
        const double p = std::stod(fields[c]);
        const bool is = std::find(labels.begin(), labels.end(), head[c]) != labels.end();
        exact = exact && (p >= 0.5) == is;
        loss -= std::log(std::clamp(is ? p : 1 - p, 0x1p-52, 1.0)) / classes;
      }
      right += exact ? 1 : 0;
      ++n;
    }
    EXPECT_EQ(n, 24);
    EXPECT_GT(right, 0);
    EXPECT_LT(right, n);
    EXPECT_EQ(val["n"], 24);
    EXPECT_NEAR(val["accuracy"], right / n, 1e-9);
    EXPECT_NEAR(val["log_loss"], loss / n, 1e-6);
  }
  static std::vector<std::string> split(const std::string& text, char by) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, by);) out.push_back(part);
    return out;
  }

  TempFolder folder_;
};

TEST_F(SeveralLabels, AClassThatReadsLikeTwoIsAnError) {
  // No input has that class beside another: its own label would read like two.
  folder_.write("odd.csv", "path,labels,split\ni0.bmp,a,train\ni1.bmp,a|b,train\ni2.bmp,b;c,train\n");
  const auto config = folder_.write(
      "config.yaml",
      "name: odd\nstages:\n"
      "  images: {plugin: image_list, with: {file: odd.csv, labels: labels, label_separator: '|'}}\n"
      "  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}\n"
      "  table: {plugin: pixel_table, from: pixels}\n");
  const ProgramResult r = run_program({"run", config, "--quiet"}, folder_.path());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, ::testing::HasSubstr("class 'b;c': input 'i1.bmp' may have several labels, which ';' "
                                          "separates in inputs.csv and in predictions; rename the class"));
}

TEST_F(SeveralLabels, LearnersOnFeaturesTellTheFiguresOfEvaluate) {
  const json learners =
      run("  rows: {plugin: pixel_table, from: pixels}\n"
          "  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}\n"
          "  mlp: {plugin: mlp, from: rows, with: {hidden: [16], epochs: 6}}\n",
          "probe, mlp");
  const json& probe = learners["probe"];
  int found = 0;
  for (const json& step : probe["summary"]["path"])
    if (step["c"] == probe["summary"]["c"]) {
      ++found;
      expect_same(probe, step, 1e-9);
    }
  EXPECT_EQ(found, 1);
  expect_same(learners["mlp"], learners["mlp"]["summary"], 1e-5);
  for (const char* id : {"probe", "mlp"}) expect_by_hand(id, learners[id]["val"]);
}

/// 20 of 90 images show none of the classes, 6 are unlabelled.
TEST_F(SeveralLabels, ImagesThatShowNoneOfTheClassesAreLearntAndScored) {
  std::string list;
  unsigned seed = 7;
  for (int i = 0; i < 90; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const unsigned labels = (seed >> 20) % 8;
    const std::string split = i < 50 ? "train" : i < 74 ? "val" : "test";
    const std::string name = "n" + std::to_string(i) + ".bmp";
    folder_.write(name, bmp(i % 6 == 0 ? labels ^ 1u : labels, seed));
    json line = {{"path", name}, {"split", split}, {"labels", json::array()}};
    for (int c = 0; c < 3; ++c)
      if ((labels >> c & 1u) != 0) line["labels"].push_back(std::string(1, "abc"[c]));
    if (split != "val" && i % 11 == 3) line.erase("labels");
    list += line.dump() + "\n";
  }
  folder_.write("list.jsonl", list);
  const std::string learners = "  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}\n";
  const json probe =
      run("  rows: {plugin: pixel_table, from: pixels}\n" + learners, "probe", "list.jsonl")["probe"];
  expect_by_hand("probe", probe["val"]);
  EXPECT_EQ(probe["summary"]["train_rows"], 45);
  EXPECT_EQ(probe["test"]["n"], 15);
  const json manifest = json::parse(slurp(folder_ / "runs/several/manifest.json"));
  EXPECT_THAT(manifest["warnings"].get<std::vector<std::string>>(),
              ::testing::Contains("images: 5 of 50 train and 1 of 16 test inputs have no label: learners and "
                                  "scores leave them out"));
  const std::string inputs = slurp(folder_ / "runs/several/inputs.csv");
  EXPECT_THAT(inputs, ::testing::HasSubstr("images,n3.bmp,train,,ok,,,,,1 of 1,no\n"));
  EXPECT_THAT(inputs, ::testing::HasSubstr("images,n10.bmp,train,,ok,,,,,1 of 1,yes\n"));

  // The exported table tells the two from each other as well.
  const ProgramResult exported =
      run_program({"store", "export", "several/rows", folder_ / "rows.h5", "--store", folder_ / "s"});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const auto again = folder_.write("again.yaml",
                                   "name: again\nstages:\n"
                                   "  features: {plugin: table_file, with: {files: rows.h5}}\n"
                                   "  rows: {plugin: feature_table, from: features}\n" +
                                       learners + "  report: {plugin: evaluate, from: probe}\n");
  const ProgramResult r = run_program({"run", again, "--quiet", "--store", folder_ / "s"}, folder_.path());
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(json::parse(slurp(folder_ / "runs/again/results.json"))["learners"]["probe"], probe);
}

TEST_F(SeveralLabels, AFinetunedNetworkTellsTheFiguresOfEvaluate) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "this build has no LibTorch";
  const json learners = run(
      "  rows: {plugin: pixel_table, from: pixels}\n"
      "  tuned:\n"
      "    plugin: finetune\n"
      "    from: rows\n"
      "    with: {model: \"${GRAFT_SHARE}/configs/quickstart_backbone.safetensors\", unfreeze: {last: 1}, "
      "epochs: 2,\n"
      "           operations: [flip], probe_c: [0.01, 1]}\n",
      "tuned");
  const json& tuned = learners["tuned"];
  const json& summary = tuned["summary"];
  const auto& curve = summary["curve"];
  expect_same(tuned, curve[summary["best_epoch"].get<std::size_t>()], 1e-4);
  // The start is the probe.
  for (const json& step : summary.contains("path") ? summary["path"] : summary["probe"]["path"])
    if (step["c"] == summary["probe"]["c"]) {
      EXPECT_NEAR(step["val_accuracy"], curve[0]["val_accuracy"], 1e-9);
      EXPECT_NEAR(step["val_log_loss"], curve[0]["val_log_loss"], 1e-4);
    }
  expect_by_hand("tuned", tuned["val"]);
}

}  // namespace
}  // namespace graft::test
