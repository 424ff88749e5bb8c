#pragma once

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// Reads the first page of a classic TIFF file: size, orientation. Checks that the strips or tiles of every
/// page lie within the file and that the samples of the first are of a kind that is read: unsigned integers
/// of 1 to 16 bits, all alike, that are grey, RGB, those of a palette that is there, CMYK or YCbCr. Throws
/// Reject as sniff() does.
Header tiff_header(ByteReader in);

}  // namespace graft::image
