#include "colour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "pixels.h"

namespace graft::augment {
namespace {

using Curve = std::array<std::uint8_t, 256>;
using Counts = std::array<std::int64_t, 256>;

// Rec. 601 lightness with Pillow's fixed-point weights.
int lightness(const std::uint8_t* p) {
  return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
}

// Single precision and rounded down, as Pillow's ImagingBlend.
std::uint8_t blend(int from, int to, float factor) {
  const float v = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(std::clamp(v, 0.0f, 255.0f));
}

template <typename F>  // std::uint8_t f(int value)
Curve curve(F f) {
  Curve out;
  for (int v = 0; v < 256; ++v) out[std::size_t(v)] = f(v);
  return out;
}

Image mapped(const Image& image, const std::array<Curve, 3>& curves) {
  return transformed(image, [&](const std::uint8_t* in, std::uint8_t* out) {
    for (std::size_t c = 0; c < 3; ++c) out[c] = curves[c][in[c]];
  });
}

Image mapped(const Image& image, const Curve& all) {
  return mapped(image, std::array{all, all, all});
}

std::array<Counts, 3> histograms(const Image& image) {
  std::array<Counts, 3> counts{};
  for (int y = 0; y < image.height; ++y)
    for (int i = 0; i < 3 * image.width; ++i) ++counts[std::size_t(i % 3)][image.row(y)[i]];
  return counts;
}

template <typename F>  // Curve f(const Counts&)
Image mapped_by_histogram(const Image& image, F f) {
  const auto counts = histograms(image);
  return mapped(image, std::array{f(counts[0]), f(counts[1]), f(counts[2])});
}

Curve stretch(const Counts& counts) {
  const auto used = [](std::int64_t n) { return n > 0; };
  const auto low = std::find_if(counts.begin(), counts.end(), used) - counts.begin();
  const auto high = counts.rend() - std::find_if(counts.rbegin(), counts.rend(), used) - 1;
  const double scale = high > low ? 255.0 / static_cast<double>(high - low) : 1.0;
  const double offset = high > low ? -static_cast<double>(low) * scale : 0.0;
  return curve([=](int v) {
    return static_cast<std::uint8_t>(std::clamp(static_cast<int>(v * scale + offset), 0, 255));
  });
}

Curve equal_frequencies(const Counts& counts) {
  std::int64_t pixels = 0, of_highest = 0;
  for (const std::int64_t n : counts) {
    pixels += n;
    if (n > 0) of_highest = n;
  }
  const std::int64_t step = (pixels - of_highest) / 255;
  if (step == 0) return curve([](int v) { return static_cast<std::uint8_t>(v); });
  std::int64_t below = step / 2;
  return curve([&](int v) {
    const std::int64_t level = below / step;
    below += counts[std::size_t(v)];
    return static_cast<std::uint8_t>(std::min<std::int64_t>(level, 255));
  });
}

}  // namespace

Image adjust_brightness(const Image& image, double factor) {
  return mapped(image, curve([f = static_cast<float>(factor)](int v) { return blend(0, v, f); }));
}

Image adjust_contrast(const Image& image, double factor) {
  std::int64_t sum = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) sum += lightness(image.row(y) + 3 * x);
  const std::int64_t n = std::int64_t{image.width} * image.height;
  const int mean = static_cast<int>((2 * sum + n) / (2 * n));
  return mapped(image, curve([=, f = static_cast<float>(factor)](int v) { return blend(mean, v, f); }));
}

Image adjust_saturation(const Image& image, double factor) {
  return transformed(image, [f = static_cast<float>(factor)](const std::uint8_t* in, std::uint8_t* out) {
    const int grey = lightness(in);
    for (int c = 0; c < 3; ++c) out[c] = blend(grey, in[c], f);
  });
}

// Smoothed: the centre counts 5 of 13, its eight neighbours 1 each; pixels at the border stay.
Image adjust_sharpness(const Image& image, double factor) {
  const auto f = static_cast<float>(factor);
  Image out = copied(image);
  for (int y = 1; y < image.height - 1; ++y)
    for (int i = 3; i < 3 * (image.width - 1); ++i) {
      int sum = 4 * image.row(y)[i];
      for (int dy = -1; dy <= 1; ++dy)
        for (int di = -3; di <= 3; di += 3) sum += image.row(y + dy)[i + di];
      out.row(y)[i] = blend((2 * sum + 13) / 26, image.row(y)[i], f);
    }
  return out;
}

Image adjust_hue(const Image& image, double turns) {
  const auto sixths = static_cast<float>(6 * turns);
  return transformed(image, [=](const std::uint8_t* in, std::uint8_t* out) {
    const int high = std::max({in[0], in[1], in[2]}), low = std::min({in[0], in[1], in[2]});
    if (high == low) {
      std::copy_n(in, 3, out);
      return;
    }
    const auto range = static_cast<float>(high - low);
    // Hue in sixths of a turn: red 0, green 2, blue 4.
    float hue = sixths + (high == in[0]   ? static_cast<float>(in[1] - in[2]) / range
                          : high == in[1] ? static_cast<float>(in[2] - in[0]) / range + 2.0f
                                          : static_cast<float>(in[0] - in[1]) / range + 4.0f);
    hue += hue < 0 ? 6.0f : hue >= 6 ? -6.0f : 0.0f;
    for (int c = 0; c < 3; ++c) {
      // A channel falls from its peak at 2c to nothing two sixths away, with a flat top of one sixth each
      // side.
      const float apart = std::fabs(hue - 2.0f * static_cast<float>(c)), away = std::min(apart, 6.0f - apart);
      const float v = static_cast<float>(low) + range * std::clamp(2.0f - away, 0.0f, 1.0f);
      out[c] = static_cast<std::uint8_t>(v + 0.5f);
    }
  });
}

Image to_grey(const Image& image) {
  return transformed(image, [](const std::uint8_t* in, std::uint8_t* out) {
    std::fill_n(out, 3, static_cast<std::uint8_t>(lightness(in)));
  });
}

Image posterize(const Image& image, int bits) {
  return mapped(image, curve([=](int v) { return static_cast<std::uint8_t>(v & (0xff00 >> bits)); }));
}

Image solarize(const Image& image, double threshold) {
  return mapped(image, curve([=](int v) { return static_cast<std::uint8_t>(v < threshold ? v : 255 - v); }));
}

Image autocontrast(const Image& image) {
  return mapped_by_histogram(image, stretch);
}

Image equalize(const Image& image) {
  return mapped_by_histogram(image, equal_frequencies);
}

}  // namespace graft::augment
