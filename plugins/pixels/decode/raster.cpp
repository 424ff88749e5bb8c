#include "raster.h"

#include <new>
#include <string>

#include <graft/error.h>

#include <image/bmp.h>
#include <image/byte_reader.h>
#include <image/pnm.h>

#include "readers.h"

using graft::image::ByteReader;
using graft::image::Format;

graft::Image decode_raster(const graft::Bytes& bytes, const graft::image::Header& header) try {
  const ByteReader in(bytes);
  switch (header.format) {
    case Format::Png:
      return decode_png(bytes, header);
    case Format::WebP:
      return decode_webp(bytes, header);
    case Format::Tiff:
      return decode_tiff(bytes, header);
    case Format::Bmp:
      return graft::image::decode_bmp(in, graft::image::bmp_info(in));
    case Format::Pnm:
      return graft::image::decode_pnm(in, graft::image::pnm_info(in));
    case Format::Jpeg:
      break;
  }
  throw graft::Error("decode_raster() got a JPEG file");
} catch (const std::bad_alloc&) {
  throw graft::Reject("too-large", "not enough memory to decode " + std::to_string(header.width) + " x " +
                                       std::to_string(header.height) + " pixels");
}
