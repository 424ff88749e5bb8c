#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <image/byte_reader.h>

namespace graft::image {

/// Keyword and text of a tEXt, zTXt or iTXt chunk (`name`), decompressed; both empty where the chunk is
/// damaged, of another name, or longer than a megabyte.
std::pair<std::string, std::string> png_text(std::string_view name, const ByteReader& data);

/// The bytes of a "Raw profile type ..." text, as ImageMagick writes it: a name and a length, each on a line
/// of its own, and hexadecimal digits. Empty where it is damaged.
std::string raw_profile(std::string_view text);

}  // namespace graft::image
