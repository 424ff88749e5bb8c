// Nothing stale is ever used and nothing is computed twice: a project is changed in one way at a time, and
// run again on the same store. What the store gives must be, bit for bit, what a run on an empty store gives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr const char* kReuseConfig = R"(name: reuse
run: {threads: 2}
stages:
  images: {plugin: image_folder, with: {root: data, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  net: {plugin: backbone, from: pixels, with: {model: backbone.safetensors}}
  features: {plugin: feature_table, from: net}
  knn: {plugin: knn, from: features, with: {k: 3}}
  report: {plugin: evaluate, from: knn}
)";

/// The same project: other names, another order, other sizes of what does not show in the rows.
constexpr const char* kSameRows = R"(name: other
seed: 7
run: {threads: 1}
stages:
  comparison: {plugin: evaluate, from: neighbours}
  neighbours: {plugin: knn, from: features, with: {k: 3}}
  features: {plugin: feature_table, from: embedding}
  embedding: {plugin: backbone, from: images, with: {batch: 3, model: backbone.safetensors}}
  images: {plugin: decode, from: photographs, with: {crop: 32, resize: 32}}
  photographs: {plugin: image_folder, with: {splits: {test: test, val: val, train: train}, root: data}}
)";

constexpr int kImages = 18;

class ReuseTest : public ::testing::Test {
 protected:
  struct Outcome {
    json results;
    std::string error, inputs, predictions;
    std::vector<std::string> keys;
    std::map<std::string, std::string> features;  ///< Bytes of the row by key.

    int count(const char* what) const { return results["tables"]["features"][what]; }
  };

  void SetUp() override {
    folder_.write("project/config.yaml", kReuseConfig);
    write_aged("project/backbone.safetensors",
               slurp(std::string(GRAFT_SOURCE_DIR) + "/configs/quickstart_backbone.safetensors"));
    unsigned seed = 1;
    for (const char* split : {"train", "val", "test"})
      for (const char* label : {"cats", "dogs"})
        for (int i = 0; i < 3; ++i) write_aged(image_name(split, label, i), photograph(seed++));
    first_ = run();
    ASSERT_EQ(first_.count("computed"), kImages) << first_.error;
    ASSERT_EQ(first_.features.size(), static_cast<std::size_t>(kImages));
  }

  static std::string image_name(const std::string& split, const std::string& label, int i) {
    return "project/data/" + split + "/" + label + "/" + std::to_string(i) + ".ppm";
  }
  static std::string photograph(unsigned seed, int width = 32) {
    std::string out = "P6\n" + std::to_string(width) + " 32\n255\n";
    for (int i = 0; i < width * 32 * 3; ++i)
      out += static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
    return out;
  }
  /// Files that have just been written are read again in any case; only of older ones is the digest
  /// remembered.
  void write_aged(const std::string& name, const std::string& content) {
    fs::last_write_time(folder_.write(name, content), aged_);
  }

  Outcome run(const std::vector<std::string>& more = {}, const std::string& project = "project",
              const std::string& store = "store") {
    const std::string step = "step" + std::to_string(++steps_), out = folder_ / step;
    const std::string name = name_.empty() ? step : name_;
    std::vector<std::string> arguments{"run",     "config.yaml",   "--out", out,
                                       "--store", folder_ / store, "--set", "name=" + name};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_program(arguments, folder_ / project);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    Outcome outcome;
    outcome.error = result.err;
    outcome.results = json::parse(slurp(folder_ / step / "results.json"));
    outcome.inputs = slurp(folder_ / step / "inputs.csv");
    for (const auto& e : fs::directory_iterator(folder_ / step / "predictions"))
      outcome.predictions += slurp(e.path());
    std::istringstream lines(outcome.inputs);
    std::string line;
    for (std::getline(lines, line); std::getline(lines, line);) {
      const std::size_t key = line.find(',') + 1;
      outcome.keys.push_back(line.substr(key, line.find(',', key) - key));
    }
    const std::string table =
        json::parse(slurp(folder_ / step / "manifest.json"))["tables"]["features"]["fingerprint"];
    const ProgramResult exported = run_program(
        {"store", "export", table, folder_ / step / "rows.npy", "--run", name, "--store", folder_ / store});
    EXPECT_EQ(exported.exit_code, 0) << exported.err;
    EXPECT_THAT(exported.out, HasSubstr(": " + std::to_string(outcome.keys.size()) + " rows of "));
    const std::string npy = slurp(folder_ / step / "rows.npy");
    const std::size_t header =
        10 + static_cast<unsigned char>(npy.at(8)) + 256u * static_cast<unsigned char>(npy.at(9));
    const std::size_t row = (npy.size() - header) / outcome.keys.size();
    for (std::size_t i = 0; i < outcome.keys.size(); ++i)
      outcome.features[outcome.keys[i]] = npy.substr(header + i * row, row);
    return outcome;
  }

