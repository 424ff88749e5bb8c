#pragma once

#include <string>

#include <graft/payload.h>

namespace graft::page {

/// A JPEG of the image whose longer side has at most `side` pixels, each the mean of those that it covers.
/// Throws Error where libjpeg fails.
std::string thumbnail(const Image& image, int side, int quality = 80);

}  // namespace graft::page
