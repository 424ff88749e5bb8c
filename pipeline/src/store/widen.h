#pragma once

#include <cstddef>
#include <cstdint>

#include <graft/payload.h>

namespace graft {

/// `n` little-endian elements as float32; exact but for large integers.
void widen(DType from, const std::uint8_t* in, std::size_t n, float* out);

}  // namespace graft
