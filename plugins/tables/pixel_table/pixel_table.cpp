#include <cstring>

#include <graft/plugin.h>

namespace {

using namespace graft;

/// Collects images as rows u8[height,width,3] of a table: the pixels that training reads again every epoch.
/// Stateless, so any number of threads may encode at once.
///
/// Rejects: `wrong-type` (not an image), `empty` (no pixels). Images of different sizes do not fit into one
/// table; the runtime rejects those that differ from the first.
class PixelTable final : public Collector {
 public:
  explicit PixelTable(const StageContext& context)
      : compression_(context.params.get<std::string>("compression") == "gzip" ? Compression::Gzip
                                                                              : Compression::None) {}

  Compression compression() const override { return compression_; }

  RowFormat format(const Item& item) const override {
    const Image& image = item.image();
    if (image.width < 1 || image.height < 1)
      throw Reject("empty", "expected an image with pixels, got " + std::to_string(image.width) + " x " +
                                std::to_string(image.height));
    return {DType::U8, {image.height, image.width, 3}};
  }

  void encode(const Item& item, std::span<std::uint8_t> row) const override {
    const Image& image = item.image();
    const std::size_t line = static_cast<std::size_t>(image.width) * 3;
    for (int y = 0; y < image.height; ++y)
      std::memcpy(row.data() + static_cast<std::size_t>(y) * line, image.row(y), line);
  }

 private:
  Compression compression_;
};

const char* const kExample = R"(name: pixel-table
stages:
  images: {plugin: synthetic}
  pixels: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: pixels}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace

GRAFT_PLUGIN(
    pixel_table, "1.0.0", PixelTable,
    graft::PluginSchema::collector(
        "Keeps images as a table of 8-bit pixels, for learners that train on pixels.")
        .input(graft::PortType::Image, "Images of one size: put `decode` with `crop` before it.")
        .output("out", graft::PortType::Table, "u8[?,?,3]", "One row per item and view: height, width, RGB.")
        .working_memory(4 << 10)
        .param(
            graft::choice("compression", {"none", "gzip"}, "none")
                .not_in_fingerprint()
                .doc("How rows are packed on disk; they read back the same. gzip makes photographs about a "
                     "fifth smaller, drawings and digits much more."))
        .example(kExample))
