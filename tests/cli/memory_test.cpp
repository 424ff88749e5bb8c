// What a run keeps of each input takes next to no memory, also where all of it is found in the store; rows,
// inputs.csv and the table are those that they would be.

#include <sys/resource.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

constexpr const char* kNumbers = R"(name: numbers
run: {threads: 1}
stages:
  images: {plugin: numbered_source, with: {inputs: 1}}
  rows: {plugin: feature_table, from: images}
)";

struct MeasuredRun {
  int exit_code = -1;
  double mib = 0;
  std::string out;
};

MeasuredRun run_of(const TempFolder& folder, int inputs) {
  const TempFolder log;
  const std::string name = std::to_string(inputs);
  const pid_t pid = start_program(
      log, {"run", folder / "c.yaml", "--set", "images.inputs=" + name, "--store", folder / ("store" + name),
            "--out", folder / ("out" + name), "--plugin-dir", GRAFT_TEST_PLUGINS});
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          static_cast<double>(usage.ru_maxrss) / 1024, slurp(log / "stdout") + slurp(log / "stderr")};
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Memory, OfARunHardlyGrowsWithInputs) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempFolder folder;
  folder.write("c.yaml", kNumbers);
  // Each input was once some 300 bytes: the difference would be 50 MiB.
  const MeasuredRun few = run_of(folder, 70'000), many = run_of(folder, 250'000),
                    again = run_of(folder, 250'000);
  ASSERT_EQ(few.exit_code, 0) << few.out;
  ASSERT_EQ(many.exit_code, 0) << many.out;
  ASSERT_EQ(again.exit_code, 0) << again.out;
  EXPECT_LT(many.mib, few.mib + 25);
  EXPECT_LT(again.mib, few.mib + 25);
  // One of seven has the content of another.
  EXPECT_NE(many.out.find("rows: 250000 rows (250000 computed, 0 reused)"), std::string::npos) << many.out;
  EXPECT_NE(again.out.find("rows: 250000 rows (0 computed, 250000 reused)"), std::string::npos) << again.out;
  EXPECT_EQ(lines_of(slurp(folder / "out250000/inputs.csv")), 250'001u);
  const ProgramResult verified = run_program({"store", "verify", "--store", folder / "store250000"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
}

}  // namespace
}  // namespace graft::test
