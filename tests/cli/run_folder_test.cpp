// What a run writes, and what it does not touch: folders of runs through the program.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
using ::testing::Not;
using ::testing::StartsWith;

/// A BMP of 8 x 8 pixels.
std::string bmp(unsigned seed) {
  std::string out(54, '\0');
  out[0] = 'B';
  out[1] = 'M';
  const auto put = [&](std::size_t at, std::uint32_t v) {
    for (int i = 0; i < 4; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
  };
  put(2, 54 + 192);
  put(10, 54);
  put(14, 40);
  put(18, 8);
  put(22, 8);
  out[26] = 1;
  out[28] = 24;
  for (int i = 0; i < 192; ++i) out += static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return out;
}

constexpr const char* kLearners = R"(name: photos
stages:
  images: {plugin: image_folder, with: {root: data, splits: {train: train, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  near: {plugin: knn, from: rows, with: {k: 3}}
)";
const std::string kReport = "  report: {plugin: evaluate, from: near}\n";

class RunFolderProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    unsigned seed = 1;
    for (const char* split : {"train", "test"})
      for (const char* label : {"ant", "bee"})
        for (int i = 0; i < 8; ++i)
          folder_.write("data/" + std::string(split) + "/" + label + "/" + std::to_string(i) + ".bmp",
                        bmp(++seed));
  }
  std::vector<std::string> arguments(const std::string& config, std::vector<std::string> more = {}) const {
    std::vector<std::string> out{"run", folder_.write("config.yaml", config), "--store", folder_ / "s"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  ProgramResult run(const std::string& config, const std::vector<std::string>& more = {}) const {
    return run_program(arguments(config, more), folder_.path());
  }
  json read(const std::string& file) const { return json::parse(slurp(folder_ / "runs" / file)); }
  std::vector<std::string> names(const std::string& of) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_ / of)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  TempFolder folder_;
};

TEST_F(RunFolderProgram, NothingOfAFormerConfigIsLeftAndTheFormerRunIsKept) {
  ASSERT_EQ(run(std::string(kLearners) + "  probe: {plugin: linear_probe, from: rows, with: {c: 0.01}}\n" +
                "  report: {plugin: evaluate, from: [near, probe]}\n")
                .exit_code,
            0);
  const ProgramResult r = run(kLearners + kReport);
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("results  runs/photos/results.json\n"));
  EXPECT_THAT(names("runs"), ElementsAre("photos", "photos.1"));
  EXPECT_THAT(names("runs/photos"),
              ElementsAre("config.yaml", "inputs.csv", "log.txt", "manifest.json", "models", "neighbours",
                          "predictions", "reports", "results.json"));
  EXPECT_THAT(names("runs/photos/models"), ElementsAre("near"));
  EXPECT_THAT(names("runs/photos/predictions"), ElementsAre("near.csv"));
  EXPECT_THAT(names("runs/photos.1/models"), ElementsAre("near", "probe"));
  EXPECT_THAT(slurp(folder_ / "runs/photos/log.txt"),
              AllOf(HasSubstr("rows: 32 rows (0 computed"), HasSubstr(r.out)));
  run(kLearners + kReport, {"--keep", "0"});
  EXPECT_THAT(names("runs"), ElementsAre("photos"));
  EXPECT_EQ(run(kLearners + kReport, {"--keep", "-1"}).exit_code, 2);
}

TEST_F(RunFolderProgram, AFailingRunLeavesTheCompleteOneAndSaysWhy) {
  ASSERT_EQ(run(kLearners + kReport).exit_code, 0);
  const std::string config = slurp(folder_ / "runs/photos/config.yaml");
  for (int i = 0; i < 8; ++i) fs::remove(folder_ / ("data/train/bee/" + std::to_string(i) + ".bmp"));
  const ProgramResult r = run(kLearners + std::string("  p: {plugin: linear_probe, from: rows}\n") +
                              "  report: {plugin: evaluate, from: [near, p]}\n");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("what the failed run had is in runs/photos.failed\n"));
  EXPECT_EQ(slurp(folder_ / "runs/photos/config.yaml"), config);
  EXPECT_THAT(names("runs"), ElementsAre("photos", "photos.failed"));
  const json status = read("photos.failed/status.json");
  EXPECT_EQ(status["status"], "failed");
  EXPECT_EQ(status["exit_code"], 1);
  EXPECT_THAT(r.err, HasSubstr("error: " + status["error"].get<std::string>() + "\n"));
  EXPECT_THAT(slurp(folder_ / "runs/photos.failed/log.txt"), HasSubstr("\nerror: stage 'p' (linear_probe, "));
  EXPECT_THAT(slurp(folder_ / "runs/photos.failed/inputs.csv"),
              ContainsRegex("images,train/ant/0.bmp,train,ant,ok,,,,,1 of 1,yes\n"));
  EXPECT_NE(slurp(folder_ / "runs/photos.failed/config.yaml"), "");
}

