#pragma once

#include <memory>
#include <string_view>

#include <graft/payload.h>
#include <graft/random.h>
#include <image/resize.h>

/// One random change of an image, with torchvision's meaning and parameters. Does not touch the input, which
/// others share; may hand back the same pixels. All randomness comes from the argument, so any thread may
/// call it.
class Operation {
 public:
  virtual ~Operation() = default;
  /// Names the random stream of the operation: others keep theirs when one is added or removed.
  virtual std::string_view name() const = 0;
  virtual graft::Image apply(const graft::Image& image, graft::Random& random) const = 0;
};

/// Left and right exchanged with probability `p`.
std::unique_ptr<Operation> make_flip(double p);

struct ResizedCrop {
  int size = 224;                                    ///< px, width and height of the result.
  double scale_low = 0.08, scale_high = 1;           ///< Share of the image's area.
  double ratio_low = 3.0 / 4, ratio_high = 4.0 / 3;  ///< Width by height, uniform in its logarithm.
  graft::image::Filter filter = graft::image::Filter::Bilinear;
};

/// A random part of the image, resized: ten tries to place one of random area and ratio, else the largest
/// centred one within the ratios (torchvision RandomResizedCrop.get_params).
std::unique_ptr<Operation> make_resized_crop(const ResizedCrop& options);

/// Ranges of random factors: [max(0, 1 - x), 1 + x], and [-hue, hue] in turns.
struct Jitter {
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
};

/// Brightness, contrast, saturation and hue changed in random order (torchvision ColorJitter).
std::unique_ptr<Operation> make_colour_jitter(const Jitter& options);

/// Where make_resized_crop cuts from an image of this size.
graft::image::Rect choose_crop(graft::image::Size size, const ResizedCrop& options, graft::Random& random);
