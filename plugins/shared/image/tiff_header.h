#pragma once

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// Reads the first page of a classic TIFF file: size, orientation, alpha. Checks that the strips or tiles of
/// every page lie within the file and that the samples of the first are integers of at most 16 bits. Throws
/// Reject as sniff() does.
Header tiff_header(ByteReader in);

}  // namespace graft::image
