#include <new>
#include <string>

#include <webp/decode.h>

#include <image/byte_reader.h>
#include <image/on_white.h>
#include <image/reject.h>

#include "readers.h"

namespace {

using graft::Image;
using graft::image::Format;
using graft::image::on_white;

// Frees what libwebp may have allocated, on every way out.
struct Config {
  WebPDecoderConfig config;
  Config() {
    if (!WebPInitDecoderConfig(&config)) throw graft::Error("libwebp is older than its headers");
  }
  ~Config() { WebPFreeDecBuffer(&config.output); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;
};

void check(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OK:
      return;
    case VP8_STATUS_OUT_OF_MEMORY:
      throw std::bad_alloc();
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      graft::image::reject_truncated(Format::WebP, "some of its pixels are missing");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      graft::image::reject_unsupported("a WebP image with a feature that libwebp does not know",
                                       "save it as PNG");
    default:
      graft::image::reject_corrupt(Format::WebP, "its pixels cannot be decoded; copy or download it again");
  }
}

void decode_into(const graft::Bytes& bytes, WEBP_CSP_MODE mode, std::uint8_t* to, std::size_t stride,
                 std::size_t size) {
  Config decoder;
  WebPDecBuffer& out = decoder.config.output;
  out.colorspace = mode;
  out.is_external_memory = 1;
  out.u.RGBA = {to, static_cast<int>(stride), size};
  check(WebPDecode(bytes.data, bytes.size, &decoder.config));
}

}  // namespace

Image decode_webp(const graft::Bytes& bytes, const graft::image::Header& header) {
  WebPBitstreamFeatures features;
  check(WebPGetFeatures(bytes.data, bytes.size, &features));
  if (features.width != header.width || features.height != header.height)
    graft::image::reject_corrupt(Format::WebP, "its header says " + std::to_string(header.width) + " x " +
                                                   std::to_string(header.height) + " pixels, its data " +
                                                   std::to_string(features.width) + " x " +
                                                   std::to_string(features.height));
  Image image = Image::allocate(features.width, features.height);
  // Of a lossy image the flag of the extended header says whether its chunk of opacities counts; a lossless
  // one has them with its colours.
  constexpr int kLossy = 1;
  constexpr std::uint32_t kHasAlpha = 0x10;
  const graft::image::ByteReader in(bytes);
  const bool ignored =
      features.format == kLossy && in.starts_with("VP8X", 12) && (*in.u8(20) & kHasAlpha) == 0;
  if (!features.has_alpha || ignored) {
    decode_into(bytes, MODE_RGB, image.data, static_cast<std::size_t>(image.stride), image.bytes());
    return image;
  }
  const std::size_t stride = std::size_t{4} * static_cast<std::size_t>(features.width);
  std::vector<std::uint8_t> pixels(stride * static_cast<std::size_t>(features.height));
  decode_into(bytes, MODE_RGBA, pixels.data(), stride, pixels.size());
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* from = pixels.data() + stride * static_cast<std::size_t>(y);
    std::uint8_t* to = image.row(y);
    for (int x = 0; x < image.width; ++x, from += 4, to += 3)
      for (int c = 0; c < 3; ++c) to[c] = on_white(from[c], from[3]);
  }
  return image;
}
