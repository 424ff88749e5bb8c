#include <numeric/narrow.h>

#include <cstring>

#include <graft/cpu_isa.h>

#define GRAFT_INLINE [[gnu::always_inline]] static inline

namespace graft::numeric {
namespace {

/// Vectors of a processor, and how many rows of the tall matrix are worked on together so that the sums of
/// rows x kPanel vectors stay in its registers.
struct Avx512 {
  using Vector [[gnu::vector_size(64)]] = float;
  static constexpr std::size_t kRows = 4;
};
struct Avx2 {
  using Vector [[gnu::vector_size(32)]] = float;
  static constexpr std::size_t kRows = 2;
};
struct Plain {
  using Vector [[gnu::vector_size(16)]] = float;
  static constexpr std::size_t kRows = 2;
};
constexpr std::size_t kPanel = 5;  // rows of the narrow matrix that are worked on together

template <typename Isa>
struct Kernels {
  using Vector = typename Isa::Vector;
  static constexpr std::size_t kLanes = sizeof(Vector) / sizeof(float);

  GRAFT_INLINE void load(Vector& v, const float* from) { std::memcpy(&v, from, sizeof v); }

  /// c[R x K] = dot products of R rows of x and K rows of w.
  template <std::size_t R, std::size_t K>
  GRAFT_INLINE void dots(const float* x, std::size_t x_stride, const float* w, std::size_t w_stride,
                         std::size_t dim, float* c, std::size_t c_stride) {
    Vector sum[R][K] = {};
    std::size_t d = 0;
    for (; d + kLanes <= dim; d += kLanes) {
      Vector a[R];
      for (std::size_t r = 0; r < R; ++r) load(a[r], x + r * x_stride + d);
      for (std::size_t k = 0; k < K; ++k) {
        Vector b;
        load(b, w + k * w_stride + d);
        for (std::size_t r = 0; r < R; ++r) sum[r][k] += a[r] * b;
      }
    }
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t k = 0; k < K; ++k) {
        float lanes[kLanes];
        std::memcpy(lanes, &sum[r][k], sizeof lanes);
        for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
          for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
        }
        for (std::size_t e = d; e < dim; ++e) lanes[0] += x[r * x_stride + e] * w[k * w_stride + e];
        c[r * c_stride + k] = lanes[0];
      }
    }
  }

  /// Adds r^T x to K rows of c.
  template <std::size_t R, std::size_t K>
  GRAFT_INLINE void sums(const float* r, std::size_t r_stride, const float* x, std::size_t x_stride,
                         std::size_t count, std::size_t dim, float* c, std::size_t c_stride) {
    std::size_t d = 0;
    for (; d + R * kLanes <= dim; d += R * kLanes) {
      Vector sum[K][R];
      for (std::size_t k = 0; k < K; ++k) {
        for (std::size_t v = 0; v < R; ++v) load(sum[k][v], c + k * c_stride + d + v * kLanes);
      }
      for (std::size_t i = 0; i < count; ++i) {
        Vector a[R];
        for (std::size_t v = 0; v < R; ++v) load(a[v], x + i * x_stride + d + v * kLanes);
        for (std::size_t k = 0; k < K; ++k) {
          for (std::size_t v = 0; v < R; ++v) sum[k][v] += a[v] * r[i * r_stride + k];
        }
      }
      for (std::size_t k = 0; k < K; ++k) std::memcpy(c + k * c_stride + d, &sum[k][0], R * sizeof(Vector));
    }
    for (std::size_t i = 0; i < count && d < dim; ++i) {
      for (std::size_t k = 0; k < K; ++k) {
        for (std::size_t e = d; e < dim; ++e)
          c[k * c_stride + e] += r[i * r_stride + k] * x[i * x_stride + e];
      }
    }
  }

  template <std::size_t K>
  GRAFT_INLINE void panel_nt(MatrixRef<const float> x, const float* w, std::size_t w_stride, float* c,
                             std::size_t c_stride) {
    std::size_t i = 0;
    for (; i + Isa::kRows <= x.rows; i += Isa::kRows) {
      dots<Isa::kRows, K>(x.data + i * x.stride, x.stride, w, w_stride, x.cols, c + i * c_stride, c_stride);
    }
    for (; i < x.rows; ++i) {
      dots<1, K>(x.data + i * x.stride, x.stride, w, w_stride, x.cols, c + i * c_stride, c_stride);
    }
  }

  /// Panels of the narrow matrix, as equal as can be.
  template <typename Body>
  GRAFT_INLINE void panels(std::size_t k, const Body& body) {
    const std::size_t count = (k + kPanel - 1) / kPanel;
    for (std::size_t p = 0; p < count; ++p) body(p * k / count, (p + 1) * k / count - p * k / count);
  }

  GRAFT_INLINE void nt(MatrixRef<const float> x, MatrixRef<const float> w, MatrixRef<float> c) {
    panels(
        w.rows, [&](std::size_t k, std::size_t width) __attribute__((always_inline)) {
          const float* from = w.data + k * w.stride;
          switch (width) {
            case 1:
              return panel_nt<1>(x, from, w.stride, c.data + k, c.stride);
            case 2:
              return panel_nt<2>(x, from, w.stride, c.data + k, c.stride);
            case 3:
              return panel_nt<3>(x, from, w.stride, c.data + k, c.stride);
            case 4:
              return panel_nt<4>(x, from, w.stride, c.data + k, c.stride);
            default:
              return panel_nt<5>(x, from, w.stride, c.data + k, c.stride);
          }
        });
  }

  template <std::size_t K>
  GRAFT_INLINE void panel_tn(const float* r, std::size_t r_stride, MatrixRef<const float> x, float* c,
                             std::size_t c_stride) {
    sums<Isa::kRows, K>(r, r_stride, x.data, x.stride, x.rows, x.cols, c, c_stride);
  }

  GRAFT_INLINE void tn(MatrixRef<const float> r, MatrixRef<const float> x, MatrixRef<float> c) {
    panels(
        r.cols, [&](std::size_t k, std::size_t width) __attribute__((always_inline)) {
          float* to = c.data + k * c.stride;
          switch (width) {
            case 1:
              return panel_tn<1>(r.data + k, r.stride, x, to, c.stride);
            case 2:
              return panel_tn<2>(r.data + k, r.stride, x, to, c.stride);
            case 3:
              return panel_tn<3>(r.data + k, r.stride, x, to, c.stride);
            case 4:
              return panel_tn<4>(r.data + k, r.stride, x, to, c.stride);
            default:
              return panel_tn<5>(r.data + k, r.stride, x, to, c.stride);
          }
        });
  }
};

