#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/hash.h>
#include <graft/payload.h>
#include <graft/stage.h>

namespace graft {

/// What every row of a table looks like.
using RowFormat = Collector::RowFormat;

/// "f32[512]".
inline std::string to_string(const RowFormat& format) {
  return to_string(format.dtype) + to_string(format.shape);
}

inline std::size_t row_bytes(const RowFormat& format) {
  return static_cast<std::size_t>(elements(format.shape)) * size_of(format.dtype);
}

/// Names a row of a table by what it was computed from: content and view, and the key or the split where the
/// output depends on them (`qualifier`). A renamed file keeps its rows, a changed one loses them.
GRAFT_API Digest row_id(const Digest& content, std::uint32_t view, std::string_view qualifier);

/// A reject's reason takes this much in every file of the store; a longer text is cut.
constexpr std::size_t kReasonBytes = 256;

/// How an input ended without a row.
struct StoredReject {
  std::string stage, code, text;
};

/// A committed outcome: a row, or a reject.
struct RowRecord {
  Digest id;
  std::uint64_t sequence =
      0;  ///< Position in the list of the run that computed it: the order rows are sealed in.
  bool ok = true;
  std::span<const std::uint8_t>
      payload;  ///< ok: the row. Otherwise: stage, code and text, each ended by '\0'.
};

GRAFT_API std::vector<std::uint8_t> encode_reject(const StoredReject& reject);
GRAFT_API StoredReject decode_reject(std::span<const std::uint8_t> payload);

}  // namespace graft