  /// Runs the project as it is now, and again on an empty store: nothing but the counts may differ.
  Outcome run_and_compare(const std::vector<std::string>& more = {}, const std::string& project = "project") {
    Outcome outcome = run(more, project);
    const Outcome fresh = run(more, project, "store" + std::to_string(steps_));
    EXPECT_EQ(fresh.count("reused"), 0);
    EXPECT_THAT(differing(outcome, fresh), IsEmpty());
    EXPECT_EQ(outcome.inputs, fresh.inputs);
    EXPECT_EQ(outcome.predictions, fresh.predictions);
    EXPECT_EQ(outcome.results["learners"], fresh.results["learners"]);
    return outcome;
  }
  static void expect_counts(const Outcome& outcome, int computed, int rows = kImages) {
    EXPECT_EQ(outcome.results["tables"]["features"],
              (json{{"rows", rows}, {"computed", computed}, {"reused", rows - computed}}));
  }
  /// Keys whose rows are not equal in both, those that are in one of them only among them.
  static std::vector<std::string> differing(const Outcome& a, const Outcome& b) {
    std::set<std::string> keys;
    for (const auto& [key, row] : a.features)
      if (const auto twin = b.features.find(key); twin == b.features.end() || twin->second != row)
        keys.insert(key);
    for (const auto& [key, row] : b.features)
      if (!a.features.contains(key)) keys.insert(key);
    return {keys.begin(), keys.end()};
  }
  /// The weights with one bit of the first convolution flipped; size and time stay.
  void flip_weight() {
    const std::string name = "project/backbone.safetensors";
    std::string bytes = slurp(folder_ / name);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const json tensors = json::parse(bytes.substr(8, header));
    bytes[8 + header + tensors["conv1.weight"]["data_offsets"][0].get<std::size_t>() + 2] ^= 0x40;
    write_aged(name, bytes);
  }
  ProgramResult plan(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"plan", "config.yaml", "--store", folder_ / "store"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, folder_ / "project");
  }

  const TempFolder folder_;
  const fs::file_time_type aged_ = fs::file_time_type::clock::now() - 1h;
  int steps_ = 0;
  std::string name_;  ///< Of the runs; empty: another one each time.
  Outcome first_;
};

TEST_F(ReuseTest, AChangedImageIsComputedAndNothingElse) {
  write_aged("project/data/train/cats/1.ppm", photograph(100, 40));
  const Outcome other_size = run_and_compare();
  expect_counts(other_size, 1);
  EXPECT_THAT(differing(first_, other_size), ElementsAre("train/cats/1.ppm"));
}

TEST_F(ReuseTest, AnImageOfTheSameSizeAndTimeIsSeenToBeAnotherOne) {
  write_aged("project/data/train/cats/1.ppm", photograph(100));
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 1);
  EXPECT_THAT(differing(first_, outcome), ElementsAre("train/cats/1.ppm"));
}

TEST_F(ReuseTest, AnImageThatWasPutBackIsFoundAgain) {
  write_aged("project/data/train/cats/1.ppm", photograph(100));
  expect_counts(run(), 1);
  write_aged("project/data/train/cats/1.ppm", photograph(2));
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 0);
  EXPECT_THAT(differing(first_, outcome), IsEmpty());
}

TEST_F(ReuseTest, TwoImagesThatChangePlacesTakeTheirRowsAlong) {
  const fs::path a = folder_ / "project/data/train/cats/0.ppm", b = folder_ / "project/data/test/dogs/2.ppm";
  fs::rename(a, folder_ / "kept");
  fs::rename(b, a);
  fs::rename(folder_ / "kept", b);
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 0);
  EXPECT_EQ(outcome.features.at("train/cats/0.ppm"), first_.features.at("test/dogs/2.ppm"));
  EXPECT_EQ(outcome.features.at("test/dogs/2.ppm"), first_.features.at("train/cats/0.ppm"));
}

TEST_F(ReuseTest, ARenamedImageIsReused) {
  fs::rename(folder_ / "project/data/test/cats/0.ppm", folder_ / "project/data/test/cats/renamed.ppm");
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 0);
  EXPECT_EQ(outcome.features.at("test/cats/renamed.ppm"), first_.features.at("test/cats/0.ppm"));
  EXPECT_THAT(outcome.inputs, Not(HasSubstr("test/cats/0.ppm")));
}

