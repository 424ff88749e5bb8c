#pragma once

#include <cstdint>
#include <vector>

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// Walks the chunks of a PNG file: size, orientation. Checks that they are whole, that each has the checksum
/// that it says, and that the header is one that the PNG specification allows. Throws Reject as sniff() does.
Header png_header(const ByteReader& in);

/// What the pixels of the first frame are made of.
struct PngPixels {
  /// The file without the chunks that add nothing to them (profiles, texts, further frames): decoders print
  /// their opinion of those. And without tRNS.
  std::vector<std::uint8_t> file;
  /// The data of the last tRNS chunk, wherever it stands, in the bytes that were given; empty where there is
  /// none. libpng drops one that is longer than the palette, or that stands before it or after the pixels.
  ByteReader transparency;
};

/// Takes a file apart that has passed png_header().
PngPixels png_pixels(const Bytes& bytes);

}  // namespace graft::image
