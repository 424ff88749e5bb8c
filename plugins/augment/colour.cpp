// Colour jitter. The formulas are those of torchvision's functional transforms: blends with black, with the
// mean grey, with the grey image, and a turn of the hue in HSV.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "operations.h"

namespace {

using graft::Image;
using graft::Random;

// Rec. 601 lightness with Pillow's fixed-point weights.
int grey(const std::uint8_t* p) {
  return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
}

std::uint8_t to_byte(float v) {
  return static_cast<std::uint8_t>(std::clamp(v, 0.0f, 255.0f) + 0.5f);
}

std::uint8_t blend(int from, int to, float factor) {
  return to_byte(static_cast<float>(from) + factor * static_cast<float>(to - from));
}

// Calls f(pixel) for each of the image's own pixels.
template <typename F>
void for_each_pixel(const Image& image, F f) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* p = image.row(y);
    for (int x = 0; x < image.width; ++x, p += 3) f(p);
  }
}

void change_brightness(const Image& image, float factor) {
  for_each_pixel(image, [=](std::uint8_t* p) {
    for (int c = 0; c < 3; ++c) p[c] = blend(0, p[c], factor);
  });
}

void change_contrast(const Image& image, float factor) {
  std::int64_t sum = 0;
  for_each_pixel(image, [&](const std::uint8_t* p) { sum += grey(p); });
  const std::int64_t n = std::int64_t{image.width} * image.height;
  const int mean = static_cast<int>((sum + n / 2) / n);
  for_each_pixel(image, [=](std::uint8_t* p) {
    for (int c = 0; c < 3; ++c) p[c] = blend(mean, p[c], factor);
  });
}

void change_saturation(const Image& image, float factor) {
  for_each_pixel(image, [=](std::uint8_t* p) {
    const int lightness = grey(p);
    for (int c = 0; c < 3; ++c) p[c] = blend(lightness, p[c], factor);
  });
}

// Turns the hue by `shift` turns; value and saturation stay.
void change_hue(const Image& image, float shift) {
  for_each_pixel(image, [=](std::uint8_t* p) {
    const int high = std::max({p[0], p[1], p[2]}), low = std::min({p[0], p[1], p[2]});
    if (high == low) return;
    const auto range = static_cast<float>(high - low);
    // Hue in sixths of a turn: red 0, green 2, blue 4.
    float hue = high == p[0]   ? static_cast<float>(p[1] - p[2]) / range
                : high == p[1] ? static_cast<float>(p[2] - p[0]) / range + 2.0f
                               : static_cast<float>(p[0] - p[1]) / range + 4.0f;
    hue += 6.0f * shift;
    for (int c = 0; c < 3; ++c) {
      // The channel falls from its peak at 2c to nothing two sixths away, with a flat top of one sixth each
      // side.
      float away = std::fabs(hue - 2.0f * static_cast<float>(c));
      away = std::fabs(away - 6.0f * std::round(away / 6.0f));
      p[c] = to_byte(static_cast<float>(low) + range * std::clamp(2.0f - away, 0.0f, 1.0f));
    }
  });
}

class ColourJitter final : public Operation {
 public:
  explicit ColourJitter(const Jitter& options) : options_(options) {}
  std::string_view name() const override { return "color_jitter"; }

  Image apply(const Image& image, Random& random) const override {
    Image out = Image::allocate(image.width, image.height);
    for (int y = 0; y < image.height; ++y)
      std::memcpy(out.row(y), image.row(y), 3 * static_cast<std::size_t>(image.width));
    std::array<int, 4> order{0, 1, 2, 3};
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    const float brightness = factor(random, options_.brightness),
                contrast = factor(random, options_.contrast);
    const float saturation = factor(random, options_.saturation);
    const auto hue = static_cast<float>(random.uniform(-options_.hue, options_.hue));
    for (const int which : order) {
      if (which == 0 && options_.brightness > 0) change_brightness(out, brightness);
      if (which == 1 && options_.contrast > 0) change_contrast(out, contrast);
      if (which == 2 && options_.saturation > 0) change_saturation(out, saturation);
      if (which == 3 && options_.hue > 0) change_hue(out, hue);
    }
    return out;
  }

 private:
  static float factor(Random& random, double x) {
    return static_cast<float>(random.uniform(std::max(0.0, 1.0 - x), 1.0 + x));
  }

  Jitter options_;
};

}  // namespace

std::unique_ptr<Operation> make_colour_jitter(const Jitter& options) {
  return std::make_unique<ColourJitter>(options);
}
