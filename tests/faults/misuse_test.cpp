// Plugins that misbehave on purpose: every function of every kind of stage throws unexpected exceptions,
// hangs, crashes, calls exit() or returns invalid output. Each such run ends by itself, with exit code 1, and
// names the stage, the plugin and its location in the config.

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::seconds kHangs{60};  // a run that takes this long would never end

/// A kind of stage, and what one of it can do wrong.
struct Kind {
  const char* name;
  int line;  // of the stage in the config
  std::vector<const char*> functions;
  std::vector<const char*> wrong;  // its invalid outputs
};

const std::vector<Kind> kKinds = {
    {"source",
     4,
     {"constructor", "enter_worker", "classes", "count", "next", "load", "finish", "facts", "destructor"},
     {"no classes", "two classes of one name", "a class without a name", "equal keys", "no key", "label 7",
      "label -1", "a negative with a label", "split 9", "tensor without data", "negative extent",
      "extents that overflow", "nothing", "bytes without data"}},
    {"forward_source", 4, {"read_current"}, {"tensor without data", "nothing", "bytes without data"}},
    {"transform",
     5,
     {"constructor", "enter_worker", "views", "apply", "finish", "facts", "destructor"},
     {"no views", "9 views", "tensor without data", "negative extent", "extents that overflow",
      "image without data", "narrow stride", "negative stride", "negative width", "no height",
      "bytes without data", "nothing", "a file"}},
    {"batch",
     6,
     {"constructor", "enter_worker", "batch_size", "concurrency", "apply", "finish", "facts", "destructor"},
     {"batches of 0", "batches of 1e9", "an item out of range", "a port out of range",
      "a reject out of range", "no results", "two results", "a result and a reject", "tensor without data",
      "negative extent", "narrow stride"}},
    {"collector",
     7,
     {"constructor", "enter_worker", "compression", "format", "encode", "finish", "facts", "destructor"},
     {"a negative extent", "no extent", "rows of 4 PiB", "extents that overflow", "nine extents", "type 9",
      "rows of many shapes", "writes beside"}},
    {"learner",
     8,
     {"constructor", "enter_worker", "fit", "fit in parallel", "predict", "predict in parallel", "neighbours",
      "save", "predictor's destructor", "facts", "destructor"},
     {"no predictor", "no val scores", "too many rows", "too few columns", "too few values",
      "neighbours out of range", "too few neighbours", "a tensor without data", "a reader that is null",
      "facts that are not a map"}},
    {"calibrator",
     9,
     {"constructor", "fit", "apply", "save", "facts", "destructor"},
     {"no calibration", "fewer scores", "a reader that is null"}},
    {"report",
     10,
     {"constructor", "report", "facts", "destructor"},
     {"a file above", "a file elsewhere", "a file in a folder", "a file without a name", "metrics of nobody",
      "learners that are not a map", "a trial of nobody", "a trial out of range"}}};

std::string config(const std::string& kind, const std::string& at, const std::string& does) {
  const auto stage = [&](const std::string& id, const std::string& from) {
    return "  " + id + ": {plugin: misbehaving_" + id + (from.empty() ? "" : ", from: " + from) +
           (id == kind ? ", with: {at: \"" + at + "\", does: \"" + does + "\"}" : "") + "}\n";
  };
  const std::string source = kind == "forward_source" ? kind : "source";
  const std::string limits = does == "hang" ? ", stall_seconds: 0.5, stall_limit: 2" : "";
  return "name: misuse\nrun: {threads: 2, max_rejects: 100%" + limits + "}\nstages:\n" + stage(source, "") +
         stage("transform", source) + stage("batch", "transform") + stage("collector", "batch") +
         stage("learner", "collector") + stage("calibrator", "learner") +
         stage("report", "[learner, calibrator]");
}

struct Case {
  std::string at, does;
};

/// Runs cases, several at a time, and reports those that ended in a wrong way.
class Runs {
 public:
  Runs(const Kind& kind, std::size_t at_once) : kind_(kind), at_once_(at_once) {}

