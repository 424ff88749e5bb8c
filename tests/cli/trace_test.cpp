// graft run --trace and --profile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr const char* kTraced = R"(name: traced
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 32, train: 60, val: 20, test: 20}}
  small: {plugin: resize, from: images, with: {resize: 32, crop: 32, filter: bilinear}}
  features: {plugin: backbone, from: small, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)";

class TraceTest : public ::testing::Test {
 protected:
  /// Into outNAME, on an empty store.
  ProgramResult run(const std::string& threads, std::vector<std::string> more, const std::string& name) {
    const auto config = folder_.write("config.yaml", kTraced);
    std::vector<std::string> arguments{"run",     config,
                                       "--out",   folder_ / ("out" + name),
                                       "--store", folder_ / ("store" + name),
                                       "--set",   "run.threads=" + threads};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, folder_.path());
  }

  TempFolder folder_;
};

TEST_F(TraceTest, HasASpanPerItemAndStageAndSpansOfAThreadNest) {
  for (const char* threads : {"1", "8"}) {
    const std::string file = folder_ / (std::string("trace") + threads + ".json");
    const ProgramResult r = run(threads, {"--trace", file}, threads);
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("trace    " + file + " ("));
    const json trace = json::parse(slurp(file));
    EXPECT_EQ(trace["otherData"]["spans_left_out"], 0);
    std::map<std::string, std::multiset<std::string>> items;  // by stage
    std::map<int, std::vector<std::pair<double, double>>> spans;
    std::set<std::string> counters;
    for (const json& event : trace["traceEvents"]) {
      if (event["ph"] == "C") counters.insert(event["name"]);
      if (event["ph"] != "X") continue;
      EXPECT_GE(event["dur"].get<double>(), 0);
      const double begin = event["ts"].get<double>();
      spans[event["tid"].get<int>()].emplace_back(begin, begin + event["dur"].get<double>());
      std::multiset<std::string>& of = items[event["name"]];
      if (!event.contains("args")) continue;
      if (event["args"].contains("item")) of.insert(event["args"]["item"]);
      if (event["args"].contains("items"))
        for (const json& item : event["args"]["items"]) of.insert(item);
    }
    ASSERT_EQ(items["images"].size(), 100U);
    EXPECT_EQ(std::set(items["images"].begin(), items["images"].end()).size(), 100U) << "by their keys";
    for (const char* stage : {"small", "features", "table"})
      EXPECT_EQ(items[stage], items["images"]) << stage;
    for (const char* stage : {"probe", "report"}) EXPECT_TRUE(items.contains(stage)) << stage;
    EXPECT_THAT(counters, AllOf(::testing::Contains("memory"), ::testing::Contains("items at features")));
    EXPECT_FALSE(counters.contains("items at probe"));
    for (auto& [thread, of] : spans) {
      // By their begin, the longer first: each lies in the last open one, or after it.
      std::sort(of.begin(), of.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first < b.first : a.second > b.second;
      });
      std::vector<double> open;
      for (const auto& [begin, end] : of) {
        while (!open.empty() && open.back() <= begin + 1e-3) open.pop_back();
        if (!open.empty()) {
          EXPECT_LE(end, open.back() + 1e-3) << "thread " << thread;
        }
        open.push_back(end);
      }
    }
    EXPECT_LE(spans.size(), std::stoul(threads) + 1);
  }
}

TEST_F(TraceTest, ChangesNoResultAndIsNotThereUnasked) {
  const ProgramResult without = run("2", {}, "plain");
  ASSERT_EQ(without.exit_code, 0) << without.err;
  EXPECT_THAT(without.out, Not(HasSubstr("trace")));
  EXPECT_THAT(without.err, Not(HasSubstr("profile")));
  json plain = json::parse(slurp(folder_ / "outplain/results.json"));
  const ProgramResult traced = run("2", {"--trace", folder_ / "t.json"}, "traced");
  ASSERT_EQ(traced.exit_code, 0) << traced.err;
  json results = json::parse(slurp(folder_ / "outtraced/results.json"));
  plain.erase("timings");
  results.erase("timings");
  EXPECT_EQ(plain, results);
}

TEST_F(TraceTest, OfARunThatFailsHasWhatItDid) {
  const ProgramResult r = run("2",
                              {"--trace", folder_ / "t.json", "--set", "report.plugin=meddler", "--set",
                               "report.does=trains on test", "--plugin-dir", GRAFT_TEST_PLUGINS},
                              "failed");
  ASSERT_EQ(r.exit_code, 1) << r.err;
  const std::string trace = slurp(folder_ / "t.json");
  EXPECT_TRUE(json::accept(trace));
  EXPECT_THAT(trace, HasSubstr("\"name\":\"features\",\"cat\":\"batch transform\""));
}

