#include "store/row_index.h"

#include <utility>

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(RowIndex, FindsWhatWasInsertedAndNothingElse) {
  RowIndex index;
  EXPECT_EQ(index.find({1, 2}), nullptr);
  // Ids that fall on one slot must not hide each other.
  for (std::uint32_t i = 0; i < 5000; ++i) index.insert({i, i % 7}, {i, i + 1});
  EXPECT_EQ(index.size(), 5000u);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const RowPlace* place = index.find({i, i % 7});
    ASSERT_NE(place, nullptr);
    EXPECT_EQ(place->part, i);
    EXPECT_EQ(place->row, i + 1);
  }
  EXPECT_EQ(index.find({5000, 5000 % 7}), nullptr);
}

TEST(RowIndex, FindsWhatWasMergedIntoPagedMemory) {
  // More than it holds in memory, several times over, and ids that are not there between those that are.
  constexpr std::uint32_t kRows = 400'000;
  const auto id = [](std::uint32_t i) { return digest(&i, sizeof i); };
  RowIndex index;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    ASSERT_TRUE(index.try_insert(id(i), {i, i + 1})) << i;
    if (i % 1000 == 0) {
      ASSERT_EQ(index.find(id(kRows + i)), nullptr) << i;
      ASSERT_FALSE(index.try_insert(id(i / 2), {0, 0})) << i;
    }
  }
  EXPECT_EQ(index.size(), kRows);
  const auto expect = [&](std::uint32_t i) {
    const RowPlace* place = index.find(id(i));
    ASSERT_NE(place, nullptr) << i;
    ASSERT_EQ(place->part, i);
    ASSERT_EQ(place->row, i + 1);
  };
  for (std::uint32_t i = 0; i < kRows; ++i) expect(i);                       // in order
  for (std::uint32_t i = 0; i < kRows; i += 7) expect(i * 7919ull % kRows);  // in none
  for (std::uint32_t i = kRows; i < kRows + 50'000; ++i) ASSERT_EQ(index.find(id(i)), nullptr) << i;
  index.find(id(5))->row = 77;
  EXPECT_EQ(index.find(id(5))->row, 77u);
  RowIndex moved = std::move(index);
  EXPECT_EQ(moved.find(id(5))->row, 77u);
  EXPECT_NE(moved.find(id(kRows - 1)), nullptr);
}

TEST(RowIndex, KeepsWhatIsWanted) {
  const auto id = [](std::uint32_t i) { return digest(&i, sizeof i); };
  RowIndex index;
  for (std::uint32_t i = 0; i < 100'000; ++i) index.insert(id(i), {0, i});
  std::uint32_t asked = 0;
  index.keep_if([&](const Digest& wanted) {
    EXPECT_EQ(wanted, id(asked));
    return asked++ % 3 == 0;
  });
  EXPECT_EQ(asked, 100'000u);
  EXPECT_EQ(index.size(), 33'334u);
  for (std::uint32_t i = 0; i < 100'000; i += 11) {
    const RowPlace* place = index.find(id(i));
    ASSERT_EQ(place != nullptr, i % 3 == 0) << i;
    if (place == nullptr) continue;
    EXPECT_EQ(place->row, i);
  }
}

TEST(RowIndex, IdsWhoseHashesBeginAlikeAreToldApart) {
  // Small numbers: their upper halves are equal, whatever the factors.
  RowIndex index;
  for (std::uint64_t i = 0; i < 200'000; ++i) index.insert({0, i}, {0, static_cast<std::uint32_t>(i)});
  for (std::uint64_t i = 0; i < 200'000; i += 3) {
    const RowPlace* place = index.find({0, i});
    ASSERT_NE(place, nullptr) << i;
    ASSERT_EQ(place->row, i);
  }
  for (std::uint64_t i = 200'000; i < 201'000; ++i) ASSERT_EQ(index.find({0, i}), nullptr) << i;
}

}  // namespace
}  // namespace graft
