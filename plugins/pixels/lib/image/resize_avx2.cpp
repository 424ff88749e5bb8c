// The resizer for x86-64 with AVX2. Only the functions marked so use its instructions: nothing else in this
// file may, because the program must run without them.

#include "resize_variants.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include <graft/cpu_isa.h>
#include "resize_passes.h"
#include "taps.h"

#define GRAFT_AVX2 __attribute__((target("avx2")))

namespace graft::image {
namespace {

constexpr int kGroup = 4;             // taps that one load of four pixels serves
constexpr std::ptrdiff_t kLoad = 16;  // bytes of that load, of which 12 are used
constexpr std::size_t kRun = 32;      // bytes of a row that combine() does at a time

// Two outputs at a time, one in each half of a register. For each pair, `first` has the first positions and
// `groups` how many groups of four taps there are; `weights` holds, for each group, four high and four low
// parts of the one output, then of the other. `single`: the last pair is one output; nothing is written
// after it. If not `last`, a byte after the outputs may be written.
GRAFT_AVX2 void narrow_run(const std::uint8_t* row, const int* first, const int* groups,
                           const std::int16_t* weights, std::size_t pairs, std::uint8_t* out, bool single,
                           bool last) {
  // Of four RGB pixels, two: as pairs of 16 bits, one for each channel.
  const __m256i spread01 = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                            0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  const __m256i spread23 = _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,  //
                                            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i half = _mm256_set1_epi32(kHalf);
  for (std::size_t i = 0; i < pairs; ++i, out += 6) {
    const std::uint8_t* p = row + 3 * std::ptrdiff_t{first[2 * i]};
    const std::uint8_t* q = row + 3 * std::ptrdiff_t{first[2 * i + 1]};
    __m256i high = _mm256_setzero_si256(), low = half;
    for (int g = 0; g < groups[i]; ++g, p += 3 * kGroup, q += 3 * kGroup, weights += 4 * kGroup) {
      const __m256i pixels =
          _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(q), reinterpret_cast<const __m128i*>(p));
      const __m256i pixels01 = _mm256_shuffle_epi8(pixels, spread01);
      const __m256i pixels23 = _mm256_shuffle_epi8(pixels, spread23);
      const __m256i k = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels01, _mm256_shuffle_epi32(k, 0x00)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels23, _mm256_shuffle_epi32(k, 0x55)));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels01, _mm256_shuffle_epi32(k, 0xaa)));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels23, _mm256_shuffle_epi32(k, 0xff)));
    }
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
    sum = _mm256_srai_epi32(sum, kWeightBits);
    sum = _mm256_packs_epi32(sum, sum);
    sum = _mm256_packus_epi16(sum, sum);
    const int one = _mm_cvtsi128_si32(_mm256_castsi256_si128(sum));
    const int other = _mm_cvtsi128_si32(_mm256_extracti128_si256(sum, 1));
    // The fourth byte falls on the next pixel, which comes later.
    if (i + 1 < pairs || !last) {
      std::memcpy(out, &one, 4);
      std::memcpy(out + 3, &other, 4);
    } else {
      std::memcpy(out, &one, 3);
      if (!single) std::memcpy(out + 3, &other, 3);
    }
  }
}

// Eight sums of 32 bits, made of pairs of rows.
struct Sums {
  __m256i high, low;
};

GRAFT_AVX2 inline void add(Sums& s, __m256i pairs, __m256i k_high, __m256i k_low) {
  s.high = _mm256_add_epi32(s.high, _mm256_madd_epi16(pairs, k_high));
  s.low = _mm256_add_epi32(s.low, _mm256_madd_epi16(pairs, k_low));
}

GRAFT_AVX2 inline __m256i finish(const Sums& s) {
  return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(s.high, kLowBits), s.low), kWeightBits);
}

GRAFT_AVX2 inline __m256i load(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// kRun bytes of the vertical pass.
GRAFT_AVX2 void combine_run(const std::uint8_t* rows, std::size_t stride, const std::int32_t* weights,
                            int count, std::uint8_t* out) {
  const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(kHalf);
  Sums a{zero, half}, b = a, c = a, d = a;
  for (int t = 0; t < count; t += 2) {
    const bool pair = t + 1 < count;
    const __m256i upper = load(rows), lower = pair ? load(rows + stride) : zero;
    rows += 2 * stride;
    const std::int32_t w0 = weights[t], w1 = pair ? weights[t + 1] : 0;
    const auto both = [](std::int16_t first, std::int16_t second) {
      return static_cast<std::int32_t>(static_cast<std::uint16_t>(first) |
                                       static_cast<std::uint32_t>(static_cast<std::uint16_t>(second)) << 16);
    };
    const __m256i k_high = _mm256_set1_epi32(both(high_part(w0), high_part(w1)));
    const __m256i k_low = _mm256_set1_epi32(both(low_part(w0), low_part(w1)));
    const __m256i left = _mm256_unpacklo_epi8(upper, lower), right = _mm256_unpackhi_epi8(upper, lower);
    add(a, _mm256_unpacklo_epi8(left, zero), k_high, k_low);
    add(b, _mm256_unpackhi_epi8(left, zero), k_high, k_low);
    add(c, _mm256_unpacklo_epi8(right, zero), k_high, k_low);
    add(d, _mm256_unpackhi_epi8(right, zero), k_high, k_low);
  }
  const __m256i first = _mm256_packs_epi32(finish(a), finish(b));
  const __m256i second = _mm256_packs_epi32(finish(c), finish(d));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_packus_epi16(first, second));
}

