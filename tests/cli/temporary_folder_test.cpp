// A folder for temporary files without room.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "../faults/private_mounts.h"
#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FullTemporaryFolder : public StripesTest {};

TEST_F(FullTemporaryFolder, IsAnErrorThatSaysWhatToDo) {
  if (!enter_private_mounts()) GTEST_SKIP() << kNoMounts;
  ASSERT_EQ(run_program({"model", "pack", "run", "--learner", "probe", "--out", "probe.graft", "--quiet"},
                        folder_->path())
                .exit_code,
            0);
  const Mount disk("tmpfs", *folder_ / "full", "tmpfs", 0, "size=48k");
  const auto predict = [](const std::string& model, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"predict", model, "--learner", "probe", "photos"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, folder_->path(), {"TMPDIR=" + (*folder_ / "full").string()});
  };
  const ProgramResult packed = predict("probe.graft");
  EXPECT_EQ(packed.exit_code, 1);
  EXPECT_THAT(packed.err, HasSubstr("No space left on device"));
  EXPECT_THAT(packed.err, HasSubstr("; set TMPDIR to a folder with more room\n"));
  const ProgramResult rows = predict("run");
  EXPECT_EQ(rows.exit_code, 1);
  EXPECT_THAT(rows.err, HasSubstr("No space left on device"));
  EXPECT_THAT(rows.err,
              HasSubstr("; set TMPDIR to a folder with more room, or keep the features with --store DIR\n"));
  EXPECT_TRUE(std::filesystem::is_empty(*folder_ / "full")) << "nothing is left behind";
  const ProgramResult kept = predict("run", {"--store", "kept"});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.err, Not(HasSubstr("TMPDIR")));
}

}  // namespace
}  // namespace graft::test
