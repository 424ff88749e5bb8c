#pragma once

#include <string_view>

#include <image/geometry.h>

namespace graft::image {

/// Resampling filters of Pillow, all antialiased: when an image shrinks, the filter widens with the ratio.
/// Bicubic has a = -0.5, Lanczos three lobes.
enum class Filter { Box, Bilinear, Bicubic, Lanczos };

/// "box", "bilinear", "bicubic" or "lanczos"; throws Error for another word.
Filter filter_from(std::string_view name);

/// The grid of pixels that a picture was sampled on: `size` pixels, of which it covers [left, right) by
/// [top, bottom). The two differ where a decoder shrank the picture and the last pixels are covered in part.
struct Frame {
  Size size;
  double left = 0, top = 0, right = 0, bottom = 0;

  friend bool operator==(const Frame&, const Frame&) = default;
  static Frame whole(Size size) {
    return {size, 0, 0, static_cast<double>(size.width), static_cast<double>(size.height)};
  }
};

/// The frame of an image after upright() has turned it.
Frame upright(const Frame& frame, int orientation);

/// Pixels cut from a larger image: the rest of it need not be in memory.
struct Part {
  Image pixels;
  std::int64_t x = 0, y = 0;  ///< Where they lie in the frame.
  Frame frame;

  static Part whole(const Image& image) { return {image, 0, 0, Frame::whole({image.width, image.height})}; }
};

/// The pixels of the source that `crop` out of `size` is made from. `crop` must lie within `size`; throws
/// Error if not.
Rect source_of(const Frame& frame, Size size, Rect crop, Filter filter);

/// The pixels of `crop` out of `source` resized to `size`; only these are computed. `crop` must lie within
/// `size`, and `source` must hold source_of() it.
///
/// Equal to Pillow's Image.resize on RGB, bit by bit: weights in fixed point with 22 bits, the horizontal
/// pass first, an 8-bit intermediate image, then the vertical pass (Pillow 9.4, src/libImaging/Resample.c);
/// the frame is Pillow's `box`. Any thread. Throws Error when the crop or the source is too small.
Image resize(const Part& source, Size size, Rect crop, Filter filter);

/// The same as torchvision resizes tensors, with antialias: float32, rounded to 8 bits once, half to even,
/// not after each pass. Within 1 of resize() for box and bilinear; the others overshoot, which is cut off
/// once.
Image resize_tensor(const Part& source, Size size, Rect crop, Filter filter);

/// The whole image.
Image resize(const Image& source, int width, int height, Filter filter);

}  // namespace graft::image