class Avx2Passes {
 public:
  Avx2Passes(const Taps& taps, int width) : n_(taps.first.size()) {
    const std::size_t pairs = (n_ + 1) / 2;
    weights_.reserve(2 * n_ * static_cast<std::size_t>(taps.stride + kGroup));
    // Loads of the last outputs would read after the row: these work on a copy of its end.
    bool within = true;
    for (std::size_t i = 0; i < pairs; ++i) {
      const std::size_t one = 2 * i, other = std::min(one + 1, n_ - 1);
      const int groups = (std::max(taps.count[one], taps.count[other]) + kGroup - 1) / kGroup;
      within = within && 3 * (taps.first[other] + kGroup * (groups - 1)) + kLoad <= 3 * width;
      if (within) {
        safe_ = i + 1;
        safe_weights_ += static_cast<std::size_t>(4 * kGroup * groups);
      }
      groups_.push_back(groups);
      for (int g = 0; g < groups; ++g) {
        for (const std::size_t x : {one, other}) {
          add_weights(taps, x, g, high_part);
          add_weights(taps, x, g, low_part);
        }
      }
      first_.push_back(taps.first[one]);
      first_.push_back(taps.first[other]);
    }
    if (safe_ == pairs) return;
    const int start = first_[2 * safe_];
    for (std::size_t i = 2 * safe_; i < first_.size(); ++i) first_[i] -= start;
    tail_ = 3 * static_cast<std::size_t>(start);
    tail_bytes_ = 3 * static_cast<std::size_t>(width) - tail_;
    // The second of a pair may have fewer taps than groups of four.
    copy_.assign(tail_bytes_ + static_cast<std::size_t>(kLoad + 3 * (taps.stride + kGroup)), 0);
  }

  void narrow(const std::uint8_t* row, std::uint8_t* out) {
    const bool single = n_ % 2 != 0;
    const std::size_t rest = groups_.size() - safe_;
    narrow_run(row, first_.data(), groups_.data(), weights_.data(), safe_, out, single, rest == 0);
    if (rest == 0) return;
    std::memcpy(copy_.data(), row + tail_, tail_bytes_);
    narrow_run(copy_.data(), first_.data() + 2 * safe_, groups_.data() + safe_,
               weights_.data() + safe_weights_, rest, out + 6 * safe_, single, true);
  }

  static void combine(const std::uint8_t* rows, std::size_t stride, const std::int32_t* weights, int count,
                      std::size_t n, std::uint8_t* out) {
    if (n < kRun) {
      // Too narrow for whole runs: through a copy, padded.
      thread_local std::vector<std::uint8_t> padded;
      padded.resize(kRun * static_cast<std::size_t>(count));
      for (std::size_t t = 0; t < static_cast<std::size_t>(count); ++t)
        std::memcpy(&padded[kRun * t], rows + stride * t, n);
      std::uint8_t result[kRun];
      combine_run(padded.data(), kRun, weights, count, result);
      std::memcpy(out, result, n);
      return;
    }
    for (std::size_t at = 0; at + kRun <= n; at += kRun)
      combine_run(rows + at, stride, weights, count, out + at);
    // The last run may overlap the one before: it computes the same bytes again.
    if (n % kRun != 0) combine_run(rows + n - kRun, stride, weights, count, out + n - kRun);
  }

 private:
  void add_weights(const Taps& taps, std::size_t x, int group, std::int16_t (*part)(std::int32_t)) {
    const std::int32_t* w = taps.of(static_cast<int>(x));
    for (int t = kGroup * group; t < kGroup * (group + 1); ++t)
      weights_.push_back(t < taps.count[x] ? part(w[t]) : std::int16_t{0});
  }

  std::size_t n_;
  std::vector<int> first_, groups_;
  std::vector<std::int16_t> weights_;
  std::size_t safe_ = 0, safe_weights_ = 0;  // pairs that read within the row, and their weights
  std::size_t tail_ = 0, tail_bytes_ = 0;    // the end of a row that the others read
  std::vector<std::uint8_t> copy_;
};

}  // namespace

Image resize_avx2(const Part& source, Size size, Rect crop, Filter filter) {
  return cpu_isa() >= CpuIsa::Avx2 ? resize_with<Avx2Passes>(source, size, crop, filter)
                                   : resize_portable(source, size, crop, filter);
}

}  // namespace graft::image

#else

namespace graft::image {

Image resize_avx2(const Part& source, Size size, Rect crop, Filter filter) {
  return resize_portable(source, size, crop, filter);
}

}  // namespace graft::image

#endif
