#include "store/hdf5_dataset.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr hsize_t kMaxChunkBytes = hsize_t{512} << 20;
constexpr hsize_t kDefaultCacheBytes = hsize_t{1} << 20;

/// Bytes of the caller's that HDF5 takes for a copy of its own.
struct Borrowed {
  void* bytes;
  std::size_t size;

  static void* get(std::size_t size, H5FD_file_image_op_t, void* image) {
    const auto* const own = static_cast<const Borrowed*>(image);
    return size == own->size ? own->bytes : nullptr;
  }
  static void* fill(void* to, const void*, std::size_t, H5FD_file_image_op_t, void*) { return to; }
  static void* grow(void*, std::size_t, H5FD_file_image_op_t, void*) { return nullptr; }
  static herr_t free(void*, H5FD_file_image_op_t, void*) { return 0; }
  static void* share(void* image) { return image; }
  static herr_t drop(void*) { return 0; }
};

/// At the start, or after a user block of 512, 1024, 2048, ... bytes.
bool has_signature(std::span<const std::uint8_t> image) {
  static constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
  for (std::size_t at = 0; at + kSignature.size() <= image.size(); at = at == 0 ? 512 : 2 * at)
    if (std::memcmp(image.data() + at, kSignature.data(), kSignature.size()) == 0) return true;
  return false;
}

/// "a/b/c": "a", "a/b", "a/b/c".
std::vector<std::string> prefixes(const std::string& name) {
  std::vector<std::string> out;
  for (std::size_t slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1))
    out.push_back(name.substr(0, slash));
  out.push_back(name);
  return out;
}

void check_links(hid_t file, const std::string& name, const std::string& label) {
  for (const std::string& part : prefixes(name)) {
    H5L_info_t link;
    hdf5_check(H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT), "open " + label);
    if (link.type != H5L_TYPE_HARD)
      throw Error(label + ": is a link to elsewhere; copy the data into the file itself");
  }
}

void check_filters(hid_t properties, const std::string& label) {
  const int n = H5Pget_nfilters(properties);
  for (int i = 0; i < n; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    char name[64] = "";
    const H5Z_filter_t filter = H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr,
                                               sizeof name, name, nullptr);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
      throw Error(
          fmt::format("{}: packed by the filter {} ({}); expected deflate (gzip), shuffle or "
                      "fletcher32; unpack it: h5repack -f NONE IN OUT",
                      label, filter, name[0] == '\0' ? "no name" : name));
  }
}

/// Extents of a chunk; empty for data in one piece.
std::vector<hsize_t> chunk_of(hid_t properties, std::size_t rank, const std::string& label) {
  if (H5Pget_layout(properties) != H5D_CHUNKED) return {};
  std::vector<hsize_t> chunk(rank);
  if (H5Pget_chunk(properties, static_cast<int>(rank), chunk.data()) != static_cast<int>(rank))
    throw Error(label + ": its chunks have another rank than the data");
  return chunk;
}

/// Bytes of all chunks that hold a row, at most.
hsize_t line_bytes(const Hdf5Dataset& set, const std::vector<hsize_t>& chunk, hsize_t element) {
  hsize_t one = element, line = element;
  for (std::size_t axis = 0; axis < chunk.size(); ++axis) {
    const hsize_t across = axis == 0 ? 1 : (set.extents[axis] + chunk[axis] - 1) / chunk[axis];
    if (__builtin_mul_overflow(one, chunk[axis], &one) ||
        __builtin_mul_overflow(line, chunk[axis] * std::max<hsize_t>(across, 1), &line))
      line = one = kMaxChunkBytes + 1;
  }
  if (one > kMaxChunkBytes)
    throw Error(
        fmt::format("{}: chunks of more than {} MiB; rewrite it with smaller ones: h5repack -l "
                    "CHUNK=... IN OUT",
                    set.label, kMaxChunkBytes >> 20));
  return std::min(line, kMaxChunkBytes);
}

/// `element`: bytes in the file; 0: variable.
void check_written(const Hdf5Dataset& set, hid_t space, const std::vector<hsize_t>& chunk, hsize_t element) {
  bool whole = true;
  if (!chunk.empty()) {
    hsize_t wanted = 1, written = 0;
    for (std::size_t axis = 0; axis < chunk.size(); ++axis)
      wanted *= (set.extents[axis] + chunk[axis] - 1) / chunk[axis];
    hdf5_check(H5Dget_num_chunks(set.id, space, &written), "look at the chunks of " + set.label);
    whole = written == wanted;
  } else if (H5Sget_simple_extent_npoints(space) > 0) {
    H5D_space_status_t status = H5D_SPACE_STATUS_ERROR;
    hdf5_check(H5Dget_space_status(set.id, &status), "look at " + set.label);
    whole = status == H5D_SPACE_STATUS_ALLOCATED;
    // A damaged size sends HDF5 beyond its buffers. Extents that overflow when multiplied fit no file either.
    hsize_t bytes = element;
    for (const hsize_t extent : set.extents)
      if (__builtin_mul_overflow(bytes, extent, &bytes)) bytes = 0;
    if (whole && element > 0 && H5Dget_storage_size(set.id) != bytes)
      throw Error(fmt::format("{}: {} bytes are stored for shape [{}]; the file is damaged", set.label,
                              H5Dget_storage_size(set.id), fmt::join(set.extents, ",")));
  }
  if (!whole) throw Error(set.label + ": was never wholly written; what is missing would read as zeros");
}

}  // namespace

Hdf5Id file_access_list() {
  Hdf5Id list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "make an access list");
  hdf5_check(H5Pset_libver_bounds(list, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST), "set the file format");
  // A sealed file has one writer by construction; locks fail on many network file systems (ENOLCK, 524).
  hdf5_check(H5Pset_file_locking(list, 0, 1), "switch file locking off");
  hdf5_check(H5Pset_fclose_degree(list, H5F_CLOSE_STRONG), "set the close degree");
  return list;
}

