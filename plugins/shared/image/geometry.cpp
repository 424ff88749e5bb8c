#include <image/geometry.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include <graft/error.h>

namespace graft::image {
namespace {

// Offset of a centred window of `crop` in `side`.
std::int64_t centred(std::int64_t side, std::int64_t crop) {
  if (crop > side) return -((crop - side) / 2);
  // nearbyint rounds half to even in the default mode, as Python's round() does.
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(side - crop) / 2.0));
}

}  // namespace

Size with_shorter_side(Size size, int side) {
  const auto scaled = [side](std::int64_t longer, std::int64_t shorter) {
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(static_cast<double>(side * longer) / static_cast<double>(shorter)));
  };
  if (size.width <= size.height) return {side, scaled(size.height, size.width)};
  return {scaled(size.width, size.height), side};
}

Rect centre_crop(Size size, int width, int height) {
  return {centred(size.width, width), centred(size.height, height), width, height};
}

Image view(const Image& image, Rect rect) {
  if (rect.x < 0 || rect.y < 0 || rect.width < 1 || rect.height < 1 || rect.x + rect.width > image.width ||
      rect.y + rect.height > image.height)
    throw Error("expected a rectangle within " + std::to_string(image.width) + " x " +
                std::to_string(image.height) + " pixels, got " + std::to_string(rect.width) + " x " +
                std::to_string(rect.height) + " at " + std::to_string(rect.x) + ", " +
                std::to_string(rect.y));
  Image part = image;
  part.data = image.row(static_cast<int>(rect.y)) + 3 * rect.x;
  part.width = rect.width;
  part.height = rect.height;
  return part;
}

Image upright(const Image& image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swap = orientation >= 5;
  Image out = Image::allocate(swap ? image.height : image.width, swap ? image.width : image.height);
  // Values 5 to 8 transpose first; then which output axes run backwards in the source.
  const bool back_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool back_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const std::ptrdiff_t step_x = (swap ? image.stride : 3) * (back_x ? -1 : 1);
  for (int y = 0; y < out.height; ++y) {
    const int sy = back_y ? out.height - 1 - y : y;
    const std::uint8_t* from = swap ? image.data + 3 * sy : image.row(sy);
    if (back_x) from -= step_x * (out.width - 1);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, from += step_x, to += 3) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

Image mirrored(const Image& image) {
  return upright(image, 2);
}

}  // namespace graft::image
