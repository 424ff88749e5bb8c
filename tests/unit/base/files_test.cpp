#include "base/files.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

TEST(LiesIn, GoesByPlacesNotByNames) {
  const test::TempFolder folder;
  fs::create_directories(folder / "a/b");
  fs::create_directory_symlink(folder / "a/b", folder / "link");
  const fs::path a = folder / "a";
  for (const char* inside : {"a", "a/", "a/b", "a/b/nothing/yet", "link", "link/x", "a/b/../c", "x/../a/c"})
    EXPECT_TRUE(lies_in(folder / inside, a)) << inside;
  for (const char* outside : {"", "ab", "a.failed/x", "a/..", "a/../x", "link/../../x"})
    EXPECT_FALSE(lies_in(folder / outside, a)) << outside;
  EXPECT_TRUE(lies_in(folder / "a/b", fs::path((folder / "a").string() + "/")));
  EXPECT_TRUE(lies_in(folder / "new/x", folder / "new/")) << "what is not there yet";
  EXPECT_FALSE(lies_in("", a));
  EXPECT_TRUE(lies_in("x", "."));
}

}  // namespace
}  // namespace graft