Hdf5Id open_hdf5_file(const fs::path& path) {
  const std::string doing = "open " + path.string();
  if (!fs::is_regular_file(path)) throw Error(fmt::format("cannot {}: no such regular file", doing));
  const Hdf5Id access = file_access_list();
  const htri_t is_hdf5 = H5Fis_hdf5(path.c_str());
  hdf5_check(is_hdf5, doing);
  if (is_hdf5 == 0) throw Error(path.string() + ": is no HDF5 file");
  return {H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose, doing};
}

Hdf5Id open_hdf5_image(std::span<const std::uint8_t> image, const std::string& label) {
  if (!has_signature(image)) {
    const auto begins = [&](std::string_view with) {
      return image.size() >= with.size() && std::memcmp(image.data(), with.data(), with.size()) == 0;
    };
    const bool numpy = begins("\x93NUMPY") || begins("PK\x03\x04");
    throw Error(
        label + ": is no HDF5 file" +
        (numpy ? ", but NumPy's: write its arrays with h5py, h5py.File(\"table.h5\", \"w\")[\"features\"] = "
                 "features"
               : ""));
  }
  const std::string doing = "open " + label;
  const Hdf5Id access = file_access_list();
  hdf5_check(H5Pset_fapl_core(access, 4096, 0), doing);
  // The library works on the bytes where they are: its ways to get, fill and free a copy of them do nothing.
  Borrowed where{const_cast<std::uint8_t*>(image.data()), image.size()};
  H5FD_file_image_callbacks_t callbacks{Borrowed::get,   Borrowed::fill, Borrowed::grow, Borrowed::free,
                                        Borrowed::share, Borrowed::drop, &where};
  hdf5_check(H5Pset_file_image_callbacks(access, &callbacks), doing);
  hdf5_check(H5Pset_file_image(access, where.bytes, where.size), doing);
  // The library looks whether there is a file of that name, which there cannot be.
  return {H5Fopen("/dev/null/table", H5F_ACC_RDONLY, access), H5Fclose, doing};
}

bool has_object(hid_t file, const std::string& name) {
  for (const std::string& part : prefixes(name)) {
    if (H5Lexists(file, part.c_str(), H5P_DEFAULT) <= 0) return false;
    H5L_info_t link;
    if (H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0) return false;
    if (link.type != H5L_TYPE_HARD) return true;
  }
  return true;
}

Hdf5Dataset open_dataset(hid_t file, const fs::path& path, const std::string& name) {
  Hdf5Dataset set;
  set.label = fmt::format("{}, dataset '{}'", path.string(), name);
  const std::string doing = "open " + set.label;
  if (!has_object(file, name)) throw Error(set.label + ": is missing");
  check_links(file, name, set.label);
  Hdf5Id object(H5Oopen(file, name.c_str(), H5P_DEFAULT), H5Oclose, doing);
  if (H5Iget_type(object) != H5I_DATASET) throw Error(set.label + ": is not a dataset");
  set.id = std::move(object);
  const Hdf5Id properties(H5Dget_create_plist(set.id), H5Pclose, doing);
  if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0)
    throw Error(set.label + ": its data lie in another file; copy them into this one");
  check_filters(properties, set.label);
  const Hdf5Id space(H5Dget_space(set.id), H5Sclose, doing);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 1) throw Error(set.label + ": has no rows");
  set.extents.resize(static_cast<std::size_t>(rank));
  hdf5_check(H5Sget_simple_extent_dims(space, set.extents.data(), nullptr), doing);
  const std::vector<hsize_t> chunk = chunk_of(properties, set.extents.size(), set.label);
  const Hdf5Id type(H5Dget_type(set.id), H5Tclose, doing);
  const bool variable = H5Tis_variable_str(type) > 0 || H5Tget_class(type) == H5T_VLEN;
  const hsize_t line = line_bytes(set, chunk, H5Tget_size(type));
  check_written(set, space, chunk, variable ? 0 : H5Tget_size(type));
  if (!chunk.empty() && line > kDefaultCacheBytes) {
    const Hdf5Id access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, doing);
    hdf5_check(H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, line, 1.0), doing);
    set.id = Hdf5Id(H5Dopen2(file, name.c_str(), access), H5Dclose, doing);
  }
  return set;
}

namespace {

/// Rows of a dataset, and room for as many in memory.
struct Selection {
  Selection(hid_t set, std::vector<hsize_t> size, std::size_t first, std::size_t count,
            const std::string& doing)
      : file(H5Dget_space(set), H5Sclose, doing) {
    std::vector<hsize_t> start(size.size(), 0);
    start[0] = first;
    size[0] = count;
    hdf5_check(H5Sselect_hyperslab(file, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), doing);
    memory = Hdf5Id(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose, doing);
  }
  Hdf5Id file, memory;
};

}  // namespace

void read_rows(const Hdf5Dataset& set, hid_t memory_type, std::size_t first, std::size_t count, void* out,
               hid_t transfer) {
  const std::string doing = "read " + set.label;
  const Selection rows(set.id, set.extents, first, count, doing);
  hdf5_check(H5Dread(set.id, memory_type, rows.memory, rows.file, transfer, out), doing);
}

void write_rows(hid_t set, const std::vector<hsize_t>& extents, hid_t memory_type, std::size_t first,
                std::size_t count, const void* data, const std::string& doing) {
  const Selection rows(set, extents, first, count, doing);
  hdf5_check(H5Dwrite(set, memory_type, rows.memory, rows.file, H5P_DEFAULT, data), doing);
}

}  // namespace graft
