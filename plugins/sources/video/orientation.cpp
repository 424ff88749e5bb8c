#include "orientation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <graft/error.h>

#include "boxes.h"

namespace {

using Matrix = std::array<double, 4>;  ///< a, b, c, d.
constexpr Matrix kIdentity{1, 0, 0, 1};

/// The matrix in the data of an `mvhd` or `tkhd`, which stands after the times: these have 4 bytes in
/// version 0 and 8 in version 1. Values are 16.16 fixed point, in the order a b u c d v x y w.
Matrix matrix_in(const std::string& data, std::size_t at_version_0) {
  const std::size_t at = at_version_0 + (!data.empty() && data[0] == 1 ? 12 : 0);
  if (data.size() < at + 36) return kIdentity;
  const auto value = [&](std::size_t i) {
    return static_cast<std::int32_t>(big_endian(data.data() + at + 4 * i, 4)) / 65536.0;
  };
  return {value(0), value(1), value(3), value(4)};
}

/// The direction of a matrix: its values without the scale.
Orientation direction_of(const Matrix& m) {
  const auto sign = [](double v) { return (v > 0) - (v < 0); };
  const double largest = std::max({std::abs(m[0]), std::abs(m[1]), std::abs(m[2]), std::abs(m[3])});
  // Half a degree: some writers round.
  const auto small = [&](double v) { return std::abs(v) <= 0.01 * largest; };
  if (largest == 0) return {};  // an empty matrix says nothing
  if (small(m[1]) && small(m[2]) && !small(m[0]) && !small(m[3])) return {sign(m[0]), 0, 0, sign(m[3])};
  if (small(m[0]) && small(m[3]) && !small(m[1]) && !small(m[2])) return {0, sign(m[1]), sign(m[2]), 0};
  throw graft::Reject("rotation",
                      "the video is to be shown at an angle that is not a multiple of 90 degrees; encode it "
                      "again, upright");
}

}  // namespace

Orientation Orientation::clockwise(int degrees) {
  switch ((degrees % 360 + 360) % 360) {
    case 90:
      return {0, 1, -1, 0};
    case 180:
      return {-1, 0, 0, -1};
    case 270:
      return {0, -1, 1, 0};
    default:
      return {};
  }
}

std::optional<Orientation> mp4_orientation(const std::string& path) {
  Boxes boxes(path);
  const auto movie = boxes.movie();
  const auto track = movie ? boxes.video_track(*movie) : std::nullopt;
  if (!track) return {};
  const auto matrix = [&](const Boxes::Box& in, std::string_view type, std::size_t at_version_0) {
    const auto header = boxes.find(in, type);
    return header ? matrix_in(boxes.data(*header), at_version_0) : kIdentity;
  };
  // Points are rows: first the track's matrix, then the movie's.
  const Matrix t = matrix(*track, "tkhd", 40), m = matrix(*movie, "mvhd", 36);
  return direction_of({t[0] * m[0] + t[1] * m[2], t[0] * m[1] + t[1] * m[3], t[2] * m[0] + t[3] * m[2],
                       t[2] * m[1] + t[3] * m[3]});
}

graft::Image oriented(graft::Image frame, Orientation o) {
  if (o == Orientation{}) return frame;
  const int width = o.swaps_sides() ? frame.height : frame.width;
  const int height = o.swaps_sides() ? frame.width : frame.height;
  graft::Image out = graft::Image::allocate(width, height);
  // The first shown column is at the negative end of the axis that the stored one is mapped to.
  const int x0 = o.a + o.c < 0 ? width - 1 : 0, y0 = o.b + o.d < 0 ? height - 1 : 0;
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* from = frame.row(y);
    for (int x = 0; x < frame.width; ++x, from += 3) {
      std::uint8_t* to = out.row(y0 + o.b * x + o.d * y) + 3 * (x0 + o.a * x + o.c * y);
      std::copy(from, from + 3, to);
    }
  }
  return out;
}
