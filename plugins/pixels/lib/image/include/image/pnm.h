#pragma once

#include <cstdint>

#include <graft/payload.h>

#include <image/byte_reader.h>
#include <image/sniff.h>

namespace graft::image {

/// The header of a PNM file: P1 to P6.
struct PnmInfo {
  std::int64_t width = 0, height = 0;
  bool bits = false;          ///< P1, P4: one bit per pixel, 1 is black.
  bool text = false;          ///< P1, P2, P3: the samples are numbers in text.
  int channels = 1;           ///< 3 for P3 and P6.
  std::uint32_t largest = 1;  ///< The sample that is white, 1 to 65535.
  std::uint64_t samples = 0;  ///< Where they begin.
};

/// Reads the header and checks that all samples of a binary file are there. Allocates nothing. Throws Reject
/// as sniff() does.
PnmInfo pnm_info(const ByteReader& in);

/// The pixels: every sample v is round(255 * v / largest), halves to even, as Pillow has it. `info` is of
/// the same file and its size has been judged. Throws Reject `truncated` or `corrupt` for samples in text.
Image decode_pnm(const ByteReader& in, const PnmInfo& info);

}  // namespace graft::image
