// The portable fast path: rows of the source are narrowed one by one as the vertical pass needs them, and
// both passes work on runs of independent sums that a compiler turns into vector code.

#include <image/resize.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include <image/taps.h>

namespace graft::image {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

// One row of the horizontal pass.
void narrow_row(const std::uint8_t* __restrict row, const Taps& taps, int width,
                std::uint8_t* __restrict out) {
  const int* first = taps.first.data();
  const int* count = taps.count.data();
  const std::int32_t* weights = taps.weights.data();
  for (int x = 0; x < width; ++x, weights += taps.stride, out += 3) {
    const std::uint8_t* p = row + 3 * first[x];
    std::int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int t = 0; t < count[x]; ++t, p += 3) {
      r += p[0] * weights[t];
      g += p[1] * weights[t];
      b += p[2] * weights[t];
    }
    out[0] = clip8(r);
    out[1] = clip8(g);
    out[2] = clip8(b);
  }
}

// A weight is taken apart as high * 2^11 + low, so that products of 16-bit numbers suffice: vector units
// multiply those several times faster than 32-bit ones, and the sums stay exact.
constexpr int kLowBits = 11;

// One row of the vertical pass: `count` rows of `n` bytes, `stride` apart.
void combine_rows(const std::uint8_t* __restrict rows, std::size_t stride, const std::int32_t* weights,
                  int count, std::size_t n, std::uint8_t* __restrict out) {
  constexpr std::size_t kRun = 128;
  for (std::size_t start = 0; start < n; start += kRun) {
    const std::size_t run = std::min(kRun, n - start);
    std::int32_t high[kRun], low[kRun];
    std::fill_n(high, kRun, 0);
    std::fill_n(low, kRun, kHalf);
    for (int t = 0; t < count; ++t) {
      const auto k_high = static_cast<std::int16_t>(weights[t] >> kLowBits);
      const auto k_low = static_cast<std::int16_t>(weights[t] & ((1 << kLowBits) - 1));
      const std::uint8_t* row = rows + static_cast<std::size_t>(t) * stride + start;
      for (std::size_t i = 0; i < run; ++i) {
        const std::int16_t v = row[i];
        high[i] += v * k_high;
        low[i] += v * k_low;
      }
    }
    for (std::size_t i = 0; i < run; ++i) out[start + i] = clip8(high[i] * (1 << kLowBits) + low[i]);
  }
}

}  // namespace

Image resize(const Image& source, Size size, Rect crop, Filter filter) {
  check_crop(source, size, crop);
  const bool narrow = source.width != size.width, shorten = source.height != size.height;
  const Taps across = make_taps(source.width, size.width, crop.x, crop.width, filter);
  const Taps down = make_taps(source.height, size.height, crop.y, crop.height, filter);
  Image out = Image::allocate(crop.width, crop.height);
  const auto n = static_cast<std::size_t>(3 * crop.width);
  const std::size_t shift = narrow ? 0 : static_cast<std::size_t>(3 * crop.x);
  if (!shorten) {
    for (int y = 0; y < crop.height; ++y) {
      const std::uint8_t* row = source.row(static_cast<int>(crop.y) + y);
      if (narrow)
        narrow_row(row, across, crop.width, out.row(y));
      else
        std::memcpy(out.row(y), row + shift, n);
    }
    return out;
  }
  if (!narrow) {
    for (int y = 0; y < crop.height; ++y)
      combine_rows(source.row(down.first[std::size_t(y)]) + shift, static_cast<std::size_t>(source.stride),
                   down.of(y), down.count[std::size_t(y)], n, out.row(y));
    return out;
  }
  thread_local std::vector<std::uint8_t> narrowed;
  narrowed.resize(n * static_cast<std::size_t>(down.end() - down.begin()));
  const auto narrowed_row = [&](int y) {
    return narrowed.data() + n * static_cast<std::size_t>(y - down.begin());
  };
  int next = down.begin();
  for (int y = 0; y < crop.height; ++y) {
    const int first = down.first[std::size_t(y)], count = down.count[std::size_t(y)];
    for (; next < first + count; ++next) narrow_row(source.row(next), across, crop.width, narrowed_row(next));
    combine_rows(narrowed_row(first), n, down.of(y), count, n, out.row(y));
  }
  return out;
}

Image resize(const Image& source, int width, int height, Filter filter) {
  return resize(source, {width, height}, {0, 0, width, height}, filter);
}

}  // namespace graft::image
