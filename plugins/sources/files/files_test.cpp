#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include "archive_files.h"
#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::StageHarness;
using ::testing::StartsWith;

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
    EXPECT_EQ(source.count().value_or(out.size()), out.size());
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

/// Loaded as the runtime does: "key: content", or "key: [code] text".
std::vector<std::string> contents(StageHarness& stage) {
  std::vector<std::string> out;
  auto& source = stage.as<Source>();
  for (Entry entry; source.next(entry); entry = Entry()) {
    try {
      const auto bytes = std::get<Bytes>(stage.load(entry));
      out.push_back(entry.key + ": " + std::string(bytes.data, bytes.data + bytes.size));
    } catch (const Reject& e) {
      out.push_back(entry.key + ": [" + e.code() + "] " + e.what());
    }
  }
  return out;
}

TEST_F(FilesTest, ArchivesStandForTheImagesInThem) {
  for (const char* name : {"x.tar", "x.tar.gz", "x.TGZ", "x.zip"}) {
    const std::string path = at(name);
    if (std::string(name) == "x.TGZ")
      std::filesystem::rename(at("x.tar.gz"), path);
    else
      test::write_archive(path, {{"./2.jpg", "two"},
                                 {"a/1.PNG", "one"},
                                 {"2.cls", "7"},
                                 {"a/.hidden.jpg", ""},
                                 {"2.jpg", "again"}});
    StageHarness stage("files", "{paths: ['" + path + "', '" + at("a.jpg") + "']}");
    EXPECT_EQ(stage.as<Source>().count(), std::nullopt)
        << "an archive is read once, and not before it is needed";
    EXPECT_THAT(contents(stage), ElementsAre(path + "/2.jpg: two", path + "/a/1.PNG: one",
                                             path + "/2.jpg#2: again", at("a.jpg") + ": a.jpg"));
    EXPECT_THAT(
        stage.warnings(),
        ElementsAre("1 archive member without the extension of an image skipped, for example " + path +
                        "/2.cls (rename it to use it)",
                    "1 hidden image skipped, for example " + path +
                        "/a/.hidden.jpg (its name, or that of its folder, begins with a dot; rename it "
                        "to use it)"));
  }
}

/// What the runtime remembers of one must not be taken for the other.
TEST_F(FilesTest, MembersOfOneNameAreNotTheSamePartOfTheirArchive) {
  test::write_archive(at("x.tar"), {{"2.jpg", "two"}, {"./2.jpg", "again"}, {"3.jpg", "two"}});
  StageHarness stage("files", "{paths: '" + at("x.tar") + "'}");
  std::set<std::string> parts;
  for (const Entry& entry : stage.list()) parts.insert(std::get<FileRef>(entry.payload).member);
  EXPECT_EQ(parts.size(), 3u) << ::testing::PrintToString(parts);
}

TEST_F(FilesTest, ArchivesInFoldersListsAndPatternsAreRead) {
  test::write_archive(at("b/y.tar"), {{"9.jpg", "nine"}});
  std::ofstream(folder_ / "list.txt") << "b/y.tar\na.jpg\n";
  EXPECT_THAT(keys("'" + at("b") + "'"), ElementsAre("b/1.PNG", "b/2.jpg", "b/c/3.jpg", "b/y.tar/9.jpg"));
  EXPECT_THAT(keys("['" + at("list.txt") + "', '" + at("b/*.tar") + "']"),
              ElementsAre("b/y.tar/9.jpg", "a.jpg", "b/y.tar/9.jpg#2"));
}

TEST_F(FilesTest, AnArchiveThatCannotBeReadIsALineOfItsOwn) {
  test::write_archive(at("none.tar"), {{"readme.md", "text"}});
  test::write_archive(at("cut.tar"), {{"1.jpg", std::string(5000, 'x')}, {"2.jpg", std::string(5000, 'y')}});
  std::filesystem::resize_file(at("cut.tar"), 8000);
  std::ofstream(folder_ / "text.zip") << "no archive";
  StageHarness stage("files", "{paths: ['" + at("none.tar") + "', '" + at("cut.tar") + "', '" +
                                  at("text.zip") + "', '" + at("gone.zip") + "', '" + at("a.jpg") + "']}");
  const std::vector<std::string> found = contents(stage);
  ASSERT_EQ(found.size(), 7u);
  EXPECT_EQ(found[0], at("none.tar") +
                          ": [no-images] the archive holds no file whose name has the extension of an image");
  EXPECT_THAT(found[1], StartsWith(at("cut.tar") + "/1.jpg: xxx"));
  EXPECT_THAT(found[2], StartsWith(at("cut.tar") + "/2.jpg: [corrupt] "));
  EXPECT_THAT(found[3], StartsWith(at("cut.tar") + ": [corrupt] "));
  EXPECT_THAT(found[4], StartsWith(at("text.zip") + ": [corrupt] expected a tar or zip archive, got "));
  EXPECT_EQ(found[5], at("gone.zip") + ": [missing] cannot open the file: No such file or directory");
  EXPECT_EQ(found[6], at("a.jpg") + ": a.jpg");
}

TEST_F(FilesTest, LinesOfAnyLengthAreReadButForEndlessOnes) {
  const std::string longest(70'000, 'x');
  std::ofstream(folder_ / "list.txt") << longest << "\n" << std::string(70'000, '\n') << "a.jpg";
  EXPECT_THAT(keys("'" + at("list.txt") + "'"), ElementsAre(longest, "a.jpg"));
  std::ofstream(folder_ / "list.txt") << std::string(3 << 20, 'x');
  EXPECT_EQ(error_of([&] { keys("'" + at("list.txt") + "'"); }),
            "paths: " + at("list.txt") + ": a line of more than 1 MiB: expected one path per line");
  std::ofstream(folder_ / "list.txt") << std::string("a\0b\n", 4);
  EXPECT_EQ(error_of([&] { keys("'" + at("list.txt") + "'"); }),
            "paths: " + at("list.txt") + ": a path with a NUL byte: expected one path per line");
}

TEST_F(FilesTest, NamesOfCopiesAreNoOthersNames) {
  std::ofstream(folder_ / "list.txt") << "a.jpg\na.jpg#2\na.jpg\na.jpg\n";
  EXPECT_THAT(keys("'" + at("list.txt") + "'"), ElementsAre("a.jpg", "a.jpg#2", "a.jpg#3", "a.jpg#4"));
}

TEST_F(FilesTest, NothingIsAnError) {
  std::filesystem::create_directory(folder_ / "empty");
  EXPECT_EQ(error_of([&] { keys("'" + at("empty") + "'"); }),
            "paths: expected files, got none in " + at("empty"));
  EXPECT_EQ(error_of([&] { keys("''"); }),
            "paths: one is empty: expected files, folders, patterns, lists, archives or -");
}

}  // namespace
}  // namespace graft