  std::vector<std::string> run(const std::vector<Case>& cases) {
    std::size_t next = 0;
    while (next < cases.size() || !running_.empty()) {
      while (next < cases.size() && running_.size() < at_once_) start(cases[next++]);
      for (std::size_t i = 0; i < running_.size(); ++i)
        if (has_ended(running_[i])) running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i--));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::printf("%s: %zu runs, the longest took %.1f s\n", kind_.name, cases.size(), longest_.count());
    return faults_;
  }

 private:
  struct Running {
    Case what;
    std::unique_ptr<TempFolder> folder;
    pid_t pid;
    Clock::time_point began;
  };

  void start(const Case& c) {
    auto folder = std::make_unique<TempFolder>();
    const auto path = folder->write("config.yaml", config(kind_.name, c.at, c.does));
    const pid_t pid = start_program(*folder, {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                              *folder / "r", "--store", *folder / "s"});
    running_.push_back({c, std::move(folder), pid, Clock::now()});
  }

  bool has_ended(Running& r) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(r.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != r.pid) {
      if (Clock::now() - r.began < kHangs) return false;
      ::kill(r.pid, SIGKILL);
    }
    longest_ = std::max<std::chrono::duration<double>>(longest_, Clock::now() - r.began);
    const ProgramResult result = wait_for(*r.folder, r.pid);
    const std::string place = "stage '" + std::string(kind_.name) + "' (misbehaving_" + kind_.name + ", " +
                              (*r.folder / "config.yaml").string() + ":" + std::to_string(kind_.line) + ":3)";
    if (result.exit_code == 1 && result.err.find(place) != std::string::npos) return true;
    faults_.push_back(r.what.at + " / " + r.what.does + ": exit code " + std::to_string(result.exit_code) +
                      ", " + result.err);
    return true;
  }

  const Kind& kind_;
  const std::size_t at_once_;
  std::vector<Running> running_;
  std::chrono::duration<double> longest_{0};
  std::vector<std::string> faults_;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class MisuseTest : public ::testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, MisuseTest, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.name; });

