#pragma once

#include <cstdint>

#include <image/geometry.h>

namespace graft::image {

struct JpegOptions {
  std::int64_t max_pixels = 64'000'000;  ///< Checked before pixels are allocated.
  bool exif = true;                      ///< Turn the image upright as its EXIF orientation says.
};

/// Decodes a JPEG file to RGB with libjpeg: accurate integer DCT and smooth chroma upsampling, as Pillow
/// does, so that the pixels are equal to Pillow's. Grey becomes RGB; CMYK and YCCK are taken as Adobe writes
/// them (inverted) and converted as Pillow's convert("RGB") does.
///
/// Every warning of libjpeg counts as damage, because most truncated files decode with nothing but a warning.
/// Throws Reject: `truncated`, `corrupt`, `too-large`, `unsupported-format`. Any thread.
Image decode_jpeg(const Bytes& bytes, const JpegOptions& options);

}  // namespace graft::image
