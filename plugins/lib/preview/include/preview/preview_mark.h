#pragma once

#include <cstddef>
#include <string_view>

namespace graft::preview {

/// Where a PNG file has its first chunk after the header.
constexpr std::size_t kPreviewMarkAt = 33;

/// A chunk by which sources know a picture of graft's own among data: "Software: graft preview", with its
/// length and its CRC-32.
constexpr std::string_view kPreviewMark("\0\0\0\026tEXtSoftware\0graft preview\060\001\035\206", 34);

}  // namespace graft::preview
