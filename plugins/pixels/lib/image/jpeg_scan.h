#pragma once

#include <graft/payload.h>

namespace graft::image {

/// Checks the bytes that libjpeg skipped within the scans of a sequential, Huffman-coded JPEG file, which
/// it decoded without another warning.
///
/// Such bytes are harmless where a writer has put them after complete data. Where a damaged scan was
/// decoded to blocks that are not its own, they are the rest of the scan, and the pixels are wrong. Two signs
/// show the second case: the data of a scan must end with bits of 1, and what follows must not continue as
/// whole blocks up to the next marker.
///
/// Throws Reject `corrupt`. Files of other codings are not checked.
void check_scans(const Bytes& bytes);

}  // namespace graft::image
