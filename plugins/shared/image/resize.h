#pragma once

#include <string_view>

#include <image/geometry.h>

namespace graft::image {

/// Resampling filters of Pillow, all antialiased: when an image shrinks, the filter widens with the ratio.
/// Bicubic has a = -0.5, Lanczos three lobes.
enum class Filter { Box, Bilinear, Bicubic, Lanczos };

/// "box", "bilinear", "bicubic" or "lanczos"; throws Error for another word.
Filter filter_from(std::string_view name);

/// The pixels of `crop` out of `source` resized to `size`; only these are computed. `crop` must lie within
/// `size`.
///
/// Equal to Pillow's Image.resize on RGB, bit by bit: weights in fixed point with 22 bits, the horizontal
/// pass first, an 8-bit intermediate image, then the vertical pass (Pillow 9.4, src/libImaging/Resample.c).
/// Any thread. Throws Error when the crop is not inside `size`.
Image resize(const Image& source, Size size, Rect crop, Filter filter);

/// The whole resized image.
Image resize(const Image& source, int width, int height, Filter filter);

/// The same result as resize(), computed pixel by pixel in the plainest way: what the fast one is tested
/// against.
Image resize_reference(const Image& source, Size size, Rect crop, Filter filter);

}  // namespace graft::image