TEST_P(MisuseTest, WithoutAFaultTheRunIsWell) {
  const TempFolder folder;
  const auto path = folder.write("config.yaml", config("", "", ""));
  const ProgramResult r = run_program(
      {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
}

TEST_P(MisuseTest, WhateverAFunctionThrowsEndsTheRunAndNamesTheStage) {
  std::vector<Case> cases;
  for (const char* function : GetParam().functions) {
    // What a destructor throws ends the process, which a sanitizer reports itself.
    if (kSanitized && std::string_view(function) == "destructor") continue;
    for (const char* does : {"int", "text", "exception", "empty", "bad_alloc"})
      cases.push_back({function, does});
  }
  EXPECT_THAT(Runs(GetParam(), 4).run(cases), IsEmpty());
}

TEST_P(MisuseTest, AFunctionThatEndsTheProcessIsNamed) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer reports crashes itself";
  std::vector<Case> cases;
  for (const char* function : GetParam().functions)
    for (const char* does : {"exit", "_exit", "end the thread", "abort", "segv", "overflow"})
      cases.push_back({function, does});
  EXPECT_THAT(Runs(GetParam(), 4).run(cases), IsEmpty());
}

TEST_P(MisuseTest, WhatBelongsToTheProcessStaysAsItIs) {
  std::vector<Case> cases;
  for (const std::string function : GetParam().functions)
    for (const char* does : {"setlocale", "chdir", "fast math", "umask", "ignore SIGTERM", "setenv"})
      // Nothing comes after the destructors, except of the thread that calls them.
      if (function.find("destructor") == std::string::npos) cases.push_back({function, does});
  EXPECT_THAT(Runs(GetParam(), 4).run(cases), IsEmpty());
}

TEST_P(MisuseTest, AFunctionThatDoesNotReturnEndsTheRun) {
  std::vector<Case> cases;
  for (const char* function : GetParam().functions) cases.push_back({function, "hang"});
  EXPECT_THAT(Runs(GetParam(), cases.size()).run(cases), IsEmpty());
}

TEST_P(MisuseTest, WhatCannotBeIsNotTaken) {
  std::vector<Case> cases;
  for (const char* wrong : GetParam().wrong) cases.push_back({"", wrong});
  EXPECT_THAT(Runs(GetParam(), 4).run(cases), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists("/tmp/graft-escaped.txt"));
}

/// Other learners are not to blame for them: the run goes on and names the stage, an input and what it got.
TEST(Misuse, ScoresThatAreNoProbabilitiesAreNamedWithTheirInput) {
  struct Improper {
    const char *kind, *does, *split, *got;
  };
  for (const auto& [kind, does, split, got] :
       {Improper{"learner", "val scores of infinity", "val", " has the score inf for class "},
        Improper{"learner", "NaN", "test", " has the score nan for class "},
        Improper{"learner", "infinity", "test", " has the score inf for class "},
        Improper{"learner", "scores of 3", "test", " has the score 3 for class "},
        Improper{"learner", "negative scores", "test", " has the score -1 for class "},
        Improper{"learner", "sums of 1.5", "test", " add up to 1.5"},
        Improper{"calibrator", "NaN", "val", " has the score nan for class "}}) {
    const TempFolder folder;
    const auto path = folder.write("config.yaml", config(kind, "", does));
    const ProgramResult r = run_program(
        {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
    EXPECT_EQ(r.exit_code, 0) << does << r.err;
    const std::string place = std::string("stage '") + kind + "' (misbehaving_" + kind + ", " +
                              path.string() +
                              (std::string(kind) == "learner" ? ":8:3): scores of " : ":9:3): scores of ");
    EXPECT_THAT(r.err, ::testing::AllOf(HasSubstr(place),
                                        HasSubstr(std::string(" ") + split +
                                                  " inputs are not "
                                                  "class probabilities, for example "),
                                        HasSubstr(got)))
        << does;
  }
}

TEST(Misuse, TheMessageSaysWhatWasThrownAndWhere) {
  const TempFolder folder;
  const auto text_of = [&](const std::string& kind, const std::string& at, const std::string& does) {
    const auto path = folder.write("config.yaml", config(kind, at, does));
    const ProgramResult r = run_program({"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out",
                                         folder / "r", "--store", folder / (kind + at + does)});
    EXPECT_EQ(r.exit_code, 1);
    return r.err;
  };
  const std::string path = folder / "config.yaml";
  EXPECT_THAT(text_of("learner", "fit", "int"),
              HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                        ":8:3): fit threw a value of type int, not a graft::Error\n"));
  EXPECT_THAT(text_of("learner", "save", "empty"),
              HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                        ":8:3): save threw a std::runtime_error without a text\n"));
  const std::string of_tables =
      "out of memory: this grows with rows, features and classes, and run.memory does not limit it; take "
      "fewer "
      "inputs (max_per_class of the source), lower `cache` of the stage, if it has one, or ";
  EXPECT_THAT(text_of("learner", "fit", "bad_alloc"),
              HasSubstr("error: stage 'learner' (misbehaving_learner, " + path + ":8:3): fit: " + of_tables));
  EXPECT_THAT(
      text_of("report", "report", "bad_alloc"),
      HasSubstr("error: stage 'report' (misbehaving_report, " + path + ":10:3): report: " + of_tables));
  EXPECT_THAT(text_of("source", "constructor", "bad_alloc"),
              HasSubstr("error: stage 'source' (misbehaving_source, " + path +
                        ":4:3): constructor: out of memory: no setting of the run limits what this takes; "));
  EXPECT_THAT(text_of("batch", "apply", "bad_alloc"),
              HasSubstr(": apply: out of memory; lower run.memory or run.threads\n"));
  EXPECT_THAT(text_of("collector", "encode", "text"),
              HasSubstr("error: stage 'collector' (misbehaving_collector, " + path + ":7:3): item 'item "));
  EXPECT_THAT(text_of("collector", "", "writes beside"),
              ::testing::AllOf(HasSubstr("error: stage 'collector' (misbehaving_collector, " + path +
                                         ":7:3): item 'item "),
                               HasSubstr("': encode writes outside of its row of 16 bytes\n")));
  EXPECT_THAT(text_of("transform", "apply", "exception"),
              HasSubstr("warning: stage 'transform' (misbehaving_transform, " + path + ":5:3), item 'item "));
  EXPECT_THAT(text_of("source", "", "label 7"),
              HasSubstr("error: stage 'source' (misbehaving_source, " + path +
                        ":4:3): input 'item 0' has label 7, but there are 2 classes: expected 0 to 1\n"));
  EXPECT_THAT(text_of("source", "", "a negative with a label"),
              HasSubstr(":4:3): input 'item 0' is labelled with none of the classes, but has label 0\n"));
  const std::string unchanged = ": what belongs to the process stays as it is";
  EXPECT_THAT(
      text_of("report", "report", "setlocale"),
      HasSubstr("error: stage 'report' (misbehaving_report, " + path +
                ":10:3): report calls setlocale: the locale was C and is C.UTF-8" + unchanged + "\n"));
  EXPECT_THAT(text_of("learner", "constructor", "chdir"),
              HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                        ":8:3): constructor changes the working folder from " +
                        std::filesystem::current_path().string() + " to /" + unchanged + "\n"));
  EXPECT_THAT(
      text_of("batch", "apply", "chdir"),
      HasSubstr("error: one of these stages changes the working folder from " +
                std::filesystem::current_path().string() + " to /" + unchanged +
                ": stage 'source' (misbehaving_source, " + path +
                ":4:3), stage 'transform' (misbehaving_transform, " + path +
                ":5:3), stage 'batch' (misbehaving_batch, " + path +
                ":6:3), stage 'collector' (misbehaving_collector, " + path +
                ":7:3); to find out which, run with an empty --store and --isolate transform --isolate "
                "batch\n"));
  const auto changes = [&](const std::string& does) {
    const std::string text = text_of("report", "report", does);
    const std::size_t at = text.find("report changes ");
    return at == std::string::npos ? text : text.substr(at, text.find('\n', at) - at);
  };
  const auto value = [](const char* name) {
    const char* const text = std::getenv(name);
    return text == nullptr ? "nothing" : "'" + std::string(text) + "'";
  };
  EXPECT_EQ(changes("ignore SIGTERM"),
            "report changes what SIGTERM does from a handler to ignored" + unchanged);
  EXPECT_EQ(changes("handle SIGPIPE"),
            "report changes what SIGPIPE does from its default to a handler" + unchanged);
  EXPECT_EQ(changes("setenv"), "report changes the environment variable TMPDIR from " + value("TMPDIR") +
                                   " to '/nowhere'" + unchanged);
  EXPECT_EQ(changes("unsetenv"),
            "report changes the environment variable HOME from " + value("HOME") + " to nothing" + unchanged);
  EXPECT_THAT(text_of("transform", "apply", "fast math"),
              HasSubstr("error: stage 'transform' (misbehaving_transform, " + path + ":5:3), item 'item "));
  EXPECT_THAT(
      text_of("learner", "fit in parallel", "fast math"),
      HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                ":8:3): fit changes the floating-point mode of its thread (-ffast-math does, also in a "
                "library that is linked)\n"));
  EXPECT_THAT(text_of("report", "", "a file above"),
              HasSubstr("error: stage 'report' (misbehaving_report, " + path +
                        ":10:3): gave a file '../../escaped.txt': expected a name without folders\n"));
  if (kSanitized) return;
  EXPECT_THAT(text_of("batch", "apply", "segv"),
              HasSubstr("error: stage 'batch' (misbehaving_batch, " + path + ":6:3), item 'item "));
  EXPECT_THAT(text_of("learner", "fit in parallel", "abort"),
              HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                        ":8:3): aborted (SIGABRT), in fit\n"));
  EXPECT_THAT(
      text_of("report", "report", "exit"),
      HasSubstr("error: stage 'report' (misbehaving_report, " + path +
                ":10:3): called exit(); a plugin reports an error by throwing graft::Error, in report\n"));
  for (const char* function : {"_exit", "_Exit", "quick_exit"})
    EXPECT_THAT(text_of("report", "report", function),
                HasSubstr("error: stage 'report' (misbehaving_report, " + path + ":10:3): called " +
                          function + "(); a plugin reports an error by throwing graft::Error, in report\n"));
  EXPECT_THAT(
      text_of("learner", "fit", "end the thread"),
      HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                ":8:3): called pthread_exit(); a plugin reports an error by throwing graft::Error, in "
                "fit\n"));
  EXPECT_THAT(
      text_of("learner", "fit", "thrd_exit"),
      HasSubstr("error: stage 'learner' (misbehaving_learner, " + path +
                ":8:3): called thrd_exit(); a plugin reports an error by throwing graft::Error, in fit\n"));
}

