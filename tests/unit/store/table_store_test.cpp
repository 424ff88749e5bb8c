#include "store/table_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/random.h>

#include "store/manifest.h"
#include "store/row_writer.h"
#include "store/table_check.h"
#include "store/table_rows.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::slurp;
using test::TempFolder;
using ::testing::HasSubstr;

const RowFormat kTableFormat{DType::F32, {3}};

Fingerprint print() {
  Fingerprint f;
  f.description["made_by"] = "a test";
  f.digest = digest("a test");
  return f;
}

Digest stored_id(std::uint64_t i) {
  return row_id(digest(std::to_string(i)), 0, "");
}

RowWriter::Job job(std::uint64_t i, std::shared_ptr<const void> keep = {}) {
  const float values[3] = {static_cast<float>(i), 0.5f, -1.0f};
  RowWriter::Job j;
  j.id = stored_id(i);
  j.sequence = i;
  j.format = kTableFormat;
  j.payload.assign(reinterpret_cast<const std::uint8_t*>(values),
                   reinterpret_cast<const std::uint8_t*>(values) + 12);
  j.keep = std::move(keep);
  return j;
}

RowWriter::Job reject_job(std::uint64_t i) {
  RowWriter::Job j;
  j.id = stored_id(i);
  j.sequence = i;
  j.ok = false;
  j.payload = encode_reject({"decode", "truncated", "cut"});
  return j;
}

void expect_row(const TableStore& store, std::uint64_t i) {
  const auto place = store.find_row(stored_id(i));
  ASSERT_TRUE(place.has_value()) << i;
  float values[3];
  store.read(place->part, place->row, 1, reinterpret_cast<std::uint8_t*>(values));
  EXPECT_EQ(values[0], static_cast<float>(i));
  EXPECT_EQ(values[2], -1.0f);
}

TEST(TableStore, RowsAndRejectsComeBackInTheOrderOfTheList) {
  const TempFolder folder;
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    writer.push(reject_job(4));
    for (const std::uint64_t i : {7, 1, 5, 0, 3, 2, 6}) writer.push(job(i));
    writer.finish();
    EXPECT_EQ(writer.committed(), 8u);
  }
  const TableStore store(folder.path(), print());
  EXPECT_EQ(store.rows(), 7u);
  EXPECT_EQ(store.format(), kTableFormat);
  for (const std::uint64_t i : {0, 1, 2, 3, 5, 6, 7}) expect_row(store, i);
  EXPECT_EQ(store.find_row(stored_id(0))->row, 0u);
  EXPECT_EQ(store.find_row(stored_id(7))->row, 6u);
  ASSERT_NE(store.find_reject(stored_id(4)), nullptr);
  EXPECT_EQ(store.find_reject(stored_id(4))->code, "truncated");
  EXPECT_TRUE(std::filesystem::is_empty(store.folder() / "logs"));
}

TEST(TableStore, ATableOfRejectsAloneIsATable) {
  const TempFolder folder;
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    writer.push(reject_job(1));
    writer.finish();
  }
  TableStore store(folder.path(), print());
  EXPECT_NE(store.find_reject(stored_id(1)), nullptr);
  EXPECT_FALSE(store.format().has_value());
  store.prepare_to_write();
  RowWriter writer({&store});
  writer.push(job(2));
  writer.finish();
  expect_row(store, 2);
}

TEST(TableStore, TheLogOfAKilledProcessIsSealedByTheNextRun) {
  const TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    for (std::uint64_t i = 0; i < 600; ++i) writer.push(job(i));
    writer.commit_now();
    ::_exit(0);  // as kill -9: no destructor, no sealing
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  TableStore store(folder.path(), print());
  EXPECT_EQ(store.rows(), 600u) << "what was committed is there before it is sealed";
  EXPECT_FALSE(std::filesystem::is_empty(store.folder() / "logs")) << "looking changes nothing";
  for (const std::uint64_t i : {0, 299, 599}) expect_row(store, i);
  store.prepare_to_write();
  EXPECT_EQ(store.rows(), 600u);
  for (const std::uint64_t i : {0, 299, 599}) expect_row(store, i);
  EXPECT_TRUE(std::filesystem::is_empty(store.folder() / "logs"));
}

