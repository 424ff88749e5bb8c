#include "store/hdf5_text.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "store/global_heap.h"

namespace graft {
namespace {

constexpr std::size_t kMaxText = std::size_t{64} << 10;
constexpr std::size_t kMaxAttribute = std::size_t{1} << 20;
/// In the file, a text of variable length is its length (u32), the address of a heap (u64), and a number
/// (u32).
constexpr std::size_t kReference = 16;

std::string trimmed(const char* text, std::size_t bytes, H5T_str_t padding) {
  if (bytes == 0) return {};
  if (padding != H5T_STR_SPACEPAD) return {text, ::strnlen(text, bytes)};
  while (bytes > 0 && text[bytes - 1] == ' ') --bytes;
  return {text, bytes};
}

/// A run of references that follow each other in the file.
struct Run {
  std::uint64_t offset;
  std::size_t count;
};

[[noreturn]] void refuse_variable(const std::string& label) {
  throw Error(label +
              ": texts of variable length that are packed, compact, or after a user block; write texts of a "
              "fixed length, or without compression");
}

/// Where the references of rows [first, first + count) are. HDF5 itself would follow them unchecked.
std::vector<Run> references(const Hdf5Dataset& set, std::size_t first, std::size_t count) {
  const std::string doing = "look at " + set.label;
  const Hdf5Id file(H5Iget_file_id(set.id), H5Fclose, doing);
  const Hdf5Id file_properties(H5Fget_create_plist(file), H5Pclose, doing);
  const Hdf5Id properties(H5Dget_create_plist(set.id), H5Pclose, doing);
  std::size_t address_bytes = 0, size_bytes = 0;
  hsize_t user_block = 0;
  hdf5_check(H5Pget_sizes(file_properties, &address_bytes, &size_bytes), doing);
  hdf5_check(H5Pget_userblock(file_properties, &user_block), doing);
  if (address_bytes != 8 || size_bytes != 8 || user_block != 0 || H5Pget_nfilters(properties) != 0)
    refuse_variable(set.label);
  if (H5Pget_layout(properties) == H5D_CONTIGUOUS) {
    const haddr_t at = H5Dget_offset(set.id);
    if (at == HADDR_UNDEF) refuse_variable(set.label);
    return {{at + first * kReference, count}};
  }
  if (H5Pget_layout(properties) != H5D_CHUNKED) refuse_variable(set.label);
  hsize_t chunk = 0;
  if (H5Pget_chunk(properties, 1, &chunk) != 1) refuse_variable(set.label);
  std::vector<Run> runs;
  for (std::size_t end = first + count; first < end;) {
    const hsize_t start = first / chunk * chunk;
    unsigned mask = 0;
    haddr_t at = HADDR_UNDEF;
    hsize_t bytes = 0;
    hdf5_check(H5Dget_chunk_info_by_coord(set.id, &start, &mask, &at, &bytes), doing);
    if (at == HADDR_UNDEF || bytes != chunk * kReference) throw Error(set.label + ": its chunks are damaged");
    const std::size_t n = std::min<std::size_t>(end, start + chunk) - first;
    runs.push_back({at + (first - start) * kReference, n});
    first += n;
  }
  return runs;
}

std::vector<std::string> read_variable(const Hdf5Dataset& set, std::span<const std::uint8_t> image,
                                       std::size_t first, std::size_t count) {
  std::vector<std::string> out;
  out.reserve(count);
  try {
    GlobalHeap heap(image);
    for (const Run& run : references(set, first, count)) {
      const std::span<const std::uint8_t> raw = heap.bytes(run.offset, run.count * kReference);
      for (std::size_t i = 0; i < run.count; ++i) {
        std::uint32_t bytes, index;
        std::uint64_t collection;
        std::memcpy(&bytes, &raw[i * kReference], 4);
        std::memcpy(&collection, &raw[i * kReference + 4], 8);
        std::memcpy(&index, &raw[i * kReference + 12], 4);
        if (bytes > kMaxText)
          throw Error(fmt::format("a text of {} bytes; expected at most {}", bytes, kMaxText));
        const std::string_view text = bytes == 0 ? std::string_view() : heap.object(collection, index, bytes);
        out.push_back(trimmed(text.data(), text.size(), H5T_STR_NULLTERM));
      }
    }
  } catch (const Error& e) {
    const std::string text = e.what();
    if (text.starts_with(set.label)) throw;
    throw Error(fmt::format("{}: row {}: {}", set.label, first + out.size(), text));
  }
  return out;
}

}  // namespace

bool is_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING;
}

std::vector<std::string> read_texts(const Hdf5Dataset& set, std::span<const std::uint8_t> image,
                                    std::size_t first, std::size_t count) {
  const Hdf5Id type(H5Dget_type(set.id), H5Tclose, "read " + set.label);
  if (H5Tis_variable_str(type) > 0) return read_variable(set, image, first, count);
  const std::size_t bytes = H5Tget_size(type);
  if (bytes == 0 || bytes > kMaxText)
    throw Error(fmt::format("{}: texts of {} bytes; expected at most {}", set.label, bytes, kMaxText));
  std::vector<std::string> out;
  out.reserve(count);
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / bytes);
  std::vector<char> raw;
  for (std::size_t n = 0; count > 0; first += n, count -= n) {
    n = std::min(step, count);
    raw.resize(n * bytes);
    read_rows(set, type, first, n, raw.data());
    for (std::size_t i = 0; i < n; ++i)
      out.push_back(trimmed(raw.data() + i * bytes, bytes, H5Tget_strpad(type)));
  }
  return out;
}

std::vector<std::string> read_text_attribute(hid_t object, const char* name, const std::string& label) {
  if (H5Aexists(object, name) <= 0) return {};
  const std::string what = fmt::format("{}, attribute '{}'", label, name);
  const std::string doing = "read " + what;
  const Hdf5Id attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose, doing);
  const Hdf5Id type(H5Aget_type(attribute), H5Tclose, doing);
  const Hdf5Id space(H5Aget_space(attribute), H5Sclose, doing);
  if (!is_text(type) || H5Sget_simple_extent_ndims(space) != 1)
    throw Error(what + ": expected a list of texts");
  // HDF5 does not tell where they lie, and would follow damaged references.
  if (H5Tis_variable_str(type) > 0)
    throw Error(
        fmt::format("{}: texts of variable length; make '{}' a dataset, or give its texts a fixed "
                    "length (h5py: np.array(names, dtype='S'))",
                    what, name));
  const auto count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space));
  const std::size_t bytes = H5Tget_size(type);
  if (bytes == 0 || count > kMaxAttribute / bytes)
    throw Error(fmt::format("{}: more than {} bytes", what, kMaxAttribute));
  std::vector<char> raw(count * bytes);
  hdf5_check(H5Aread(attribute, type, raw.data()), doing);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(trimmed(raw.data() + i * bytes, bytes, H5Tget_strpad(type)));
  return out;
}

}  // namespace graft
