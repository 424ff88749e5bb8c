#pragma once

#include <image/byte_reader.h>

namespace graft::image {

struct Orientation {
  int value = 1;         ///< 1 to 8; 1 when there is none or the structure is damaged.
  std::uint64_t at = 0;  ///< Where its 16 bits are; 0: nowhere.
};

/// The orientation in a TIFF structure (the payload of an EXIF segment behind "Exif\0\0", an eXIf or EXIF
/// chunk, or a TIFF file).
Orientation exif_orientation(ByteReader tiff);

}  // namespace graft::image
