// Pillow's algorithm in its plainest form. Slow and easy to check; the others must give the same bytes.

#include "resize_variants.h"
#include "taps.h"

namespace graft::image {

Image resize_reference(const Part& source, Size size, Rect crop, Filter filter) {
  check_crop(source, size, crop, filter);
  const Taps across_taps = make_taps(across(source.frame, size, crop), filter);
  const Taps down_taps = make_taps(down(source.frame, size, crop), filter);
  const int top = down_taps.begin();
  const Image narrow = Image::allocate(crop.width, down_taps.end() - top);
  for (int y = 0; y < narrow.height; ++y) {
    const std::uint8_t* row = source.pixels.row(static_cast<int>(top + y - source.y));
    for (int x = 0; x < crop.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        std::int32_t sum = kHalf;
        for (int t = 0; t < across_taps.count[std::size_t(x)]; ++t)
          sum += row[3 * (across_taps.first[std::size_t(x)] + t - source.x) + c] * across_taps.of(x)[t];
        narrow.row(y)[3 * x + c] = clip8(sum);
      }
    }
  }
  Image out = Image::allocate(crop.width, crop.height);
  for (int y = 0; y < crop.height; ++y) {
    for (int i = 0; i < 3 * crop.width; ++i) {
      std::int32_t sum = kHalf;
      for (int t = 0; t < down_taps.count[std::size_t(y)]; ++t)
        sum += narrow.row(down_taps.first[std::size_t(y)] - top + t)[i] * down_taps.of(y)[t];
      out.row(y)[i] = clip8(sum);
    }
  }
  return out;
}

}  // namespace graft::image
