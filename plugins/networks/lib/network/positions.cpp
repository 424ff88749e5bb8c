#include <network/positions.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace graft::nn {
namespace {

/// The cubic convolution kernel (Keys 1981).
double cubic(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

struct Weighted {
  std::vector<int> from;
  std::vector<double> weight;
};

/// Four neighbours, those beyond the border repeat it. `step` and `offset`: from a place to where it reads.
Weighted neighbours(int to, int in, double step, double offset) {
  constexpr double kA = -0.75;
  const double center = to * step + offset, below = std::floor(center);
  Weighted out;
  for (int i = -1; i <= 2; ++i) {
    out.from.push_back(std::clamp(static_cast<int>(below) + i, 0, in - 1));
    out.weight.push_back(cubic(center - below - i, kA));
  }
  return out;
}

/// As Pillow: the kernel is as wide as what one place stands for, and cut off at the border.
Weighted antialiased(int to, int in, int out_size) {
  constexpr double kA = -0.5;
  const double step = static_cast<double>(in) / out_size, wide = std::max(step, 1.0), support = 2 * wide;
  const double center = (to + 0.5) * step;
  const int first = std::max(static_cast<int>(center - support + 0.5), 0);
  const int last = std::min(static_cast<int>(center + support + 0.5), in);
  Weighted out;
  double sum = 0;
  for (int i = first; i < last; ++i) {
    out.from.push_back(i);
    out.weight.push_back(cubic((i - center + 0.5) / wide, kA));
    sum += out.weight.back();
  }
  for (double& w : out.weight) w /= sum;
  return out;
}

std::vector<Weighted> axis(PositionRule rule, int in, int out_size) {
  std::vector<Weighted> out;
  for (int to = 0; to < out_size; ++to) switch (rule) {
      case PositionRule::HuggingFace: {
        const double step = static_cast<double>(in) / out_size;
        out.push_back(neighbours(to, in, step, 0.5 * step - 0.5));
        break;
      }
      case PositionRule::Meta: {
        const double step = in / (out_size + 0.1);
        out.push_back(neighbours(to, in, step, 0.5 * step - 0.5));
        break;
      }
      case PositionRule::Torchvision:
        out.push_back(neighbours(to, in, out_size > 1 ? (in - 1.0) / (out_size - 1.0) : 0, 0));
        break;
      case PositionRule::Timm:
      case PositionRule::OpenClip:
        out.push_back(antialiased(to, in, out_size));
        break;
    }
  return out;
}

}  // namespace

bool positions_fit(PositionRule rule, int from_height, int from_width, int height, int width) {
  if (rule == PositionRule::OpenClip) return from_height * from_width == height * width;
  return from_height == height && from_width == width;
}

std::vector<float> resized_positions(const float* table, int from_height, int from_width, int values,
                                     PositionRule rule, int height, int width) {
  const auto d = static_cast<std::size_t>(values);
  const std::size_t places = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  if (positions_fit(rule, from_height, from_width, height, width)) return {table, table + places * d};
  const std::vector<Weighted> rows = axis(rule, from_height, height), columns = axis(rule, from_width, width);
  std::vector<float> out;
  out.reserve(places * d);
  std::vector<double> sum(d);
  for (const Weighted& row : rows)
    for (const Weighted& column : columns) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::size_t i = 0; i < row.from.size(); ++i)
        for (std::size_t j = 0; j < column.from.size(); ++j) {
          const double weight = row.weight[i] * column.weight[j];
          const float* from = table + static_cast<std::size_t>(row.from[i] * from_width + column.from[j]) * d;
          for (std::size_t c = 0; c < d; ++c) sum[c] += weight * static_cast<double>(from[c]);
        }
      for (const double v : sum) out.push_back(static_cast<float>(v));
    }
  return out;
}

}  // namespace graft::nn
