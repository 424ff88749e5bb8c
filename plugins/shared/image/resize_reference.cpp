// Pillow's algorithm in its plainest form. Slow and easy to check; resize.cpp must give the same bytes.

#include <image/taps.h>

namespace graft::image {

Image resize_reference(const Image& source, Size size, Rect crop, Filter filter) {
  check_crop(source, size, crop);
  constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
  const Taps across = make_taps(source.width, size.width, crop.x, crop.width, filter);
  const Taps down = make_taps(source.height, size.height, crop.y, crop.height, filter);
  const Image narrow = Image::allocate(crop.width, source.height);
  for (int y = down.begin(); y < down.end(); ++y) {
    for (int x = 0; x < crop.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        std::int32_t sum = kHalf;
        for (int t = 0; t < across.count[std::size_t(x)]; ++t)
          sum += source.row(y)[3 * (across.first[std::size_t(x)] + t) + c] * across.of(x)[t];
        narrow.row(y)[3 * x + c] = clip8(sum);
      }
    }
  }
  Image out = Image::allocate(crop.width, crop.height);
  for (int y = 0; y < crop.height; ++y) {
    for (int i = 0; i < 3 * crop.width; ++i) {
      std::int32_t sum = kHalf;
      for (int t = 0; t < down.count[std::size_t(y)]; ++t)
        sum += narrow.row(down.first[std::size_t(y)] + t)[i] * down.of(y)[t];
      out.row(y)[i] = clip8(sum);
    }
  }
  return out;
}

}  // namespace graft::image