TEST(TableStore, TheLogOfALivingProcessIsUsedAndLeftAlone) {
  const TempFolder folder;
  TableStore other(folder.path(), print());
  other.prepare_to_write();
  RowLog log = RowLog::create(other.new_log_path(), kTableFormat);
  const RowWriter::Job row = job(3);
  log.append({row.id, row.sequence, true, row.payload});
  log.sync();
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    EXPECT_TRUE(std::filesystem::exists(log.path()));
    expect_row(store, 3);
    // Its owner seals it: the row stays where it is for who has the log open.
    other.seal(log.path());
    expect_row(store, 3);
  }
  EXPECT_FALSE(std::filesystem::exists(log.path()));
  expect_row(TableStore(folder.path(), print()), 3);
}

TEST(TableStore, ASummaryCountsARowOnceThatIsInTwoLogsOrIsJustBeingSealed) {
  const TempFolder folder;
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  RowLog log = RowLog::create(store.new_log_path(), kTableFormat);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const RowWriter::Job row = job(i);
    log.append({row.id, row.sequence, true, row.payload});
  }
  const RowWriter::Job reject = reject_job(3);
  log.append({reject.id, reject.sequence, false, reject.payload});
  log.sync();
  // As another worker leaves it that has computed the same inputs.
  std::filesystem::copy_file(log.path(), store.new_log_path());
  const auto expect_counts = [&](std::uint64_t shards, std::uint64_t logs) {
    const TableSummary summary = summarise_table(store.folder());
    EXPECT_EQ(summary.rows, 3u);
    EXPECT_EQ(summary.rejects, 1u);
    EXPECT_EQ(summary.shards, shards);
    EXPECT_EQ(summary.logs, logs);
  };
  expect_counts(0, 2);
  store.seal(log.path());
  expect_counts(1, 1);
}

TEST(TableStore, ALogThatSomebodyRemovedIsAnError) {
  const TempFolder folder;
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  RowLog log = RowLog::create(store.new_log_path(), kTableFormat);
  std::filesystem::remove(log.path());
  EXPECT_THROW(log.sync(), Error);
}

TEST(TableStore, TheFirstSealWins) {
  const TempFolder folder;
  TableStore a(folder.path(), print()), b(folder.path(), print());
  a.prepare_to_write();
  b.prepare_to_write();
  RowWriter one({&a}), two({&b});
  for (std::uint64_t i = 0; i < 10; ++i) one.push(job(i));
  for (std::uint64_t i = 5; i < 20; ++i) two.push(job(i));
  two.push(reject_job(20));
  one.finish();
  two.finish();
  const TableStore store(folder.path(), print());
  EXPECT_EQ(store.rows(), 20u);
  std::size_t sealed = 0;
  for (const auto& [number, path] : manifest_entries(store.folder()))
    sealed += ShardEntry::read(path).row_ids.size();
  EXPECT_EQ(sealed, 20u) << "no row is in two shards";
  for (std::uint64_t i = 0; i < 20; ++i) expect_row(store, i);
}

// As on a network file system, whose listings of a folder may be old.
TEST(TableStore, AnEntryThatIsShownLateIsSeenBeforeTheNextSeal) {
  const TempFolder folder;
  std::filesystem::path table;
  for (const std::uint64_t first : {0, 10}) {
    TableStore store(folder.path(), print());
    table = store.folder();
    store.prepare_to_write();
    RowWriter writer({&store});
    for (std::uint64_t i = first; i < first + 10; ++i) writer.push(job(i));
    writer.finish();
  }
  std::filesystem::rename(table / "manifest/00000001", folder / "late");
  TableStore store(folder.path(), print());
  EXPECT_EQ(store.rows(), 10u);
  std::filesystem::rename(folder / "late", table / "manifest/00000001");
  store.prepare_to_write();
  RowWriter writer({&store});
  for (std::uint64_t i = 0; i < 10; ++i) writer.push(job(i));  // computed again
  writer.push(job(20));
  writer.finish();
  std::size_t sealed = 0;
  for (const auto& [number, path] : manifest_entries(table)) sealed += ShardEntry::read(path).row_ids.size();
  EXPECT_EQ(sealed, 21u) << "no row is in two shards";
}

