// A run is read while another one is put in its place: what commands print, write and predict is of one run.

#include "graft_run.h"
#include "stopped_program.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class WholeRuns : public StoreFaults {
 protected:
  WholeRuns() {
    for (const auto& [name, train] : {std::pair("r", 40), std::pair("new", 70)}) {
      const std::string config =
          inputs_.write("config.yaml",
                        "name: whole\n"
                        "run: {threads: 2}\n"
                        "stages:\n"
                        "  images: {plugin: synthetic, with: {task: target, size: 16, train: " +
                            std::to_string(train) +
                            ", val: 20, test: 20}}\n"
                            "  rows: {plugin: pixel_table, from: images}\n"
                            "  near: {plugin: prototypes, from: rows}\n"
                            "  report: {plugin: evaluate, from: near}\n");
      EXPECT_EQ(run_program({"run", config, "--quiet", "--out", folder_ / name, "--store", folder_ / "s"})
                    .exit_code,
                0);
    }
    fs::copy(folder_ / "r", folder_ / "other", fs::copy_options::recursive);
  }
  /// Runs a command, and replaces the run at `r` when it first reads a file whose path contains `text`.
  ProgramResult while_replaced(const std::vector<std::string>& arguments, const std::string& text) const {
    StoppedProgram command(arguments, faults(folder_.path(), {"GRAFT_FAULT_STOP_READ=" + text}));
    fs::rename(folder_ / "r", folder_ / "r.1");
    fs::rename(folder_ / "new", folder_ / "r");
    return command.go_on();
  }

  TempFolder inputs_;
};

TEST_F(WholeRuns, AComparisonIsOfOne) {
  const std::vector<std::string> report{"report", folder_ / "other", folder_ / "r", "--json"};
  const ProgramResult replaced = while_replaced(report, "/other/predictions/"), after = run_program(report);
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_EQ(replaced.out, after.out);
  EXPECT_THAT(after.out, HasSubstr("\"110\""));  // inputs of the new run
}

TEST_F(WholeRuns, AListOfRunsIsOfOne) {
  const std::vector<std::string> runs{"runs", "--json", "--out", folder_.path()};
  const ProgramResult replaced = while_replaced(runs, "/r/results.json");
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  const auto listed = nlohmann::json::parse(replaced.out);
  const std::string text = listed.dump();
  const auto list = listed.is_array() ? listed : listed.at("runs");
  for (const auto& run : list) {
    if (run["folder"] != (folder_ / "r").string()) continue;
    EXPECT_EQ(run["inputs"], 110) << text;
  }
}

TEST_F(WholeRuns, APredictionIsOfOne) {
  const std::vector<std::string> predict{
      "predict", folder_ / "r", inputs_.write("image.ppm", "P6 16 16 255\n" + std::string(768, 'x'))};
  const ProgramResult replaced = while_replaced(predict, "/bundle.json"), after = run_program(predict);
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_EQ(replaced.out, after.out);
}

TEST_F(WholeRuns, AModelIsPackedFromOneOrNot) {
  const fs::path file = folder_ / "m.graft";
  const std::vector<std::string> pack{"model", "pack", folder_ / "r", "--out", file};
  const ProgramResult replaced = while_replaced(pack, "/r/results.json");
  EXPECT_EQ(replaced.exit_code, 1);
  EXPECT_THAT(replaced.err, HasSubstr("another run was put in the place of " + (folder_ / "r").string() +
                                      " while its model was read; do it again"));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(run_program(pack).exit_code, 0);
}

// A sweep of fewer combinations moves the others away.
TEST_F(WholeRuns, TheTablesOfARunThatASweepMovesStayInUse) {
  const std::string config = inputs_.write(
      "sweep.yaml",
      "name: moved\n"
      "run: {threads: 2}\n"
      "stages:\n"
      "  images: {plugin: synthetic, with: {task: target, size: 16, train: 40, val: 20, test: 20}}\n"
      "  small: {plugin: resize, from: images, with: {resize: 16, crop: 8}}\n"
      "  rows: {plugin: pixel_table, from: small}\n"
      "  near: {plugin: prototypes, from: rows}\n"
      "  report: {plugin: evaluate, from: near}\n");
  const auto sweep = [&](const std::string& crops) {
    const ProgramResult r = run_program({"sweep", config, "--quiet", "--grid", "small.crop=" + crops, "--out",
                                         folder_ / "w", "--store", folder_ / "t"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
  };
  const auto tables = [&] { return std::distance(fs::directory_iterator(folder_ / "t/tables"), {}); };
  sweep("[8, 9]");
  ASSERT_EQ(tables(), 2);
  sweep("[8]");
  ASSERT_TRUE(fs::exists(folder_ / "w.1/002/results.json"));
  const auto collect = [&] {
    return run_program({"store", "gc", "--unreferenced", "--store", folder_ / "t"}).exit_code;
  };
  EXPECT_EQ(collect(), 0);
  EXPECT_EQ(tables(), 2);
  fs::remove_all(folder_ / "w.1");
  EXPECT_EQ(collect(), 0);
  EXPECT_EQ(tables(), 1) << "the use goes with the run";
}

}  // namespace
}  // namespace graft::test
