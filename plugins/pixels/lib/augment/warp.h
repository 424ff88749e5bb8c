#pragma once

#include <array>
#include <cstdint>

#include <graft/payload.h>

namespace graft::augment {

/// Red, green, blue.
using Colour = std::array<std::uint8_t, 3>;

/// Where an output point comes from: x_in = m[0] x + m[1] y + m[2], y_in = m[3] x + m[4] y + m[5], in pixels,
/// with pixel centres at half integers.
using Affine = std::array<double, 6>;

enum class Sampling { Nearest, Bilinear };

/// An image of one colour.
Image filled(int width, int height, Colour colour);

/// The image of width x height pixels whose points come from where `matrix` says; `fill` where that is
/// outside of `image`. Not antialiased. As Pillow's Image.transform(AFFINE) (9.4, src/libImaging/Geometry.c):
/// nearest in fixed point with 16 bits, the same pixels (but for a matrix that only scales, where Pillow
/// leaves fixed point); bilinear in double precision, rounded down, so that the last bit of the matrix may
/// move a value by 1.
Image warp(const Image& image, const Affine& matrix, int width, int height, Sampling sampling, Colour fill);

struct Rotation {
  Affine matrix;
  int width = 0, height = 0;  ///< Of the output.
};

/// Turns an image of width x height about its centre, counter-clockwise (Pillow's Image.rotate). `expand`:
/// the output is large enough for all of it; otherwise it has the image's size. Quarter turns are exact.
Rotation rotation(int width, int height, double degrees, bool expand);

struct AffineChange {
  double degrees = 0;                       ///< Clockwise.
  double translate_x = 0, translate_y = 0;  ///< px, after the rotation.
  double scale = 1;
  double shear_x = 0, shear_y = 0;  ///< Degrees.
};

/// Rotation, scale and shear about the centre, then translation (torchvision's functional.affine).
Affine affine_about_centre(int width, int height, const AffineChange& change);

}  // namespace graft::augment
