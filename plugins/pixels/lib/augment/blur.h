#pragma once

#include <graft/payload.h>

namespace graft::augment {

/// Gaussian blur with a kernel of `size` x `size` taps (odd), normalised, of standard deviation `sigma` px;
/// the image goes on mirrored beyond its border. As torchvision's functional.gaussian_blur, within 1 of 255;
/// in fixed point, so that every machine gives the same pixels. Any thread.
Image gaussian_blur(const Image& image, int size, double sigma);

}  // namespace graft::augment
