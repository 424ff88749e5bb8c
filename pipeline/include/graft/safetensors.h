#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/export.h>
#include <graft/payload.h>

namespace graft {

/// A safetensors file is the length of a JSON header (u64, little-endian), the header, and the tensors' bytes
/// without gaps (https://huggingface.co/docs/safetensors). Everything here throws Error without a file name.

/// One tensor of a header: element type as the format names it ("F32", "BF16", ...), and where its bytes are,
/// counted from the end of the header.
struct SafetensorsEntry {
  std::string name, dtype;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  ///< In the order of their bytes.
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// The longest header that is read: some hundred thousand tensors.
constexpr std::uint64_t kMaxSafetensorsHeader = std::uint64_t{16} << 20;

/// Reads a header that is followed by `data_bytes` bytes. Refused: unknown keys, names that come twice,
/// shapes that do not fit their range, ranges that overlap, leave a gap or leave the file. Of a tensor of an
/// unknown type, only its range is known.
GRAFT_API SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

/// What the format calls a type, and back: nothing for types that DType does not have.
GRAFT_API const char* safetensors_type(DType dtype);
GRAFT_API std::optional<DType> dtype_of_safetensors(std::string_view type);

/// The beginning of a file, length and header, for tensors whose bytes follow in this order; sets their
/// ranges.
GRAFT_API std::string begin_safetensors(std::vector<SafetensorsEntry>& tensors);

/// A whole file in memory.
GRAFT_API std::string to_safetensors(const std::map<std::string, Tensor>& tensors);

}  // namespace graft
