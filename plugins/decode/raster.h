#pragma once

#include <image/sniff.h>

/// Decodes PNG, WebP, BMP, TIFF and PNM with OpenCV. `header` is what sniff() found for the same bytes and
/// was judged small enough: OpenCV allocates what the file asks for.
///
/// Grey, palette and 1-bit images become RGB, 16-bit samples are scaled to 8 bits with rounding, transparent
/// pixels are laid on white. Of several pages or frames the first is taken. The orientation is not applied
/// here. Throws Reject `corrupt` or `too-large`. Any thread.
graft::Image decode_raster(const graft::Bytes& bytes, const graft::image::Header& header);
