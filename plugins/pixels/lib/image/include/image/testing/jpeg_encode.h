#pragma once

// For tests: JPEG files of every kind that libjpeg writes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <jpeglib.h>

#include <graft/payload.h>

namespace graft::image::fixtures {

struct JpegKind {
  J_COLOR_SPACE space = JCS_YCbCr;  ///< Of the file: JCS_GRAYSCALE, JCS_YCbCr, JCS_CMYK, JCS_YCCK.
  int h = 1, v = 1;                 ///< Sampling factors of the first channel; those of the others are 1.
  int quality = 85;
  bool progressive = false;
  bool arithmetic = false;
  bool scan_each = false;  ///< A scan for each channel; not with `progressive`.
  unsigned restart_rows = 0;
};

/// `image` as a JPEG file; for CMYK the first three channels are its colours and the fourth is made of them.
inline std::string encode_jpeg(const Image& image, const JpegKind& kind) {
  const bool cmyk = kind.space == JCS_CMYK || kind.space == JCS_YCCK;
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<unsigned>(image.width);
  info.image_height = static_cast<unsigned>(image.height);
  info.input_components = cmyk ? 4 : 3;
  info.in_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, kind.space);
  jpeg_set_quality(&info, kind.quality, TRUE);
  for (int i = 0; i < info.num_components; ++i) {
    info.comp_info[i].h_samp_factor = i == 0 ? kind.h : 1;
    info.comp_info[i].v_samp_factor = i == 0 ? kind.v : 1;
  }
  info.arith_code = kind.arithmetic;
  info.restart_in_rows = static_cast<int>(kind.restart_rows);
  if (kind.progressive) jpeg_simple_progression(&info);
  std::vector<jpeg_scan_info> scans;
  if (kind.scan_each) {
    for (int i = 0; i < info.num_components; ++i) scans.push_back({1, {i}, 0, DCTSIZE2 - 1, 0, 0});
    info.scan_info = scans.data();
    info.num_scans = info.num_components;
  }
  jpeg_start_compress(&info, TRUE);
  std::vector<std::uint8_t> line;
  while (info.next_scanline < info.image_height) {
    const std::uint8_t* row = image.row(static_cast<int>(info.next_scanline));
    line.clear();
    for (int x = 0; x < image.width; ++x, row += 3) {
      line.insert(line.end(), row, row + 3);
      if (cmyk) line.push_back(static_cast<std::uint8_t>((row[0] + row[1] + 255) / 3));
    }
    JSAMPROW rows[] = {line.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  std::string out(reinterpret_cast<const char*>(data), size);
  jpeg_destroy_compress(&info);
  std::free(data);
  return out;
}

}  // namespace graft::image::fixtures
