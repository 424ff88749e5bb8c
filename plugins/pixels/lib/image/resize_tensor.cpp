// The resizer of tensors: as Pillow's, but with one rounding, after both directions.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <image/resize.h>
#include "taps.h"

namespace graft::image {
namespace {

constexpr float kUnit = 1.0f / static_cast<float>(1 << kWeightBits);

/// One row of the horizontal pass. `shift`: of the part in the frame.
void narrow_row(const std::uint8_t* row, const Taps& taps, std::int64_t shift, float* out) {
  for (std::size_t x = 0; x < taps.first.size(); ++x, out += 3) {
    const std::uint8_t* p = row + 3 * (taps.first[x] - shift);
    const std::int32_t* weights = taps.of(static_cast<int>(x));
    float r = 0, g = 0, b = 0;
    for (int t = 0; t < taps.count[x]; ++t, p += 3) {
      const float w = static_cast<float>(weights[t]) * kUnit;
      r += w * static_cast<float>(p[0]);
      g += w * static_cast<float>(p[1]);
      b += w * static_cast<float>(p[2]);
    }
    out[0] = r;
    out[1] = g;
    out[2] = b;
  }
}

}  // namespace

Image resize_tensor(const Part& source, Size size, Rect crop, Filter filter) {
  check_crop(source, size, crop, filter);
  const Taps across_taps = make_taps(across(source.frame, size, crop), filter);
  const Taps down_taps = make_taps(down(source.frame, size, crop), filter);
  const std::size_t n = 3 * static_cast<std::size_t>(crop.width);
  const int top = down_taps.begin();
  std::vector<float> narrow(n * static_cast<std::size_t>(down_taps.end() - top)), sums(n);
  for (int y = top; y < down_taps.end(); ++y)
    narrow_row(source.pixels.row(static_cast<int>(y - source.y)), across_taps, source.x,
               narrow.data() + n * static_cast<std::size_t>(y - top));
  Image out = Image::allocate(crop.width, crop.height);
  for (int y = 0; y < crop.height; ++y) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int t = 0; t < down_taps.count[std::size_t(y)]; ++t) {
      const float w = static_cast<float>(down_taps.of(y)[t]) * kUnit;
      const float* row =
          narrow.data() + n * static_cast<std::size_t>(down_taps.first[std::size_t(y)] - top + t);
      for (std::size_t i = 0; i < n; ++i) sums[i] += w * row[i];
    }
    // nearbyint rounds half to even in the default mode, as torch.round does.
    for (std::size_t i = 0; i < n; ++i)
      out.row(y)[i] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(sums[i]), 0.0f, 255.0f));
  }
  return out;
}

}  // namespace graft::image
