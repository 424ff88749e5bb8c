#include "base/paged_memory.h"

#include "base/key_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <graft/hash.h>

namespace graft {
namespace {

constexpr std::size_t kMany = 1'000'000;

PagedVector<std::uint64_t> squares() {
  PagedVector<std::uint64_t> out;
  for (std::uint64_t i = 0; i < kMany; ++i) out.push_back(i * i);
  return out;
}

/// MiB of this process that are in memory.
double resident_mib() {
  std::ifstream in("/proc/self/statm");
  double all = 0, resident = 0;
  in >> all >> resident;
  return resident * 4096 / (1 << 20);
}

TEST(PagedVector, KeepsWhatWasReleased) {
  PagedVector<std::uint64_t> numbers = squares();
  const std::uint64_t* const first = &numbers[0];
  numbers.release();
  ASSERT_EQ(numbers.size(), kMany);
  std::uint64_t i = 0;
  for (const std::uint64_t n : std::as_const(numbers)) {
    ASSERT_EQ(n, i * i);
    ++i;
  }
  EXPECT_EQ(i, kMany);
  EXPECT_EQ(first, &numbers[0]) << "elements stay where they are";
  for (std::uint64_t& n : numbers) ++n;
  numbers.release();
  EXPECT_EQ(numbers[kMany - 1], (kMany - 1) * (kMany - 1) + 1);
  EXPECT_EQ(std::count_if(numbers.begin(), numbers.end(), [](std::uint64_t n) { return n == 1; }), 1);
}

TEST(PagedVector, TakesNoMemoryForWhatIsPassed) {
  if (!std::ifstream("/proc/self/statm")) GTEST_SKIP() << "needs /proc";
  squares();  // what is needed once
  const double before = resident_mib();
  const PagedVector<std::uint64_t> numbers = squares();
  EXPECT_LT(resident_mib() - before, 6) << "of 7.6 MiB, four blocks stay";
  std::uint64_t sum = 0;
  for (const std::uint64_t n : numbers) sum += n;
  EXPECT_LT(resident_mib() - before, 6);
  EXPECT_GT(sum, 0u);
}

TEST(PagedVector, DoesWithoutAFolderForTemporaryFiles) {
  const char* const known = std::getenv("TMPDIR");
  const std::string folder = known == nullptr ? "" : known;
  ::setenv("TMPDIR", "/nonexistent", 1);
  PagedVector<std::uint64_t> numbers = squares();
  if (known == nullptr)
    ::unsetenv("TMPDIR");
  else
    ::setenv("TMPDIR", folder.c_str(), 1);
  numbers.release();
  for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(numbers[i], i * i);
}

TEST(PagedArena, KeepsTextsAndNumbers) {
  PagedArena arena;
  std::vector<std::string_view> kept;
  std::vector<std::span<const std::int32_t>> numbers;
  for (std::int32_t i = 0; i < 100'000; ++i) {
    kept.push_back(arena.keep("images/" + std::to_string(i) + ".jpg"));
    const std::vector<std::int32_t> pair{i, -i};
    if (i % 3 == 0) numbers.push_back(arena.keep(std::span<const std::int32_t>(pair)));
  }
  const std::string large(3 * kPagedBlockBytes, 'x');
  const std::string_view large_kept = arena.keep(large);
  EXPECT_EQ(arena.keep("").size(), 0u);
  arena.release();
  EXPECT_EQ(large_kept, large);
  for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(kept[i], "images/" + std::to_string(i) + ".jpg");
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    ASSERT_EQ(numbers[i][0], static_cast<std::int32_t>(3 * i));
    ASSERT_EQ(numbers[i][1], -static_cast<std::int32_t>(3 * i));
  }
}

TEST(KeyTable, FindsRowsByKey) {
  const auto key = [](std::uint32_t i) { return "key " + std::to_string(i); };
  KeyTable table;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_FALSE(table.find(hash64(key(i)), [&](std::uint32_t row) { return key(row) == key(i); })) << i;
    table.add(hash64(key(i)), i);
  }
  for (std::uint32_t i = 0; i < 100'000; ++i)
    ASSERT_EQ(table.find(hash64(key(i)), [&](std::uint32_t row) { return key(row) == key(i); }), i);
  // Keys of one hash are told apart by whoever asks.
  table.add(hash64("key 5"), 100'000);
  EXPECT_EQ(table.find(hash64("key 5"), [](std::uint32_t row) { return row == 100'000; }), 100'000u);
}

}  // namespace
}  // namespace graft
