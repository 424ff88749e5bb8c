// Stores that released versions have written stay readable: tests/data/store-2 has every kind of file of
// format
// 2. GRAFT_WRITE_STORE=<empty folder> makes such a store again, for the next format.

#include <fcntl.h>

#include <cstdlib>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

#include "store/crc32c.h"
#include "store/input_list.h"
#include "store/manifest.h"
#include "store/row_writer.h"
#include "temp_folder.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRows = 20;

Fingerprint print_of(const char* name) {
  Fingerprint f;
  f.description["fingerprint_version"] = 2;
  f.description["stages"] = Value::list();
  f.description["stages"].push(name);
  f.digest = digest(f.description.to_json());
  return f;
}

Digest id_of(std::uint64_t i) {
  return row_id(digest("content " + std::to_string(i)), static_cast<std::uint32_t>(i % 2), "");
}

RowWriter::Job row(DType dtype, std::uint64_t i) {
  RowWriter::Job job;
  job.id = id_of(i);
  job.sequence = i;
  job.format = {dtype, {2, 2}};
  if (dtype == DType::F32) {
    const float values[4] = {static_cast<float>(i), 0.25f, -1.5f, 3e-20f};
    job.payload.assign(reinterpret_cast<const std::uint8_t*>(values),
                       reinterpret_cast<const std::uint8_t*>(values) + 16);
  } else {
    const std::uint16_t halves[4] = {static_cast<std::uint16_t>(i), 0x3c00, 0xbe00, 0x7bff};
    job.payload.assign(reinterpret_cast<const std::uint8_t*>(halves),
                       reinterpret_cast<const std::uint8_t*>(halves) + 8);
  }
  return job;
}

RowWriter::Job reject(std::uint64_t i) {
  RowWriter::Job job;
  job.id = id_of(i);
  job.sequence = i;
  job.ok = false;
  job.payload = encode_reject({"pixels", "truncated", "the file ends too early"});
  return job;
}

/// f32: rows 0 to 11 and two rejects in two shards, rows 12 to 19 in a log. f16, gzip: all rows in a shard.
void write_store(const fs::path& folder) {
  {
    TableStore store(folder, print_of("f32"));
    store.prepare_to_write();
    for (int part = 0; part < 2; ++part) {
      RowWriter writer({&store});
      for (std::uint64_t i = 0; i < 6; ++i)
        writer.push(row(DType::F32, 6 * static_cast<std::uint64_t>(part) + i));
      writer.push(reject(kRows + static_cast<std::uint64_t>(part)));
      writer.finish();
    }
    RowLog log =
        RowLog::create(store.folder() / "logs" / "elsewhere.1.1.0badcafe.rows", {DType::F32, {2, 2}});
    for (std::uint64_t i = 12; i < kRows; ++i) {
      const RowWriter::Job job = row(DType::F32, i);
      log.append({job.id, job.sequence, true, job.payload});
    }
    log.sync();
  }
  TableStore store(folder, print_of("f16"));
  store.set_compression(Compression::Gzip);
  store.prepare_to_write();
  RowWriter writer({&store});
  for (std::uint64_t i = 0; i < kRows; ++i) writer.push(row(DType::F16, i));
  writer.finish();
}

void expect_rows(const TableStore& store, DType dtype) {
  EXPECT_EQ(store.format(), (RowFormat{dtype, {2, 2}}));
  EXPECT_EQ(store.rows(), kRows);
  for (std::uint64_t i = 0; i < kRows; ++i) {
    const RowWriter::Job wanted = row(dtype, i);
    std::vector<std::uint8_t> got(wanted.payload.size());
    const auto place = store.find_row(id_of(i));
    ASSERT_TRUE(place) << i;
    store.read(place->part, place->row, 1, got.data());
    EXPECT_EQ(got, wanted.payload) << i;
  }
}

