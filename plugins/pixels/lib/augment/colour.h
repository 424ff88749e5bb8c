#pragma once

#include <graft/payload.h>

namespace graft::augment {

// Changes of colour. Each returns a new image and leaves its argument alone. Except for the hue, pixels are
// equal to Pillow's (9.4), bit by bit. Any thread.

/// Blends with black, the mean grey, the grey image, and the smoothed image: factor 0 gives that, 1 the
/// image, more goes beyond it (Pillow's ImageEnhance.Brightness, Contrast, Color, Sharpness). factor >= 0.
Image adjust_brightness(const Image& image, double factor);
Image adjust_contrast(const Image& image, double factor);
Image adjust_saturation(const Image& image, double factor);
Image adjust_sharpness(const Image& image, double factor);

/// Turns the hue in HSV by `turns` (-0.5 to 0.5); value and saturation stay. As torchvision does it on
/// tensors; Pillow's HSV has 8 bits and moves colours even for no turn at all.
Image adjust_hue(const Image& image, double turns);

/// Rec. 601 lightness in all three channels (Pillow's convert("L")).
Image to_grey(const Image& image);

/// Keeps the upper `bits` (1 to 8) of every value (ImageOps.posterize).
Image posterize(const Image& image, int bits);
/// Inverts values of at least `threshold` (ImageOps.solarize).
Image solarize(const Image& image, double threshold);
/// Stretches every channel to 0 .. 255 (ImageOps.autocontrast).
Image autocontrast(const Image& image);
/// Makes the values of every channel equally frequent (ImageOps.equalize).
Image equalize(const Image& image);

}  // namespace graft::augment
