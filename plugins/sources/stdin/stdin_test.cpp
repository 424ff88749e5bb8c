#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StageHarness;

class Stdin : public ::testing::Test {
 protected:
  /// With `input` as the standard input; the root is the temporary folder.
  StageHarness open(const std::string& input, const std::string& more = "") {
    std::istringstream in(input);
    std::streambuf* const before = std::cin.rdbuf(in.rdbuf());
    std::cin.clear();
    struct Restore {
      std::streambuf* before;
      ~Restore() { std::cin.rdbuf(before); }
    } const restore{before};
    return StageHarness("stdin", "{root: \"" + folder_.path().string() +
                                     "\", val_fraction: 0, test_fraction: 0" +
                                     (more.empty() ? "" : ", " + more) + "}");
  }
  std::vector<std::string> keys(const std::string& input, const std::string& more = "") {
    auto stage = open(input, more);
    std::vector<std::string> out;
    for (const Entry& e : stage.list()) out.push_back(e.key);
    return out;
  }
  std::string fault(const std::string& input, const std::string& more = "") {
    try {
      open(input, more);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  }
  TempFolder folder_;
};

TEST_F(Stdin, ReadsPathsALine) {
  folder_.write("cats/a.jpg", "12345");
  auto stage = open("cats/a.jpg\r\n\n./dogs/b.jpg\nlast.jpg");
  EXPECT_EQ(stage.as<Source>().count(), 3u);
  EXPECT_THAT(stage.as<Source>().classes(), IsEmpty());
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].key, "cats/a.jpg");
  EXPECT_THAT(entries[0].labels, IsEmpty());
  EXPECT_EQ(std::get<Bytes>(stage.load(entries[0])).size, 5u);
  EXPECT_EQ(entries[1].key, "./dogs/b.jpg");
  EXPECT_EQ(entries[2].key, "last.jpg");
  try {
    stage.load(entries[2]);
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "missing");
  }
}

TEST_F(Stdin, AByteOrderMarkIsNoPartOfAPath) {
  EXPECT_THAT(keys("\xef\xbb\xbf"
                   "a.jpg\nb.jpg\n"),
              ElementsAre("a.jpg", "b.jpg"));
}

TEST_F(Stdin, PathsMayEndInNul) {
  EXPECT_THAT(keys(std::string("a\nb.jpg\0c\r\0", 11), "separator: nul"), ElementsAre("a\nb.jpg", "c\r"));
}

TEST_F(Stdin, TheParentFolderIsTheClass) {
  auto stage = open("cats/a.jpg\nx/./dogs/b.jpg\n../c.jpg\nd.jpg\n", "label_from: parent_folder");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("cats", "dogs"));
  const auto entries = stage.list();
  EXPECT_THAT(entries[1].labels, ElementsAre(1));
  EXPECT_THAT(entries[2].labels, IsEmpty());
  EXPECT_THAT(entries[3].labels, IsEmpty());
}

TEST_F(Stdin, PathsMayNotLeaveTheRoot) {
  auto stage = open("../x.jpg\n/etc/passwd\n");
  for (const Entry& e : stage.list()) try {
      stage.load(e);
      FAIL() << e.key;
    } catch (const Reject& reject) {
      EXPECT_EQ(reject.code(), "outside-root");
    }
}

TEST_F(Stdin, APathThatStandsTwiceIsTwoInputs) {
  auto stage = open("a.jpg\na.jpg\n");
  EXPECT_THAT(
      stage.warnings(),
      ElementsAre("1 line of the standard input with a path that an earlier line has, for example a.jpg "
                  "in line 2: kept as inputs of their own, with keys such as PATH#2"));
  EXPECT_EQ(stage.list().at(1).key, "a.jpg#2");
}

TEST_F(Stdin, SaysWhatIsWrong) {
  EXPECT_EQ(fault(""), "expected one path per line in the standard input, got none");
  EXPECT_EQ(fault(std::string("a.jpg\nb\0c\n", 10)),
            "the standard input:2: the path holds a NUL byte, which no file name can");
}

}  // namespace
}  // namespace graft
