#pragma once

#include <optional>
#include <string_view>

#include <image/byte_reader.h>

namespace graft::image {

/// The orientation in a TIFF structure: an EXIF block, with or without its "Exif\0\0", or a TIFF file.
///
/// Nothing where there is no such tag or no structure. 1 (upright) where the tag holds anything but an
/// integer from 1 to 8. Integers of every type and width count, because cameras write all of them; of several
/// the first, as in Pillow. Tags after one whose value lies outside of the structure are not seen.
std::optional<int> exif_orientation(ByteReader tiff);

/// The orientation in an XMP packet (tiff:Orientation as an attribute or an element). Nothing where it has
/// none.
std::optional<int> xmp_orientation(std::string_view xmp);

}  // namespace graft::image