TEST_F(RunFolderProgram, WhereEverythingIsRejectedTheReasonIsTold) {
  folder_.write("list.csv", "path,label\nphotos\\ant\\00.png,ant\nphotos\\bee\\00.png,bee\n");
  const std::string config =
      "name: rejects\nstages:\n"
      "  images: {plugin: image_list, with: {file: list.csv, label: label, val_fraction: 0}}\n"
      "  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
      "  rows: {plugin: pixel_table, from: pixels}\n"
      "  near: {plugin: knn, from: rows}\n"
      "  report: {plugin: evaluate, from: near}\n";
  const ProgramResult r = run(config);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              ContainsRegex("error: stage 'near' .*: there are no train rows: all 2 inputs were rejected, "
                            "e.g. photos.ant.00.png: missing, cannot open the file.* "
                            "\\(why: runs/rejects.failed/inputs.csv\\)\n"));
  EXPECT_THAT(r.err,
              HasSubstr("warning: images: all inputs of these classes were rejected: ant (1), bee (1), e.g. "
                        "photos\\ant\\00.png: missing, cannot open the file"));
  EXPECT_THAT(r.err,
              HasSubstr("rejected 2 of 2 inputs\n         2 missing, e.g. photos\\ant\\00.png: cannot open "
                        "the file"));
  EXPECT_THAT(slurp(folder_ / "runs/rejects.failed/inputs.csv"),
              ContainsRegex("images,photos.ant.00.png,train,ant,rejected,images,missing,\"?cannot open"));
  EXPECT_FALSE(fs::exists(folder_ / "runs/rejects"));
  // If train is empty for another reason, the message differs.
  folder_.write("list.csv", "path,label,split\ndata/test/ant/0.bmp,ant,test\n");
  EXPECT_THAT(run(config + "", {"--set", "images.split=split"}).err,
              HasSubstr("there are no train rows: 'images' puts none of its 1 inputs into train"));
}

