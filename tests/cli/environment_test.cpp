// The program in the environments that shells, containers and batch systems give it: a run is the same, or
// says what is missing and how to cure it. What a test needs and this machine does not allow is skipped.

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// Starts graft in a folder that no longer exists.
constexpr const char* kGone = "mkdir gone && cd gone && rmdir ../gone; exec";

/// The quickstart, smaller.
class EnvironmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Who chooses the kernels of a library chooses the last digits, too; here nobody does.
    for (const char* chosen :
         {"OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "GRAFT_MAX_CPU_ISA"})
      ::unsetenv(chosen);
    fs::create_directories(folder_ / "here");
    folder_.write("small.yaml", "extends: " + std::string(GRAFT_SOURCE_DIR) +
                                    "/configs/quickstart.yaml\n"
                                    "name: small\nrun: {threads: 2}\nstages:\n"
                                    "  images: {with: {train: 60, val: 20, test: 40}}\n"
                                    "  probe: {with: {c: 0.5}}\n"
                                    "  untrained_features: null\n  untrained_table: null\n"
                                    "  untrained_probe: null\n  untrained_knn: null\n  page: null\n"
                                    "  report: {from: [probe, knn]}\n");
    folder_.write("stdin.yaml",
                  "name: paths\nstages:\n  images: {plugin: stdin, with: {root: .}}\n"
                  "  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
                  "  table: {plugin: pixel_table, from: pixels}\n");
  }

  /// graft in the folder `here`, started by a shell command such as "umask 077; exec".
  ProgramResult graft(const std::string& by, const std::string& arguments) const {
    const TempFolder log;
    const std::vector<std::string> all = {"-c", by + " \"$0\" " + arguments, GRAFT_PROGRAM};
    return wait_for(log, start("/bin/sh", log, all, folder_ / "here"));
  }
  ProgramResult run(const std::string& by, const std::string& out) const {
    return graft(by, "run " + config() + " --out '" + (folder_ / out).string() + "' --store '" +
                         (folder_ / (out + "-store")).string() + "'");
  }
  std::string config() const { return "'" + (folder_ / "small.yaml").string() + "'"; }
  /// In a namespace of its own, after a command such as "mount ...".
  static std::string in_namespace(const std::string& command) {
    return "exec unshare -m /bin/sh -c '" + command + " && exec \"$0\" \"$@\"'";
  }
  /// Whether a shell command works: root in a namespace of its own, for example.
  bool can(const std::string& command) const {
    const TempFolder log;
    return wait_for(log, start("/bin/sh", log, {"-c", command}, folder_ / "here")).exit_code == 0;
  }
  /// Everything of a run that must not depend on where it ran.
  std::string rows(const std::string& out) const {
    std::string text;
    for (const char* file : {"inputs.csv", "predictions/probe.csv", "predictions/knn.csv"})
      text += slurp(folder_ / out / file);
    return text;
  }

  TempFolder folder_;
};

