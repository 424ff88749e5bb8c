#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>

#include "store/crc32c.h"
#include "store/hdf5_dataset.h"
#include "store/shard.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr int kFormatVersion = 2;
constexpr std::size_t kChunkBytes = 1 << 20;
constexpr unsigned kGzipLevel = 1;  // higher levels cost twice the time for a few per cent

std::size_t rows_per_chunk(std::size_t row_bytes, std::size_t rows) {
  return std::clamp<std::size_t>(kChunkBytes / std::max<std::size_t>(row_bytes, 1), 1,
                                 std::max<std::size_t>(rows, 1));
}

void write_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& extents,
                   std::size_t row_bytes, Compression compression, const std::vector<RowRecord>& rows,
                   void (*copy)(const RowRecord&, std::uint8_t*, std::size_t)) {
  const std::string doing = fmt::format("write dataset '{}'", name);
  const Hdf5Id space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose,
                     doing);
  const Hdf5Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, doing);
  const std::size_t chunk_rows = rows_per_chunk(row_bytes, rows.size());
  // No times in the file: the same rows give the same bytes.
  hdf5_check(H5Pset_obj_track_times(properties, false), doing);
  if (!rows.empty()) {
    std::vector<hsize_t> chunk = extents;
    chunk[0] = chunk_rows;
    hdf5_check(H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data()), doing);
    if (compression == Compression::Gzip) hdf5_check(H5Pset_deflate(properties, kGzipLevel), doing);
    hdf5_check(H5Pset_fletcher32(properties), doing);
  }
  Hdf5Id set(H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose, doing);
  std::vector<std::uint8_t> block(chunk_rows * row_bytes);
  for (std::size_t first = 0; first < rows.size(); first += chunk_rows) {
    const std::size_t count = std::min(chunk_rows, rows.size() - first);
    for (std::size_t i = 0; i < count; ++i) copy(rows[first + i], block.data() + i * row_bytes, row_bytes);
    write_rows(set, extents, type, first, count, block.data(), doing);
  }
  set.close(doing);
}

void copy_payload(const RowRecord& row, std::uint8_t* to, std::size_t bytes) {
  const auto payload = row.payload.first(std::min(row.payload.size(), bytes));
  std::fill_n(std::copy(payload.begin(), payload.end(), to), bytes - payload.size(), std::uint8_t{0});
}
void copy_id(const RowRecord& row, std::uint8_t* to, std::size_t) {
  std::memcpy(to, &row.id, 16);
}

void write_attribute(hid_t file, const char* name, hid_t type, const void* value) {
  const std::string doing = fmt::format("write attribute '{}'", name);
  const Hdf5Id space(H5Screate(H5S_SCALAR), H5Sclose, doing);
  Hdf5Id attribute(H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, doing);
  hdf5_check(H5Awrite(attribute, type, value), doing);
  attribute.close(doing);
}

Hdf5Id text_type(std::size_t bytes) {
  Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose, "make a type");
  hdf5_check(H5Tset_size(type, bytes), "make a type");
  return type;
}

void write_file(const fs::path& path, const std::string& fingerprint, const RowFormat& format,
                Compression compression, const std::vector<RowRecord>& rows,
                const std::vector<RowRecord>& rejects) {
  const Hdf5Id access = file_access_list();
  Hdf5Id file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access), H5Fclose,
              "create " + path.string());
  const int version = kFormatVersion;
  write_attribute(file, "graft_format", H5T_NATIVE_INT, &version);
  write_attribute(file, "fingerprint", text_type(fingerprint.size()), fingerprint.data());
  std::vector<hsize_t> extents{rows.size()};
  for (const std::int64_t e : format.shape) extents.push_back(static_cast<hsize_t>(e));
  write_dataset(file, "rows", hdf5_type(format.dtype), extents, row_bytes(format), compression, rows,
                copy_payload);
  write_dataset(file, "row_id", H5T_STD_U8LE, {rows.size(), 16}, 16, Compression::None, rows, copy_id);
  write_dataset(file, "reject_id", H5T_STD_U8LE, {rejects.size(), 16}, 16, Compression::None, rejects,
                copy_id);
  write_dataset(file, "reject_reason", H5T_STD_U8LE, {rejects.size(), kReasonBytes}, kReasonBytes,
                Compression::None, rejects, copy_payload);
  hdf5_check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write " + path.string());
  file.close("close " + path.string());
}

