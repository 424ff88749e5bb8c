#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include <cstdio>
// jpeglib.h needs stdio's types; only the version is used here.
#include <jpeglib.h>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>

#include <graft/plugin.h>
#include <image/jpeg.h>
#include <image/resize.h>
#include <image/sniff.h>

#include "raster.h"

namespace {

using graft::Image;
using graft::Reject;
using graft::image::Filter;
using graft::image::Format;
using graft::image::Rect;
using graft::image::Size;

/// Encoded file -> pixels: decode, turn upright, resize the shorter side, crop the centre.
class Decode final : public graft::Transform {
 public:
  explicit Decode(const graft::StageContext& context) {
    const graft::Params& p = context.params;
    if (p.has("resize")) resize_ = p.get<int>("resize");
    if (p.has("crop")) crop_ = p.get<int>("crop");
    filter_ = graft::image::filter_from(p.get<std::string>("filter"));
    max_pixels_ = p.get<std::int64_t>("max_pixels");
    max_bytes_ = p.get<std::uint64_t>("max_bytes");
    exif_ = p.get<bool>("exif");
    // A damaged file ends as a reject record that says why; OpenCV need not print it as well.
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    cv::setNumThreads(1);
  }

  void enter_worker() override { cv::setNumThreads(1); }

  graft::Payload apply(const graft::Item& item) const override {
    const graft::Bytes& bytes = item.bytes();
    if (bytes.size > max_bytes_)
      throw Reject("too-large", "the file has " + std::to_string(bytes.size) +
                                    " bytes, more than max_bytes: " + std::to_string(max_bytes_));
    return fit(decode(bytes));
  }

 private:
  Image decode(const graft::Bytes& bytes) const {
    const graft::image::Header header = graft::image::sniff(bytes);
    if (header.format == Format::Jpeg) return graft::image::decode_jpeg(bytes, {max_pixels_, exif_});
    check_pixels({header.width, header.height}, "the image has ");
    const Image image = decode_raster(bytes, header);
    return exif_ ? graft::image::upright(image, header.orientation) : image;
  }

  void check_pixels(Size size, const std::string& what) const {
    // Sides below 2^32 each: the product of the first two factors fits.
    if (size.width > max_pixels_ || size.height > max_pixels_ / size.width)
      throw Reject("too-large", what + std::to_string(size.width) + " x " + std::to_string(size.height) +
                                    " pixels, more than max_pixels: " + std::to_string(max_pixels_));
  }

  Image fit(const Image& image) const {
    const Size original{image.width, image.height};
    const Size size = resize_ ? graft::image::with_shorter_side(original, *resize_) : original;
    if (!crop_) {
      if (size == original) return image;
      check_pixels(size, "after resizing the image would have ");
      return graft::image::resize(image, static_cast<int>(size.width), static_cast<int>(size.height),
                                  filter_);
    }
    const Rect crop = graft::image::centre_crop(size, *crop_, *crop_);
    const Rect inside = common(crop, size);
    Image part = graft::image::resize(image, size, inside, filter_);
    if (inside == crop) return part;
    // The crop is larger than the image: black around it, as torchvision pads.
    Image padded = Image::allocate(crop.width, crop.height);
    std::memset(padded.data, 0, padded.bytes());
    for (int y = 0; y < part.height; ++y)
      std::memcpy(padded.row(static_cast<int>(inside.y - crop.y) + y) + 3 * (inside.x - crop.x), part.row(y),
                  3 * static_cast<std::size_t>(part.width));
    return padded;
  }

  static Rect common(Rect rect, Size size) {
    const std::int64_t x = std::max<std::int64_t>(0, rect.x), y = std::max<std::int64_t>(0, rect.y);
    return {x, y, static_cast<int>(std::min(size.width, rect.x + rect.width) - x),
            static_cast<int>(std::min(size.height, rect.y + rect.height) - y)};
  }

  std::optional<int> resize_, crop_;
  Filter filter_ = Filter::Bilinear;
  std::int64_t max_pixels_ = 0;
  std::uint64_t max_bytes_ = 0;
  bool exif_ = true;
};

}  // namespace

GRAFT_PLUGIN(
    decode, "1.0.0", Decode,
    graft::PluginSchema::transform(
        "Decodes JPEG, PNG, WebP, BMP, TIFF and PNM files; resizes and crops like torchvision.")
        .input(graft::PortType::Bytes, "An image file.")
        .output("out", graft::PortType::Image, "u8[{crop},{crop},3]",
                "RGB pixels; without a crop the size is the image's own.")
        .param(graft::integer("resize", 256)
                   .range(1, 16384)
                   .unit("px")
                   .optional()
                   .doc("Length of the shorter side after resizing with antialiasing; null: no resizing."))
        .param(graft::integer("crop", 224)
                   .range(1, 16384)
                   .unit("px")
                   .optional()
                   .doc("Side of the square cut from the centre, padded with black where the image is "
                        "smaller; null: no crop."))
        .param(graft::choice("filter", {"box", "bilinear", "bicubic", "lanczos"}, "bilinear")
                   .doc("Resampling filter, Pillow's; take the one that the model was trained with."))
        .param(graft::flag("exif", true).doc("Turn the image upright as its EXIF orientation says."))
        .param(graft::integer("max_pixels", 64'000'000)
                   .range(1, 1'000'000'000)
                   .unit("px")
                   .doc("Images with more pixels are rejected before memory is allocated for them."))
        .param(graft::integer("max_bytes", 100 << 20)
                   .range(1, 2147483647)
                   .unit("bytes")
                   .doc("Longer files are rejected."))
        .uses_libraries("OpenCV " CV_VERSION ", libjpeg-turbo " GRAFT_TEXT(LIBJPEG_TURBO_VERSION))
        .example(R"(name: decode-example
stages:
  images:
    plugin: image_folder
    with: {root: "${PHOTOS:-.}"}
  pixels:
    plugin: decode
    from: images
    with: {resize: 256, crop: 224, filter: bilinear}
  table: {plugin: pixel_table, from: pixels}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