TEST_F(ReuseTest, AnImageOfAnotherClassHasTheNewLabel) {
  fs::rename(folder_ / "project/data/test/cats/0.ppm", folder_ / "project/data/test/dogs/moved.ppm");
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 0);
  EXPECT_THAT(first_.predictions, HasSubstr("test/cats/0.ppm,test,cats,"));
  EXPECT_THAT(outcome.predictions, HasSubstr("test/dogs/moved.ppm,test,dogs,"));
  EXPECT_THAT(outcome.inputs, HasSubstr("images,test/dogs/moved.ppm,test,dogs,ok,"));
}

TEST_F(ReuseTest, ADeletedImageIsInNothingOfTheRun) {
  fs::remove(folder_ / "project/data/test/cats/0.ppm");
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 0, kImages - 1);
  EXPECT_EQ(outcome.results["inputs"]["total"], kImages - 1);
  EXPECT_EQ(outcome.results["learners"]["knn"]["test"]["n"], 5);
  EXPECT_THAT(first_.predictions, HasSubstr("test/cats/0.ppm,"));
  EXPECT_THAT(outcome.predictions, Not(HasSubstr("test/cats/0.ppm,")));
  EXPECT_THAT(outcome.inputs, Not(HasSubstr("test/cats/0.ppm,")));
}

TEST_F(ReuseTest, AnAddedImageIsComputedAndNothingElse) {
  write_aged("project/data/train/dogs/added.ppm", photograph(100));
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 1, kImages + 1);
  EXPECT_THAT(differing(first_, outcome), ElementsAre("train/dogs/added.ppm"));
}

TEST_F(ReuseTest, ATouchedImageIsReused) {
  for (const auto& e : fs::recursive_directory_iterator(folder_ / "project/data"))
    if (e.is_regular_file()) fs::last_write_time(e.path(), aged_ + 5min);
  expect_counts(run_and_compare(), 0);
}

TEST_F(ReuseTest, OneBitOfTheWeightsMakesANewTable) {
  flip_weight();
  const Outcome flipped = run_and_compare();
  expect_counts(flipped, kImages);
  EXPECT_THAT(differing(first_, flipped), SizeIs(kImages)) << "every row is another one";
  flip_weight();
  const Outcome back = run_and_compare();
  expect_counts(back, 0);
  EXPECT_THAT(differing(first_, back), IsEmpty());
}

TEST_F(ReuseTest, AParameterThatShowsInTheRowsMakesANewTable) {
  for (const std::vector<std::string>& change :
       {std::vector<std::string>{"--set", "pixels.crop=24"},
        {"--set", "pixels.filter=bicubic", "--set", "pixels.resize=40"},
        {"--set", "net.normalize=tf"},
        {"--set", "net.l2=true"}}) {
    SCOPED_TRACE(change[1]);
    const Outcome outcome = run_and_compare(change);
    expect_counts(outcome, kImages);
    EXPECT_THAT(differing(first_, outcome), SizeIs(kImages)) << "every row is another one";
    expect_counts(run(change), 0);
  }
  const Outcome back = run();
  expect_counts(back, 0);
  EXPECT_THAT(differing(first_, back), IsEmpty());
}

TEST_F(ReuseTest, WhatDoesNotShowInTheRowsComputesNothing) {
  for (const std::vector<std::string>& change : {std::vector<std::string>{"--set", "run.threads=7"},
                                                 {"--set", "net.batch=5"},
                                                 {"--set", "seed=9"},
                                                 {"--set", "net.threads_per_batch=1"},
                                                 {"--set", "features.compression=gzip"},
                                                 {"--set", "knn.k=1"}}) {
    SCOPED_TRACE(change[1]);
    const Outcome outcome = run(change);
    expect_counts(outcome, 0);
    EXPECT_THAT(differing(first_, outcome), IsEmpty());
  }
}

TEST_F(ReuseTest, WhatTheConfigDemandsIsCheckedThoughNothingIsComputed) {
  const auto error_with = [&](const std::string& change) {
    const ProgramResult result = run_program(
        {"run", "config.yaml", "--out", folder_ / "demands", "--store", folder_ / "store", "--set", change},
        folder_ / "project");
    EXPECT_EQ(result.exit_code == 0, result.err.find("error: ") == std::string::npos) << result.err;
    return result.err;
  };
  const std::string zeros(64, '0');
  EXPECT_THAT(error_with("net.sha256=\"" + zeros + "\""),
              AllOf(HasSubstr("--set:1:12: error: sha256: "),
                    HasSubstr("backbone.safetensors: expected SHA-256 " + zeros)));
  EXPECT_THAT(error_with("net.sha256=abc"), HasSubstr("sha256: expected 64 hexadecimal digits, got 'abc'"));
  EXPECT_THAT(error_with("net.device=cuda:77"), AllOf(HasSubstr("error: "), HasSubstr("'cuda:77'")));
  expect_counts(run({"--set", "net.device=cpu"}), 0);
}