TEST(StoreFormat, Version2StaysReadable) {
  if (const char* folder = std::getenv("GRAFT_WRITE_STORE")) write_store(folder);
  const fs::path fixture = fs::path(GRAFT_TEST_DATA) / "store-2";
  const TableStore f32(fixture, print_of("f32")), f16(fixture, print_of("f16"));
  expect_rows(f32, DType::F32);
  expect_rows(f16, DType::F16);
  EXPECT_EQ(ShardEntry::read(f16.folder() / "manifest/00000001").compression, Compression::Gzip);
  EXPECT_EQ(manifest_entries(f32.folder()).size(), 2u);
  for (const std::uint64_t i : {kRows, kRows + 1}) {
    ASSERT_NE(f32.find_reject(id_of(i)), nullptr);
    EXPECT_EQ(f32.find_reject(id_of(i))->text, "the file ends too early");
  }
  for (const TableStore* table : {&f32, &f16})
    for (const auto& [number, path] : manifest_entries(table->folder())) {
      const ShardEntry entry = ShardEntry::read(path);
      EXPECT_EQ(sha256_of_file(table->folder() / "shards" / entry.file), entry.sha256);
    }
}

TEST(StoreFormat, TheSameRowsGiveTheSameBytes) {
  const test::TempFolder folder;
  std::vector<std::string> seen;
  for (const char* name : {"a", "b"}) {
    write_store(folder / name);
    const TableStore store(folder / name, print_of("f32"));
    seen.push_back(ShardEntry::read(store.folder() / "manifest/00000002").sha256);
  }
  EXPECT_EQ(seen[0], seen[1]);
}

TEST(StoreFormat, AnotherVersionIsToldAndNotRead) {
  const test::TempFolder folder;
  write_store(folder.path());
  const fs::path table = TableStore(folder.path(), print_of("f16")).folder();
  std::vector<std::uint8_t> bytes = ShardEntry::read(table / "manifest/00000001").encode();
  bytes[8] = 3;
  const std::uint32_t crc = crc32c(bytes.data(), bytes.size() - 4);
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
  try {
    ShardEntry::decode(bytes, "manifest/00000001");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "manifest/00000001: manifest version 3; this graft reads version 2");
  }
}

TEST(StoreFormat, ListsOfInputsKeepNegativesAndVersion2StaysReadable) {
  const test::TempFolder folder;
  std::string bytes;
  const auto write = [&](bool negative) {
    bytes.clear();
    InputListWriter writer({"cat", "dog"}, {3, 0, 0, 0}, [&](std::span<const std::uint8_t> more) {
      bytes.append(more.begin(), more.end());
    });
    const std::vector<std::int32_t> labels = {0, 1};
    writer.input("a.png", Split::Train, labels, false);
    writer.input("b.png", Split::Val, {}, negative);
    writer.input("c.png", Split::Test, {}, false);
    writer.finish();
  };
  const auto read = [&](char version) {
    bytes[8] = version;
    const std::uint32_t crc = crc32c(bytes.data(), bytes.size() - 4);
    std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
    return InputList::read(folder.write("list", bytes));
  };
  write(true);
  const InputList list = read(3);
  ASSERT_EQ(list.inputs.size(), 3u);
  EXPECT_EQ(list.inputs[0].labels, (std::vector<std::int32_t>{0, 1}));
  EXPECT_FALSE(list.inputs[0].negative);
  EXPECT_TRUE(list.inputs[1].negative);
  EXPECT_EQ(list.inputs[1].split, Split::Val);
  EXPECT_FALSE(list.inputs[2].negative);
  EXPECT_EQ(list.inputs[2].split, Split::Test);
  write(false);
  const InputList old = read(2);
  EXPECT_EQ(old.inputs[1].split, Split::Val);
  EXPECT_FALSE(old.inputs[1].negative);
  try {
    read(4);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(),
                ::testing::EndsWith(": list of inputs, version 4; this graft reads versions 2 to 3"));
  }
}

}  // namespace
}  // namespace graft
