#pragma once

#include <array>
#include <string>

namespace graft::test {

using Colour = std::array<int, 3>;  ///< Red, green, blue.

/// An image file of `width` x `height` pixels around one colour, with a little noise so that every format has
/// data worth cutting. `extension` says the format: ".jpg", ".png", ".webp", ".tiff", ".bmp", ".ppm".
std::string image_file(const std::string& extension, Colour colour, int width = 64, int height = 48);

/// Variants that have a trap: what becomes of them is still `colour`.
std::string png_of_16_bits(Colour colour);
std::string tiff_of_16_bits(Colour colour);
/// CMYK as Adobe writes it: inverted, with an Adobe marker.
std::string cmyk_jpeg(Colour colour);
/// A photograph that lies on its side: twice as wide as high, EXIF orientation 6, the left half black;
/// upright it is `colour` in its lower half.
std::string rotated_jpeg(Colour colour);

/// A whole PNG header that promises width x height pixels, with correct check sums and hardly any data.
std::string png_header(unsigned width, unsigned height);

/// A GIF and a WebP of two frames, as far as a header goes.
std::string animated_gif();
std::string animated_webp();

}  // namespace graft::test
