#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/plugin.h>
#include <graft/text.h>
#include <source/memory_bound.h>

#include "idx_file.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::Split;

constexpr const char* kImages = "images: count, rows, columns";
constexpr const char* kLabels = "labels: count";

/// The file of this name, or of this name with .gz.
std::string find(const std::string& root, const std::string& name) {
  for (const std::string& path : {root + "/" + name, root + "/" + name + ".gz"})
    if (std::filesystem::exists(path)) return path;
  throw Error("expected " + name + " or " + name + ".gz in " + root +
              ", got neither; name the files with train and test, null for those that you do not have");
}

/// Reads MNIST and the data sets made like it. All files are read through when the stage is made, so that a
/// damaged one is known at once and every image has a name for its content; `read_current` reads again
/// those that are needed.
class Idx final : public graft::ForwardSource {
 public:
  explicit Idx(const graft::StageContext& context) : catalog_(context) {
    catalog_.labels_are_positions();
    const auto root = context.params.get<std::string>("root");
    for (const Split split : {Split::Train, Split::Test}) {
      const graft::Params part = context.params.object(graft::to_string(split));
      if (part.has("images")) add(root, part, split);
    }
    if (files_.empty()) throw Error("train, test: expected images for one of them, got none");
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    found_ = catalog_.found_at(position_);
    entry = catalog_.entry(position_++);
    entry.content = contents_[found_];
    return true;
  }

  graft::Payload read_current() override {
    std::size_t f = 0;
    while (found_ >= files_[f].first + files_[f].count) ++f;
    const std::size_t position = found_ - files_[f].first;
    if (f != open_ || !file_ || file_->position() > position) {
      file_ = std::make_unique<IdxFile>(files_[f].path, 3, kImages);
      open_ = f;
    }
    file_->skip(position - file_->position());
    std::vector<std::uint8_t> grey(file_->element_bytes());
    file_->read(grey.data());
    if (contents_[found_] != name_of(*file_, grey))
      throw graft::Reject("changed", "the file was changed while it was used");
    graft::Image image = graft::Image::allocate(static_cast<int>(file_->dimensions()[2]),
                                                static_cast<int>(file_->dimensions()[1]));
    for (std::size_t i = 0; i < grey.size(); ++i)
      for (std::size_t c = 0; c < 3; ++c) image.data[3 * i + c] = grey[i];
    return image;
  }

 private:
  struct File {
    std::string path;
    std::size_t first, count;  ///< Positions of its images among all of them.
  };

  void add(const std::string& root, const graft::Params& part, Split split) {
    IdxFile images(find(root, part.get<std::string>("images")), 3, kImages);
    std::optional<IdxFile> labels;
    if (part.has("labels")) {
      labels.emplace(find(root, part.get<std::string>("labels")), 1, kLabels);
      if (labels->count() != images.count())
        throw Error("expected as many labels as images, got " + std::to_string(labels->count()) + " in " +
                    labels->path() + " for " + std::to_string(images.count()) + " in " + images.path());
    }
    // Before anything is held for them. 8 bytes: of the key.
    graft::source::MemoryBound(images.path(), images.file_bytes())
        .hold((graft::source::MemoryBound::kInput + 8) * std::uint64_t{images.count()});
    files_.push_back({images.path(), contents_.size(), images.count()});
    std::vector<std::uint8_t> grey(images.element_bytes());
    for (std::size_t i = 0; i < images.count(); ++i) {
      images.read(grey.data());
      std::vector<std::string> names;
      if (labels) {
        std::uint8_t label = 0;
        labels->read(&label);
        names.push_back(std::to_string(label));
      }
      catalog_.add(std::string(graft::to_string(split)) + "/" + graft::zero_padded(i, 5), names, split,
                   contents_.size());
      contents_.push_back(name_of(images, grey));
    }
    images.check_end();
    if (labels) labels->check_end();
  }

  /// Images of other sides may have the same bytes.
  static graft::Digest name_of(const IdxFile& file, const std::vector<std::uint8_t>& grey) {
    std::string named = std::to_string(file.dimensions()[2]) + " ";
    named.append(grey.begin(), grey.end());
    return graft::digest(named);
  }

  graft::Catalog catalog_;
  std::vector<File> files_;
  std::vector<graft::Digest> contents_;
  std::size_t position_ = 0;
  std::size_t found_ = 0;  ///< Of the entry that next gave last.
  // What read_current reads from.
  std::unique_ptr<IdxFile> file_;
  std::size_t open_ = 0;
};

graft::ParamSpec files(const std::string& name, const std::string& prefix) {
  return graft::object(name, {graft::text("images", prefix + "-images-idx3-ubyte")
                                  .optional()
                                  .doc("File of the images, below the root; null: there are none."),
                              graft::text("labels", prefix + "-labels-idx1-ubyte")
                                  .optional()
                                  .doc("File of their labels; null: they have none.")});
}

}  // namespace

GRAFT_PLUGIN(
    idx, "1.0.0", Idx,
    graft::PluginSchema::source("Reads MNIST and the data sets that have its format, IDX.")
        .output("out", graft::PortType::Image, "u8[?,?,3]",
                "The grey images as RGB, three times the same; the key is SPLIT/NUMBER.")
        .param(graft::folder("root").required().doc(
            "Folder with the four files; each may be packed and then be called .gz."))
        .param(files("train", "train").doc("Files of the train split, by MNIST's names unless given."))
        .param(files("test", "t10k").doc("Files of the test split."))
        .params_from(graft::Catalog::parameters())
        .example(R"(name: idx-example
stages:
  images: {plugin: idx, with: {root: "${MNIST:-.}", shots: 20}}
  pixels: {plugin: resize, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
