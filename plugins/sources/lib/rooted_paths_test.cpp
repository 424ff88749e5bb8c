#include <source/rooted_paths.h>

#include <gtest/gtest.h>

#include <graft/error.h>

#include "temp_folder.h"

namespace graft::source {
namespace {

namespace fs = std::filesystem;

class RootedPathsTest : public ::testing::Test {
 protected:
  RootedPathsTest() {
    folder_.write("root/a.jpg", "123");
    folder_.write("root/sub/b.jpg", "12345");
    folder_.write("outside.jpg", "secret");
    folder_.write("rootless/c.jpg", "secret");
  }
  RootedPaths paths(bool allow_outside = false) {
    Value v = Value::map();
    v["allow_outside"] = allow_outside;
    return RootedPaths(root_.string() + "/", Params(v));
  }
  /// The size that look finds, and the path or the code and text that checked gives.
  std::string follow(RootedPaths paths, const std::string& path) {
    const FileRef file = paths.look(path);
    const std::string size = std::to_string(file.size) + (file.mtime_ns > 0 ? "" : " unknown") + ": ";
    try {
      return size + paths.checked(file).path;
    } catch (const Reject& e) {
      return size + e.code() + ": " + e.what();
    }
  }
  std::string outside(const std::string& to) {
    return "0 unknown: outside-root: the path leads to " + to + ", outside the root " + root_.string() +
           "; move the file below the root, or set allow_outside: true";
  }

  test::TempFolder folder_;
  fs::path base_ = fs::canonical(folder_.path()), root_ = base_ / "root";
};

TEST_F(RootedPathsTest, TakesWhatIsBelowTheRoot) {
  const std::string sub = "5: " + (root_ / "sub/b.jpg").string();
  EXPECT_EQ(follow(paths(), "sub/b.jpg"), sub);
  EXPECT_EQ(follow(paths(), "./sub//b.jpg"), sub);
  EXPECT_EQ(follow(paths(), "sub/../sub/b.jpg"), sub);
  EXPECT_EQ(follow(paths(), (root_ / "sub/b.jpg").string()), sub);
  EXPECT_EQ(follow(paths(), "none.jpg"), "0 unknown: " + (root_ / "none.jpg").string());
  EXPECT_EQ(follow(paths(), "sub"), "0 unknown: " + (root_ / "sub").string());
  fs::create_symlink("sub/b.jpg", root_ / "link.jpg");
  fs::create_directory_symlink(root_ / "sub", root_ / "link");
  EXPECT_EQ(follow(paths(), "link.jpg"), sub);
  EXPECT_EQ(follow(paths(), "link/b.jpg"), sub);
}

TEST_F(RootedPathsTest, RefusesWhatLeadsOut) {
  fs::create_symlink("../outside.jpg", root_ / "link.jpg");
  fs::create_directory_symlink(base_, root_ / "up");
  for (const std::string path : {"../outside.jpg", "sub/../../outside.jpg", "link.jpg", "up/outside.jpg"})
    EXPECT_EQ(follow(paths(), path), outside(base_ / "outside.jpg")) << path;
  EXPECT_EQ(follow(paths(), base_ / "outside.jpg"), outside(base_ / "outside.jpg"));
  EXPECT_EQ(follow(paths(), "../rootless/c.jpg"), outside(base_ / "rootless/c.jpg"));
  EXPECT_EQ(follow(paths(), "../none.jpg"), outside(base_ / "none.jpg"));
  EXPECT_EQ(follow(paths(), "/dev/zero"), outside("/dev/zero"));
}

// Opening "none/../a.jpg" fails where there is no folder "none", and "sub/../a.jpg" would not be that file
// where "sub" is a link.
TEST_F(RootedPathsTest, APathThroughAMissingFolderLeadsToNoFile) {
  const FileRef file = paths().checked(paths().look("none/../a.jpg"));
  EXPECT_EQ(file.path, (root_ / "none/../a.jpg").string());
  EXPECT_FALSE(fs::exists(file.path));
}

TEST_F(RootedPathsTest, ReadsOutsideWhenAllowedTo) {
  EXPECT_EQ(follow(paths(true), "../outside.jpg"), "6: " + (root_ / "../outside.jpg").string());
  EXPECT_EQ(follow(paths(true), base_ / "outside.jpg"), "6: " + (base_ / "outside.jpg").string());
}

TEST_F(RootedPathsTest, TheRootMayBeALink) {
  fs::create_directory_symlink(root_, base_ / "alias");
  Value v = Value::map();
  v["allow_outside"] = false;
  RootedPaths paths((base_ / "alias").string(), Params(v));
  EXPECT_EQ(paths.checked(paths.look("a.jpg")).path, (root_ / "a.jpg").string());
  EXPECT_EQ(paths.checked(paths.look("none.jpg")).path, (base_ / "alias/none.jpg").string());
}

}  // namespace
}  // namespace graft::source
