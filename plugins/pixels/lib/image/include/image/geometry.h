#pragma once

#include <cstdint>

#include <graft/payload.h>

namespace graft::image {

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

/// A rectangle of pixels; x and y may be negative where a crop reaches over the border.
struct Rect {
  std::int64_t x = 0;
  std::int64_t y = 0;
  int width = 0;
  int height = 0;
  friend bool operator==(const Rect&, const Rect&) = default;
};

/// Size after scaling so that the shorter side becomes `side`: the longer one is truncated,
/// int(side * longer / shorter), as torchvision's Resize does. At least one pixel each way.
Size with_shorter_side(Size size, int side);

/// The crop in the middle of an image of `size`, as torchvision's CenterCrop places it: offsets are rounded
/// half to even, and where the crop is larger than the image the odd pixel of the border goes right or below.
Rect centre_crop(Size size, int width, int height);

/// The same as Hugging Face's image processors place it: offsets are rounded down. One pixel apart where a
/// margin is 3 modulo 4; a crop that is larger than the image lies as centre_crop() places it.
Rect floor_centre_crop(Size size, int width, int height);

/// The part of `image` inside `rect`, without copying. The rectangle must lie within the image; throws Error
/// if not.
Image view(const Image& image, Rect rect);

/// `image` turned upright: `orientation` is the value of the EXIF tag, 1 to 8; 1 and unknown values change
/// nothing.
Image upright(const Image& image, int orientation);

/// Where the pixels of `rect`, of an upright image of `size`, are before upright() turns it.
Rect before_turning(Rect rect, Size size, int orientation);

/// A copy of `image`, mirrored left to right.
Image mirrored(const Image& image);

}  // namespace graft::image