// The folder of a run is replaced as a whole: what is in it must be a part of the run.
TEST_F(TraceTest, InTheFolderOfTheRunItIsAPartOfTheRun) {
  const fs::path out = folder_ / "outin", own = out / "trace.json";
  for (int i = 0; i < 3; ++i) {
    const ProgramResult r = run("2", {"--trace", own}, "in");
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("trace    " + own.string() + " ("));
    EXPECT_THAT(slurp(own), HasSubstr("\"name\":\"probe\",\"cat\":\"learner\""));
  }
  EXPECT_THAT(slurp(folder_ / "outin.1/trace.json"), HasSubstr("\"cat\":\"learner\""));
  EXPECT_FALSE(fs::exists(folder_ / "outin.2")) << "earlier runs do not pile up";
  ASSERT_EQ(run("2", {}, "in").exit_code, 0);
  EXPECT_FALSE(fs::exists(own)) << "of another run";
  const ProgramResult failed = run("2",
                                   {"--trace", own, "--set", "report.plugin=meddler", "--set",
                                    "report.does=trains on test", "--plugin-dir", GRAFT_TEST_PLUGINS},
                                   "in");
  ASSERT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.err, HasSubstr("trace    " + (folder_ / "outin.failed/trace.json").string() + " ("));
  EXPECT_THAT(slurp(folder_ / "outin.failed/trace.json"), HasSubstr("\"cat\":\"learner\""));
  EXPECT_FALSE(fs::exists(own));
}

TEST_F(TraceTest, AnotherFileInTheFolderOfTheRunIsRefusedBeforeAnyWork) {
  for (const char* name : {"outin/t.json", "outin/deep/trace.json", "outin", "other/../outin/x"}) {
    const ProgramResult r = run("2", {"--trace", folder_ / name}, "in");
    EXPECT_EQ(r.exit_code, 1) << name;
    EXPECT_THAT(r.err, HasSubstr("is inside " + (folder_ / "outin").string() +
                                 ", which a complete run replaces as a whole: choose " +
                                 (folder_ / "outin/trace.json").string() +
                                 ", which is a part of the run, or a file outside of that folder\n"));
    EXPECT_FALSE(fs::exists(folder_ / "outin"));
    EXPECT_FALSE(fs::exists(folder_ / "outin.failed"));
  }
}

TEST_F(TraceTest, AFileThatCannotBeWrittenIsSaidBeforeAnyWork) {
  const ProgramResult r = run("2", {"--trace", folder_ / "nowhere/t.json"}, "nowhere");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, AllOf(HasSubstr("error: cannot"), HasSubstr("nowhere/t.json"),
                           HasSubstr("No such file or directory")));
  EXPECT_THAT(r.err, Not(HasSubstr("images")));
  // A config that is named by mistake stays as it is; another trace is replaced.
  const std::string before = slurp(folder_ / "config.yaml");
  const ProgramResult config = run("2", {"--trace", folder_ / "config.yaml"}, "config");
  EXPECT_EQ(config.exit_code, 1);
  EXPECT_EQ(config.err, "error: " + (folder_ / "config.yaml").string() +
                            " exists and is not a trace; choose another name\n");
  EXPECT_EQ(slurp(folder_ / "config.yaml"), before);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run("2", {"--trace", folder_ / "t.json"}, "twice").exit_code, 0);
  const ProgramResult shard =
      run_program({"run", folder_ / "config.yaml", "--trace", folder_ / "t.json", "--shard", "1/2"});
  EXPECT_EQ(shard.exit_code, 2);
  EXPECT_THAT(shard.err, HasSubstr("--trace and --shard: expected one of them; graft status shows shards"));
}

TEST_F(TraceTest, ProfileNamesOneStageInOneLine) {
  const ProgramResult first = run("1", {"--profile", "--quiet"}, "1");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const std::string number = "[0-9.e+-]+";
  EXPECT_THAT(
      first.err,
      ::testing::AnyOf(
          MatchesRegex("profile  [a-z]+ limits the run: " + number + " of " + number + " s \\([0-9]+ %\\), " +
                       number + " times as long as the next, [a-z]+ \\(" + number + " s\\)\n"),
          MatchesRegex("profile  the threads of the stream of images waited " + number + " of " + number +
                       " s \\([0-9]+ %\\), for its files, its list or the disk; the longest stage is "
                       "[a-z]+: " +
                       number + " s\n")));
}

}  // namespace
}  // namespace graft::test
