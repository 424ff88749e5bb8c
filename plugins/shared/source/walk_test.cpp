#include <source/walk.h>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft::source {
namespace {

TEST(Walk, WhatIsLeftOutIsNamedWithItsReason) {
  const test::TempFolder folder;
  folder.write("a/x.jpg", "1");
  folder.write("a/.hidden.jpg", "1");
  folder.write("a/.DS_Store", "1");
  folder.write(".git/x.jpg", "1");
  folder.write(".thumbs/x.jpg", "1");
  const std::string root = folder.path().string();
  ASSERT_EQ(mkfifo((root + "/a/pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("x.jpg", root + "/a/link.jpg");
  std::vector<std::string> skipped;
  const auto files =
      list_files(root, false, [&](const std::string& kind, const std::string& path, const std::string&) {
        skipped.push_back(kind + " " + path.substr(root.size() + 1));
      });
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].path, "a/x.jpg");
  EXPECT_THAT(skipped, ::testing::UnorderedElementsAre("hidden file or folder .thumbs",
                                                       "hidden file or folder a/.hidden.jpg",
                                                       "special file a/pipe", "symbolic link a/link.jpg"));
}

}  // namespace
}  // namespace graft::source
