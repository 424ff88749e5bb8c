// Whole runs of the program, with plugins that need no data from outside and, but for one, no LibTorch.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kSynthetic = R"(name: small
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 40}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: [probe, knn]}
)";

json without_timings(json results) {
  results.erase("timings");
  return results;
}
json without_reuse(json results) {
  results = without_timings(std::move(results));
  for (auto& [id, table] : results["tables"].items()) {
    table.erase("computed");
    table.erase("reused");
  }
  return results;
}

class RunTest : public ::testing::Test {
 protected:
  json run(const std::string& config, const std::string& out, const std::string& store,
           std::vector<std::string> more = {}) {
    const auto path = folder_.write("config.yaml", config);
    std::vector<std::string> arguments{"run",         path,      "--quiet",      "--out",
                                       folder_ / out, "--store", folder_ / store};
    arguments.insert(arguments.end(), more.begin(), more.end());
    last_ = run_program(arguments, folder_.path());
    const std::string results = slurp(folder_ / out / "results.json");
    return results.empty() ? json() : json::parse(results);
  }
  /// A photograph stand-in: a BMP whose pixels depend on `seed`.
  void write_image(const std::string& name, unsigned seed, int width = 32, int height = 32) {
    std::string bmp(54, '\0');
    const auto put = [&](std::size_t at, std::uint32_t v) {
      for (int i = 0; i < 4; ++i) bmp[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
    };
    const int stride = (3 * width + 3) / 4 * 4;
    bmp[0] = 'B';
    bmp[1] = 'M';
    put(2, static_cast<std::uint32_t>(54 + stride * height));
    put(10, 54);
    put(14, 40);
    put(18, static_cast<std::uint32_t>(width));
    put(22, static_cast<std::uint32_t>(height));
    bmp[26] = 1;
    bmp[28] = 24;
    for (int i = 0; i < stride * height; ++i) {
      seed = seed * 1664525u + 1013904223u;
      bmp += static_cast<char>(seed >> 24);
    }
    folder_.write(name, bmp);
  }
  std::string folder_config(const std::string& more = "") {
    return "name: folder\nrun: {threads: 2" + more +
           "}\nstages:\n"
           "  images: {plugin: image_folder, with: {root: data, splits: {train: train, val: val, test: "
           "test}}}\n"
           "  pixels: {plugin: decode, from: images, with: {resize: 16, crop: 16}}\n"
           "  rows: {plugin: pixel_table, from: pixels}\n"
           "  knn: {plugin: knn, from: rows, with: {k: 3}}\n"
           "  report: {plugin: evaluate, from: knn}\n";
  }
  void write_folder() {
    unsigned seed = 1;
    for (const char* split : {"train", "val", "test"})
      for (const char* label : {"cats", "dogs"})
        for (int i = 0; i < 6; ++i)
          write_image(std::string("data/") + split + "/" + label + "/" + std::to_string(i) + ".bmp", seed++);
  }

  TempFolder folder_;
  ProgramResult last_;
};

TEST_F(RunTest, InputsOfEqualContentAreComputedOnce) {
  for (const char* threads : {"1", "8"}) {
    const std::string n = threads;
    for (int i = 0; i < 60; ++i)
      write_image("data/train/" + std::string(i % 2 ? "a" : "b") + "/" + std::to_string(i) + ".bmp",
                  static_cast<unsigned>(i % 20 / 2));
    for (int i = 0; i < 4; ++i)
      write_image("data/val/a/v" + std::to_string(i) + ".bmp", 100u + static_cast<unsigned>(i));
    for (int i = 0; i < 4; ++i)
      write_image("data/test/b/t" + std::to_string(i) + ".bmp", 200u + static_cast<unsigned>(i));
    folder_.write("data/train/a/90.bmp", "no image");
    folder_.write("data/train/a/91.bmp", "no image");
    const json results =
        run(folder_config(", max_rejects: 5"), "out" + n, "store" + n, {"--set", "run.threads=" + n});
    ASSERT_EQ(last_.exit_code, 0) << last_.err;
    EXPECT_EQ(results["inputs"], (json{{"total", 70}, {"ok", 68}, {"rejected", 2}}));
    EXPECT_EQ(results["tables"]["rows"]["rows"], 68);
    const json manifest = json::parse(slurp(folder_ / ("out" + n) / "manifest.json"));
    EXPECT_EQ(manifest["streams"]["images"]["collected"], 10 + 4 + 4 + 1)
        << "what reached the end of the stream";
    const std::string inputs = slurp(folder_ / ("out" + n) / "inputs.csv");
    EXPECT_THAT(inputs, HasSubstr("images,train/a/21.bmp,train,a,ok,,,,train/a/1.bmp,1 of 1,yes\n"));
    EXPECT_THAT(inputs, HasSubstr("images,train/b/0.bmp,train,b,ok,,,,train/a/1.bmp,1 of 1,yes\n"));
    EXPECT_EQ(run(folder_config(", max_rejects: 5"), "again" + n, "store" + n)["tables"]["rows"]["computed"],
              0);
  }
  EXPECT_EQ(slurp(folder_ / "out1/inputs.csv"), slurp(folder_ / "out8/inputs.csv"));
}

TEST_F(RunTest, APackedTableIsTheSameTableInLessSpace) {
  const auto store_bytes = [&](const std::string& store) {
    std::uintmax_t bytes = 0;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder_ / store))
      if (e.path().extension() == ".h5") bytes += e.file_size();
    return bytes;
  };
  const json plain = run(kSynthetic, "plain", "plain_store");
  const json packed = run(kSynthetic, "packed", "packed_store", {"--set", "rows.compression=gzip"});
  ASSERT_EQ(last_.exit_code, 0) << last_.err;
  EXPECT_EQ(without_timings(plain), without_timings(packed));
  EXPECT_EQ(slurp(folder_ / "plain/predictions/knn.csv"), slurp(folder_ / "packed/predictions/knn.csv"));
  EXPECT_LT(store_bytes("packed_store"), store_bytes("plain_store"));
  const json again = run(kSynthetic, "again", "plain_store", {"--set", "rows.compression=gzip"});
  EXPECT_EQ(again["tables"]["rows"]["computed"], 0) << "packing is no part of the fingerprint";
}

