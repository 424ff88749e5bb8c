#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <graft/plugin.h>

#include <augment/augmentation.h>

#include "preview.h"

namespace {

using graft::augment::Augmentation;

/// Makes random views of every image. A view is a pure function of the image, the run's seed, the item's key
/// and the number of the view; see Augmentation.
class Augment final : public graft::Transform {
 public:
  explicit Augment(const graft::StageContext& context)
      : augmentation_(context.params),
        views_(context.params.get<std::uint32_t>("views")),
        seed_(context.seed),
        warn_(context.warn) {
    if (!context.params.has("preview")) return;
    // Before the work, so that a folder that cannot be made costs nothing.
    const std::filesystem::path folder = context.params.get<std::string>("preview");
    std::error_code fault;
    std::filesystem::create_directories(folder, fault);
    if (fault)
      throw graft::Error(
          fmt::format("preview: the folder {} cannot be made: {}", folder.string(), fault.message()));
    preview_path_ = (folder / (context.id + ".png")).string();
    preview_ = std::make_unique<Preview>();
  }

  std::uint32_t views() const override { return views_; }

  graft::Payload apply(const graft::Item& item) const override {
    graft::Image out = augmentation_.apply(item.image(), seed_, item.key(), item.view);
    if (preview_) preview_->add(item.key(), item.view, item.image(), out);
    return out;
  }

  void finish() override {
    if (!preview_) return;
    if (preview_->empty())
      warn_(
          fmt::format("preview: {} is not written, for no image passed in this run: rows that are stored are "
                      "not made again",
                      preview_path_));
    else
      preview_->write(preview_path_);
  }

 private:
  Augmentation augmentation_;
  std::uint32_t views_;
  std::uint64_t seed_;
  std::function<void(const std::string&)> warn_;
  std::string preview_path_;
  std::unique_ptr<Preview> preview_;
};

}  // namespace

GRAFT_PLUGIN(
    augment, "2.1.0", Augment,
    graft::PluginSchema::transform(
        "Changes images at random: crops, flips, warps, colours; several views of each.")
        .input(graft::PortType::Image, "Images of any size.")
        .output(
            "out", graft::PortType::Image, "u8[?,?,3]",
            "The changed image; with random_resized_crop, or random_crop with a size, all have that size.")
        .working_memory(256 << 10, 1)  // an image between two operations
        .param(graft::integer("views", 1)
                   .range(1, 1000)
                   .not_in_fingerprint()  // a view is the same however many others there are
                   .doc("Random views made of every image; predictions are averaged over them."))
        .param(Augmentation::parameter({"flip"}))
        .param(graft::text("preview").optional().not_in_fingerprint().doc(
            "A folder, relative to the working directory: STAGE.png in it shows 8 of the inputs that "
            "this run changed, each with up to 8 views."))
        .views_from("views")
        .depends_on_key()
        .depends_on_seed()
        .example(R"(name: augment-example
stages:
  images: {plugin: synthetic}
  views:
    plugin: augment
    from: images
    with:
      views: 4
      operations:
        - random_resized_crop: {size: 32, scale: [0.5, 1]}
        - flip
        - color_jitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
  features: {plugin: backbone, from: views, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
