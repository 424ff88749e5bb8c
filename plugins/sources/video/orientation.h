#pragma once

#include <optional>
#include <string>

#include <graft/payload.h>

/// How the frames of a video are shown: the display matrix of the container without scale and translation.
/// A stored pixel at (x, y), from the centre and with y downwards, is shown at (a x + c y, b x + d y).
struct Orientation {
  int a = 1, b = 0, c = 0, d = 1;

  /// Frames rotated clockwise by 0, 90, 180 or 270 degrees.
  static Orientation clockwise(int degrees);

  bool swaps_sides() const { return a == 0; }
  bool operator==(const Orientation&) const = default;
};

/// The orientation that an MP4 or MOV file asks for, from the matrices of its movie header and of its first
/// video track; nothing when the file is of another format or has no such track. Throws graft::Reject
/// `rotation` for an angle that is not a multiple of 90 degrees.
std::optional<Orientation> mp4_orientation(const std::string& path);

/// The frame as it is shown.
graft::Image oriented(graft::Image frame, Orientation orientation);
