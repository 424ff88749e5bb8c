#pragma once

// What the fast resizers share: in which order rows are narrowed and combined.

#include <cstring>
#include <vector>

#include "resize_variants.h"
#include "taps.h"

namespace graft::image {

/// `Passes` is made from the taps of the horizontal pass and the width of a source row in pixels, and has
///
///     void narrow(const std::uint8_t* row, std::uint8_t* out);
///     static void combine(const std::uint8_t* rows, std::size_t stride, const std::int32_t* weights,
///                         int count, std::size_t n, std::uint8_t* out);
///
/// narrow() computes one row of the horizontal pass; combine() one row of the vertical pass from `count` rows
/// of `n` bytes. Rows of the source are narrowed one by one as the vertical pass needs them.
template <typename Passes>
Image resize_with(const Part& part, Size size, Rect crop, Filter filter) {
  check_crop(part, size, crop, filter);
  const Line x_line = across(part.frame, size, crop), y_line = down(part.frame, size, crop);
  Image out = Image::allocate(crop.width, crop.height);
  const std::size_t n = 3 * static_cast<std::size_t>(crop.width);
  const auto source_row = [&](std::int64_t y) { return part.pixels.row(static_cast<int>(y - part.y)); };
  const Taps down_taps = make_taps(y_line, filter);
  if (!x_line.resized()) {
    const std::int64_t shift = 3 * (crop.x - part.x);
    for (int y = 0; y < crop.height; ++y) {
      if (y_line.resized())
        Passes::combine(source_row(down_taps.first[std::size_t(y)]) + shift,
                        static_cast<std::size_t>(part.pixels.stride), down_taps.of(y),
                        down_taps.count[std::size_t(y)], n, out.row(y));
      else
        std::memcpy(out.row(y), source_row(crop.y + y) + shift, n);
    }
    return out;
  }
  Taps across_taps = make_taps(x_line, filter);
  for (int& first : across_taps.first) first -= static_cast<int>(part.x);
  Passes passes(across_taps, part.pixels.width);
  if (!y_line.resized()) {
    for (int y = 0; y < crop.height; ++y) passes.narrow(source_row(crop.y + y), out.row(y));
    return out;
  }
  thread_local std::vector<std::uint8_t> narrowed;
  narrowed.resize(n * static_cast<std::size_t>(down_taps.end() - down_taps.begin()));
  const auto narrowed_row = [&](int y) {
    return narrowed.data() + n * static_cast<std::size_t>(y - down_taps.begin());
  };
  int next = down_taps.begin();
  for (int y = 0; y < crop.height; ++y) {
    const int first = down_taps.first[std::size_t(y)], count = down_taps.count[std::size_t(y)];
    for (; next < first + count; ++next) passes.narrow(source_row(next), narrowed_row(next));
    Passes::combine(narrowed_row(first), n, down_taps.of(y), count, n, out.row(y));
  }
  return out;
}

}  // namespace graft::image
