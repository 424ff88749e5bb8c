#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <graft/plugin.h>

#include "scene.h"

namespace {

using graft::Entry;
using graft::Split;

// Names the drawing code in content digests: raise it when the same parameters give other pixels.
constexpr const char* kDrawing = "synthetic drawing 1";

/// Draws labelled images of two tasks with different classes. `next` only names them; `load` draws, on any
/// thread.
class Synthetic final : public graft::Source {
 public:
  explicit Synthetic(const graft::StageContext& context) : seed_(context.seed) {
    const graft::Params& p = context.params;
    const auto task = p.get<std::string>("task");
    specs_ = classes_of(task == "source" ? Task::Source : Task::Target);
    if (p.has("classes")) {
      const auto wanted = p.get<std::size_t>("classes");
      if (wanted > specs_.size())
        throw graft::Error("classes: expected at most " + std::to_string(specs_.size()) +
                           " for task: " + task + ", got " + std::to_string(wanted));
      specs_.resize(wanted);
    }
    counts_[0] = p.get<std::size_t>("train");
    counts_[1] = p.get<std::size_t>("val");
    counts_[2] = p.get<std::size_t>("test");
    options_.size = p.get<int>("size");
    options_.clutter = p.get<double>("clutter");
    options_.noise = p.get<double>("noise");
    prefix_ = task + "/";
    graft::Value drawn = graft::Value::map();
    drawn["seed"] = std::to_string(seed_);
    drawn["size"] = options_.size;
    drawn["clutter"] = options_.clutter;
    drawn["noise"] = options_.noise;
    content_ = kDrawing + drawn.to_json();
  }

  std::vector<std::string> classes() const override {
    std::vector<std::string> names;
    for (const ClassSpec& spec : specs_) names.push_back(spec.name());
    return names;
  }

  std::optional<std::size_t> count() override { return counts_[0] + counts_[1] + counts_[2]; }

  bool next(Entry& entry) override {
    while (split_ < 3 && index_ == counts_[split_]) {
      ++split_;
      index_ = 0;
    }
    if (split_ == 3) return false;
    const auto split = static_cast<Split>(split_);
    const std::size_t label = index_ % specs_.size();
    char number[24];
    std::snprintf(number, sizeof number, "%06zu", index_++);
    entry = Entry{};
    entry.key = prefix_ + graft::to_string(split) + "/" + number;
    entry.split = split;
    entry.labels = {static_cast<std::int32_t>(label)};
    // Stands for the pixels without drawing them, so that a cached run draws nothing.
    entry.content = graft::digest(content_ + specs_[label].name() + " " + entry.key);
    return true;
  }

  graft::Payload load(const Entry& entry) const override {
    return draw(specs_.at(static_cast<std::size_t>(entry.labels.at(0))), options_, seed_, entry.key);
  }

 private:
  std::uint64_t seed_;
  std::vector<ClassSpec> specs_;
  std::size_t counts_[3] = {};
  SceneOptions options_;
  std::string prefix_, content_;
  std::size_t split_ = 0, index_ = 0;
};

}  // namespace

GRAFT_PLUGIN(
    synthetic, "1.0.0", Synthetic,
    graft::PluginSchema::source(
        "Draws labelled images: textured shapes among clutter, a benchmark without files.")
        .output("out", graft::PortType::Image, "u8[{size},{size},3]",
                "RGB pixels, drawn when they are needed.")
        .param(graft::choice("task", {"source", "target"}, "target")
                   .doc("Two sets of classes that share textures, clutter and light, but no outline: "
                        "pretrain on one, transfer to the other."))
        .param(graft::integer("classes").range(2, 16).optional().doc(
            "Use only the first classes, this many; default: all 16 of source, all 10 of target."))
        .param(graft::integer("train", 200)
                   .range(1, 10'000'000)
                   .unit("images")
                   .doc("Images in the train split."))
        .param(graft::integer("val", 100).range(0, 10'000'000).unit("images").doc("Images in the val split."))
        .param(
            graft::integer("test", 1000).range(0, 10'000'000).unit("images").doc("Images in the test split."))
        .param(graft::integer("size", 32).range(16, 512).unit("px").doc("Width and height of the images."))
        .param(
            graft::number("clutter", 0.5)
                .range(0, 1)
                .doc("Distracting strokes and spots, some in front of the object: 0 none, 1 about a dozen."))
        .param(graft::number("noise", 0.3)
                   .range(0, 1)
                   .doc("Noise on every pixel: 0 none, 1 a standard deviation of 60 of 255."))
        .depends_on_seed()
        .example(R"(name: synthetic-example
stages:
  images: {plugin: synthetic, with: {task: target, train: 200, val: 100, test: 500, size: 32}}
  features: {plugin: backbone, from: images, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