TEST_F(ReuseTest, NamesAndOrderOfTheStagesComputeNothing) {
  folder_.write("project/config.yaml", kSameRows);
  const Outcome outcome = run();
  expect_counts(outcome, 0);
  EXPECT_THAT(differing(first_, outcome), IsEmpty());
}

TEST_F(ReuseTest, AProjectThatMovedComputesNothing) {
  fs::create_directories(folder_ / "elsewhere");
  fs::copy(folder_ / "project", folder_ / "elsewhere/deeper", fs::copy_options::recursive);
  fs::remove_all(folder_ / "project");
  const Outcome outcome = run_and_compare({}, "elsewhere/deeper");
  expect_counts(outcome, 0);
  EXPECT_THAT(differing(first_, outcome), IsEmpty());
}

TEST_F(ReuseTest, PlanSaysWhatIsReusedAndWhyTheRestIsNot) {
  EXPECT_THAT(plan().out, HasSubstr("\nreuse\n  features: 18 of 18 reused\n\n"));
  write_aged("project/data/train/cats/1.ppm", photograph(100));
  write_aged("project/data/train/dogs/added.ppm", photograph(101));
  EXPECT_THAT(plan().out,
              HasSubstr("\nreuse\n  features: 17 of 19 reused; to compute: 1 changed since they were read "
                        "(train/cats/1.ppm), 1 not read before (train/dogs/added.ppm)\n\n"));
  run();
  EXPECT_THAT(plan().out, HasSubstr("\nreuse\n  features: 19 of 19 reused\n\n"));
  EXPECT_THAT(
      plan({"--set", "name=step2", "--set", "pixels.crop=24"}).out,
      ContainsRegex("\nreuse\n  features: 0 of 19 reused; to compute: 19 read before, but not in this table "
                    "\\(test/cats/0.ppm, test/cats/1.ppm, test/cats/2.ppm, ...\\)\n"
                    "  features: new table: pixels.crop 32 -> 24 \\(since the run in .*\\)\n\n"));
}

TEST_F(ReuseTest, AnotherRunExplainsNothingAndOnlyWhatWasComputedWasReadBefore) {
  const std::string other = plan({"--set", "name=unrelated", "--set", "pixels.crop=24"}).out;
  EXPECT_THAT(other, HasSubstr("  features: new table: no earlier run of this name has used one like it\n"));
  EXPECT_THAT(other, HasSubstr("to compute: 18 not computed before ("));
  EXPECT_THAT(other, Not(HasSubstr("read before")));
}

TEST_F(ReuseTest, ATableOfOtherImagesIsNoNewTable) {
  fs::remove_all(folder_ / "project/data");
  unsigned seed = 200;
  for (const char* split : {"train", "val", "test"})
    for (const char* label : {"cats", "dogs"}) write_aged(image_name(split, label, 7), photograph(seed++));
  EXPECT_THAT(plan().out, AllOf(HasSubstr("  features: 0 of 6 reused; to compute: 6 not read before ("),
                                Not(HasSubstr("new table"))));
  const Outcome outcome = run_and_compare();
  expect_counts(outcome, 6, 6);
  EXPECT_THAT(outcome.error, Not(HasSubstr("new table")));
}

TEST_F(ReuseTest, ARunSaysBeforeItComputesWhyATableBeginsAnew) {
  EXPECT_THAT(first_.error, Not(HasSubstr("new table"))) << "an empty store explains itself";
  name_ = "step1";  // other runs' tables explain nothing
  const std::string line = "features: new table: pixels.crop 32 -> 24 (since the run in ";
  EXPECT_THAT(run({"--set", "pixels.crop=24"}).error,
              AllOf(HasSubstr(line), ContainsRegex("new table.*\n(.*\n)*features: 18 rows")));
  EXPECT_THAT(run({"--set", "pixels.crop=24"}).error, Not(HasSubstr("new table")));
  EXPECT_THAT(run({"--set", "pixels.crop=20", "--log-level", "warning"}).error, Not(HasSubstr("new table")));
  flip_weight();
  EXPECT_THAT(run().error, HasSubstr("net.model has other content ("));
}

}  // namespace
}  // namespace graft::test
