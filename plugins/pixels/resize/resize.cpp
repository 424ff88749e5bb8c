#include <graft/plugin.h>
#include <image/fit.h>

namespace {

using graft::image::Fit;
using graft::image::Part;

/// Pixels -> pixels of one size, for sources that give images and not files.
class Resize final : public graft::Transform {
 public:
  explicit Resize(const graft::StageContext& context) : fit_(context) {}

  std::uint32_t views() const override { return fit_.views(); }

  graft::Payload apply(const graft::Item& item) const override {
    const graft::Image& image = item.image();
    if (image.width < 1 || image.height < 1)
      throw graft::Reject("empty", "expected an image with pixels, got " + std::to_string(image.width) +
                                       " x " + std::to_string(image.height));
    return fit_.apply(Part::whole(image), fit_.plan({image.width, image.height}, item.view));
  }

 private:
  Fit fit_;
};

}  // namespace

GRAFT_PLUGIN(resize, "1.0.0", Resize,
             graft::PluginSchema::transform("Resizes, pads and crops images like torchvision.")
                 .input(graft::PortType::Image, "Images of any size.")
                 .output("out", graft::PortType::Image, "u8[{crop},{crop},3]",
                         "The fitted image; without a crop the size follows from network, resize and pad.")
                 .params_from(Fit::parameters())
                 .views_from("crops", Fit::views_of_crops())
                 .working_memory(256 << 10, 0.1)  // a few rows, and the weights of the filter
                 .example(R"(name: resize-example
stages:
  images: {plugin: synthetic}
  pixels: {plugin: resize, from: images, with: {resize: 36, crop: 32, crops: ten, filter: bicubic}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
