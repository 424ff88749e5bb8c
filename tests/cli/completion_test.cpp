// What the scripts for bash and zsh offer, and the manual pages: both made of the table of commands.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace graft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string offered(std::vector<std::string> words) {
  words.insert(words.begin(), "__complete");
  const ProgramResult r = run_program(words);
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_EQ(r.err, "");
  return r.out;
}

TEST(Completion, CommandsAndOptionsWithTheirHelp) {
  EXPECT_EQ(offered({"pl"}),
            "plan\tshow stages, shapes, rows, what is stored and what would be computed\n"
            "plugins\tlist the plugins, and the files that were refused and why\n");
  EXPECT_EQ(offered({"plan", "--no"}), "--no-sample\tdo not measure the time on some inputs\n");
  EXPECT_EQ(offered({"bench-node", ""}), ":files yaml yml\n");
  EXPECT_EQ(offered({"bench-node", "c.yaml", "--he"}),
            "--here\tmeasure in this process, as the job does: inside an allocation that you have\n"
            "--help\tshow this help, or a command's\n");
  EXPECT_EQ(offered({"bench-node", "c.yaml", "--engine", "s"}),
            offered({"launch", "c.yaml", "--engine", "s"}));
  EXPECT_EQ(offered({"run", "--no"}), "");
  EXPECT_THAT(offered({"run", "c.yaml", "--"}), AllOf(HasSubstr("--keep\t"), HasSubstr("--json\t")));
  EXPECT_EQ(offered({"help", "desc"}), "describe\t\n");
  EXPECT_EQ(offered({"nonsense", ""}), "");
}

TEST(Completion, ValuesByThePlaceInTheCommandLine) {
  EXPECT_EQ(offered({"run", ""}), ":files yaml yml\n");
  EXPECT_EQ(offered({"run", "--keep", "3", ""}), ":files yaml yml\n");
  EXPECT_EQ(offered({"run", "c.yaml", ""}), "");
  EXPECT_EQ(offered({"run", "--out", ""}), ":folders\n");
  EXPECT_EQ(offered({"sweep", "--list", ""}), ":files\n");
  EXPECT_EQ(offered({"-q", "check", "c.yaml", "--log-level", ""}), "error\t\nwarning\t\ninfo\t\ndebug\t\n");
  EXPECT_EQ(offered({"check", "--log-level=d"}), "--log-level=debug\t\n");
  EXPECT_THAT(offered({"sweep", "--metric=log"}), StartsWith("--metric=log_loss\tMean -log of the true"));
  EXPECT_THAT(offered({"describe", "feature_"}), StartsWith("feature_table\t"));
}

TEST(Completion, CommandsOfCommandsHaveTheirOwnOptions) {
  EXPECT_THAT(offered({"store", "g"}), StartsWith("gc\t"));
  EXPECT_THAT(offered({"store", "verify", "--rep"}), StartsWith("--repair\tdrop exactly what is damaged"));
  EXPECT_EQ(offered({"store", "ls", "--rep"}), "");
  EXPECT_THAT(offered({"model", "f"}), StartsWith("fetch\t"));
  EXPECT_THAT(offered({"model", "fetch", "--"}), AllOf(HasSubstr("--to\t"), Not(HasSubstr("--store"))));
  EXPECT_EQ(offered({"model", "fetch", "resnet18", "--to", ""}), ":folders\n");
  EXPECT_EQ(offered({"model", "summary", "resnet10"}), "resnet101\t\n:files\n:folders\n");
  EXPECT_EQ(offered({"model", "summary", "resnet18", "--freeze", "n"}), "none\t\n");
}

TEST(Completion, TablesOfTheStoreByTheirNames) {
  const TempFolder folder;
  const std::string config = folder.write("c.yaml", R"(name: cubes
stages:
  images: {plugin: synthetic, with: {task: target, train: 4, val: 2, test: 2, size: 16}}
  rows: {plugin: pixel_table, from: images}
)");
  const std::string store = folder / "store";
  ASSERT_EQ(run_program({"run", config, "--quiet", "--store", store, "--out", folder / "out"}).exit_code, 0);
  EXPECT_EQ(offered({"store", "--store", store, "verify", ""}), "cubes/rows\t\n");
  EXPECT_EQ(offered({"store", "verify", "cubes/rows", "--store=" + store, "c"}), "cubes/rows\t\n");
  EXPECT_EQ(offered({"store", "--store", store, "export", "cubes/rows", ""}), ":files\n");
  EXPECT_EQ(offered({"store", "--store", folder / "none", "verify", ""}), "");
}

TEST(Manual, APagePerCommandFromTheTable) {
  const TempFolder folder;
  const ProgramResult r = run_program({"__manual", folder / "man1"}, {}, {"SOURCE_DATE_EPOCH=86400"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(slurp(folder / "man1/graft-share.1"),
              StartsWith(R"(.TH GRAFT\-SHARE 1 1970-01-02 "graft 0.1.0" "Graft"
.SH NAME
graft\-share \- print the folder of the configs that come with graft
.SH SYNOPSIS
\fBgraft share\fR [\fIOPTIONS\fR]
.SH DESCRIPTION
)"));
  EXPECT_THAT(slurp(folder / "man1/graft-run.1"),
              AllOf(HasSubstr("\\fBgraft run\\fR \\fICONFIG\\fR [\\fIOPTIONS\\fR]\n"),
                    HasSubstr(".TP\n\\fB\\-\\-keep\\fR \\fIN\\fR\nearlier complete runs to keep")));
  EXPECT_THAT(slurp(folder / "man1/graft-bench-node.1"), HasSubstr("\n\\fB\\-\\-here\\fR\n"));
  EXPECT_THAT(slurp(folder / "man1/graft-model.1"), HasSubstr("\\fB\\-\\-trust\\-name\\fR\n"));
  for (const char* command : {"check", "plan", "plugins", "describe", "store", "sweep", "version"})
    EXPECT_THAT(slurp(folder / "man1/graft.1"), HasSubstr(std::string("\\fBgraft ") + command + "\\fR"));
}

}  // namespace
}  // namespace graft::test