/// Where HDF5 has put the chunks of rows.
std::vector<ShardChunk> chunks_of(hid_t set, std::size_t rows, std::size_t chunk_rows, std::size_t rank,
                                  const std::string& doing) {
  std::vector<ShardChunk> out;
  for (std::size_t first = 0; first < rows; first += chunk_rows) {
    std::vector<hsize_t> at(rank, 0);
    at[0] = first;
    unsigned skipped = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    hdf5_check(H5Dget_chunk_info_by_coord(set, at.data(), &skipped, &address, &bytes), doing);
    if (address == HADDR_UNDEF) throw Error("cannot " + doing + ": a chunk is missing");
    out.push_back({address, static_cast<std::uint32_t>(bytes), skipped & 1u});
  }
  return out;
}

[[noreturn]] void fail_to_read_back(const fs::path& path) {
  throw Error(path.string() + ": reads back other rows than were written; the disk or memory is failing");
}

/// Reads everything back as other software would: what is sealed is what was meant. Fills in the places.
void verify_file(const fs::path& path, const std::vector<RowRecord>& rejects, ShardEntry& entry) {
  const Hdf5Lock lock;
  const Hdf5Id file = open_hdf5_file(path);
  const Hdf5Dataset set = open_dataset(file, path, "rows");
  const std::size_t rows = entry.row_ids.size(), bytes = row_bytes(entry.format);
  const auto ids_of = [&](const char* name, std::size_t n) {
    std::vector<Digest> ids(n);
    const Hdf5Dataset stored = open_dataset(file, path, name);
    if (stored.extents != std::vector<hsize_t>{n, 16}) fail_to_read_back(path);
    if (n > 0) read_rows(stored, H5T_NATIVE_UINT8, 0, n, ids.data());
    return ids;
  };
  std::vector<hsize_t> extents{rows};
  for (const std::int64_t e : entry.format.shape) extents.push_back(static_cast<hsize_t>(e));
  if (set.extents != extents || ids_of("row_id", rows) != entry.row_ids ||
      ids_of("reject_id", rejects.size()) != entry.reject_ids)
    fail_to_read_back(path);
  const Hdf5Id type = hdf5_type(entry.format.dtype);
  std::vector<std::uint8_t> block(entry.chunk_rows * bytes);
  for (std::size_t first = 0; first < rows; first += entry.chunk_rows) {
    const std::size_t count = std::min<std::size_t>(entry.chunk_rows, rows - first);
    read_rows(set, type, first, count, block.data());
    for (std::size_t i = 0; i < count; ++i)
      if (crc32c(block.data() + i * bytes, bytes) != entry.row_crcs[first + i]) fail_to_read_back(path);
  }
  if (rows > 0)
    entry.chunks =
        chunks_of(set.id, rows, entry.chunk_rows, extents.size(), "look at the chunks of " + set.label);
}

/// The same through the entry: what it says of places and checksums is true.
void verify_entry(const fs::path& path, const ShardEntry& entry) {
  const Shard shard(path.parent_path(), entry);
  std::vector<std::uint8_t> block(entry.chunk_rows * row_bytes(entry.format));
  for (std::size_t first = 0; first < entry.row_ids.size(); first += entry.chunk_rows)
    shard.read(first, std::min<std::size_t>(entry.chunk_rows, entry.row_ids.size() - first), block.data());
}

}  // namespace

ShardEntry write_shard(const fs::path& path, const std::string& fingerprint, const RowFormat& format,
                       Compression compression, const std::vector<RowRecord>& rows,
                       const std::vector<RowRecord>& rejects) {
  ShardEntry entry;
  entry.file = path.filename().string();
  entry.format = format;
  entry.compression = compression;
  entry.chunk_rows = static_cast<std::uint32_t>(rows_per_chunk(row_bytes(format), rows.size()));
  for (const RowRecord& row : rows) {
    entry.row_ids.push_back(row.id);
    entry.row_crcs.push_back(crc32c(row.payload.data(), row.payload.size()));
  }
  for (const RowRecord& reject : rejects) {
    entry.reject_ids.push_back(reject.id);
    entry.rejects.push_back(decode_reject(reject.payload));
  }
  try {
    {
      const Hdf5Lock lock;
      write_file(path, fingerprint, format, compression, rows, rejects);
    }
    verify_file(path, rejects, entry);
    const FileHandle handle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!handle) throw Error(file_error("sync", path, errno));
    sync_file(handle.get(), path);
    entry.bytes = fs::file_size(path);
    entry.sha256 = sha256_of_file(path);
    verify_entry(path, entry);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
  return entry;
}

}  // namespace graft
