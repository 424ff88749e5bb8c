#pragma once

#include <cstddef>
#include <cstdint>

#include <graft/export.h>

namespace graft {

/// IEEE 754 binary16 bits of `n` floats, rounded to nearest, ties to even; subnormals are kept, magnitudes
/// from 65520 on become infinity. The same bits on every machine, with the F16C instructions where the
/// processor has them; but for NaN, which stays NaN with a payload of the processor's choice.
GRAFT_API void to_half(const float* in, std::size_t n, std::uint16_t* out);
/// The values of `n` halves, exactly; NaN as above.
GRAFT_API void from_half(const std::uint16_t* in, std::size_t n, float* out);

/// The same in integer arithmetic: the reference for tests.
GRAFT_API void to_half_portable(const float* in, std::size_t n, std::uint16_t* out);
GRAFT_API void from_half_portable(const std::uint16_t* in, std::size_t n, float* out);

}  // namespace graft