TEST_F(RunTest, LeavesEverythingTheDesignNames) {
  const json r = run(kSynthetic, "r", "s");
  ASSERT_EQ(last_.exit_code, 0) << last_.err;
  EXPECT_EQ(r["name"], "small");
  EXPECT_EQ(r["inputs"], (json{{"total", 120}, {"ok", 120}, {"rejected", 0}}));
  EXPECT_EQ(r["tables"]["rows"], (json{{"rows", 120}, {"computed", 120}, {"reused", 0}}));
  for (const char* learner : {"probe", "knn"})
    for (const char* metric : {"n", "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"})
      EXPECT_TRUE(r["learners"][learner]["test"].contains(metric)) << learner << " " << metric;
  EXPECT_EQ(r["learners"]["probe"]["test"]["n"], 40);
  for (const char* file :
       {"config.yaml", "manifest.json", "inputs.csv", "predictions/probe.csv", "predictions/knn.csv",
        "models/probe/bundle.json", "models/probe/weights.safetensors", "models/knn/bundle.json"})
    EXPECT_TRUE(std::filesystem::is_regular_file(folder_ / "r" / file)) << file;
  EXPECT_THAT(slurp(folder_ / "r/predictions/probe.csv"), HasSubstr("key,split,label,predicted,"));
  const json manifest = json::parse(slurp(folder_ / "r/manifest.json"));
  EXPECT_EQ(manifest["budget"]["threads"], 2);
  EXPECT_EQ(manifest["plugins"]["knn"]["loaded"], true);
}

TEST_F(RunTest, ASecondRunComputesNothingAndGivesTheSameResults) {
  const json first = run(kSynthetic, "a", "s");
  const json second = run(kSynthetic, "b", "s");
  EXPECT_EQ(second["tables"]["rows"], (json{{"rows", 120}, {"computed", 0}, {"reused", 120}}));
  EXPECT_EQ(without_reuse(first), without_reuse(second));
}

TEST_F(RunTest, OneAndEightThreadsGiveTheSameBits) {
  const json one = run(kSynthetic, "a", "s1", {"--set", "run.threads=1"});
  const json eight = run(kSynthetic, "b", "s8", {"--set", "run.threads=8"});
  EXPECT_EQ(without_timings(one), without_timings(eight));
  EXPECT_EQ(slurp(folder_ / "a/predictions/probe.csv"), slurp(folder_ / "b/predictions/probe.csv"));
  EXPECT_EQ(slurp(folder_ / "a/models/probe/weights.safetensors"),
            slurp(folder_ / "b/models/probe/weights.safetensors"));
}

