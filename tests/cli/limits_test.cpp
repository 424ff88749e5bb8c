// The program under the limits that a shell or a batch system sets: it runs, or says within seconds which
// limit is too low. Never a loop, never a crash.

#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr int kHung = 128 + 9;

class Limits : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "sanitizers take more address space than any limit gives";
    folder_.write("pixels.yaml",
                  "name: pixels\nrun: {threads: 2}\nstages:\n"
                  "  images: {plugin: synthetic, with: {train: 40, test: 20}}\n"
                  "  table: {plugin: pixel_table, from: images}\n");
    folder_.write(
        "probe.yaml",
        "extends: pixels.yaml\nname: probe\nstages:\n  probe: {plugin: linear_probe, from: table}\n");
  }
  /// graft, after shell commands such as "ulimit -v 300000". It is killed after a minute if it hangs.
  ProgramResult graft(const std::string& limits, std::vector<std::string> arguments) const {
    std::vector<std::string> all = {"-c", limits + "; exec timeout -s KILL 60 \"$@\"", "sh", GRAFT_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const TempFolder log;
    return wait_for(log, start("/bin/sh", log, all, folder_.path()));
  }

  TempFolder folder_;
};

TEST_F(Limits, AddressSpaceForOpenBlasIsAskedForBeforeItIsTaken) {
  int ran = 0, refused = 0;
  for (const int kib : {150000, 200000, 250000, 300000, 350000, 400000, 450000, 500000, 600000, 700000,
                        900000, 1500000, 4000000}) {
    std::filesystem::remove_all(folder_ / ".graft");
    const ProgramResult r = graft("ulimit -v " + std::to_string(kib), {"run", "probe.yaml"});
    ASSERT_NE(r.exit_code, kHung) << kib;
    if (r.exit_code == 0) {
      ++ran;
      continue;
    }
    ++refused;
    EXPECT_EQ(r.exit_code, 1) << kib << ": " << r.err;
    EXPECT_EQ(ran, 0) << kib << " KiB are too little, but less was enough";
    EXPECT_THAT(
        r.err,
        MatchesRegex("error: not enough address space for OpenBLAS \\(128 MiB a thread\\): 2 threads need "
                     "[0-9]+ MiB, and [0-9]+ MiB are left of the [0-9]+ MiB that ulimit -v allows; "
                     "raise ulimit -v or lower run.threads\n"))
        << kib;
  }
  EXPECT_GE(ran, 1);
  EXPECT_GE(refused, 3);
  // Fewer threads need less.
  EXPECT_GT(graft("ulimit -v 4000000", {"run", "probe.yaml", "--set", "run.threads=64"}).exit_code, 0);
}

TEST_F(Limits, CommandsThatNeedNoOpenBlasRunInLittle) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"check", "probe.yaml"},
                                             {"plan", "probe.yaml"},
                                             {"plugins"},
                                             {"describe", "linear_probe"},
                                             {"run", "pixels.yaml"}}) {
    const ProgramResult r = graft("ulimit -v 400000", command);
    EXPECT_EQ(r.exit_code, 0) << command[0] << ": " << r.err;
  }
}

TEST_F(Limits, ALimitOfFileSizesIsAnErrorOfTheStore) {
  for (const int blocks : {1, 8, 32}) {  // of 512 bytes
    const ProgramResult r = graft("ulimit -f " + std::to_string(blocks), {"run", "pixels.yaml"});
    EXPECT_EQ(r.exit_code, 1) << blocks;
    EXPECT_THAT(r.err, HasSubstr("File too large (ulimit -f allows ")) << blocks;
    EXPECT_THAT(r.err, HasSubstr(" per file: raise it)")) << blocks;
  }
  EXPECT_EQ(graft("true", {"run", "pixels.yaml"}).exit_code, 0);
  EXPECT_EQ(graft("true", {"store", "verify"}).exit_code, 0);
}

TEST_F(Limits, ALimitOfFileSizesIsAnErrorOfExportsAndOfOutput) {
  ASSERT_EQ(graft("true", {"run", "pixels.yaml"}).exit_code, 0);
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"store", "export", "table", "t.npy"},
                                             {"store", "export", "table", "t.h5"},
                                             {"describe", "linear_probe"}}) {
    const ProgramResult r = graft("ulimit -f 1", command);
    EXPECT_EQ(r.exit_code, 1) << command.back();
    EXPECT_THAT(r.err, HasSubstr("File too large (ulimit -f allows 512 bytes per file: raise it)"))
        << command.back();
  }
}

TEST_F(Limits, SmallStacksAreRaisedWhereTheyMayBe) {
  EXPECT_EQ(graft("ulimit -S -s 256", {"run", "probe.yaml"}).exit_code, 0);
  const ProgramResult r = graft("ulimit -s 512", {"run", "probe.yaml"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.err, "error: the stack limit is 512 KiB, but graft needs 1024 KiB: raise ulimit -s\n");
}

TEST_F(Limits, ThreadsThatCannotBeStartedAreAnError) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: to be a user without processes";
  // An unused user id, so that the limit counts only processes of this test.
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  const ProgramResult r =
      graft("exec setpriv --reuid=54321 --regid=54321 --clear-groups prlimit --nproc=6 \"$@\"",
            {"run", "pixels.yaml", "--set", "run.threads=16"});
  if (r.err.find("Permission denied") != std::string::npos)
    GTEST_SKIP() << "another user cannot read the build folder";
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, MatchesRegex(
                         "error: only [0-9]+ of 22 threads can be started: Resource temporarily unavailable; "
                         "raise ulimit -u, or lower run.threads\n"));
}

}  // namespace
}  // namespace graft::test