class DamagedTable : public ::testing::Test {
 protected:
  void SetUp() override {
    TableStore store(folder_.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    for (std::uint64_t i = 0; i < 100; ++i) writer.push(job(i));
    writer.finish();
    table_ = store.folder();
    entry_ = table_ / "manifest/00000001";
    shard_ = table_ / "shards" / ShardEntry::read(entry_).file;
  }
  std::string error() const {
    try {
      const TableStore store(folder_.path(), print());
      float row[3];
      store.read(0, 57, 1, reinterpret_cast<std::uint8_t*>(row));
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  std::string cure() const {
    return "\nto drop exactly the damaged shards: graft store verify --repair --store " +
           folder_.path().string() + "; the next run computes their rows again, all others stay";
  }
  TempFolder folder_;
  std::filesystem::path table_, entry_, shard_;
};

TEST_F(DamagedTable, AShardOfAnotherSizeIsNamedWithItsCure) {
  const auto bytes = std::filesystem::file_size(shard_);
  std::filesystem::resize_file(shard_, 100);
  EXPECT_EQ(error(),
            shard_.string() + ": has 100 bytes, the manifest says " + std::to_string(bytes) + cure());
  std::filesystem::remove(shard_);
  EXPECT_EQ(error(), "cannot open " + shard_.string() + ": No such file or directory" + cure());
  std::filesystem::create_directory(shard_);
  EXPECT_EQ(error(), shard_.string() + ": is not a regular file" + cure());
}

TEST_F(DamagedTable, EveryFlippedBitOfAnEntryIsFound) {
  const std::string good = slurp(entry_);
  Random random(2);
  for (int trial = 0; trial < 300; ++trial) {
    std::string bad = good;
    const std::size_t at = random.below(bad.size());
    bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
    std::ofstream(entry_, std::ios::binary) << bad;
    EXPECT_THROW(ShardEntry::read(entry_), Error) << at;
  }
  for (std::size_t size = 0; size < good.size(); size += 7) {
    std::ofstream(entry_, std::ios::binary) << good.substr(0, size);
    EXPECT_THROW(ShardEntry::read(entry_), Error) << size;
  }
  std::ofstream(entry_, std::ios::binary) << good.substr(0, good.size() - 1);
  EXPECT_EQ(error(),
            entry_.string() + ": the entry of the manifest is damaged (its checksum is wrong)" + cure());
}

TEST_F(DamagedTable, AFlippedBitInARowIsAnErrorWhenItIsRead) {
  std::string bytes = slurp(shard_);
  const float value = 57.0f;
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), 4));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  std::ofstream(shard_, std::ios::binary) << bytes;
  EXPECT_EQ(error(), shard_.string() + ": row 57 is damaged (its checksum is wrong)" + cure());
}

TEST(TableRows, ReadsAnyOrderAcrossShards) {
  const TempFolder folder;
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    for (int part = 0; part < 3; ++part) {
      RowWriter writer({&store});
      for (std::uint64_t i = 0; i < 50; ++i) writer.push(job(static_cast<std::uint64_t>(part) * 50 + i));
      writer.finish();
    }
  }
  const TableStore store(folder.path(), print());
  Listing listing;
  Random random(5);
  std::vector<TableRow> rows;
  std::vector<float> wanted;
  for (int n = 0; n < 400; ++n) {
    const std::uint64_t i = random.below(150);
    listing.add("", Split::Train, {});
    rows.push_back({static_cast<std::uint32_t>(n), 0, *store.find_row(stored_id(i))});
    wanted.push_back(static_cast<float>(i));
  }
  const TableRows table(store, listing, rows);
  std::vector<float> values(400 * 3);
  table.read(0, 400, values.data());
  for (std::size_t n = 0; n < 400; ++n) ASSERT_EQ(values[n * 3], wanted[n]);
  table.read(17, 5, values.data());
  EXPECT_EQ(values[0], wanted[17]);
}

TEST(TableRows, HalvesWidenExactly) {
  const TempFolder folder;
  const RowFormat format{DType::F16, {8}};
  const std::uint16_t halves[8] = {0x0000, 0x8000, 0x3c00, 0xc000, 0x0001, 0x03ff, 0x7bff, 0x7c00};
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  RowWriter writer({&store});
  RowWriter::Job j = job(1);
  j.format = format;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(halves);
  j.payload.assign(bytes, bytes + sizeof halves);
  writer.push(std::move(j));
  writer.finish();
  Listing listing;
  listing.add("", Split::Train, {});
  float values[8];
  TableRows(store, listing, {{0, 0, *store.find_row(stored_id(1))}}).read(0, 1, values);
  EXPECT_THAT(values, ::testing::ElementsAre(0.0f, -0.0f, 1.0f, -2.0f, 0x1p-24f, 0x1.ff8p-15f, 65504.0f,
                                             std::numeric_limits<float>::infinity()));
}

