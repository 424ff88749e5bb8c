#include "raster.h"

#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include <graft/error.h>

#include <image/png_chunks.h>

namespace {

using graft::Image;
using graft::Reject;
using graft::image::Alpha;
using graft::image::Header;

[[noreturn]] void corrupt(const Header& header, const std::string& why) {
  throw Reject("corrupt", std::string("the ") + to_string(header.format) + " file is damaged: " + why +
                              "; copy or download it again");
}

cv::Mat decode(const graft::Bytes& bytes, const Header& header) {
  cv::Mat encoded(1, static_cast<int>(bytes.size), CV_8U, const_cast<std::uint8_t*>(bytes.data));
  if (header.orientation_at != 0) {
    // OpenCV turns TIFF images without being asked, so it is given a copy that says "upright".
    encoded = encoded.clone();
    const bool big_endian = bytes.data[0] == 'M';
    encoded.data[header.orientation_at] = big_endian ? 0 : 1;
    encoded.data[header.orientation_at + 1] = big_endian ? 1 : 0;
  }
  std::vector<std::uint8_t> png;
  if (header.format == graft::image::Format::Png) {
    png = graft::image::png_pixels_only(bytes);
    encoded = cv::Mat(1, static_cast<int>(png.size()), CV_8U, png.data());
  }
  cv::Mat raw;
  try {
    raw = cv::imdecode(encoded, cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception& e) {
    if (e.code == cv::Error::StsNoMem) throw std::bad_alloc();
    corrupt(header, "its pixels cannot be decoded (" + e.err + ")");
  }
  if (raw.empty()) corrupt(header, "its pixels cannot be decoded");
  return raw;
}

// 16 to 8 bits, round(v * 255 / 65535) for every v.
std::uint8_t to8(std::uint16_t v) {
  return static_cast<std::uint8_t>((v * 255u + 32895u) >> 16);
}
std::uint8_t to8(std::uint8_t v) {
  return v;
}

// round((colour * alpha + white * (255 - alpha)) / 255)
std::uint8_t on_white(unsigned colour, unsigned alpha) {
  const unsigned t = colour * alpha + 255u * (255u - alpha) + 128u;
  return static_cast<std::uint8_t>(((t >> 8) + t) >> 8);
}

template <typename Sample>
Image to_rgb(const cv::Mat& raw, Alpha alpha) {
  Image out = Image::allocate(raw.cols, raw.rows);
  const int channels = raw.channels();
  for (int y = 0; y < raw.rows; ++y) {
    const Sample* from = raw.ptr<Sample>(y);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < raw.cols; ++x, from += channels, to += 3) {
      for (int c = 0; c < 3; ++c) {
        const std::uint8_t v = to8(channels == 1 ? from[0] : from[2 - c]);  // OpenCV stores BGR
        if (channels < 4 || alpha == Alpha::Ignore)
          to[c] = v;
        else if (alpha == Alpha::Straight)
          to[c] = on_white(v, to8(from[3]));
        else
          to[c] = static_cast<std::uint8_t>(std::min(255, v + 255 - to8(from[3])));
      }
    }
  }
  return out;
}

}  // namespace

Image decode_raster(const graft::Bytes& bytes, const Header& header) try {
  const cv::Mat raw = decode(bytes, header);
  if (raw.cols != header.width || raw.rows != header.height)
    corrupt(header, "its header says " + std::to_string(header.width) + " x " +
                        std::to_string(header.height) + " pixels, its data " + std::to_string(raw.cols) +
                        " x " + std::to_string(raw.rows));
  const int channels = raw.channels();
  if ((raw.depth() != CV_8U && raw.depth() != CV_16U) || (channels != 1 && channels != 3 && channels != 4))
    throw Reject("unsupported-format", std::string("a ") + to_string(header.format) + " image with " +
                                           std::to_string(channels) +
                                           " channels of an unusual type is not read");
  return raw.depth() == CV_8U ? to_rgb<std::uint8_t>(raw, header.alpha)
                              : to_rgb<std::uint16_t>(raw, header.alpha);
} catch (const std::bad_alloc&) {
  throw Reject("too-large", "not enough memory to decode " + std::to_string(header.width) + " x " +
                                std::to_string(header.height) + " pixels");
}
