#include <image/resize.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include <graft/error.h>

namespace graft::image {
namespace {

// Offset of a centred window of `crop` in `side`.
std::int64_t centred(std::int64_t side, std::int64_t crop) {
  if (crop > side) return -((crop - side) / 2);
  // nearbyint rounds half to even in the default mode, as Python's round() does.
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(side - crop) / 2.0));
}

// What an EXIF orientation asks for: whether rows become columns, and then which axes of the result run
// backwards in the source.
struct Turn {
  bool swap, back_x, back_y;
};

Turn turn_of(int orientation) {
  if (orientation < 2 || orientation > 8) return {false, false, false};
  const auto one_of = [orientation](int a, int b, int c, int d) {
    return orientation == a || orientation == b || orientation == c || orientation == d;
  };
  return {orientation >= 5, one_of(2, 3, 6, 7), one_of(3, 4, 7, 8)};
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

Rect floor_centre_crop(Size size, int width, int height) {
  const auto start = [](std::int64_t n, int crop) { return n < crop ? centred(n, crop) : (n - crop) / 2; };
  return {start(size.width, width), start(size.height, height), width, height};
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
  const Turn turn = turn_of(orientation);
  if (!turn.swap && !turn.back_x && !turn.back_y) return image;
  Image out = Image::allocate(turn.swap ? image.height : image.width, turn.swap ? image.width : image.height);
  const std::ptrdiff_t step_x = (turn.swap ? image.stride : 3) * (turn.back_x ? -1 : 1);
  for (int y = 0; y < out.height; ++y) {
    const int sy = turn.back_y ? out.height - 1 - y : y;
    const std::uint8_t* from = turn.swap ? image.data + 3 * sy : image.row(sy);
    if (turn.back_x) from -= step_x * (out.width - 1);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, from += step_x, to += 3) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

Rect before_turning(Rect rect, Size size, int orientation) {
  const Turn turn = turn_of(orientation);
  if (turn.back_x) rect.x = size.width - rect.x - rect.width;
  if (turn.back_y) rect.y = size.height - rect.y - rect.height;
  if (turn.swap) return {rect.y, rect.x, rect.height, rect.width};
  return rect;
}

Frame upright(const Frame& frame, int orientation) {
  const Turn turn = turn_of(orientation);
  Frame out = frame;
  if (turn.swap)
    out = {{frame.size.height, frame.size.width}, frame.top, frame.left, frame.bottom, frame.right};
  const auto width = static_cast<double>(out.size.width), height = static_cast<double>(out.size.height);
  if (turn.back_x) out.left = width - std::exchange(out.right, width - out.left);
  if (turn.back_y) out.top = height - std::exchange(out.bottom, height - out.top);
  return out;
}

Image mirrored(const Image& image) {
  return upright(image, 2);
}

}  // namespace graft::image