TEST_F(RunFolderProgram, TheMostFrequentReasonsAreOnTheTerminalAlsoAfterASuccess) {
  for (int i = 0; i < 3; ++i) folder_.write("data/train/ant/e" + std::to_string(i) + ".bmp", "");
  folder_.write("data/train/ant/text.bmp", "no image at all, only text");
  for (int i = 0; i < 8; ++i)
    folder_.write("data/test/bee/" + std::to_string(i) + ".bmp", "text, text, text");
  const ProgramResult r = run(kLearners + kReport, {"--set", "run.max_rejects=50%"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, ContainsRegex("inputs   24 of 36 ok, 12 rejected \\(why: runs/photos/inputs.csv\\)\n"
                                   "         +[0-9]+ [a-z-]+, e.g. (test|train)/[a-z]+/[a-z0-9]+.bmp: "));
  EXPECT_THAT(r.err,
              HasSubstr("all test inputs of these classes were rejected: bee (8), e.g. test/bee/0.bmp: "));
  std::size_t rejected = 0;
  const json results = read("photos/results.json");
  for (const json& reason : results["reject_reasons"]) rejected += reason["count"].get<std::size_t>();
  EXPECT_EQ(rejected, 12u);
}

TEST_F(RunFolderProgram, InputsThatAFailedStreamDidNotReachAreListed) {
  folder_.write("data/train/ant/3.bmp", "text");
  const ProgramResult r = run(kLearners + kReport, {"--set", "run.on_error=fail", "--set", "run.threads=1"});
  EXPECT_EQ(r.exit_code, 1);
  const std::string csv = slurp(folder_ / "runs/photos.failed/inputs.csv");
  EXPECT_THAT(csv, StartsWith("source,key,split,label,status,"));
  EXPECT_THAT(csv, ContainsRegex("images,train/ant/3.bmp,[a-z]+,ant,(rejected,pixels|not reached)"));
}

TEST_F(RunFolderProgram, TwoRunsOfOneNameAtOnceDoNotMix) {
  ASSERT_EQ(run(kLearners + kReport).exit_code, 0);
  for (int trial = 0; trial < 4; ++trial) {
    fs::remove_all(folder_ / "runs");
    const TempFolder a, b;
    const auto start = [&](const TempFolder& output, const char* k) {
      return start_program(output, arguments(kLearners + kReport, {"--set", k}), folder_.path());
    };
    const pid_t first = start(a, "near.k=1"), second = start(b, "near.k=7");
    EXPECT_EQ(wait_for(a, first).exit_code, 0);
    EXPECT_EQ(wait_for(b, second).exit_code, 0);
    EXPECT_THAT(names("runs"), ElementsAre("photos", "photos.1"));
    std::vector<int> seen;
    for (const std::string run : {"photos", "photos.1"}) {
      const int k = read(run + "/results.json")["learners"]["near"]["summary"]["k"];
      EXPECT_EQ(read(run + "/models/near/bundle.json")["k"], k);
      EXPECT_THAT(slurp(folder_ / "runs" / run / "config.yaml"),
                  ContainsRegex("k: .?" + std::to_string(k) + ".?\n"));
      seen.push_back(k);
    }
    EXPECT_NE(seen[0], seen[1]);
  }
}

TEST_F(RunFolderProgram, TheSameCrossValidationTwiceAtOnceHasAllFoldsInBoth) {
  const std::string config =
      kLearners + std::string(
                      "  probe: {plugin: linear_probe, from: rows, with: {c: [0.001, 0.1]}}\n"
                      "  report: {plugin: evaluate, from: [near, probe]}\n"
                      "  cmp: {plugin: compare, from: [near, probe], with: {cv: 4, on_test: false}}\n");
  ASSERT_EQ(run(config, {"--out", "whole"}).exit_code, 0);
  const std::string folds = slurp(folder_ / "whole/reports/cmp/folds.csv");
  EXPECT_EQ(std::count(folds.begin(), folds.end(), '\n'), 9);
  const TempFolder output;
  const pid_t first = start_program(output, arguments(config), folder_.path());
  // It is held where it has begun to learn; another comes and goes meanwhile.
  const auto begun = [&] {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / "runs", none))
      if (fs::exists(entry.path() / "predictions/near.csv")) return true;
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(first), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == first;
  };
  while (!begun()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(first, SIGSTOP);
  // Whoever renames holds the lock of the place: the other would wait for it.
  if (fs::exists(folder_ / "runs/.photos.lock")) ::kill(first, SIGCONT);
  const ProgramResult second = run(config);
  ::kill(first, SIGCONT);
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(wait_for(output, first).exit_code, 0);
  for (const char* of : {"runs/photos", "runs/photos.1"})
    EXPECT_EQ(slurp(folder_ / of / "reports/cmp/folds.csv"), folds) << of;
}

TEST_F(RunFolderProgram, AnInterruptedTrainingGoesOnToTheSameBits) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "this build has no LibTorch";
  const std::string config =
      "name: training\nrun: {threads: 2}\nstages:\n"
      "  images: {plugin: synthetic, with: {task: source, size: 24, train: 96, val: 32, test: 0}}\n"
      "  pixels: {plugin: pixel_table, from: images}\n"
      "  net: {plugin: pretrain, from: pixels, with: {architecture: resnet8, width: 8, epochs: 8, batch: "
      "32}}\n"
      "  report: {plugin: evaluate, from: net}\n";
  ASSERT_EQ(run(config, {"--out", "whole"}).exit_code, 0);
  // The checkpoint of a run in progress.
  const auto checkpoint = [&](const fs::path& runs) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(runs, none))
      if (fs::exists(entry.path() / "work/net/checkpoint.bin"))
        return entry.path() / "work/net/checkpoint.bin";
    return fs::path();
  };
  for (const int signal : {SIGKILL, SIGINT}) {
    fs::remove_all(folder_ / "runs");
    const TempFolder output;
    const pid_t pid = start_program(output, arguments(config), folder_.path());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (checkpoint(folder_ / "runs").empty() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(pid, signal);
    EXPECT_EQ(wait_for(output, pid).exit_code, 128 + signal);
    EXPECT_FALSE(fs::exists(folder_ / "runs/training"));
    EXPECT_EQ(fs::exists(folder_ / "runs/training.interrupted/status.json"), signal == SIGINT);
    ASSERT_FALSE(checkpoint(folder_ / "runs").empty());
    EXPECT_EQ(run(config).exit_code, 0);
    if (signal == SIGKILL)
      EXPECT_THAT(names("runs"), ElementsAre("training", "training.failed"));
    else
      EXPECT_THAT(names("runs"), ElementsAre("training"));
    for (const char* file :
         {"models/net/weights.safetensors", "predictions/net.csv", "work/net/weights.safetensors"})
      EXPECT_EQ(slurp(folder_ / "runs/training" / file), slurp(folder_ / "whole" / file)) << file;
  }
  // A finished training is not repeated: its checkpoint is that of the run before.
  const auto inode = [&](const std::string& name) {
    struct stat info {};
    EXPECT_EQ(::stat((folder_ / "runs" / name / "work/net/checkpoint.bin").c_str(), &info), 0);
    return info.st_ino;
  };
  const auto trained = inode("training");
  EXPECT_EQ(run(config).exit_code, 0);
  EXPECT_EQ(inode("training"), trained);
  EXPECT_EQ(inode("training.1"), trained);
}

