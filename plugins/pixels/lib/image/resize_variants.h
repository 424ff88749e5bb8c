#pragma once

// The ways in which resize() is computed. All give the same bytes; for the library and its tests only.

#include <image/resize.h>

namespace graft::image {

/// Pixel by pixel in the plainest way: what the others are tested against.
Image resize_reference(const Part& source, Size size, Rect crop, Filter filter);

/// For any processor.
Image resize_portable(const Part& source, Size size, Rect crop, Filter filter);

/// For x86-64 with AVX2; elsewhere the portable one.
Image resize_avx2(const Part& source, Size size, Rect crop, Filter filter);

}  // namespace graft::image
