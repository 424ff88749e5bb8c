// A file that a stage reads, a network above all, is replaced while a run uses it: no row that may come from
// the other file counts under the name of the first, and a model names the file that it was trained with.

#include <fstream>

#include "graft_run.h"
#include "stopped_program.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kInputs = 60;

class ReplacedFiles : public StoreFaults {
 protected:
  ReplacedFiles() {
    write_network("\x10");
    config_ =
        inputs_.write("config.yaml",
                      "name: replaced\n"
                      "run: {threads: 2, in_flight: 4}\n"
                      "stages:\n"
                      "  images: {plugin: synthetic, with: {task: target, size: 16, train: 40, val: 10, "
                      "test: 10}}\n"
                      "  marked: {plugin: reading, from: images, with: {file: network}}\n"
                      "  rows: {plugin: pixel_table, from: marked}\n"
                      "  near: {plugin: prototypes, from: rows}\n"
                      "  report: {plugin: evaluate, from: near}\n");
  }
  /// As people do: the file is renamed to its place when it is complete.
  void write_network(const std::string& byte) const {
    inputs_.write("network.new", byte);
    fs::rename(inputs_ / "network.new", inputs_ / "network");
  }
  std::vector<std::string> arguments(const std::string& out, const std::string& store,
                                     const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"run",   config_,       "--plugin-dir", GRAFT_TEST_PLUGINS, "--quiet",
                                 "--out", folder_ / out, "--store",      folder_ / store};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::vector<std::string> stop_at(const std::string& text) const {
    return faults(folder_.path(), {"GRAFT_FAULT_STOP=" + text});
  }
  void expect_refused(const ProgramResult& r) const {
    EXPECT_EQ(r.exit_code, 1) << r.out;
    EXPECT_THAT(r.err,
                HasSubstr((inputs_ / "network").string() +
                          " was replaced or written to while it was in use; run again when it stays as "
                          "it is"));
  }
  /// What a run has that nothing disturbs, with the file that is there now: all its rows are its own.
  void expect_nothing_was_stored() const {
    const ProgramResult r = run_program(arguments("again", "s"));
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(GraftRun::computed(folder_ / "again"), kInputs);
    ASSERT_EQ(run_program(arguments("alone", "t")).exit_code, 0);
    EXPECT_EQ(GraftRun::different(folder_ / "again", GraftRun::outcome(folder_ / "alone")), "");
  }

  TempFolder inputs_;
  std::string config_;
};

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> out;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(parent) + "/task")) {
    std::ifstream in(task.path() / "children");
    for (pid_t pid = 0; in >> pid;) out.push_back(pid);
  }
  return out;
}

TEST_F(ReplacedFiles, BeforeItIsOpenedNothingIsComputed) {
  StoppedProgram run(arguments("r", "s"), stop_at("/shards"));
  write_network("\x20");
  expect_refused(run.go_on());
  for (const char* byte : {"\x10", "\x20"}) {
    write_network(byte);
    fs::remove_all(folder_ / "t");
    expect_nothing_was_stored();
  }
}

TEST_F(ReplacedFiles, WhereAnotherProcessOpensItTheRowsOfTheRunDoNotCount) {
  StoppedProgram run(arguments("r", "s", {"--isolate", "marked"}), stop_at("/logs/"));
  write_network("\x20");
  const std::vector<pid_t> stages = children_of(run.pid());
  EXPECT_FALSE(stages.empty());
  for (const pid_t stage : stages) ::kill(stage, SIGKILL);
  expect_refused(run.go_on());
  write_network("\x10");
  expect_nothing_was_stored();
}

TEST_F(ReplacedFiles, WhileRowsAreComputedThoseThatAreNotSealedDoNotCount) {
  StoppedProgram run(arguments("r", "s"), stop_at("/logs/"));
  write_network("\x20");
  expect_refused(run.go_on());
  write_network("\x10");
  expect_nothing_was_stored();
}

TEST_F(ReplacedFiles, InAShardNothingIsComputedEither) {
  const std::vector<std::string> shard{"run",        config_,        "--shard",          "0/1",
                                       "--quiet",    "--plugin-dir", GRAFT_TEST_PLUGINS, "--store",
                                       folder_ / "s"};
  StoppedProgram run(shard, stop_at("/shards"));
  write_network("\x20");
  expect_refused(run.go_on());
  write_network("\x10");
  expect_nothing_was_stored();
}

TEST_F(ReplacedFiles, AfterTheRowsTheModelNamesTheOneThatItWasTrainedWith) {
  StoppedProgram run(arguments("r", "s"), stop_at("/work/near"));
  write_network("\x20");
  const ProgramResult r = run.go_on();
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const auto predict = [&] {
    return run_program({"predict", folder_ / "r",
                        inputs_.write("image.ppm", "P6 16 16 255\n" + std::string(768, 'x')), "--plugin-dir",
                        GRAFT_TEST_PLUGINS});
  };
  const ProgramResult other = predict();
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("was trained with another file than"));
  write_network("\x10");
  const ProgramResult same = predict();
  EXPECT_EQ(same.exit_code, 0) << same.err;
}

TEST_F(ReplacedFiles, AHardLinkOrOtherRightsAreNoReplacement) {
  StoppedProgram run(arguments("r", "s"), stop_at("/logs/"));
  fs::create_hard_link(inputs_ / "network", inputs_ / "link");
  fs::permissions(inputs_ / "network", fs::perms::owner_read);
  const ProgramResult r = run.go_on();
  EXPECT_EQ(r.exit_code, 0) << r.err;
}

}  // namespace
}  // namespace graft::test