TEST_F(RunFolderProgram, OutNeverTakesWhatGraftDidNotWrite) {
  folder_.write("mine/thesis.txt", "chapter 1");
  const ProgramResult r = run(kLearners + kReport, {"--out", "mine"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("error: mine contains files that graft did not write (thesis.txt)"));
  EXPECT_THAT(names("mine"), ElementsAre("thesis.txt"));
  EXPECT_THAT(run(kLearners + kReport, {"--out", "."}).err,
              HasSubstr("give a folder of their own with --out"));
}

TEST_F(RunFolderProgram, AReadOnlyStoreServesCopiesOfItsImages) {
  ASSERT_EQ(run(kLearners + kReport).exit_code, 0);
  fs::copy(folder_ / "data", folder_ / "copy", fs::copy_options::recursive);
  const auto chmod = [&](const char* mode) {
    ASSERT_EQ(std::system(("chmod -R " + std::string(mode) + " " + (folder_ / "s").string()).c_str()), 0);
  };
  fs::create_directories(folder_ / "out");
  fs::permissions(folder_ / "out", fs::perms::all);
  fs::permissions(folder_.path(), fs::perms::all);
  const bool root = ::geteuid() == 0;
  if (root && !fs::exists("/usr/bin/setpriv")) GTEST_SKIP() << "needs setpriv, as root";
  const auto as_a_user = [&](std::vector<std::string> more) {
    std::vector<std::string> all;
    if (root) all = {"--reuid=65534", "--regid=65534", "--clear-groups", GRAFT_PROGRAM};
    for (const auto& a : arguments(kLearners + kReport, std::move(more))) all.push_back(a);
    const TempFolder output;
    return wait_for(output, start(root ? "/usr/bin/setpriv" : GRAFT_PROGRAM, output, all, folder_ / "out"));
  };
  chmod("a-w");
  const ProgramResult copied = as_a_user({"--set", "images.root=" + (folder_ / "copy").string()});
  EXPECT_EQ(copied.exit_code, 0) << copied.err;
  EXPECT_THAT(copied.err, HasSubstr("rows: 32 rows (0 computed, 32 reused)"));
  // Missing files are named.
  folder_.write("copy/train/ant/new.bmp", bmp(999));
  const ProgramResult missing = as_a_user({"--set", "images.root=" + (folder_ / "copy").string()});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err,
              HasSubstr("'train/ant/new.bmp', for example, has no row in the table yet, and the store "
                        "cannot be written to: "));
  fs::remove(folder_ / "copy/train/ant/new.bmp");
  // A file that cannot be read is a reject there, too.
  fs::permissions(folder_ / "copy/train/ant/0.bmp", fs::perms::none);
  const ProgramResult rejected =
      as_a_user({"--set", "images.root=" + (folder_ / "copy").string(), "--set", "run.max_rejects=50%"});
  EXPECT_EQ(rejected.exit_code, 0) << rejected.err;
  EXPECT_THAT(rejected.err, HasSubstr("rows: 31 rows (0 computed, 31 reused)"));
  EXPECT_THAT(rejected.out, HasSubstr("31 of 32 ok, 1 rejected"));
  chmod("u+w");
}

}  // namespace
}  // namespace graft::test
