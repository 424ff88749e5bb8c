#include "store/digest_memo.h"

#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft {
namespace {

using test::slurp;
using test::TempFolder;

TEST(DigestMemo, RemembersUnchangedFilesOnly) {
  const TempFolder folder;
  const auto file = folder.write("x.jpg", "content");
  const FileRef old = [&] {
    FileRef f = examine_file(file);
    f.mtime_ns -= 10'000'000'000;
    return f;
  }();
  {
    DigestMemo memo(folder / "memo");
    EXPECT_EQ(memo.find(old), std::nullopt);
    memo.remember(old, digest("content"));
    memo.remember(examine_file(file), digest("content"));  // changed a moment ago: not remembered
  }
  DigestMemo memo(folder / "memo");
  EXPECT_EQ(memo.find(old), digest("content"));
  EXPECT_EQ(memo.find(examine_file(file)), std::nullopt);
  FileRef changed = old;
  changed.size += 1;
  EXPECT_EQ(memo.find(changed), std::nullopt);
  changed = old;
  changed.mtime_ns += 1;
  EXPECT_EQ(memo.find(changed), std::nullopt);
  // A damaged memo forgets; it never lies.
  std::string bytes = slurp(folder / "memo");
  bytes[3] ^= 4;
  folder.write("memo2", bytes);
  EXPECT_EQ(DigestMemo(folder / "memo2").find(old), std::nullopt);
}

// A source that found no file under a path knows neither its size nor its times.
TEST(DigestMemo, RemembersNoFileThatNobodyLookedAt) {
  const TempFolder folder;
  DigestMemo memo(folder / "memo");
  FileRef unknown;
  unknown.path = "/data/none.jpg";
  memo.remember(unknown, digest("content"));
  bool changed = false;
  EXPECT_EQ(memo.find(unknown, &changed), std::nullopt);
  EXPECT_FALSE(changed);
}

FileRef old_file(int i) {
  FileRef f;
  f.path = "/data/" + std::to_string(i) + ".jpg";
  f.size = 1000 + static_cast<std::uint64_t>(i);
  f.mtime_ns = f.ctime_ns = 1'700'000'000'000'000'000 + i;
  return f;
}

TEST(DigestMemo, TellsAChangedFileFromOneNeverSeen) {
  const TempFolder folder;
  DigestMemo memo(folder / "memo");
  memo.remember(old_file(1), digest("one"));
  bool changed = false;
  EXPECT_EQ(memo.find(old_file(1), &changed), digest("one"));
  EXPECT_EQ(memo.find(old_file(2), &changed), std::nullopt);
  EXPECT_FALSE(changed);
  FileRef put_back = old_file(1);
  put_back.ctime_ns += 5;  // other bytes, the same size, and utime() after it
  EXPECT_EQ(memo.find(put_back, &changed), std::nullopt);
  EXPECT_TRUE(changed);
  // Members of one archive are told apart.
  FileRef member = old_file(1);
  member.member = "a.jpg";
  EXPECT_EQ(memo.find(member), std::nullopt);
}

TEST(DigestMemo, IsWrittenWhileTheRunGoesOn) {
  const TempFolder folder;
  DigestMemo memo(folder / "memo"), other(folder / "memo");
  for (int i = 0; i < 5000; ++i) (i % 2 == 0 ? memo : other).remember(old_file(i), digest(std::to_string(i)));
  const DigestMemo reader(folder / "memo");
  int known = 0;
  for (int i = 0; i < 5000; ++i) known += reader.find(old_file(i)) == digest(std::to_string(i)) ? 1 : 0;
  EXPECT_GE(known, 4096);
}

TEST(DigestMemo, ATornRecordDoesNotPutLaterOnesOutOfStep) {
  const TempFolder folder;
  {
    DigestMemo memo(folder / "memo");
    for (int i = 0; i < 10; ++i) memo.remember(old_file(i), digest(std::to_string(i)));
  }
  std::filesystem::resize_file(folder / "memo", std::filesystem::file_size(folder / "memo") - 20);
  {
    DigestMemo memo(folder / "memo");
    memo.remember(old_file(20), digest("20"));
  }
  const DigestMemo memo(folder / "memo");
  for (int i = 0; i < 9; ++i) EXPECT_EQ(memo.find(old_file(i)), digest(std::to_string(i))) << i;
  EXPECT_EQ(memo.find(old_file(9)), std::nullopt);
  EXPECT_EQ(memo.find(old_file(20)), digest("20"));
}

TEST(DigestMemo, ForgetsWhatWasSuperseded) {
  const TempFolder folder;
  {
    DigestMemo memo(folder / "memo");
    for (int round = 0; round < 2000; ++round) {
      FileRef f = old_file(1);
      f.size = static_cast<std::uint64_t>(round);
      memo.remember(f, digest(std::to_string(round)));
    }
  }
  EXPECT_GT(std::filesystem::file_size(folder / "memo"), 100'000u);
  FileRef last = old_file(1);
  last.size = 1999;
  EXPECT_EQ(DigestMemo(folder / "memo").find(last), digest("1999"));
  EXPECT_LT(std::filesystem::file_size(folder / "memo"), 1000u);
  EXPECT_EQ(DigestMemo(folder / "memo").find(last), digest("1999"));
}

}  // namespace
}  // namespace graft