TEST(Misuse, TheUmaskIsPutBackAndNamed) {
  const TempFolder folder;
  const auto path = folder.write("config.yaml", config("report", "report", "umask"));
  const mode_t before = ::umask(S_IWGRP);
  const ProgramResult r = run_program(
      {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
  ::umask(before);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              HasSubstr("report changes the umask from 0020 to 0077: what belongs to the process stays "
                        "as it is\n"));
  struct stat log {};
  ASSERT_EQ(::stat((folder / "r.failed/status.json").c_str(), &log), 0);
  EXPECT_EQ(log.st_mode & 0044U, 0044U);
}

TEST(Misuse, AVariableThatNobodyElseReadsIsThePluginsOwn) {
  const TempFolder folder;
  const auto path = folder.write("config.yaml", config("report", "report", "a variable of its own"));
  EXPECT_EQ(run_program({"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store",
                         folder / "s"})
                .exit_code,
            0);
}

TEST(Misuse, ARunThatAPluginEndsByExitIsAFailedRun) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer has an _exit of its own";
  for (const char* does : {"exit", "print and _exit", "quick_exit"}) {
    const TempFolder folder;
    const auto run = [&](const std::string& fault) {
      const auto path = folder.write("config.yaml", config("learner", "fit", fault));
      return run_program(
          {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
    };
    const ProgramResult ended = run(does);
    EXPECT_EQ(ended.exit_code, 1) << does;
    EXPECT_THAT(ended.err,
                ::testing::ContainsRegex("in fit\nwhat the run had is in " + folder.path().string() +
                                         "/[.]r[.]run-[^ ]+; the next run of the name moves it to " +
                                         (folder / "r.failed").string() + "\n"))
        << does;
    EXPECT_FALSE(std::filesystem::exists(folder / "r")) << does;
    if (std::string(does) == "print and _exit") {
      EXPECT_THAT(ended.out, HasSubstr("printed before"));
    }
    EXPECT_EQ(run("").exit_code, 0) << does;
    EXPECT_TRUE(std::filesystem::exists(folder / "r.failed/log.txt")) << does;
  }
}

// What it asks for is between it and its plugin.
TEST(Misuse, AForkedProcessMayEndBy_exit) {
  const TempFolder folder;
  const auto path = folder.write("config.yaml", config("learner", "fit", "fork and _exit"));
  const ProgramResult r = run_program(
      {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, ::testing::Not(HasSubstr("_exit")));
}

TEST(Misuse, APluginThatChangesTheWorkingFolderTakesNoPathOfTheRunAlong) {
  const TempFolder folder;
  const auto run = [&](const std::string& does, const std::string& kind = "batch",
                       const std::string& at = "apply") {
    folder.write("config.yaml", config(kind, at, does));
    return run_program(
        {"run", "config.yaml", "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", "r", "--store", "s"},
        folder.path());
  };
  const ProgramResult moved = run("chdir");
  EXPECT_EQ(moved.exit_code, 1);
  EXPECT_THAT(
      moved.err,
      HasSubstr("error: one of these stages changes the working folder from " + folder.path().string() +
                " to /: what belongs to the process stays as it is: "
                "stage 'source' (misbehaving_source, config.yaml:4:3), stage 'transform' "));
  EXPECT_TRUE(std::filesystem::exists(folder / "r.failed/log.txt"));
  for (const char* at : {"constructor", "fit"}) {
    std::filesystem::remove_all(folder / "r.failed");
    const ProgramResult threw = run("chdir and throw", "learner", at);
    EXPECT_EQ(threw.exit_code, 1);
    EXPECT_THAT(threw.err, HasSubstr("elsewhere"));
    EXPECT_TRUE(std::filesystem::exists(folder / "r.failed/log.txt")) << at;
  }
  const ProgramResult well = run("");
  EXPECT_EQ(well.exit_code, 0) << well.err;
  EXPECT_THAT(well.err, HasSubstr("collector: 30 rows ("));
}

TEST(Misuse, AForkedProcessThatComesBackFromTheCallDoesNotGoOnWithTheRun) {
  for (const auto& [kind, at] : {std::pair("transform", "apply"), std::pair("learner", "fit")}) {
    const TempFolder folder;
    const auto path = folder.write("config.yaml", config(kind, at, "fork"));
    const ProgramResult r = run_program(
        {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.err,
                HasSubstr(std::string(at) +
                          " has forked a process that came back from the call and is ended; end it with "
                          "_exit(), also where exec() fails\n"));
    EXPECT_THAT(r.err, HasSubstr("collector: 30 rows (30 computed"));
  }
}

TEST(Misuse, TheLogOfARunThatCrashedIsWhereTheMessageSays) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer reports crashes itself";
  const TempFolder folder;
  const auto run = [&](const std::string& does) {
    const auto path = folder.write("config.yaml", config("learner", "fit", does));
    return run_program(
        {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
  };
  const ProgramResult crashed = run("segv");
  EXPECT_EQ(crashed.exit_code, 1);
  EXPECT_THAT(crashed.err,
              ::testing::ContainsRegex("in fit\nwhat the run had is in " + folder.path().string() +
                                       "/[.]r[.]run-[^ ]+; the next run of the name moves it to " +
                                       (folder / "r.failed").string() + "\n"));
  EXPECT_EQ(run("").exit_code, 0);
  EXPECT_THAT(slurp(folder / "r.failed/log.txt"), HasSubstr("collector: 30 rows (30 computed, 0 reused)"));
}

TEST(Misuse, RowsOfARunThatIsEndedForAHangAreNotComputedAgain) {
  const TempFolder folder;
  const auto run = [&](const std::string& does) {
    const auto path = folder.write("config.yaml", config("learner", "fit", does));
    return run_program(
        {"run", path, "--plugin-dir", GRAFT_TEST_PLUGINS, "--out", folder / "r", "--store", folder / "s"});
  };
  const ProgramResult hung = run("hang");
  EXPECT_EQ(hung.exit_code, 1);
  EXPECT_THAT(hung.err,
              HasSubstr("): fit has not returned, and nothing has finished for 2 s (run.stall_limit)\n"));
  EXPECT_THAT(hung.err, HasSubstr("what was finished is saved\nwhat the run had is in " +
                                  (folder / "r.failed").string() + "\nresume with: "));
  EXPECT_THAT(slurp(folder / "r.failed/log.txt"), HasSubstr("error: stage 'learner' "));
  EXPECT_THAT(slurp(folder / "r.failed/status.json"), HasSubstr("fit has not returned"));
  const ProgramResult well = run("");
  EXPECT_EQ(well.exit_code, 0) << well.err;
  EXPECT_THAT(well.err, HasSubstr("collector: 30 rows (0 computed, 30 reused)"));
}

}  // namespace
}  // namespace graft::test
