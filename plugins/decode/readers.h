#pragma once

#include <graft/payload.h>

#include <image/sniff.h>

// One function for each format that a library decodes; decode_raster() says what they give and throw.
// `header` is of the same bytes.

graft::Image decode_png(const graft::Bytes& bytes, const graft::image::Header& header);
graft::Image decode_tiff(const graft::Bytes& bytes, const graft::image::Header& header);
graft::Image decode_webp(const graft::Bytes& bytes, const graft::image::Header& header);
