// The portable resizer, and the choice between it and the one for AVX2. Both passes work on runs of
// independent sums that a compiler turns into vector code.

#include <image/resize.h>

#include <algorithm>

#include <graft/cpu_isa.h>
#include "resize_passes.h"
#include "resize_variants.h"
#include "taps.h"

namespace graft::image {
namespace {

class PortablePasses {
 public:
  PortablePasses(const Taps& taps, int) : taps_(taps) {}

  void narrow(const std::uint8_t* __restrict row, std::uint8_t* __restrict out) const {
    const int* first = taps_.first.data();
    const int* count = taps_.count.data();
    const std::int32_t* weights = taps_.weights.data();
    for (std::size_t x = 0; x < taps_.first.size(); ++x, weights += taps_.stride, out += 3) {
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

  // The sums of the low parts may leave 32 bits where a column has thousands of taps; the whole does not, so
  // it is right modulo 2^32.
  static void combine(const std::uint8_t* __restrict rows, std::size_t stride, const std::int32_t* weights,
                      int count, std::size_t n, std::uint8_t* __restrict out) {
    constexpr std::size_t kRun = 128;
    for (std::size_t start = 0; start < n; start += kRun) {
      const std::size_t run = std::min(kRun, n - start);
      std::uint32_t high[kRun], low[kRun];
      std::fill_n(high, kRun, 0u);
      std::fill_n(low, kRun, static_cast<std::uint32_t>(kHalf));
      for (int t = 0; t < count; ++t) {
        const std::int16_t k_high = high_part(weights[t]), k_low = low_part(weights[t]);
        const std::uint8_t* row = rows + static_cast<std::size_t>(t) * stride + start;
        for (std::size_t i = 0; i < run; ++i) {
          const std::int16_t v = row[i];
          high[i] += static_cast<std::uint32_t>(v * k_high);
          low[i] += static_cast<std::uint32_t>(v * k_low);
        }
      }
      for (std::size_t i = 0; i < run; ++i)
        out[start + i] = clip8(static_cast<std::int32_t>((high[i] << kLowBits) + low[i]));
    }
  }

 private:
  const Taps& taps_;
};

}  // namespace

Image resize_portable(const Part& source, Size size, Rect crop, Filter filter) {
  return resize_with<PortablePasses>(source, size, crop, filter);
}

Image resize(const Part& source, Size size, Rect crop, Filter filter) {
  static const auto kVariant = cpu_isa() >= CpuIsa::Avx2 ? resize_avx2 : resize_portable;
  return kVariant(source, size, crop, filter);
}

Image resize(const Image& source, int width, int height, Filter filter) {
  return resize(Part::whole(source), {width, height}, {0, 0, width, height}, filter);
}

}  // namespace graft::image