struct Chosen {
  void (*nt)(MatrixRef<const float>, MatrixRef<const float>, MatrixRef<float>);
  void (*tn)(MatrixRef<const float>, MatrixRef<const float>, MatrixRef<float>);
};

// NOLINTBEGIN(bugprone-macro-parentheses): a name and an attribute, no expressions
#define GRAFT_KERNELS(name, isa, attribute)                                                          \
  attribute void nt_##name(MatrixRef<const float> x, MatrixRef<const float> w, MatrixRef<float> c) { \
    Kernels<isa>::nt(x, w, c);                                                                       \
  }                                                                                                  \
  attribute void tn_##name(MatrixRef<const float> r, MatrixRef<const float> x, MatrixRef<float> c) { \
    Kernels<isa>::tn(r, x, c);                                                                       \
  }
// NOLINTEND(bugprone-macro-parentheses)

GRAFT_KERNELS(plain, Plain, )
#if defined(__x86_64__)
GRAFT_KERNELS(avx2, Avx2, __attribute__((target("avx2,fma"))))
GRAFT_KERNELS(avx512, Avx512, __attribute__((target("avx512f"))))
#endif
#undef GRAFT_KERNELS

Chosen choose() {
#if defined(__x86_64__)
  if (cpu_isa() >= CpuIsa::Avx512) return {nt_avx512, tn_avx512};
  if (cpu_isa() >= CpuIsa::Avx2) return {nt_avx2, tn_avx2};
#endif
  return {nt_plain, tn_plain};
}

const Chosen& kernels() {
  static const Chosen kChosen = choose();
  return kChosen;
}

}  // namespace

void narrow_nt(MatrixRef<const float> x, MatrixRef<const float> w, MatrixRef<float> c) {
  kernels().nt(x, w, c);
}

void add_narrow_tn(MatrixRef<const float> r, MatrixRef<const float> x, MatrixRef<float> c) {
  kernels().tn(r, x, c);
}

}  // namespace graft::numeric
