#pragma once

#include <array>
#include <cstdint>

#include <graft/payload.h>

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// The headers of a BMP file, from OS/2 1.x to Windows V5.
struct BmpInfo {
  enum class Coding { Plain, Rle8, Rle4 };

  std::int64_t width = 0, height = 0;
  bool top_down = false;
  std::uint32_t bits = 0;  ///< Per pixel: 1, 4, 8 (palette), 16, 24, 32.
  Coding coding = Coding::Plain;
  std::array<std::uint32_t, 4> masks{};  ///< Of 16- and 32-bit pixels: red, green, blue, alpha (0: none).
  std::uint64_t palette = 0;             ///< Where it begins.
  std::uint32_t colours = 0;             ///< Entries of the palette,
  std::uint32_t colour_bytes = 4;        ///< and the bytes of each: blue, green, red, maybe padding.
  std::uint64_t pixels = 0;              ///< Where the rows begin.
  std::uint64_t row_bytes = 0;           ///< From one row to the next; 0 for run-length coded ones.
};

/// Whether a file is to be read as a BMP file.
bool is_bmp(const ByteReader& in);

/// Reads the headers and checks that the rows are there, the last one maybe
/// without its padding. Allocates nothing. Throws Reject as sniff() does.
BmpInfo bmp_info(const ByteReader& in);

/// The pixels, as Pillow gives them; transparent ones are laid on white. `info` is of the same file and its
/// size has been judged. Run-length coded pixels that are left out have the palette's first colour. Throws
/// Reject `truncated` where coded pixels end early.
Image decode_bmp(const ByteReader& in, const BmpInfo& info);

}  // namespace graft::image
