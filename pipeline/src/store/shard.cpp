#include "store/shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/files.h"
#include "store/hdf5_dataset.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kChunkBytes = 1 << 20;
constexpr hsize_t kReasonBytes = 256;

DType dtype_of(hid_t type, const std::string& where) {
  const std::size_t size = H5Tget_size(type);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_FLOAT && size == 4) return DType::F32;
  if (kind == H5T_FLOAT && size == 2) return DType::F16;
  if (kind == H5T_INTEGER && size == 1) return DType::U8;
  if (kind == H5T_INTEGER && size == 8) return DType::I64;
  throw Error(where + ": elements of a type that graft does not write");
}

std::vector<Digest> read_ids(hid_t file, const fs::path& path, const char* name) {
  const Hdf5Dataset set = open_dataset(file, path, name);
  if (set.extents.size() != 2 || set.extents[1] != 16) throw Error(set.label + ": expected shape [n,16]");
  std::vector<Digest> ids(set.extents[0]);
  if (!ids.empty()) read_rows(set, H5T_NATIVE_UINT8, 0, ids.size(), ids.data());
  return ids;
}

void write_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& extents,
                   std::size_t row_bytes, const std::vector<RowRecord>& rows,
                   void (*copy)(const RowRecord&, std::uint8_t*, std::size_t)) {
  const std::string doing = fmt::format("write dataset '{}'", name);
  const Hdf5Id space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose,
                     doing);
  const Hdf5Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, doing);
  const std::size_t chunk_rows = std::clamp<std::size_t>(kChunkBytes / std::max<std::size_t>(row_bytes, 1), 1,
                                                         std::max<std::size_t>(rows.size(), 1));
  if (!rows.empty()) {
    std::vector<hsize_t> chunk = extents;
    chunk[0] = chunk_rows;
    hdf5_check(H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data()), doing);
    hdf5_check(H5Pset_fletcher32(properties), doing);
  }
  Hdf5Id set(H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose, doing);
  std::vector<std::uint8_t> block(chunk_rows * row_bytes);
  for (std::size_t first = 0; first < rows.size(); first += chunk_rows) {
    const std::size_t count = std::min(chunk_rows, rows.size() - first);
    for (std::size_t i = 0; i < count; ++i) copy(rows[first + i], block.data() + i * row_bytes, row_bytes);
    std::vector<hsize_t> start(extents.size(), 0), size = extents;
    start[0] = first;
    size[0] = count;
    const Hdf5Id target(H5Scopy(space), H5Sclose, doing);
    hdf5_check(H5Sselect_hyperslab(target, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
               doing);
    const Hdf5Id memory(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose,
                        doing);
    hdf5_check(H5Dwrite(set, type, memory, target, H5P_DEFAULT, block.data()), doing);
  }
  set.close(doing);
}

void copy_payload(const RowRecord& row, std::uint8_t* to, std::size_t bytes) {
  std::memset(to, 0, bytes);
  std::memcpy(to, row.payload.data(), std::min(row.payload.size(), bytes));
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
                const std::vector<RowRecord>& rows, const std::vector<RowRecord>& rejects) {
  const Hdf5Id access = file_access_list();
  Hdf5Id file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access), H5Fclose,
              "create " + path.string());
  const int version = kFormatVersion;
  write_attribute(file, "graft_format", H5T_NATIVE_INT, &version);
  write_attribute(file, "fingerprint", text_type(fingerprint.size()), fingerprint.data());
  std::vector<hsize_t> extents{rows.size()};
  for (const std::int64_t e : format.shape) extents.push_back(static_cast<hsize_t>(e));
  write_dataset(file, "rows", hdf5_type(format.dtype), extents, row_bytes(format), rows, copy_payload);
  write_dataset(file, "row_id", H5T_STD_U8LE, {rows.size(), 16}, 16, rows, copy_id);
  write_dataset(file, "reject_id", H5T_STD_U8LE, {rejects.size(), 16}, 16, rejects, copy_id);
  write_dataset(file, "reject_reason", H5T_STD_U8LE, {rejects.size(), kReasonBytes}, kReasonBytes, rejects,
                copy_payload);
  hdf5_check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write " + path.string());
  file.close("close " + path.string());
}

/// Reads everything back: what is linked is what was meant.
void verify_file(const fs::path& path, const RowFormat& format, const std::vector<RowRecord>& rows,
                 const std::vector<RowRecord>& rejects) {
  const Shard shard(path);
  const std::size_t bytes = row_bytes(format);
  bool same = shard.format() == format && shard.row_ids().size() == rows.size() &&
              shard.reject_ids().size() == rejects.size();
  std::vector<std::uint8_t> block;
  const std::size_t step = std::max<std::size_t>(1, kChunkBytes / std::max<std::size_t>(bytes, 1));
  for (std::size_t first = 0; same && first < rows.size(); first += step) {
    const std::size_t count = std::min(step, rows.size() - first);
    block.resize(count * bytes);
    shard.read(first, count, block.data());
    for (std::size_t i = 0; i < count; ++i)
      same = same && shard.row_ids()[first + i] == rows[first + i].id &&
             std::memcmp(block.data() + i * bytes, rows[first + i].payload.data(), bytes) == 0;
  }
  if (!same)
    throw Error(path.string() + ": reads back other rows than were written; the disk or memory is failing");
}

}  // namespace

