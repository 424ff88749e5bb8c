#include <algorithm>
#include <string>

#include <cstdio>
// jpeglib.h needs stdio's types; only the versions are used here.
#include <jpeglib.h>
#include <png.h>
#include <tiffvers.h>
#include <webp/decode.h>

#include <graft/plugin.h>
#include <graft/scratch.h>
#include <image/fit.h>
#include <image/jpeg.h>
#include <image/sniff.h>

#include "raster.h"

namespace {

using graft::Image;
using graft::Reject;
using graft::image::Fit;
using graft::image::Format;
using graft::image::Frame;
using graft::image::Part;
using graft::image::Rect;
using graft::image::Size;

/// Encoded file -> pixels: decode, turn upright, then what Fit does. Of JPEG files only the pixels that end
/// up in the result are made.
class Decode final : public graft::Transform {
 public:
  explicit Decode(const graft::StageContext& context) : fit_(context) {
    const graft::Params& p = context.params;
    fast_ = p.get<bool>("fast");
    exif_ = p.get<bool>("exif");
    max_bytes_ = p.get<std::uint64_t>("max_bytes");
    max_aspect_ = p.get<double>("max_aspect");
    min_side_ = p.get<std::int64_t>("min_side");
  }

  std::uint32_t views() const override { return fit_.views(); }

  graft::Payload apply(const graft::Item& item) const override {
    const graft::Bytes& bytes = item.bytes();
    if (bytes.size > max_bytes_)
      throw Reject("too-large", "the file has " + std::to_string(bytes.size) +
                                    " bytes, more than max_bytes: " + std::to_string(max_bytes_));
    const graft::image::Header header = graft::image::sniff(bytes);
    return header.format == Format::Jpeg ? jpeg(bytes, item.view) : raster(bytes, header, item.view);
  }

 private:
  Image jpeg(const graft::Bytes& bytes, std::uint32_t view) const {
    graft::image::JpegFile file(bytes, {fit_.max_pixels(), exif_, fast_});
    check(file.size());
    const Fit::Plan plan = fit_.plan(file.size(), view);
    const int eighths = file.eighths_for(plan.scaled);
    const Frame frame = file.frame(eighths);
    const Rect needed = fit_.needed(frame, plan);
    const graft::Scratch scratch(file.bytes_to_decode(needed));
    return fit_.apply({file.decode(needed, eighths), needed.x, needed.y, frame}, plan);
  }

  Image raster(const graft::Bytes& bytes, const graft::image::Header& header, std::uint32_t view) const {
    check({header.width, header.height});
    // As it is stored, and upright; before that, libwebp has 4 bytes of its own per pixel, and 4 where it is
    // transparent.
    const std::uint64_t per_pixel = header.format == Format::WebP ? 3 + 4 + 4 : 2 * 3;
    const graft::Scratch scratch(per_pixel * static_cast<std::uint64_t>(header.width * header.height));
    const Image stored = decode_raster(bytes, header);
    const Image image = exif_ ? graft::image::upright(stored, header.orientation) : stored;
    return fit_.apply(Part::whole(image), fit_.plan({image.width, image.height}, view));
  }

  // What the header says, before memory is allocated for it. Sides are below 2^32.
  void check(Size size) const {
    const auto [shorter, longer] = std::minmax(size.width, size.height);
    const auto fault = [&](const char* code, const std::string& limit) {
      throw Reject(code, "the image has " + std::to_string(size.width) + " x " + std::to_string(size.height) +
                             " pixels, " + limit);
    };
    if (longer > fit_.max_pixels() / shorter)
      fault("too-large", "more than max_pixels: " + std::to_string(fit_.max_pixels()));
    if (shorter < min_side_) fault("too-small", "a side of less than min_side: " + std::to_string(min_side_));
    if (max_aspect_ > 0 && static_cast<double>(longer) > max_aspect_ * static_cast<double>(shorter))
      fault("bad-aspect", "a longer side of more than max_aspect times the shorter: " +
                              graft::Value(max_aspect_).to_json());
  }

  Fit fit_;
  bool fast_ = false, exif_ = true;
  std::uint64_t max_bytes_ = 0;
  double max_aspect_ = 0;
  std::int64_t min_side_ = 1;
};

}  // namespace

GRAFT_PLUGIN(
    decode, "2.0.2", Decode,
    graft::PluginSchema::transform(
        "Decodes JPEG, PNG, WebP, BMP, TIFF and PNM files; resizes, pads and crops like torchvision.")
        .known_fault(
            "2.0.2",
            "transparency that is stored oddly in PNG files was ignored; TIFF files that lack data "
            "or a usable palette, or are damaged, could have pixels that the file does not hold, and "
            "progressive JPEG files coarse ones; orientations of 64 bits were ignored")
        .input(graft::PortType::Bytes, "An image file.")
        .output("out", graft::PortType::Image, "u8[{crop},{crop},3]",
                "RGB pixels; without a crop the size follows from network, resize and pad.")
        .params_from(Fit::parameters())
        .views_from("crops", Fit::views_of_crops())
        .working_memory(256 << 10, 1)  // resizing, and PNG files without their frames
        .param(
            graft::flag("fast", false)
                .doc("Decode JPEG files at 1/2, 1/4 or 1/8 of their size where the result needs no more, "
                     "and with a rougher DCT: several times faster for large files, slightly other pixels."))
        .param(graft::flag("exif", true).doc("Turn the image upright by its EXIF orientation."))
        .param(graft::integer("max_bytes", 100 << 20)
                   .range(1, 2147483647)
                   .unit("bytes")
                   .doc("Longer files are rejected."))
        .param(graft::number("max_aspect", 100)
                   .range(0, 65535)
                   .doc("Images whose longer side is more than this many times the shorter are rejected; 0: "
                        "none."))
        .param(graft::integer("min_side", 1)
                   .range(1, 16384)
                   .unit("px")
                   .doc("Images with a shorter side are rejected."))
        .uses_libraries("libjpeg-turbo " GRAFT_TEXT(
            LIBJPEG_TURBO_VERSION) ", libpng " PNG_LIBPNG_VER_STRING
                                   ", libtiff " GRAFT_TEXT(TIFFLIB_VERSION) ", libwebp ABI " GRAFT_TEXT(
                                       WEBP_DECODER_ABI_VERSION))
        .example(R"(name: decode-example
stages:
  images:
    plugin: image_folder
    with: {root: "${PHOTOS:-.}"}
  pixels:
    plugin: decode
    from: images
    with: {resize: 32, crop: 32, filter: bilinear}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