TEST_F(EnvironmentTest, ARunIsTheSameInEveryEnvironment) {
  struct Case {
    const char* name;
    std::string by;          ///< How graft is started.
    std::string needs = {};  ///< A command that fails where the case is not possible.
  };
  const std::string locales = (folder_ / "locales").string();
  fs::create_directories(locales);
  const std::string make_locale = "localedef -i de_DE -f UTF-8 '" + locales + "/de_DE.UTF-8'";
  const std::string comma =
      "test \"$(LOCPATH='" + locales + "' LC_ALL=de_DE.UTF-8 locale decimal_point)\" = ,";
  const std::string no_proc = "mount -t tmpfs none /proc", no_sys = "mount -t tmpfs none /sys";
  const std::vector<Case> cases = {
      {"without_home", "unset HOME; exec"},
      {"without_variables", "exec env -i", kSanitized ? "false" : "true"},  // sanitizers have theirs
      {"locale_c", "unset LANG LANGUAGE; LC_ALL=C; export LC_ALL; exec"},
      {"locale_posix", "LC_ALL=POSIX; LANG=POSIX; export LC_ALL LANG; exec"},
      {"locale_that_does_not_exist", "LC_ALL=xx_YY.UTF-8; export LC_ALL; exec"},
      {"locale_with_a_decimal_comma",
       "LOCPATH='" + locales + "'; LC_ALL=de_DE.UTF-8; export LOCPATH LC_ALL; exec",
       make_locale + " && " + comma},
      {"private_umask", "umask 077; exec"},
      {"temporary_folder_that_does_not_exist", "TMPDIR=/does/not/exist; export TMPDIR; exec"},
      {"temporary_folder_that_cannot_be_written_to", "TMPDIR=/proc; export TMPDIR; exec"},
      {"standard_input_closed", "exec <&-; exec"},
      {"small_stack", "ulimit -S -s 256; exec"},
      {"current_folder_gone", kGone},
      {"without_proc", in_namespace(no_proc),
       kSanitized ? "false" : "unshare -m " + no_proc},  // they read it
      {"without_sys", in_namespace(no_sys), "unshare -m " + no_sys},
  };
  const ProgramResult usual = run("exec", "usual");
  ASSERT_EQ(usual.exit_code, 0) << usual.err;
  const std::string expected = rows("usual");
  ASSERT_THAT(expected, HasSubstr("train"));
  std::string skipped;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    if (!c.needs.empty() && !can(c.needs)) {
      skipped += std::string(skipped.empty() ? "" : ", ") + c.name;
      continue;
    }
    const ProgramResult r = run(c.by, c.name);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.err, MatchesRegex("table: 120 rows \\(120 computed, 0 reused\\) in [0-9.]+ s\n"));
    EXPECT_EQ(rows(c.name), expected);
  }
  if (!skipped.empty()) GTEST_SKIP() << "not possible here: " << skipped;
}

TEST_F(EnvironmentTest, AFolderThatCannotBeWrittenToIsAnErrorThatNamesTheOptions) {
  // Root may write to every folder, but not to a file system that is mounted for reading.
  const bool root = ::geteuid() == 0;
  const std::string mount = "mount -t tmpfs -o ro none \"$PWD\"";
  if (root && !can("unshare -m " + mount)) GTEST_SKIP() << "root may not mount here";
  const std::string by = root ? in_namespace(mount + " && cd \"$PWD\"") : "chmod 555 .; exec";
  const std::string reason = root ? "Read-only file system" : "Permission denied";
  ProgramResult r = graft(by, "run " + config());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.err, "error: cannot make the folder runs: " + reason + "; choose another folder with --out\n");
  r = graft(by, "run " + config() + " --out '" + (folder_ / "out").string() + "'");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, EndsWith("error: cannot make the folder .graft: " + reason +
                              "; choose another folder with --store\n"));
  r = graft(by, "sweep " + config() + " --grid 'knn.k=[1, 5]'");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.err, "error: cannot make the folder runs/small-sweep: " + reason +
                       "; choose another folder with --out\n");
  EXPECT_EQ(graft(by, "plan " + config() + " --no-sample").exit_code, 0);
}

TEST_F(EnvironmentTest, ACurrentFolderThatIsGoneIsAnErrorWhereItIsNeeded) {
  ProgramResult r = graft(kGone, "run " + config());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(
      r.err,
      "error: cannot make the folder runs: the current folder no longer exists; choose another folder with "
      "--out\n");
  for (const std::string& command :
       {"check " + config() + " --set probe.c=2", "plan " + config() + " --no-sample", std::string("plugins"),
        std::string("describe knn"), std::string("version")}) {
    r = graft(kGone, command);
    EXPECT_EQ(r.exit_code, 0) << command << ": " << r.err;
  }
  r = graft(kGone, "check small.yaml");
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err, HasSubstr("small.yaml: No such file or directory"));
}

TEST_F(EnvironmentTest, AStandardInputThatIsClosedIsAnErrorOfWhoReadsIt) {
  const ProgramResult r = graft("exec <&-; exec", "run ../stdin.yaml");
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("cannot read the standard input: it is closed, or fails"));
}

TEST_F(EnvironmentTest, FilesOfAPrivateUmaskArePrivate) {
  ASSERT_EQ(run("umask 077; exec", "private").exit_code, 0);
  for (const char* made : {"private", "private-store"})
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / made))
      EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all),
                fs::perms::none)
          << entry.path();
}

}  // namespace
}  // namespace graft::test
