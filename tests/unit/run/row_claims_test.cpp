#include "run/row_claims.h"

#include <cstdint>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>

#include "run/run_table.h"
#include "store/row_writer.h"
#include "temp_folder.h"

namespace graft {
namespace {

Digest id_of(std::uint64_t i) {
  return digest(&i, sizeof i);
}

RunTable table_in(const std::filesystem::path& folder, const ViewCounts& views) {
  Fingerprint print;
  print.description["made_by"] = "a test";
  print.digest = digest("a test");
  RunTable table;
  table.views = views;
  table.store = std::make_unique<TableStore>(folder, print);
  return table;
}

TEST(RowClaims, ARowIsClaimedOnceWhetherOrNotItIsStoredMeanwhile) {
  constexpr std::uint64_t kRows = 150'000, kStored = 100'000;
  const test::TempFolder folder;
  const RunTable table = table_in(folder.path(), {1, 1, 1});
  table.store->prepare_to_write();
  RowWriter writer({table.store.get()});
  RowClaims claims;
  for (std::uint64_t i = 0; i < kRows; ++i) {
    ASSERT_TRUE(claims.claim(id_of(i), table)) << i;
    if (i + 1 != kStored) continue;
    for (std::uint64_t stored = 0; stored < kStored; ++stored) {
      RowWriter::Job job;
      job.id = id_of(stored);
      job.sequence = stored;
      job.format = {DType::U8, {1}};
      job.payload = {0};
      writer.push(std::move(job));
    }
    writer.finish();
  }
  static_assert(kRows > 131'072);  // the claims of stored rows are dropped on the way
  for (std::uint64_t i = 0; i < kRows; i += 97) {
    const bool stored = table.store->find_row(id_of(i)).has_value();
    EXPECT_EQ(stored, i < kStored) << i;
    if (stored) continue;
    EXPECT_FALSE(claims.claim(id_of(i), table)) << i;
  }
}

TEST(RowClaims, AnInputOfSeveralViewsStaysClaimed) {
  const test::TempFolder folder;
  const RunTable table = table_in(folder.path(), {3, 1, 1});
  RowClaims claims;
  for (std::uint64_t i = 0; i < 300'000; ++i) ASSERT_TRUE(claims.claim(id_of(i), table)) << i;
  for (std::uint64_t i = 0; i < 300'000; i += 997) EXPECT_FALSE(claims.claim(id_of(i), table)) << i;
  claims.clear();
  EXPECT_TRUE(claims.claim(id_of(0), table));
}

}  // namespace
}  // namespace graft
