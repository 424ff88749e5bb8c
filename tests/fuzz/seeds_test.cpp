// What keeps the targets of the fuzzers working: they run here, without a fuzzer, on their seeds, on the
// inputs that once were too much for a parser, and on long ones.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <iterator>
#include <ostream>

#include <gtest/gtest.h>

#include "fuzz.h"
#include "sanitizers.h"

namespace graft::fuzz {

void PrintTo(const Target& target, std::ostream* out) {
  *out << target.name;
}

namespace {

namespace fs = std::filesystem;

class Parser : public ::testing::TestWithParam<Target> {};
class ParserOfLongInputs : public Parser {};

std::vector<fs::path> former_faults(const Target& target) {
  std::vector<fs::path> out;
  const fs::path folder = fs::path(GRAFT_FUZZ_SOURCE_DIR "/tests/fuzz/regressions") / target.name;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

TEST_P(Parser, TakesItsSeedsAndPartsOfThem) {
  ASSERT_FALSE(GetParam().seeds().empty());
  for (const std::string& seed : GetParam().seeds()) {
    ASSERT_NO_THROW(run(GetParam(), seed));
    ASSERT_NO_THROW(run(GetParam(), seed.substr(0, seed.size() / 2)));
    ASSERT_NO_THROW(run(GetParam(), seed.substr(0, seed.size() - 1)));
  }
  ASSERT_NO_THROW(run(GetParam(), ""));
}

TEST_P(Parser, TakesWhatWasOnceTooMuchForIt) {
  for (const fs::path& file : former_faults(GetParam())) {
    SCOPED_TRACE(file);
    std::ifstream in(file, std::ios::binary);
    const std::string input(std::istreambuf_iterator<char>(in), {});
    ASSERT_NO_THROW(run(GetParam(), input));
  }
}

/// What an input costs beside itself.
struct Cost {
  double seconds = 0;     ///< Of the processor.
  std::size_t bytes = 0;  ///< The most that was resident at once.
};

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::size_t most_resident() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) << 10;
}

// In a process of its own: memory that a parser has given back is not resident there from an earlier input.
Cost cost_of(const Target& target, std::size_t bytes) {
  const std::string input = target.grown(bytes);
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    const std::size_t before = most_resident();
    const double start = processor_seconds();
    int fault = 0;
    try {
      run(target, input);
    } catch (...) {
      fault = 1;
    }
    const Cost cost{processor_seconds() - start, most_resident() - before};
    if (::write(pipe[1], &cost, sizeof cost) != sizeof cost) fault = 2;
    ::_exit(fault);
  }
  ::close(pipe[1]);
  Cost cost;
  const bool told = ::read(pipe[0], &cost, sizeof cost) == sizeof cost;
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!told || status != 0) throw std::runtime_error("it did not end well");
  return cost;
}

TEST_P(ParserOfLongInputs, TakesMemoryAndTimeInProportion) {
  const Target& target = GetParam();
  for (const std::string& seed : target.seeds())
    run(target, seed);  // plugins and tables are there from now on
  constexpr std::size_t kShort = std::size_t{1} << 17, kLong = 8 * kShort;
  const Cost shorter = cost_of(target, kShort);
  Cost longer = cost_of(target, kLong);
  if (!test::kSanitized) {
    EXPECT_LE(longer.bytes, memory_limit(target.grown(kLong).size()));
  }
  // Eight times as long: in proportion it takes eight times as long, by the square 64 times. What takes no
  // time to speak of is not measured.
  constexpr double kNothing = 0.1, kMost = 24;
  EXPECT_LE(longer.seconds, kNothing + kMost * std::max(shorter.seconds, 1e-3))
      << shorter.seconds << " s for " << kShort << " bytes";
}

std::vector<Target> targets_of_long_inputs() {
  std::vector<Target> out = targets();
  std::erase_if(out, [](const Target& target) { return target.grown == nullptr; });
  return out;
}

std::string name_of(const ::testing::TestParamInfo<Target>& parameter) {
  return parameter.param.name;
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Parser, ::testing::ValuesIn(targets()), name_of);
INSTANTIATE_TEST_SUITE_P(Fuzz, ParserOfLongInputs, ::testing::ValuesIn(targets_of_long_inputs()), name_of);

TEST(Fuzz, EveryTargetIsInTheReadme) {
  const std::string readme = project_file("tests/fuzz/README.md");
  for (const Target& target : targets())
    EXPECT_NE(readme.find("| `" + std::string(target.name) + "` |"), std::string::npos) << target.name;
}

}  // namespace
}  // namespace graft::fuzz
