#pragma once

#include <cstdint>
#include <string>

#include <graft/payload.h>

namespace graft::image {

/// File formats that are decoded here.
enum class Format { Jpeg, Png, WebP, Bmp, Tiff, Pnm };

const char* to_string(Format format);  // "JPEG", "PNG", ...

/// What the header of an image file says, found without decoding a pixel or allocating memory for one.
struct Header {
  Format format = Format::Jpeg;
  std::int64_t width = 0;
  std::int64_t height = 0;
  int orientation = 1;  ///< EXIF orientation, 1 to 8. JPEG: found by decode_jpeg, not here.
};

/// Reads the header and checks that the file is whole as far as its own lengths show: PNG chunks and their
/// checksums, the RIFF size, BMP rows, TIFF strips and tiles, samples of binary PNM files. JPEG is not
/// walked: width and height stay 0.
///
/// Throws Reject: `empty-file`; `not-an-image` and `unsupported-format`, which say what the file is and what
/// can be read; `truncated`; `corrupt`.
Header sniff(const Bytes& bytes);

/// "JPEG, PNG, WebP, BMP, TIFF, PNM": for messages.
std::string readable_formats();

}  // namespace graft::image
