#pragma once

#include <graft/payload.h>

#include <image/sniff.h>

// One function for each format that a library decodes; see decode_raster() for results and exceptions.
// `header` is of the same bytes.

graft::Image decode_png(const graft::Bytes& bytes, const graft::image::Header& header);
graft::Image decode_tiff(const graft::Bytes& bytes, const graft::image::Header& header);
graft::Image decode_webp(const graft::Bytes& bytes, const graft::image::Header& header);
