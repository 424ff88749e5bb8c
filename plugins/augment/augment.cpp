#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <graft/plugin.h>

#include "operations.h"

namespace {

using graft::Image;

// The [low, high] of a range parameter.
std::pair<double, double> bounds(const graft::Params& params, const std::string& object, const char* name) {
  const auto v = params.get<std::vector<double>>(name);
  if (v[0] > v[1])
    throw graft::Error(object + "." + name + ": expected [low, high], got [" + std::to_string(v[0]) + ", " +
                       std::to_string(v[1]) + "]; exchange the two");
  return {v[0], v[1]};
}

/// Applies a list of random operations to every image, in a fixed order. Each draws from a stream of its own,
/// made from the run's seed, the operation's name, the item's key and the view: the result does not depend on
/// threads, on other items or on the other operations.
class Augment final : public graft::Transform {
 public:
  explicit Augment(const graft::StageContext& context)
      : views_(context.params.get<std::uint32_t>("views")), seed_(context.seed) {
    const graft::Params& p = context.params;
    if (p.has("random_resized_crop")) {
      const graft::Params crop = p.object("random_resized_crop");
      ResizedCrop options;
      options.size = crop.get<int>("size");
      std::tie(options.scale_low, options.scale_high) = bounds(crop, "random_resized_crop", "scale");
      std::tie(options.ratio_low, options.ratio_high) = bounds(crop, "random_resized_crop", "ratio");
      options.filter = graft::image::filter_from(crop.get<std::string>("filter"));
      operations_.push_back(make_resized_crop(options));
    }
    if (const double chance = p.get<double>("flip"); chance > 0) operations_.push_back(make_flip(chance));
    if (p.has("color_jitter")) {
      const graft::Params jitter = p.object("color_jitter");
      operations_.push_back(
          make_colour_jitter({jitter.get<double>("brightness"), jitter.get<double>("contrast"),
                              jitter.get<double>("saturation"), jitter.get<double>("hue")}));
    }
  }

  std::uint32_t views() const override { return views_; }

  graft::Payload apply(const graft::Item& item) const override {
    Image image = item.image();
    for (const auto& operation : operations_) {
      graft::Random random(graft::hash64(operation->name(), seed_), item.key(), item.view);
      image = operation->apply(image, random);
    }
    return image;
  }

 private:
  std::uint32_t views_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Operation>> operations_;
};

}  // namespace

GRAFT_PLUGIN(
    augment, "1.0.0", Augment,
    graft::PluginSchema::transform("Changes images at random: crop, flip, colours; several views of each.")
        .input(graft::PortType::Image, "Images of any size.")
        .output("out", graft::PortType::Image, "u8[?,?,3]",
                "The changed image; with random_resized_crop all have its size.")
        .param(graft::integer("views", 1)
                   .range(1, 1000)
                   .neutral()  // a view is the same however many others there are
                   .doc("Random views made of every image; predictions are averaged over them."))
        .param(graft::number("flip", 0.5).range(0, 1).doc("Probability of exchanging left and right."))
        .param(
            graft::object("random_resized_crop",
                          {graft::integer("size", 224).range(1, 16384).unit("px").doc("Side of the result."),
                           graft::list("scale", graft::number("share").range(1e-6, 1))
                               .items(2, 2)
                               .default_list({0.08, 1.0})
                               .doc("Least and largest share of the image's area."),
                           graft::list("ratio", graft::number("ratio").range(0.01, 100))
                               .items(2, 2)
                               .default_list({3.0 / 4, 4.0 / 3})
                               .doc("Least and largest width by height."),
                           graft::choice("filter", {"box", "bilinear", "bicubic", "lanczos"}, "bilinear")
                               .doc("Resampling filter, antialiased.")})
                .optional()
                .doc("Cut a random part and resize it; left out: no crop."))
        .param(
            graft::object(
                "color_jitter",
                {graft::number("brightness", 0).range(0, 10).doc("Factors from max(0, 1 - x) to 1 + x."),
                 graft::number("contrast", 0).range(0, 10).doc("The same, about the mean grey."),
                 graft::number("saturation", 0).range(0, 10).doc("The same, about the grey image."),
                 graft::number("hue", 0).range(0, 0.5).unit("turns").doc("Turns of the hue from -x to x.")})
                .optional()
                .doc("Change the colours, in random order; left out: no change."))
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
      random_resized_crop: {size: 32, scale: [0.5, 1]}
      color_jitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
  table: {plugin: pixel_table, from: views}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
