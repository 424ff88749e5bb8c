#include "warp.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace graft::augment {
namespace {

constexpr int kWarpFractionBits = 16;

std::int64_t fixed(double v) {
  return static_cast<std::int64_t>(std::floor(v * (1 << kWarpFractionBits) + 0.5));
}

void copy_pixel(const std::uint8_t* from, std::uint8_t* to) {
  to[0] = from[0];
  to[1] = from[1];
  to[2] = from[2];
}

// Steps from pixel to pixel, as Pillow does: the rounding of a step adds up along a row, in both alike.
void sample_nearest(const Image& in, const Affine& m, const Image& out) {
  const std::int64_t right_x = fixed(m[0]), right_y = fixed(m[3]), down_x = fixed(m[1]), down_y = fixed(m[4]);
  std::int64_t row_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), row_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
  for (int y = 0; y < out.height; ++y, row_x += down_x, row_y += down_y) {
    std::int64_t at_x = row_x, at_y = row_y;
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += 3, at_x += right_x, at_y += right_y) {
      const std::int64_t from_x = at_x >> kWarpFractionBits, from_y = at_y >> kWarpFractionBits;
      if (from_x < 0 || from_x >= in.width || from_y < 0 || from_y >= in.height) continue;
      copy_pixel(in.row(static_cast<int>(from_y)) + 3 * from_x, to);
    }
  }
}

void sample_bilinear(const Image& in, const Affine& m, const Image& out) {
  for (int y = 0; y < out.height; ++y) {
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += 3) {
      const double centre_x = x + 0.5, centre_y = y + 0.5;
      double from_x = m[0] * centre_x + m[1] * centre_y + m[2];
      double from_y = m[3] * centre_x + m[4] * centre_y + m[5];
      if (!(from_x >= 0 && from_x < in.width && from_y >= 0 && from_y < in.height)) continue;
      from_x -= 0.5;
      from_y -= 0.5;
      const int left = from_x < 0 ? -1 : static_cast<int>(from_x);
      const int top = from_y < 0 ? -1 : static_cast<int>(from_y);
      const double dx = from_x - left, dy = from_y - top;
      const int x0 = 3 * std::max(left, 0), x1 = 3 * std::min(left + 1, in.width - 1);
      const std::uint8_t* above = in.row(std::max(top, 0));
      const std::uint8_t* below = in.row(std::min(top + 1, in.height - 1));
      for (int c = 0; c < 3; ++c) {
        const double a = above[x0 + c] + (above[x1 + c] - above[x0 + c]) * dx;
        const double b = below[x0 + c] + (below[x1 + c] - below[x0 + c]) * dx;
        to[c] = static_cast<std::uint8_t>(a + (b - a) * dy);
      }
    }
  }
}

struct SineCosine {
  double sine, cosine;
};

// The sine of the C library may differ in its last bit between processors; these sums and products do not.
// Taylor series within an eighth of a turn, where the tenth term is below the rounding.
SineCosine sine_cosine(double degrees) {
  const double quarters = std::nearbyint(degrees / 90);
  const double r = (degrees - 90 * quarters) * (std::numbers::pi / 180);
  double sine = 0, cosine = 0, term = 1;
  for (int k = 1; k <= 20; k += 2) {
    cosine += term;
    term *= r / k;
    sine += term;
    term *= -r / (k + 1);
  }
  switch (static_cast<int>(std::fmod(quarters, 4) + 4) % 4) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

// `m` after a shift of the output's points by (x, y).
void shift(Affine& m, double x, double y) {
  m[2] += m[0] * x + m[1] * y;
  m[5] += m[3] * x + m[4] * y;
}

}  // namespace

Image filled(int width, int height, Colour colour) {
  Image out = Image::allocate(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) copy_pixel(colour.data(), out.row(y) + 3 * x);
  return out;
}

Image warp(const Image& image, const Affine& matrix, int width, int height, Sampling sampling, Colour fill) {
  Image out = filled(width, height, fill);
  (sampling == Sampling::Nearest ? sample_nearest : sample_bilinear)(image, matrix, out);
  return out;
}

Rotation rotation(int width, int height, double degrees, bool expand) {
  const auto [sine, cosine] = sine_cosine(-degrees);
  Rotation out{{cosine, sine, 0, -sine, cosine, 0}, width, height};
  Affine& m = out.matrix;
  shift(m, -width / 2.0, -height / 2.0);
  m[2] += width / 2.0;
  m[5] += height / 2.0;
  if (!expand) return out;

  // Of a quarter turn the corners are whole pixels already; the shift to the centre may be half a pixel off.
  const bool quarter = sine == 0 || cosine == 0;
  const double xs[] = {0, m[0] * width, m[1] * height, m[0] * width + m[1] * height};
  const double ys[] = {0, m[3] * width, m[4] * height, m[3] * width + m[4] * height};
  const auto extent = [](const double(&corners)[4], double offset) {
    const auto [low, high] = std::minmax_element(std::begin(corners), std::end(corners));
    return static_cast<int>(std::ceil(*high + offset) - std::floor(*low + offset));
  };
  out.width = extent(xs, quarter ? 0 : m[2]);
  out.height = extent(ys, quarter ? 0 : m[5]);
  shift(m, -(out.width - width) / 2.0, -(out.height - height) / 2.0);
  return out;
}

Affine affine_about_centre(int width, int height, const AffineChange& change) {
  const auto [shear_sine, shear_cosine] = sine_cosine(change.shear_x);
  const double tangent = shear_sine / shear_cosine;
  const auto [turn_sine, turn_cosine] = sine_cosine(change.degrees);
  const auto [sine, cosine] = sine_cosine(change.degrees - change.shear_y);
  const double stretch = sine_cosine(change.shear_y).cosine;
  // The forward matrix without scale; its determinant is 1.
  const double a = cosine / stretch, b = -cosine * tangent / stretch - turn_sine;
  const double c = sine / stretch, d = -sine * tangent / stretch + turn_cosine;
  Affine m{d / change.scale, -b / change.scale, 0, -c / change.scale, a / change.scale, 0};
  shift(m, -width * 0.5 - change.translate_x, -height * 0.5 - change.translate_y);
  m[2] += width * 0.5;
  m[5] += height * 0.5;
  return m;
}

}  // namespace graft::augment
