#include "store/table_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/random.h>

#include "store/row_writer.h"
#include "store/table_rows.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::slurp;
using test::TempFolder;
using ::testing::HasSubstr;

const RowFormat kFormat{DType::F32, {3}};

Fingerprint print() {
  Fingerprint f;
  f.description["made_by"] = "a test";
  f.digest = digest("a test");
  return f;
}

Digest id_of(std::uint64_t i) {
  return row_id(digest(std::to_string(i)), 0, "");
}

RowWriter::Job job(std::uint64_t i, std::shared_ptr<const void> keep = {}) {
  const float values[3] = {static_cast<float>(i), 0.5f, -1.0f};
  RowWriter::Job j;
  j.id = id_of(i);
  j.sequence = i;
  j.format = kFormat;
  j.payload.assign(reinterpret_cast<const std::uint8_t*>(values),
                   reinterpret_cast<const std::uint8_t*>(values) + 12);
  j.keep = std::move(keep);
  return j;
}

RowWriter::Job reject_job(std::uint64_t i) {
  RowWriter::Job j;
  j.id = id_of(i);
  j.sequence = i;
  j.ok = false;
  j.payload = encode_reject({"decode", "truncated", "cut"});
  return j;
}

void expect_row(const TableStore& store, std::uint64_t i) {
  const auto place = store.find_row(id_of(i));
  ASSERT_TRUE(place.has_value()) << i;
  float values[3];
  store.read(place->shard, place->row, 1, values);
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
  EXPECT_EQ(store.format(), kFormat);
  for (const std::uint64_t i : {0, 1, 2, 3, 5, 6, 7}) expect_row(store, i);
  EXPECT_EQ(store.find_row(id_of(0))->row, 0u);
  EXPECT_EQ(store.find_row(id_of(7))->row, 6u);
  ASSERT_NE(store.find_reject(id_of(4)), nullptr);
  EXPECT_EQ(store.find_reject(id_of(4))->code, "truncated");
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
  EXPECT_NE(store.find_reject(id_of(1)), nullptr);
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
  EXPECT_EQ(store.rows(), 0u) << "looking changes nothing";
  store.prepare_to_write();
  EXPECT_EQ(store.rows(), 600u);
  for (const std::uint64_t i : {0, 299, 599}) expect_row(store, i);
  EXPECT_TRUE(std::filesystem::is_empty(store.folder() / "logs"));
}

TEST(TableStore, TheLogOfALivingProcessIsLeftAlone) {
  const TempFolder folder;
  TableStore other(folder.path(), print());
  other.prepare_to_write();
  // Process 1 is always alive.
  const auto name = other.new_log_path().filename().string();
  const std::string foreign = name.substr(0, name.find('.')) + ".1.123-0.rows";
  RowLog log = RowLog::create(other.folder() / "logs" / foreign, kFormat);
  log.sync();
  TableStore store(folder.path(), print());
  store.prepare_to_write();
  EXPECT_TRUE(std::filesystem::exists(other.folder() / "logs" / foreign));
}

TEST(TableStore, ADamagedShardIsNamedWithItsCure) {
  const TempFolder folder;
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    writer.push(job(1));
    writer.finish();
  }
  std::filesystem::path shard;
  for (const auto& e : std::filesystem::directory_iterator(folder / "tables" / print().hex() / "shards"))
    shard = e.path();
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) / 2);
  try {
    const TableStore store(folder.path(), print());
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("cannot open " + shard.string()));
    EXPECT_THAT(
        e.what(),
        HasSubstr("remove the file and run again: its rows are then computed again, all others stay"));
  }
  std::filesystem::remove(shard);
  EXPECT_EQ(TableStore(folder.path(), print()).rows(), 0u);
}

TEST(TableStore, AFlippedBitInARowIsAnErrorWhenItIsRead) {
  const TempFolder folder;
  {
    TableStore store(folder.path(), print());
    store.prepare_to_write();
    RowWriter writer({&store});
    for (std::uint64_t i = 0; i < 100; ++i) writer.push(job(i));
    writer.finish();
  }
  std::filesystem::path shard;
  for (const auto& e : std::filesystem::directory_iterator(folder / "tables" / print().hex() / "shards"))
    shard = e.path();
  std::string bytes = slurp(shard);
  const float value = 57.0f;
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), 4));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  std::ofstream(shard, std::ios::binary) << bytes;
  const TableStore store(folder.path(), print());
  float row[3];
  EXPECT_THROW(store.read(0, 57, 1, row), Error);
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
    listing.inputs.emplace_back();
    rows.push_back({static_cast<std::uint32_t>(n), 0, *store.find_row(id_of(i))});
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
  listing.inputs.emplace_back();
  float values[8];
  TableRows(store, listing, {{0, 0, *store.find_row(id_of(1))}}).read(0, 1, values);
  EXPECT_THAT(values, ::testing::ElementsAre(0.0f, -0.0f, 1.0f, -2.0f, 0x1p-24f, 0x1.ff8p-15f, 65504.0f,
                                             std::numeric_limits<float>::infinity()));
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
