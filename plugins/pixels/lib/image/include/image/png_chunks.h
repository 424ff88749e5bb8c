#pragma once

#include <cstdint>
#include <vector>

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// Walks the chunks of a PNG file: size, orientation. Checks that they are whole, that each has the checksum
/// that it says, and that the header is one that the PNG specification allows. Throws Reject as sniff() does.
Header png_header(const ByteReader& in);

/// The file without the chunks that add nothing to the pixels of the first frame (profiles, texts, further
/// frames): decoders print their opinion of those. The file has passed png_header().
std::vector<std::uint8_t> png_pixels_only(const Bytes& bytes);

}  // namespace graft::image
