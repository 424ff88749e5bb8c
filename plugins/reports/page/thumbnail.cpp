#include "thumbnail.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <jpeglib.h>

#include <graft/error.h>

namespace graft::page {
namespace {

/// Mean over the pixels that each small one covers, whole pixels only: good enough to look at.
Image reduced(const Image& in, int side) {
  const int longer = std::max(in.width, in.height);
  if (longer <= side) return in;
  const auto scaled = [&](int n) {
    return std::max(1, static_cast<int>(static_cast<std::int64_t>(n) * side / longer));
  };
  Image out = Image::allocate(scaled(in.width), scaled(in.height));
  for (int y = 0; y < out.height; ++y) {
    const auto top = static_cast<int>(static_cast<std::int64_t>(y) * in.height / out.height);
    const auto bottom = static_cast<int>(static_cast<std::int64_t>(y + 1) * in.height / out.height);
    for (int x = 0; x < out.width; ++x) {
      const auto left = static_cast<int>(static_cast<std::int64_t>(x) * in.width / out.width);
      const auto right = static_cast<int>(static_cast<std::int64_t>(x + 1) * in.width / out.width);
      std::uint64_t sum[3] = {};
      for (int r = top; r < bottom; ++r)
        for (const std::uint8_t* p = in.row(r) + std::ptrdiff_t{3} * left;
             p < in.row(r) + std::ptrdiff_t{3} * right; p += 3)
          for (int c = 0; c < 3; ++c) sum[c] += p[c];
      const auto area = static_cast<std::uint64_t>(bottom - top) * static_cast<std::uint64_t>(right - left);
      for (int c = 0; c < 3; ++c)
        out.row(y)[3 * x + c] = static_cast<std::uint8_t>((sum[c] + area / 2) / area);
    }
  }
  return out;
}

[[noreturn]] void throw_error(j_common_ptr info) {
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  throw Error(std::string("libjpeg: ") + text);
}

/// What libjpeg needs, released however it ends.
struct Compressor {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  unsigned char* data = nullptr;
  unsigned long size = 0;

  Compressor() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = throw_error;
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &data, &size);
  }
  ~Compressor() {
    jpeg_destroy_compress(&info);
    std::free(data);
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
};

}  // namespace

std::string thumbnail(const Image& image, int side, int quality) {
  const Image small = reduced(image, side);
  Compressor jpeg;
  jpeg.info.image_width = static_cast<JDIMENSION>(small.width);
  jpeg.info.image_height = static_cast<JDIMENSION>(small.height);
  jpeg.info.input_components = 3;
  jpeg.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg.info);
  jpeg.info.optimize_coding = TRUE;
  jpeg_set_quality(&jpeg.info, quality, TRUE);
  jpeg_start_compress(&jpeg.info, TRUE);
  for (int y = 0; y < small.height; ++y) {
    JSAMPROW row = small.row(y);
    jpeg_write_scanlines(&jpeg.info, &row, 1);
  }
  jpeg_finish_compress(&jpeg.info);
  return {reinterpret_cast<const char*>(jpeg.data), jpeg.size};
}

}  // namespace graft::page
