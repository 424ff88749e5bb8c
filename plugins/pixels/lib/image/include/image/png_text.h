#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <image/byte_reader.h>

namespace graft::image {

/// Bytes that the compressed texts of a file may have together: Pillow's limit. A short file of many chunks
/// would take minutes.
inline constexpr std::uint64_t kMaxTexts = 64 << 20;

/// Keyword and text of a tEXt, zTXt or iTXt chunk (`name`), decompressed; both empty where the chunk is
/// damaged, of another name, or longer than a megabyte when decompressed. Decompressed bytes, those of
/// damaged chunks among them, are taken from `budget`, what is left of kMaxTexts. Throws Reject `too-large`
/// where it does not last.
std::pair<std::string, std::string> png_text(std::string_view name, const ByteReader& data,
                                             std::uint64_t& budget);

/// The bytes of a "Raw profile type ..." text, as ImageMagick writes it: a name and a length, each on a line
/// of its own, and hexadecimal digits. Empty where it is damaged.
std::string raw_profile(std::string_view text);

}  // namespace graft::image
