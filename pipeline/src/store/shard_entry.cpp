#include "store/shard_entry.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "base/files.h"
#include "store/crc32c.h"

namespace graft {
namespace {

constexpr char kEntryMagic[8] = {'G', 'R', 'A', 'F', 'T', 'M', 'A', 'N'};
constexpr std::uint32_t kEntryVersion = 2;
constexpr std::size_t kEntryHeaderBytes = 192;
constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kMaxEntryRank = 8;
constexpr std::size_t kMaxName = 1024;
constexpr std::size_t kMaxRow = std::size_t{1} << 30;
/// Of several rows; the chunks that are written have one MiB.
constexpr std::size_t kMaxChunk = std::size_t{64} << 20;

std::size_t padded(std::size_t n) {
  return (n + 7) / 8 * 8;
}

template <typename T>
void put_all(std::uint8_t*& at, const std::vector<T>& values) {
  if (!values.empty()) std::memcpy(at, values.data(), values.size() * sizeof(T));
  at += values.size() * sizeof(T);
}
template <typename T>
void take_all(const std::uint8_t*& at, std::vector<T>& values, std::size_t n) {
  values.resize(n);
  if (n > 0) std::memcpy(values.data(), at, n * sizeof(T));
  at += n * sizeof(T);
}
static_assert(sizeof(Digest) == 16 && sizeof(ShardChunk) == 16);

/// Whether every chunk is in the file, and holds what its rows take: readers believe it.
bool has_possible_chunks(const ShardEntry& e) {
  const std::size_t row = row_bytes(e.format);
  if (row > kMaxRow || (e.chunk_rows > 1 && row > kMaxChunk / e.chunk_rows)) return false;
  return std::all_of(e.chunks.begin(), e.chunks.end(), [&](const ShardChunk& chunk) {
    const bool plain = e.compression == Compression::None || chunk.unpacked != 0;
    return chunk.offset <= e.bytes && chunk.bytes <= e.bytes - chunk.offset &&
           (!plain || chunk.bytes >= e.chunk_rows * row);
  });
}

}  // namespace

std::vector<std::uint8_t> ShardEntry::encode() const {
  const std::size_t size = kEntryHeaderBytes + padded(file.size()) + row_ids.size() * 20 +
                           chunks.size() * 16 + reject_ids.size() * (16 + kReasonBytes) + 4;
  std::vector<std::uint8_t> out(size, 0);
  std::uint8_t* at = out.data();
  std::memcpy(at, kEntryMagic, sizeof kEntryMagic);
  at += sizeof kEntryMagic;
  put(at, kEntryVersion);
  put(at, static_cast<std::uint32_t>(format.dtype));
  put(at, static_cast<std::uint32_t>(format.shape.size()));
  put(at, static_cast<std::uint32_t>(compression));
  for (std::size_t i = 0; i < kMaxEntryRank; ++i)
    put(at, i < format.shape.size() ? format.shape[i] : std::int64_t{0});
  put(at, std::uint64_t{row_ids.size()});
  put(at, std::uint64_t{reject_ids.size()});
  put(at, bytes);
  put(at, chunk_rows);
  put(at, static_cast<std::uint32_t>(chunks.size()));
  std::memcpy(at, sha256.data(), std::min(sha256.size(), kSha256Digits));
  at += kSha256Digits;
  put(at, static_cast<std::uint32_t>(file.size()));
  at = out.data() + kEntryHeaderBytes;
  std::copy(file.begin(), file.end(), at);
  at += padded(file.size());
  put_all(at, row_ids);
  put_all(at, row_crcs);
  put_all(at, chunks);
  put_all(at, reject_ids);
  for (const StoredReject& reject : rejects) {
    const std::vector<std::uint8_t> reason = encode_reject(reject);
    std::memcpy(at, reason.data(), std::min(reason.size(), kReasonBytes));
    at += kReasonBytes;
  }
  put(at, crc32c(out.data(), size - 4));
  return out;
}

ShardEntry ShardEntry::decode(std::span<const std::uint8_t> bytes, const std::filesystem::path& path) {
  const auto fail = [&](const std::string& why) { throw Error(fmt::format("{}: {}", path.string(), why)); };
  if (bytes.size() < kEntryHeaderBytes + 4 || std::memcmp(bytes.data(), kEntryMagic, sizeof kEntryMagic) != 0)
    fail("is not an entry of a manifest, or is truncated");
  const std::uint8_t* at = bytes.data() + bytes.size() - 4;
  const bool whole = take<std::uint32_t>(at) == crc32c(bytes.data(), bytes.size() - 4);
  at = bytes.data() + sizeof kEntryMagic;
  // A newer version may have its checksum elsewhere; a damaged version number must not look like one.
  const auto version = take<std::uint32_t>(at);
  if (!whole) fail("the entry of the manifest is damaged (its checksum is wrong)");
  if (version != kEntryVersion)
    fail(fmt::format("manifest version {}; this graft reads version {}", version, kEntryVersion));

  ShardEntry e;
  const auto dtype = take<std::uint32_t>(at), rank = take<std::uint32_t>(at);
  const auto compression = take<std::uint32_t>(at);
  if (dtype > static_cast<std::uint32_t>(DType::I64) || rank > kMaxEntryRank || compression > 1)
    fail("impossible entry of a manifest");
  e.format.dtype = static_cast<DType>(dtype);
  e.compression = static_cast<Compression>(compression);
  for (std::size_t i = 0; i < kMaxEntryRank; ++i) {
    const auto extent = take<std::int64_t>(at);
    if (i < rank) e.format.shape.push_back(extent);
  }
  const auto rows = take<std::uint64_t>(at), rejects = take<std::uint64_t>(at);
  e.bytes = take<std::uint64_t>(at);
  e.chunk_rows = take<std::uint32_t>(at);
  const auto chunks = take<std::uint32_t>(at);
  e.sha256.assign(reinterpret_cast<const char*>(at), kSha256Digits);
  at += kSha256Digits;
  const auto name = take<std::uint32_t>(at);
  const std::uint64_t most = bytes.size();
  if (rows > most || rejects > most || name > kMaxName || e.chunk_rows == 0 ||
      kEntryHeaderBytes + padded(name) + rows * 20 + chunks * std::uint64_t{16} +
              rejects * (16 + kReasonBytes) + 4 !=
          most ||
      chunks != (rows + e.chunk_rows - 1) / e.chunk_rows)
    fail("impossible entry of a manifest");
  at = bytes.data() + kEntryHeaderBytes;
  e.file.assign(reinterpret_cast<const char*>(at), name);
  if (e.file.empty() || e.file.find('/') != std::string::npos) fail("impossible entry of a manifest");
  at += padded(name);
  take_all(at, e.row_ids, rows);
  take_all(at, e.row_crcs, rows);
  take_all(at, e.chunks, chunks);
  take_all(at, e.reject_ids, rejects);
  for (std::uint64_t i = 0; i < rejects; ++i, at += kReasonBytes)
    e.rejects.push_back(decode_reject({at, kReasonBytes}));
  if (!has_possible_chunks(e)) fail("impossible entry of a manifest");
  return e;
}

ShardEntry ShardEntry::read(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  return decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, path);
}

}  // namespace graft
