#pragma once

// What the operations share: walking over pixels and beyond the border.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <graft/payload.h>

namespace graft::augment {

inline Image copied(const Image& image) {
  Image out = Image::allocate(image.width, image.height);
  for (int y = 0; y < image.height; ++y)
    std::memcpy(out.row(y), image.row(y), 3 * static_cast<std::size_t>(image.width));
  return out;
}

/// A new image of the same size; f(const std::uint8_t* in, std::uint8_t* out) makes each pixel of three
/// bytes.
template <typename F>
Image transformed(const Image& image, F f) {
  Image out = Image::allocate(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* from = image.row(y);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < image.width; ++x, from += 3, to += 3) f(from, to);
  }
  return out;
}

/// The position in [0, side) that a position outside mirrors, the edge itself not repeated: -1 is 1, `side`
/// is side - 2, and so on to and fro for positions far away. Like the padding mode "reflect" of NumPy and
/// PyTorch.
inline int reflected(int position, int side) {
  if (side == 1) return 0;
  const int period = 2 * (side - 1);
  const int at = std::abs(position) % period;
  return at < side ? at : period - at;
}

}  // namespace graft::augment
