#include <cstring>
#include <filesystem>

#include <graft/hash.h>
#include <graft/table_file.h>
#include <graft/value.h>

#include <zlib.h>

#include "fuzz.h"
#include "run/table_changes.h"
#include "store/crc32c.h"
#include "store/digest_memo.h"
#include "store/global_heap.h"
#include "store/hdf5_message.h"
#include "store/input_list.h"
#include "store/manifest.h"
#include "store/row_log.h"
#include "store/shard.h"
#include "store/shard_entry.h"
#include "store/table_check.h"
#include "store/table_use.h"

namespace graft::fuzz {
namespace {

// Every file of the store ends in a checksum, which a mutation would have to hit: it is put right.
std::string with_checksum(std::string_view input) {
  return std::string(input) + little_endian(crc32c(input.data(), input.size()), 4);
}

void digest_memo(std::string_view input) {
  std::string content(input);
  for (std::size_t at = 64; at + 64 <= content.size(); at += 64) {
    const std::string crc = little_endian(crc32c(content.data() + at, 56), 4);
    if (content[at + 60] == 0) content.replace(at + 56, 4, crc);
  }
  DigestMemo memo(write_scratch(content));
  memo.find({"a.png", 1, 2});
  memo.remember({"a.png", 1, 2}, {3, 4});
}

void input_list(std::string_view input) {
  InputList::read(write_scratch(with_checksum(input)));
}

void shard_entry(std::string_view input) {
  const std::string content = with_checksum(input);
  const ShardEntry entry =
      ShardEntry::decode({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()}, "entry");
  entry.encode();
}

// An entry, and the shard that it is of: the length of the entry, the entry, the shard.
void shard(std::string_view input) {
  Pieces in(input);
  const std::string content = with_checksum(in.text(in.number(2)));
  ShardEntry entry =
      ShardEntry::decode({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()}, "entry");
  if (entry.file.find('\0') != std::string::npos || entry.file.size() > 200) return;
  entry.file = "shard.h5";
  write_scratch(in.rest(), entry.file);
  const Shard shard(scratch_folder(), entry);
  const std::size_t row = row_bytes(entry.format);
  if (row > (1 << 20)) return;
  std::vector<std::uint8_t> out(row);
  for (std::size_t r = 0; r < std::min<std::size_t>(entry.row_crcs.size(), 8); ++r) try {
      shard.read(r, 1, out.data());
    } catch (const Error&) {
    }
}

// The checksums of the header and of every record are right, but for those of damaged ones.
void row_log(std::string_view input) {
  std::string content(input);
  if (content.size() >= RowLog::kHeaderBytes) {
    content.replace(124, 4, little_endian(crc32c(content.data(), 124), 4));
    Pieces capacity(std::string_view(content).substr(20, 4));
    const std::size_t record = 40 + static_cast<std::size_t>(capacity.number(4));
    for (std::size_t at = RowLog::kHeaderBytes; record <= content.size() && at <= content.size() - record;
         at += record)
      if (content[at + 4] != 3)
        content.replace(
            at + 36, 4,
            little_endian(crc32c(content.data() + at + 40, record - 40, crc32c(content.data() + at, 36)), 4));
  }
  const LogReader log(write_scratch(content));
  const std::size_t row = row_bytes(log.format());
  const bool readable = row <= (1 << 20);
  std::vector<std::uint8_t> out(readable ? row : 0);
  log.scan([&](const RowRecord& record, std::uint64_t position) {
    if (record.ok && readable) log.read(position, out.data());
    if (!record.ok) decode_reject(record.payload);
  });
}

void global_heap(std::string_view input) {
  GlobalHeap heap({reinterpret_cast<const std::uint8_t*>(input.data()), input.size()});
  for (const std::uint64_t at : {0, 16, 512})
    for (std::uint32_t index = 1; index < 4; ++index) try {
        heap.object(at, index, index);
      } catch (const Error&) {
      }
}

void table_use(std::string_view input) {
  std::filesystem::create_directories(scratch_folder() / "uses");
  write_scratch(input, "uses/0.json");
  for (const TableUse& use : read_uses(scratch_folder())) {
    to_value(use);
    if (use.folder.native().find('\0') == std::string::npos) reference_by(use, "0123");
  }
}

// What tables were made by: two descriptions, a line each.
void table_description(std::string_view input) {
  Pieces in(input);
  const Value then = Value::from_json(in.until('\n')), now = Value::from_json(in.rest());
  differences(then, now, {"images", "pixels", "table"});
  const auto table = scratch_folder() / digest(now.to_json()).hex();
  std::filesystem::create_directories(table);
  write_scratch(in.rest(), table.filename() / "table.json");
  try {
    describe_table(table);
  } catch (...) {
    std::filesystem::remove_all(table);
    throw;
  }
  std::filesystem::remove_all(table);
}

// Read in a process of its own, whatever the HDF5 library makes of it.
void table_file(std::string_view input) {
  const TableFile file(write_scratch(input).string());
  const std::size_t rows = std::min<std::size_t>(file.rows(), 16);
  file.describe(0, rows);
  if (file.dim() > (1 << 16)) return;
  std::vector<float> values(rows * file.dim());
  file.read(0, rows, values.data());
}

// What that process answers: which parts are asked for, and the answer.
void hdf5_message(std::string_view input) {
  const std::size_t asked = std::min<std::size_t>(input.size(), 4);
  MessageParser answer(input.substr(asked));
  for (const char part : input.substr(0, asked)) switch (part % 4) {
      case 0:
        answer.number();
        break;
      case 1:
        answer.number(1000);
        break;
      case 2:
        answer.text();
        break;
      default:
        answer.optional_text();
    }
  answer.end();
}

std::vector<std::string> memo_seeds() {
  std::string content = std::string("GRAFTMEM\2\0\0\0", 12) + std::string(52, '\0');
  for (char i = 1; i < 4; ++i) content += std::string(56, i) + std::string(8, '\0');
  return {content};
}

std::vector<std::string> list_seeds() {
  std::string content;
  InputListWriter writer({"cat", "dog"}, {3, 1, 1, 0}, [&](std::span<const std::uint8_t> bytes) {
    content.append(bytes.begin(), bytes.end());
  });
  const std::vector<std::int32_t> labels = {0, 1};
  writer.input("a.png", Split::Train, {labels.data(), 1}, false);
  writer.input("b.png", Split::Test, labels, false);
  writer.input("c.png", Split::Val, {}, true);
  writer.outcome({1, 2}, 0, 0);
  writer.outcome({3, 4}, 1, 0);
  writer.finish();
  content.resize(content.size() - 4);
  return {content};
}

ShardEntry small_entry(bool packed) {
  ShardEntry entry;
  entry.file = "shard.h5";
  entry.format = {DType::F32, {4}};
  entry.sha256 = std::string(64, '0');
  entry.chunk_rows = 2;
  entry.row_ids = {{1, 2}, {3, 4}, {5, 6}};
  entry.row_crcs.assign(3, crc32c(std::string(16, 'r').data(), 16));
  entry.reject_ids = {{7, 8}};
  entry.rejects = {{"decode", "corrupt", "its pixels cannot be decoded"}};
  if (packed) entry.compression = Compression::Gzip;
  return entry;
}

std::string bytes_of(const ShardEntry& entry) {
  const auto bytes = entry.encode();
  return {bytes.begin(), bytes.end() - 4};
}

std::vector<std::string> shard_seeds() {
  std::vector<std::string> out;
  for (const bool packed : {false, true}) {
    std::string file;
    ShardEntry entry = small_entry(packed);
    for (std::uint32_t c = 0; c < 2; ++c) {
      const std::string plain(32, 'r');
      std::string stored = plain;
      if (packed) {
        stored.assign(128, '\0');
        uLongf size = stored.size();
        ::compress(reinterpret_cast<Bytef*>(stored.data()), &size,
                   reinterpret_cast<const Bytef*>(plain.data()), 32);
        stored.resize(size);
      }
      stored += "sum4";
      entry.chunks.push_back({file.size(), static_cast<std::uint32_t>(stored.size()), 0});
      file += stored;
    }
    entry.bytes = file.size();
    const std::string content = bytes_of(entry);
    out.push_back(little_endian(content.size(), 2) + content + file);
  }
  return out;
}

std::vector<std::string> entry_seeds() {
  std::vector<std::string> out;
  for (const std::string& seed : shard_seeds()) {
    Pieces in(seed);
    out.emplace_back(in.text(in.number(2)));
  }
  return out;
}

std::string log_header(std::uint32_t capacity, const std::vector<std::uint64_t>& shape) {
  std::string out = "GRAFTLOG" + little_endian(2, 4) + little_endian(2, 4) + little_endian(shape.size(), 4) +
                    little_endian(capacity, 4);
  for (const std::uint64_t extent : shape) out += little_endian(extent, 8);
  out.resize(128, '\0');
  return out;
}

std::string log_record(std::uint32_t status, const std::string& payload, std::size_t capacity) {
  std::string out = "GROW" + little_endian(status, 4) + little_endian(1, 8) + little_endian(2, 8) +
                    little_endian(0, 8) + little_endian(payload.size(), 4) + "0000" + payload;
  out.resize(40 + capacity, '\0');
  return out;
}

std::vector<std::string> log_seeds() {
  return {log_header(256, {4}) + log_record(1, std::string(16, 'r'), 256) +
              log_record(2, std::string("decode\0corrupt\0text\0", 20), 256) + log_record(3, "", 256),
          log_header(256, {0}) + log_record(1, "", 256)};
}

std::vector<std::string> heap_seeds() {
  const auto object = [](std::uint64_t index, const std::string& text) {
    std::string out = little_endian(index, 2) + std::string(6, '\0') + little_endian(text.size(), 8) + text;
    out.append((8 - text.size() % 8) % 8, '\0');
    return out;
  };
  const std::string objects = object(1, "cat") + object(2, "dog and more");
  return {"GCOL\1" + std::string(3, '\0') + little_endian(16 + objects.size() + 16, 8) + objects +
          std::string(16, '\0')};
}

std::vector<std::string> message_seeds() {
  MessageWriter writer;
  writer.number(7);
  writer.text("cat");
  writer.optional_text({});
  writer.optional_text("dog");
  return {std::string("\0\2\3\3", 4) + writer.body()};
}

std::vector<std::string> use_seeds() {
  return {
      R"({"run":"a","stage":"table","folder":"/nowhere/runs/a","time":1,"inputs":2,"ok":1,"rejected":1,"list":"0.inputs"})"};
}

std::vector<std::string> description_seeds() {
  return {
      "{\"stages\":[{\"plugin\":\"decode\",\"version\":\"1.0.0\",\"with\":{\"crop\":224}}]}\n"
      "{\"stages\":[{\"plugin\":\"decode\",\"version\":\"1.1.0\",\"with\":{\"crop\":192}},{\"plugin\":"
      "\"net\"}]}"};
}

std::string grown_list(std::size_t bytes) {
  const std::size_t n = bytes / 9;
  std::string out =
      "GRAFTINP" + little_endian(2, 4) + little_endian(0, 4) + little_endian(n, 8) + std::string(24, '\0');
  for (std::size_t i = 0; i < n; ++i) out += little_endian(1, 4) + std::string(4, '\0') + "k";
  return out;
}

std::string grown_memo(std::size_t bytes) {
  std::string out = std::string("GRAFTMEM\2\0\0\0", 12) + std::string(52, '\0');
  for (std::size_t i = 0; out.size() < bytes; ++i) out += little_endian(i, 8) + std::string(56, '\0');
  return out;
}

// A record of a gibibyte, of which nothing is there.
std::string grown_log(std::size_t bytes) {
  return log_header(1u << 30, {1u << 28}) + std::string(bytes, '\0');
}

std::string grown_heap(std::size_t bytes) {
  return "GCOL\1" + std::string(3, '\0') + little_endian(bytes / 16 * 16, 8) +
         repeated(std::string("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), bytes);
}

// Rejects take the most memory for their bytes.
std::string grown_entry(std::size_t bytes) {
  ShardEntry entry = small_entry(false);
  entry.chunks = {{0, 36, 0}, {36, 36, 0}};
  entry.bytes = 72;
  entry.reject_ids.resize(bytes / 272);
  entry.rejects.resize(bytes / 272);
  return bytes_of(entry);
}

std::string grown_description(std::size_t bytes) {
  return "{\"stages\":[{}]}\n{\"stages\":[{\"plugin\":1}" + repeated(",{\"plugin\":1}", bytes) + "]}";
}

}  // namespace

std::vector<Target> store_targets() {
  return {
      {"digest_memo", digest_memo, memo_seeds, grown_memo},
      {"input_list", input_list, list_seeds, grown_list},
      {"shard_entry", shard_entry, entry_seeds, grown_entry},
      {"shard", shard, shard_seeds},
      {"row_log", row_log, log_seeds, grown_log},
      {"global_heap", global_heap, heap_seeds, grown_heap},
      {"table_use", table_use, use_seeds, nullptr, 8192},
      {"table_description", table_description, description_seeds, grown_description, 16384},
      {"table_file", table_file,
       [] { return std::vector<std::string>{project_file("configs/table_file.h5")}; }},
      {"hdf5_message", hdf5_message, message_seeds},
  };
}

}  // namespace graft::fuzz
