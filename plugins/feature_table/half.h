#pragma once

#include <cstdint>

/// IEEE 754 binary16 bits of `value`, rounded to nearest, ties to even; subnormals are kept. Magnitudes from
/// 65520 on become infinity and NaN stays NaN, as in the standard. In integer arithmetic, so that every
/// machine, with or without F16C, stores the same bits.
std::uint16_t to_half(float value);