TEST_F(RunTest, TheResolvedConfigRunsToTheSameResults) {
  const json first = run(kSynthetic, "a", "s");
  const json again = run(slurp(folder_ / "a/config.yaml"), "b", "s");
  EXPECT_EQ(again["tables"]["rows"]["computed"], 0);
  EXPECT_EQ(without_reuse(first), without_reuse(again));
}

TEST_F(RunTest, EveryInputIsAccountedForAndBadOnesSayWhy) {
  write_folder();
  folder_.write("data/train/cats/broken.jpg", "this is no photograph");
  folder_.write("data/train/cats/empty.png", "");
  const json r = run(folder_config(", max_rejects: 2"), "r", "s");
  EXPECT_EQ(last_.exit_code, 0) << last_.err;
  EXPECT_EQ(r["inputs"], (json{{"total", 38}, {"ok", 36}, {"rejected", 2}}));
  const std::string csv = slurp(folder_ / "r/inputs.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 39);
  EXPECT_THAT(csv, HasSubstr("images,train/cats/0.bmp,train,cats,ok,,,,,1 of 1,yes\n"));
  EXPECT_THAT(csv, HasSubstr("images,train/cats/broken.jpg,train,cats,rejected,pixels,"));
  EXPECT_THAT(csv, HasSubstr("images,train/cats/empty.png,train,cats,rejected,pixels,"));
  // Known rejects are not decoded again, but still reported.
  const json second = run(folder_config(", max_rejects: 2"), "r2", "s");
  EXPECT_EQ(second["tables"]["rows"]["computed"], 0);
  EXPECT_EQ(slurp(folder_ / "r2/inputs.csv"), csv);
}

TEST_F(RunTest, TooManyRejectsEndWithThree) {
  write_folder();
  folder_.write("data/train/cats/broken.jpg", "this is no photograph");
  run(folder_config(), "r", "s");
  EXPECT_EQ(last_.exit_code, 3);
  EXPECT_THAT(last_.err,
              HasSubstr("too many rejects: 1 of 37, allowed 1%; see inputs.csv for the reasons, or raise "
                        "run.max_rejects"));
}

TEST_F(RunTest, OnErrorFailEndsTheRunNamingTheItemEveryTime) {
  write_folder();
  run(folder_config(), "r", "s");
  folder_.write("data/train/cats/broken.jpg", "this is no photograph");
  for (const char* store : {"s", "s"}) {  // also when the reject is known already
    run(folder_config(", on_error: fail"), "r", store);
    EXPECT_EQ(last_.exit_code, 1);
    EXPECT_THAT(last_.err, HasSubstr("error: stage 'pixels' (decode, "));
    EXPECT_THAT(last_.err, HasSubstr("item 'train/cats/broken.jpg': "));
  }
}

TEST_F(RunTest, ChangedRenamedAndDeletedFiles) {
  write_folder();
  run(folder_config(), "r", "s");
  write_image("data/train/cats/0.bmp", 999);  // changed
  std::filesystem::rename(folder_ / "data/train/cats/1.bmp", folder_ / "data/train/cats/renamed.bmp");
  std::filesystem::remove(folder_ / "data/train/dogs/5.bmp");
  write_image("data/train/dogs/new.bmp", 1000);
  const json r = run(folder_config(), "r", "s");
  EXPECT_EQ(r["tables"]["rows"], (json{{"rows", 36}, {"computed", 2}, {"reused", 34}})) << last_.err;
}

TEST_F(RunTest, AParameterThatChangesThePixelsMakesANewTable) {
  write_folder();
  run(folder_config(), "r", "s");
  EXPECT_EQ(run(folder_config(), "r", "s", {"--set", "pixels.crop=8"})["tables"]["rows"]["computed"], 36);
  EXPECT_EQ(run(folder_config(), "r", "s", {"--set", "pixels.crop=8"})["tables"]["rows"]["computed"], 0);
  EXPECT_EQ(run(folder_config(), "r", "s")["tables"]["rows"]["computed"], 0)
      << "the first table is still there";
}

TEST_F(RunTest, RowsOfDifferentShapesAreAnErrorThatNamesBoth) {
  write_folder();
  write_image("data/train/cats/wide.bmp", 5, 64, 32);
  run(folder_config(), "r", "s", {"--set", "pixels.crop=null"});
  EXPECT_EQ(last_.exit_code, 1);
  EXPECT_THAT(last_.err, HasSubstr("the rows of a table must have one shape: "));
}

TEST_F(RunTest, PlanShowsWhatIsStoredAndWhatIsNot) {
  const auto path = folder_.write("config.yaml", kSynthetic);
  const std::vector<std::string> arguments{"plan", path, "--store", folder_ / "s"};
  const ProgramResult before = run_program(arguments);
  EXPECT_EQ(before.exit_code, 0) << before.err;
  EXPECT_THAT(before.out, ::testing::ContainsRegex("rows +120 +0 +120 +1\\.7 KiB"));
  run(kSynthetic, "r", "s");
  EXPECT_THAT(run_program(arguments).out, ::testing::ContainsRegex("rows +120 +120 +0 +1\\.7 KiB"));
}

TEST_F(RunTest, ImagesAreMadeAsTheNetworkBehindWasTrained) {
  write_folder();
  std::string config = folder_config();
  const auto replace = [&config](const std::string& old, const std::string& by) {
    config.replace(config.find(old), old.size(), by);
  };
  replace(", with: {resize: 16, crop: 16}", "");
  replace("{plugin: pixel_table, from: pixels}", "{plugin: feature_table, from: net}");
  config +=
      "  more: {plugin: augment, from: pixels, with: {operations: []}}\n"
      "  net: {plugin: backbone, from: more, with: {architecture: resnet20, untrained: true}}\n";
  const auto plan = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"plan", folder_.write("config.yaml", config), "--store",
                                       folder_ / "s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  EXPECT_THAT(plan({}).out, HasSubstr("\ntaken from other stages\n"
                                      "  parameter       value     as in\n"
                                      "  pixels.network  resnet20  net\n"));
  const json by_network = run(config, "a", "s");
  ASSERT_EQ(last_.exit_code, 0) << last_.err;
  EXPECT_EQ(last_.err, "");  // no warning of another size
  EXPECT_THAT(slurp(folder_ / "a/config.yaml"), HasSubstr("network: \"resnet20\""));
  const json again = run(slurp(folder_ / "a/config.yaml"), "b", "s");
  EXPECT_EQ(again["tables"]["rows"]["computed"], 0);
  const json by_size = run(config, "c", "s", {"--set", "pixels.resize=32", "--set", "pixels.crop=32"});
  EXPECT_EQ(by_size["tables"]["rows"]["reused"], 0);
  EXPECT_EQ(slurp(folder_ / "a/predictions/knn.csv"), slurp(folder_ / "c/predictions/knn.csv"));

  EXPECT_THAT(
      plan({"--set", "pixels.network=resnet22"}).err,
      HasSubstr("--set:1:16: error: network: 'resnet22' is not allowed here; did you mean 'resnet20'? "
                "(allowed: resnet18, "));
  config +=
      "  other: {plugin: backbone, from: pixels, with: {architecture: vgg11, untrained: true}}\n"
      "  other_rows: {plugin: feature_table, from: other}\n";
  EXPECT_THAT(plan({}).err,
              HasSubstr("config.yaml:5:3: error: 'pixels' (decode) cannot take `network` from its downstream "
                        "stages, which differ: 'net' has resnet20, 'other' has vgg11; write `network: "
                        "resnet20`, or resize, fit, pad, crop of your own"));
}

TEST_F(RunTest, AStoreThatCannotBeWrittenIsAClearError) {
  folder_.write("file", "");
  run(kSynthetic, "r", "file");
  EXPECT_EQ(last_.exit_code, 1);
  EXPECT_THAT(last_.err, HasSubstr("error: cannot make the folder " + (folder_ / "file").string()));
}

TEST_F(RunTest, JsonGoesToStdoutAlone) {
  const auto path = folder_.write("config.yaml", kSynthetic);
  const ProgramResult r =
      run_program({"run", path, "--json", "--out", folder_ / "r", "--store", folder_ / "s"});
  EXPECT_EQ(json::parse(r.out)["name"], "small");
  EXPECT_EQ(r.err, "");
}

}  // namespace
}  // namespace graft::test
