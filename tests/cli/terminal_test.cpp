// What a terminal gets: colours where they are wanted, and lines that fit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "terminal.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TerminalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("bad.yaml", "name: bad\nstages:\n  images: {plugin: synthetik}\n");
    folder_.write("c.yaml", R"(name: small
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 40}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}
  mlp: {plugin: mlp, from: rows, with: {epochs: 4, hidden: [8]}}
  report: {plugin: evaluate, from: [probe, mlp]}
)");
  }
  std::string graft(unsigned short columns, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment = {}) const {
    return on_terminal(columns, arguments, folder_.path(), environment);
  }

  TempFolder folder_;
};

TEST_F(TerminalTest, HasColorsWhereTheyAreWanted) {
  const std::vector<std::string> wrong{"store", "export", "nothing"};
  constexpr const char* kRed = "\x1b[31merror:\x1b[0m ";
  EXPECT_THAT(graft(80, wrong), StartsWith(kRed));
  EXPECT_THAT(graft(80, wrong, {"NO_COLOR="}), StartsWith(kRed)) << "an empty one is none, no-color.org";
  EXPECT_THAT(graft(80, wrong, {"NO_COLOR=1"}), StartsWith("error: "));
  const auto with = [&](const char* when) {
    std::vector<std::string> all = wrong;
    all.insert(all.end(), {"--color", when});
    return all;
  };
  EXPECT_THAT(graft(80, with("never")), StartsWith("error: "));
  EXPECT_THAT(graft(80, with("always"), {"NO_COLOR=1"}), StartsWith(kRed));
  // Elsewhere than on a terminal.
  EXPECT_THAT(run_program(wrong, folder_.path()).err, StartsWith("error: "));
  EXPECT_THAT(run_program(with("auto"), folder_.path()).err, StartsWith("error: "));
  EXPECT_THAT(run_program(with("always"), folder_.path()).err, StartsWith(kRed));
  const ProgramResult r = run_program(with("blue"), folder_.path());
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err,
              StartsWith("error: --color: 'blue' is not allowed here (allowed: auto, always, never)\n"));
}

TEST_F(TerminalTest, HeadingsOfReportsAreBoldWhereThereAreColors) {
  const std::vector<std::string> run{"run", "c.yaml"};
  const std::string text = graft(120, run);
  EXPECT_THAT(text, HasSubstr("\x1b[1mtest "));
  EXPECT_THAT(text, ::testing::ContainsRegex("\x1b.1m[a-z]+ on test: the worst of 10 classes\x1b.0m"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b[1minputs ")));
  EXPECT_THAT(graft(120, run, {"NO_COLOR=1"}), Not(HasSubstr("\x1b[1m")));
  EXPECT_THAT(run_program(run, folder_.path()).out, Not(HasSubstr("\x1b")));
}

TEST_F(TerminalTest, ARunAndTablesFitItsWidth) {
  for (const unsigned short columns : {80, 40}) {
    const std::string name = std::to_string(columns);
    const std::string run = graft(columns, {"run", "c.yaml", "--out", "runs/" + name, "--store", "s" + name});
    EXPECT_THAT(run, HasSubstr("inputs   120 of 120 ok"));
    // Lines that are sentences wrap; progress, which is drawn again, and tables must not.
    for (std::size_t at = 0, end = 0; at < run.size(); at = end + 1) {
      end = std::min(run.find_first_of("\r\n", at), run.size());
      const std::string line = run.substr(at, end - at);
      const bool fits = line.find("images") != std::string::npos || line.find("epoch") != std::string::npos ||
                        line.find("accuracy") != std::string::npos;
      if (fits) {
        EXPECT_LE(widest_line(line), columns) << line;
      }
    }
    EXPECT_LE(widest_line(graft(columns, {"runs"})), columns);
  }
  EXPECT_THAT(graft(40, {"runs"}), Not(HasSubstr("\x1b")));
}

TEST_F(TerminalTest, HelpFitsItsWidth) {
  for (const unsigned short columns : {80, 40})
    for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                  {"run", "--help"},
                                                  {"store", "--help"},
                                                  {"store", "gc", "--help"},
                                                  {"predict", "--help"}}) {
      std::string help = graft(columns, words);
      help.resize(std::min(help.find("\ntry: "), help.size()));  // a command to copy, in one line
      EXPECT_THAT(help, HasSubstr("usage: graft "));
      EXPECT_LE(widest_line(help), columns) << help;
    }
  EXPECT_THAT(graft(40, {"run", "--help"}), HasSubstr("\n  --trace FILE\r\n      "));
  EXPECT_THAT(graft(80, {"run", "--help"}), ::testing::ContainsRegex("\n  --trace FILE +[a-z]"));
}

}  // namespace
}  // namespace graft::test
