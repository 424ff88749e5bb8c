#pragma once

#include <image/sniff.h>

/// Decodes PNG, WebP, BMP, TIFF and PNM. `header` is what sniff() found for the same bytes and was judged
/// small enough.
///
/// Grey, palette and CMYK images become RGB, samples of 1 to 16 bits are scaled to 8 bits with rounding,
/// transparent pixels are laid on white. Of several pages or frames the first is taken. The orientation is
/// not applied here. Throws Reject `truncated`, `corrupt`, `unsupported-format` or `too-large`. Prints
/// nothing. Any thread.
graft::Image decode_raster(const graft::Bytes& bytes, const graft::image::Header& header);
