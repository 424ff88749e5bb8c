#include "taps.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include <graft/error.h>

namespace graft::image {
namespace {

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double bilinear(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double kSlope = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((kSlope + 2.0) * x - (kSlope + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * kSlope;
  return 0.0;
}

double lanczos(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

struct Kernel {
  double (*weight)(double);
  double support;
};

Kernel kernel(Filter filter) {
  switch (filter) {
    case Filter::Box:
      return {box, 0.5};
    case Filter::Bilinear:
      return {bilinear, 1.0};
    case Filter::Bicubic:
      return {bicubic, 2.0};
    case Filter::Lanczos:
      return {lanczos, 3.0};
  }
  throw Error("unknown resampling filter");
}

// Rounded away from zero at a half, like Pillow's normalize_coeffs_8bpc.
std::int32_t fixed(double w) {
  const double scaled = w * (1 << kWeightBits);
  return static_cast<std::int32_t>(w < 0 ? scaled - 0.5 : scaled + 0.5);
}

// Pillow leaves a direction out in which nothing changes.
Taps copying_taps(const Line& line) {
  const auto n = static_cast<std::size_t>(line.n);
  Taps taps;
  taps.stride = 1;
  taps.first.resize(n);
  std::iota(taps.first.begin(), taps.first.end(), static_cast<int>(line.from));
  taps.count.assign(n, 1);
  taps.weights.assign(n, 1 << kWeightBits);
  return taps;
}

}  // namespace

Filter filter_from(std::string_view name) {
  if (name == "box") return Filter::Box;
  if (name == "bilinear") return Filter::Bilinear;
  if (name == "bicubic") return Filter::Bicubic;
  if (name == "lanczos") return Filter::Lanczos;
  throw Error("expected a filter (box, bilinear, bicubic, lanczos), got '" + std::string(name) + "'");
}

Line across(const Frame& frame, Size size, Rect crop) {
  return {static_cast<int>(frame.size.width), frame.left, frame.right, size.width, crop.x, crop.width};
}

Line down(const Frame& frame, Size size, Rect crop) {
  return {static_cast<int>(frame.size.height), frame.top, frame.bottom, size.height, crop.y, crop.height};
}

Taps make_taps(const Line& line, Filter filter) {
  if (!line.resized()) return copying_taps(line);
  const Kernel k = kernel(filter);
  const double scale = (line.high - line.low) / static_cast<double>(line.out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = k.support * filter_scale;
  const auto n = static_cast<std::size_t>(line.n);
  Taps taps;
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(n);
  taps.count.resize(n);
  taps.weights.assign(n * static_cast<std::size_t>(taps.stride), 0);
  std::vector<double> w(static_cast<std::size_t>(taps.stride));
  for (std::size_t i = 0; i < n; ++i) {
    const double centre = line.low + (static_cast<double>(line.from + std::int64_t(i)) + 0.5) * scale;
    const double inverse = 1.0 / filter_scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int count = std::min(line.in, static_cast<int>(centre + support + 0.5)) - first;
    double total = 0.0;
    for (int t = 0; t < count; ++t) {
      w[static_cast<std::size_t>(t)] = k.weight((t + first - centre + 0.5) * inverse);
      total += w[static_cast<std::size_t>(t)];
    }
    std::int32_t* to = &taps.weights[i * static_cast<std::size_t>(taps.stride)];
    for (int t = 0; t < count; ++t)
      to[t] = fixed(total != 0.0 ? w[static_cast<std::size_t>(t)] / total : w[static_cast<std::size_t>(t)]);
    taps.first[i] = first;
    taps.count[i] = count;
  }
  return taps;
}

namespace {

void check_inside(Size size, Rect crop) {
  if (crop.x < 0 || crop.y < 0 || crop.width < 1 || crop.height < 1 || crop.x + crop.width > size.width ||
      crop.y + crop.height > size.height)
    throw Error("expected a crop within " + std::to_string(size.width) + " x " + std::to_string(size.height) +
                " pixels, got " + std::to_string(crop.width) + " x " + std::to_string(crop.height) + " at " +
                std::to_string(crop.x) + ", " + std::to_string(crop.y));
}

// First and last position that one direction reads.
std::pair<int, int> range(Line line, Filter filter) {
  Line last = line;
  last.from += line.n - 1;
  line.n = last.n = 1;
  return {make_taps(line, filter).begin(), make_taps(last, filter).end()};
}

}  // namespace

Rect source_of(const Frame& frame, Size size, Rect crop, Filter filter) {
  check_inside(size, crop);
  const auto [left, right] = range(across(frame, size, crop), filter);
  const auto [top, bottom] = range(down(frame, size, crop), filter);
  return {left, top, right - left, bottom - top};
}

void check_crop(const Part& source, Size size, Rect crop, Filter filter) {
  if (source.pixels.width < 1 || source.pixels.height < 1)
    throw Error("cannot resize an image without pixels");
  const Rect need = source_of(source.frame, size, crop, filter);
  if (need.x < source.x || need.y < source.y || need.x + need.width > source.x + source.pixels.width ||
      need.y + need.height > source.y + source.pixels.height)
    throw Error("the part of the image does not hold the pixels that the crop is made from");
}

}  // namespace graft::image
