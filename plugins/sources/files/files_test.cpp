#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::StageHarness;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    for (const char* name : {"b/2.jpg", "b/1.PNG", "b/c/3.jpg", "a.jpg", "b/.hidden"}) {
      const std::filesystem::path path = folder_ / name;
      std::filesystem::create_directories(path.parent_path());
      std::ofstream(path) << name;
    }
  }

  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }

  /// Keys without the folder in front.
  std::vector<std::string> keys(const std::string& paths) {
    StageHarness stage("files", "{paths: " + paths + "}");
    std::vector<std::string> out;
    Entry entry;
    auto& source = stage.as<Source>();
    while (source.next(entry)) {
      EXPECT_EQ(entry.split, Split::Test);
      EXPECT_TRUE(entry.labels.empty());
      out.push_back(entry.key.starts_with(at("")) ? entry.key.substr(at("").size()) : entry.key);
    }
    EXPECT_EQ(source.count(), out.size());
    return out;
  }

  test::TempFolder folder_;
};

TEST_F(FilesTest, PathsComeInTheirOrderAndFoldersInThatOfTheirNames) {
  EXPECT_THAT(keys("['" + at("b") + "/', '" + at("a.jpg") + "']"),
              ElementsAre("b/1.PNG", "b/2.jpg", "b/c/3.jpg", "a.jpg"));
}

TEST_F(FilesTest, PatternsMatchBelowTheFolderInFrontOfThem) {
  EXPECT_THAT(keys("'" + at("b/*.png") + "'"), ElementsAre("b/1.PNG"));
  EXPECT_THAT(keys("'" + at("**/*.jpg") + "'"), ElementsAre("a.jpg", "b/2.jpg", "b/c/3.jpg"));
  EXPECT_EQ(error_of([&] { keys("'" + at("b/*.gif") + "'"); }),
            "paths: no file matches '" + at("b/*.gif") + "'");
  EXPECT_EQ(error_of([&] { keys("'" + at("x/*.gif") + "'"); }),
            "paths: '" + at("x/*.gif") + "': there is no folder " + at("x"));
}

TEST_F(FilesTest, ALineOfAListIsAPath) {
  std::ofstream(folder_ / "list.txt") << "\xef\xbb\xbf"
                                      << "a.jpg\r\n\nb/2.jpg\n"
                                      << at("missing.jpg") << "\n";
  EXPECT_THAT(keys("'" + at("list.txt") + "'"), ElementsAre("a.jpg", "b/2.jpg", "missing.jpg"));
  std::filesystem::rename(folder_ / "list.txt", folder_ / "LIST.TXT");
  EXPECT_THAT(keys("'" + at("LIST.TXT") + "'"), ElementsAre("a.jpg", "b/2.jpg", "missing.jpg"));
}

TEST_F(FilesTest, APathThatOccursTwiceIsTwoInputs) {
  EXPECT_THAT(keys("['" + at("a.jpg") + "', '" + at("a.jpg") + "']"), ElementsAre("a.jpg", "a.jpg#2"));
}

TEST_F(FilesTest, WhatIsSkippedIsCounted) {
  StageHarness stage("files", "{paths: '" + at("b") + "'}");
  EXPECT_THAT(stage.warnings(),
              ElementsAre(HasSubstr("1 hidden file or folder skipped, for example " + at("b/.hidden"))));
}

TEST_F(FilesTest, AListThatIsNoRegularFileIsNotOpened) {
  ASSERT_EQ(::mkfifo((folder_ / "list.txt").c_str(), 0600), 0);  // to open it would wait for ever
  EXPECT_THAT(keys("'" + at("list.txt") + "'"), ElementsAre("list.txt"));
}

TEST_F(FilesTest, NothingIsAnError) {
  std::filesystem::create_directory(folder_ / "empty");
  EXPECT_EQ(error_of([&] { keys("'" + at("empty") + "'"); }),
            "paths: expected files, got none in " + at("empty"));
}

}  // namespace
}  // namespace graft
