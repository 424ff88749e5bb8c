// Predictions of more inputs than a portion has (65,536).

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <graft/table_file.h>

#include "program.h"
#include "sanitizers.h"
#include "stripes.h"
#include "terminal.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kImage = "photos/test/along/0.ppm";

class PredictPortionsTest : public StripesTest {
 protected:
  /// A list of files that are not there, between two images.
  static std::string list_of(int missing) {
    std::string list = kImage + "\n";
    for (int i = 0; i < missing; ++i) list += "gone/folder/of/photographs/" + std::to_string(i) + ".jpg\n";
    std::string name = std::to_string(missing) + ".txt";
    folder_->write(name, list + kImage + "\n");
    return name;
  }
};

/// Peak memory of a program, in KiB.
long peak_of(const TempFolder& folder, const std::vector<std::string>& arguments) {
  const TempFolder output;
  const pid_t pid = start_program(output, arguments, folder.path());
  int status = 0;
  rusage usage{};
  EXPECT_EQ(::wait4(pid, &status, 0, &usage), pid);
  EXPECT_EQ(WEXITSTATUS(status), 3) << slurp(output / "stderr");
  return usage.ru_maxrss;
}

TEST_F(PredictPortionsTest, MemoryIsThatOfAPortionOfTheInputs) {
  if (kSanitized) GTEST_SKIP() << "sanitizers keep memory that was freed";
  const auto peak = [&](int missing) {
    const std::string list = list_of(missing);
    const long kib = peak_of(*folder_, {"predict", "run", list, "--out", list + ".csv"});
    std::istringstream in(slurp(*folder_ / (list + ".csv")));
    int lines = 0;
    for (std::string line; std::getline(in, line);) lines += line.starts_with("gone/") ? 1 : 0;
    EXPECT_EQ(lines, missing);
    return kib;
  };
  const long one = peak(66'000), two = peak(132'000);
  // Of each input a hash remains. Before inputs were predicted in portions, they took 550 bytes each.
  EXPECT_LT(two - one, 66'000 * 150 / 1024) << one << " KiB, " << two << " KiB";
  RecordProperty("growth_kib", static_cast<int>(two - one));
}

TEST_F(PredictPortionsTest, FeaturesAreThoseOfAllPortionsAndTakeNoMemory) {
  const auto peak = [&](int missing) {
    const std::string list = list_of(missing);
    return peak_of(*folder_, {"predict", "run", "--learner", "probe", list, "--out", list + ".csv",
                              "--features", list + ".h5"});
  };
  // The last image is in the second portion, and in the third.
  const long one = peak(66'000), two = peak(132'000);
  if (!kSanitized) {
    EXPECT_LT(two - one, 66'000 * 150 / 1024) << one << " KiB, " << two << " KiB";
  }
  const ProgramResult r =
      run_program({"predict", "run", "--learner", "probe", kImage, "--features", "alone.csv", "--quiet"},
                  folder_->path());
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const auto alone = csv_fields(slurp(*folder_ / "alone.csv"));
  ASSERT_EQ(alone.size(), 6u) << "five crops";
  for (const char* list : {"66000.txt", "132000.txt"}) {
    const TableFile file((*folder_ / (std::string(list) + ".h5")).string());
    ASSERT_EQ(file.rows(), 10u);
    const std::vector<TableFile::Row> rows = file.describe(0, 10);
    std::vector<float> values(10 * file.dim());
    file.read(0, 10, values.data());
    for (std::size_t r = 0; r < 10; ++r) {
      EXPECT_EQ(rows[r].key, kImage + (r < 5 ? "" : "#2"));
      EXPECT_EQ(rows[r].view, r % 5);
      for (std::size_t f = 0; f < file.dim(); ++f)
        ASSERT_EQ(values[r * file.dim() + f], std::stof(alone[1 + r % 5].at(4 + f)));
    }
  }
}

TEST_F(PredictPortionsTest, ProgressIsThatOfAllPortions) {
  const std::string list = list_of(150'000);
  const std::string drawn =
      on_terminal(200, {"predict", "run", "--learner", "probe", list, "--out", "progress.csv"},
                  folder_->path(), {"NO_COLOR=1"});
  EXPECT_THAT(drawn, HasSubstr("150002/150002 images"));
  // Seconds since the beginning, which the rate tells, only grow.
  const std::regex line(R"((\d+)/150002 images  ([0-9.]+)/s)");
  double seconds = 0;
  int lines = 0;
  for (std::sregex_iterator it(drawn.begin(), drawn.end(), line), end; it != end; ++it) {
    const double done = std::stod((*it)[1]), rate = std::stod((*it)[2]);
    if (done == 0 || rate == 0) continue;
    EXPECT_GE(done / (rate - 0.05), seconds) << it->str();
    seconds = done / (rate + 0.05);
    ++lines;
  }
  EXPECT_GT(lines, 0);
}

TEST_F(PredictPortionsTest, LinesOnATerminalDoNotFollowTheProgress) {
  const std::string drawn = on_terminal(300, {"predict", "run", "--learner", "probe", list_of(66'000)},
                                        folder_->path(), {"NO_COLOR=1"});
  // The first line of the results stands at the beginning of a line, whatever was drawn before.
  const std::size_t header = drawn.find("key,predicted");
  ASSERT_NE(header, std::string::npos);
  if (header > 0) {
    EXPECT_TRUE(drawn[header - 1] == '\n' || drawn.substr(0, header).ends_with("\x1b[K"))
        << drawn.substr(0, header);
  }
}

TEST_F(PredictPortionsTest, HowManyFollowIsKnownWhereTheStandardInputIsAFile) {
  const std::string list = list_of(66'000);
  const std::string command = "exec \"$0\" predict run --learner probe - --out out.csv";
  for (const bool is_file : {true, false}) {
    const std::string drawn = on_terminal_of(
        200, "/bin/sh",
        {"-c", is_file ? command + " < " + list : "cat " + list + " | " + command + " 2>&1", GRAFT_PROGRAM},
        folder_->path());
    if (is_file)
      EXPECT_THAT(drawn, HasSubstr("/66002 images"));
    else
      EXPECT_THAT(drawn, Not(HasSubstr("/66002 images")));
  }
}

}  // namespace
}  // namespace graft::test
