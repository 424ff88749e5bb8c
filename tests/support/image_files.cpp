#include "image_files.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include <jpeglib.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

namespace graft::test {
namespace {

cv::Mat noisy(Colour colour, int width, int height) {
  cv::Mat image(height, width, CV_8UC3);
  cv::RNG random(static_cast<std::uint64_t>(colour[0] * 65536 + colour[1] * 256 + colour[2] + 1));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.at<cv::Vec3b>(y, x)[2 - c] =
            cv::saturate_cast<std::uint8_t>(colour[static_cast<std::size_t>(c)] + random.uniform(-8, 9));
  return image;
}

std::string encoded(const std::string& extension, const cv::Mat& image) {
  std::vector<std::uint8_t> out;
  const std::vector<int> parameters = extension == ".jpg"    ? std::vector<int>{cv::IMWRITE_JPEG_QUALITY, 95}
                                      : extension == ".webp" ? std::vector<int>{cv::IMWRITE_WEBP_QUALITY, 101}
                                                             // above 100: lossless
                                                             : std::vector<int>{};
  if (!cv::imencode(extension, image, out, parameters)) throw std::runtime_error("cannot write " + extension);
  return {out.begin(), out.end()};
}

std::string of_16_bits(const std::string& extension, Colour colour) {
  cv::Mat deep;
  noisy(colour, 64, 48).convertTo(deep, CV_16UC3, 257);
  return encoded(extension, deep);
}

void put32(std::string& out, unsigned v) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 255);
}

std::string chunk(const std::string& type, const std::string& data) {
  std::string out;
  put32(out, static_cast<unsigned>(data.size()));
  out += type + data;
  const std::string checked = type + data;
  put32(out, static_cast<unsigned>(crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                                         static_cast<uInt>(checked.size()))));
  return out;
}

}  // namespace

std::string image_file(const std::string& extension, Colour colour, int width, int height) {
  return encoded(extension, noisy(colour, width, height));
}

std::string png_of_16_bits(Colour colour) {
  return of_16_bits(".png", colour);
}

std::string tiff_of_16_bits(Colour colour) {
  return of_16_bits(".tiff", colour);
}

std::string cmyk_jpeg(Colour colour) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = 64;
  info.image_height = 48;
  info.input_components = 4;
  info.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&info);  // writes the Adobe marker for CMYK
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<JSAMPLE> row;
  for (int x = 0; x < 64; ++x) {
    for (const int c : colour) row.push_back(static_cast<JSAMPLE>(c));
    row.push_back(255);
  }
  JSAMPROW pointer = row.data();
  while (info.next_scanline < info.image_height) jpeg_write_scanlines(&info, &pointer, 1);
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<char*>(memory), size);
  std::free(memory);
  return out;
}

std::string rotated_jpeg(Colour colour) {
  cv::Mat image = noisy(colour, 96, 48);
  image(cv::Rect(0, 0, 48, 48)).setTo(cv::Scalar::all(0));
  std::string jpeg = encoded(".jpg", image);
  // One IFD entry, little-endian: orientation (0x0112), SHORT, 1 value, 6 = turn right to be upright.
  const char exif[] =
      "\xff\xe1\x00\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
  return jpeg.insert(2, std::string(exif, sizeof exif - 1));
}

std::string png_header(unsigned width, unsigned height) {
  std::string header;
  put32(header, width);
  put32(header, height);
  header += std::string("\x08\x02\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) +
         chunk("IDAT", std::string("\x78\x9c\x03\0\0\0\0\x01", 8)) + chunk("IEND", "");
}

std::string animated_gif() {
  return std::string("GIF89a\x10\0\x10\0\x80\0\0", 13) + std::string(200, '\1');
}

std::string animated_webp() {
  // RIFF, VP8X with the animation flag, and nothing that could be drawn.
  std::string body = "WEBPVP8X" + std::string("\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0", 14);
  std::string out = "RIFF";
  const auto size = static_cast<unsigned>(body.size());
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 255);
  return out + body;
}

}  // namespace graft::test