TEST(TableRows, APackedTableReadsTheSame) {
  const TempFolder folder;
  TableStore store(folder.path(), print());
  store.set_compression(Compression::Gzip);
  store.prepare_to_write();
  const RowFormat format{DType::F32, {600}};
  Random random(8);
  std::vector<std::vector<float>> rows(1000, std::vector<float>(600));
  {
    RowWriter writer({&store});
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
      for (float& v : rows[i]) v = random.below(3) == 0 ? static_cast<float>(random.uniform(0, 1)) : 0.0f;
      RowWriter::Job j = job(i);
      j.format = format;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows[i].data());
      j.payload.assign(bytes, bytes + 2400);
      writer.push(std::move(j));
    }
    writer.finish();
  }
  const ShardEntry entry = ShardEntry::read(store.folder() / "manifest/00000001");
  EXPECT_EQ(entry.compression, Compression::Gzip);
  EXPECT_GT(entry.chunks.size(), 1u);
  EXPECT_LT(entry.bytes, 1000u * 2400 * 2 / 3);
  const TableStore again(folder.path(), print());
  for (int n = 0; n < 300; ++n) {
    const std::size_t first = random.below(1000),
                      count = 1 + random.below(std::min<std::uint64_t>(1000 - first, 30));
    std::vector<float> got(count * 600);
    again.read(0, first, count, reinterpret_cast<std::uint8_t*>(got.data()));
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_TRUE(std::equal(got.data() + i * 600, got.data() + i * 600 + 600, rows[first + i].data()))
          << first + i;
  }
}

TEST(Files, LinkingNeverReplaces) {
  const TempFolder folder;
  folder.write("a.tmp", "first");
  folder.write("b.tmp", "second");
  EXPECT_TRUE(link_without_replacing(folder / "a.tmp", folder / "name"));
  EXPECT_FALSE(link_without_replacing(folder / "b.tmp", folder / "name"));
  EXPECT_EQ(slurp(folder / "name"), "first");
  EXPECT_FALSE(std::filesystem::exists(folder / "a.tmp"));
  EXPECT_FALSE(std::filesystem::exists(folder / "b.tmp"));
}

TEST(Files, Sha256MatchesTheStandard) {
  const TempFolder folder;
  EXPECT_EQ(sha256_of_file(folder.write("abc", "abc")),  // FIPS 180-4, example 1
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of_file(folder.write("a", std::string(1'000'000, 'a'))),  // the same, example 3
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_THROW(sha256_of_file(folder / "none"), Error);
}

TEST(RowWriter, HoldsTheCreditUntilTheRecordIsWritten) {
  const TempFolder folder;
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  RowWriter writer({&store});
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = token;
  writer.push(job(1, std::move(token)));
  writer.commit_now();
  EXPECT_TRUE(alive.expired());
  writer.finish();
}

TEST(RowWriter, AFailureIsToldToTheNextPush) {
  const TempFolder folder;
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  std::filesystem::remove_all(store.folder() / "logs");
  RowWriter writer({&store});
  writer.push(job(1));
  writer.commit_now();
  EXPECT_THROW(writer.push(job(2)), Error);
  EXPECT_THROW(writer.finish(), Error);
}

TEST(RowId, IsPartOfTheFormat) {
  EXPECT_EQ(row_id({0x0123456789abcdef, 0xfedcba9876543210}, 7, "train/a.jpg"),
            digest("0123456789abcdeffedcba9876543210/7/train/a.jpg"));
}

TEST(Files, AFifoOrADeviceIsNeverOpenedForReading) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0666), 0);
  for (const std::string& path :
       {(folder / "fifo").string(), std::string("/dev/zero"), folder.path().string()}) {
    try {
      read_input_file({path, 0, 0});
      FAIL() << path;
    } catch (const Reject& e) {
      EXPECT_EQ(e.code(), "not-a-file") << path;
    }
  }
  try {
    read_input_file({(folder / "none").string(), 0, 0});
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "missing");
  }
}

}  // namespace
}  // namespace graft