struct Shard::Impl {
  fs::path path;
  Hdf5Id file;
  Hdf5Dataset rows;
  Hdf5Id type;
  RowFormat format;
  std::string fingerprint;
  std::vector<Digest> row_ids, reject_ids;
  std::vector<StoredReject> rejects;
};

Shard::Shard(const fs::path& path) : impl_(std::make_unique<Impl>()) {
  const Hdf5Lock lock;
  Impl& s = *impl_;
  s.path = path;
  s.file = open_hdf5_file(path);
  int version = 0;
  {
    const std::string doing = "read attribute 'graft_format' of " + path.string();
    const Hdf5Id attribute(H5Aopen(s.file, "graft_format", H5P_DEFAULT), H5Aclose, doing);
    hdf5_check(H5Aread(attribute, H5T_NATIVE_INT, &version), doing);
  }
  if (version != kFormatVersion)
    throw Error(fmt::format("{}: shard format {}; this graft reads format {}", path.string(), version,
                            kFormatVersion));
  {
    const std::string doing = "read attribute 'fingerprint' of " + path.string();
    const Hdf5Id attribute(H5Aopen(s.file, "fingerprint", H5P_DEFAULT), H5Aclose, doing);
    const Hdf5Id type(H5Aget_type(attribute), H5Tclose, doing);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0 || H5Tget_size(type) > 256)
      throw Error(path.string() + ": attribute 'fingerprint' is no short text");
    s.fingerprint.resize(H5Tget_size(type));
    hdf5_check(H5Aread(attribute, type, s.fingerprint.data()), doing);
  }
  s.rows = open_dataset(s.file, path, "rows");
  s.type = Hdf5Id(H5Dget_type(s.rows.id), H5Tclose, "open " + s.rows.label);
  s.format.dtype = dtype_of(s.type, s.rows.label);
  for (std::size_t i = 1; i < s.rows.extents.size(); ++i)
    s.format.shape.push_back(static_cast<std::int64_t>(s.rows.extents[i]));
  s.row_ids = read_ids(s.file, path, "row_id");
  if (s.row_ids.size() != s.rows.extents[0])
    throw Error(path.string() + ": 'rows' and 'row_id' differ in length");
  s.reject_ids = read_ids(s.file, path, "reject_id");
  const Hdf5Dataset reasons = open_dataset(s.file, path, "reject_reason");
  if (reasons.extents.size() != 2 || reasons.extents[0] != s.reject_ids.size() ||
      reasons.extents[1] != kReasonBytes)
    throw Error(reasons.label + ": expected one reason per reject");
  std::vector<std::uint8_t> text(s.reject_ids.size() * kReasonBytes);
  if (!text.empty()) read_rows(reasons, H5T_NATIVE_UINT8, 0, s.reject_ids.size(), text.data());
  for (std::size_t i = 0; i < s.reject_ids.size(); ++i)
    s.rejects.push_back(decode_reject({text.data() + i * kReasonBytes, kReasonBytes}));
}

Shard::~Shard() {
  const Hdf5Lock lock;
  impl_.reset();
}
Shard::Shard(Shard&&) noexcept = default;
Shard& Shard::operator=(Shard&&) noexcept = default;

const fs::path& Shard::path() const {
  return impl_->path;
}
const RowFormat& Shard::format() const {
  return impl_->format;
}
const std::string& Shard::fingerprint() const {
  return impl_->fingerprint;
}
const std::vector<Digest>& Shard::row_ids() const {
  return impl_->row_ids;
}
const std::vector<Digest>& Shard::reject_ids() const {
  return impl_->reject_ids;
}
const std::vector<StoredReject>& Shard::rejects() const {
  return impl_->rejects;
}

void Shard::read(std::size_t first, std::size_t count, void* out) const {
  const Hdf5Lock lock;
  read_rows(impl_->rows, impl_->type, first, count, out);
}

void Shard::seal(const fs::path& path, const std::string& fingerprint, const RowFormat& format,
                 const std::vector<RowRecord>& rows, const std::vector<RowRecord>& rejects) {
  static std::atomic<int> attempt{0};
  const fs::path temporary = fmt::format("{}.{}.{}.tmp", path.string(), ::getpid(), attempt++);
  const Hdf5Lock lock;
  try {
    write_file(temporary, fingerprint, format, rows, rejects);
    verify_file(temporary, format, rows, rejects);
    const FileHandle handle(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
    if (!handle || ::fsync(handle.get()) != 0) throw Error(file_error("sync", temporary, errno));
    if (::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST)
      throw Error(file_error("link", path, errno));
  } catch (const Error& e) {
    std::error_code ignored;
    const auto space = fs::space(path.parent_path(), ignored);
    ::unlink(temporary.c_str());
    throw Error(
        fmt::format("cannot seal the shard {}: {} ({} to write, {} free); the rows stay in the log, and the "
                    "next run goes on from there",
                    path.string(), e.what(), human_bytes((rows.size() + 1) * row_bytes(format)),
                    human_bytes(space.available)));
  }
  ::unlink(temporary.c_str());
  sync_folder(path.parent_path());
}

}  // namespace graft
