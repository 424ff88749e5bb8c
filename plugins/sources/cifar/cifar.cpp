#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/plugin.h>
#include <graft/text.h>

#include "record_file.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::Split;

/// How a data set is laid out: its files, those of class names, and the bytes in front of the pixels.
struct Layout {
  std::vector<std::pair<std::string, Split>> files;
  std::string names_file;
  std::size_t label_bytes, label_at, classes;
};

Layout layout_of(const graft::Params& params) {
  const bool coarse = params.get<std::string>("labels") == "coarse";
  if (params.get<std::string>("dataset") == "cifar100")
    return {{{"train.bin", Split::Train}, {"test.bin", Split::Test}},
            coarse ? "coarse_label_names.txt" : "fine_label_names.txt",
            2,
            coarse ? 0u : 1u,
            coarse ? 20u : 100u};
  if (coarse) throw Error("labels: coarse is for dataset: cifar100; cifar10 has one label a record");
  Layout layout{{}, "batches.meta.txt", 1, 0, 10};
  for (const char* batch : {"1", "2", "3", "4", "5"})
    layout.files.emplace_back(std::string("data_batch_") + batch + ".bin", Split::Train);
  layout.files.emplace_back("test_batch.bin", Split::Test);
  return layout;
}

/// The class names beside the data; where that file is missing, CIFAR-10's own, or numbers.
std::vector<std::string> names_of(const std::string& root, const Layout& layout) {
  std::vector<std::string> names;
  const std::string path = root + "/" + layout.names_file;
  // To open a FIFO would wait for ever.
  std::ifstream in;
  if (std::filesystem::is_regular_file(path)) in.open(path, std::ios::binary);
  if (in.is_open()) {
    for (std::string line; std::getline(in, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) names.push_back(line);
    }
    if (names.size() != layout.classes)
      throw Error("expected " + std::to_string(layout.classes) + " class names, one a line, in " + path +
                  ", got " + std::to_string(names.size()));
    return names;
  }
  if (layout.classes == 10)
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  for (std::size_t i = 0; i < layout.classes; ++i) names.push_back(std::to_string(i));
  return names;
}

/// Reads CIFAR-10 and CIFAR-100 in their binary version. The labels are read when the stage is made, the
/// pixels of a record once to name its content and again when they are wanted.
class Cifar final : public graft::Source {
 public:
  explicit Cifar(const graft::StageContext& context) : catalog_(context) {
    const auto root = context.params.get<std::string>("root");
    const Layout layout = layout_of(context.params);
    std::vector<std::string> expected;
    for (const auto& [name, split] : layout.files) {
      expected.push_back(name);
      const std::string path = root + "/" + name;
      if (std::filesystem::exists(path)) {
        files_.emplace_back(path, layout.label_bytes);
        splits_.push_back(split);
      }
    }
    if (files_.empty())
      throw Error("expected one or more of " + graft::joined(expected) + " in " + root +
                  ", got none; unpack the binary version of the data set there, or correct dataset");
    catalog_.set_classes(names_of(root, layout));
    catalog_.labels_are_positions();
    for (std::size_t f = 0; f < files_.size(); ++f) add(f, layout);
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    const auto& [file, record] = places_[catalog_.found_at(position_)];
    entry = catalog_.entry(position_++);
    const RecordFile::Pixels pixels = files_[file].pixels(record);
    entry.content = graft::digest(pixels.data(), pixels.size());
    // Where load finds it again: the runtime reads nothing itself.
    entry.payload = graft::FileRef{files_[file].path(), 0, 0, std::to_string(record)};
    return true;
  }

  graft::Payload load(const Entry& entry) const override {
    const auto& where = std::get<graft::FileRef>(entry.payload);
    const auto file = std::find_if(files_.begin(), files_.end(),
                                   [&](const RecordFile& f) { return f.path() == where.path; });
    const RecordFile::Pixels planes = file->pixels(std::stoul(where.member));
    if (entry.content != graft::digest(planes.data(), planes.size()))
      throw graft::Reject("changed", "the record was changed while it was used");
    graft::Image image = graft::Image::allocate(RecordFile::kSide, RecordFile::kSide);
    for (std::size_t i = 0; i < RecordFile::kPlane; ++i)
      for (std::size_t c = 0; c < 3; ++c) image.data[3 * i + c] = planes[c * RecordFile::kPlane + i];
    return image;
  }

 private:
  struct Place {
    std::uint32_t file, record;
  };

  void add(std::size_t f, const Layout& layout) {
    const RecordFile& file = files_[f];
    const std::string name = std::filesystem::path(file.path()).filename().string();
    for (std::size_t r = 0; r < file.size(); ++r) {
      const std::size_t label = file.label(r, layout.label_at);
      if (label >= layout.classes)
        throw Error("expected a label from 0 to " + std::to_string(layout.classes - 1) + " at offset " +
                    std::to_string(r * file.record_bytes() + layout.label_at) + " of " + file.path() +
                    ", got " + std::to_string(label) + "; get the file again, or correct dataset");
      catalog_.add(name + "/" + graft::zero_padded(r, 5), {std::to_string(label)}, splits_[f],
                   places_.size());
      places_.push_back({static_cast<std::uint32_t>(f), static_cast<std::uint32_t>(r)});
    }
  }

  graft::Catalog catalog_;
  std::vector<RecordFile> files_;
  std::vector<Split> splits_;
  std::vector<Place> places_;
  std::size_t position_ = 0;
};

}  // namespace

GRAFT_PLUGIN(
    cifar, "1.0.0", Cifar,
    graft::PluginSchema::source("Reads CIFAR-10 and CIFAR-100 in their binary version.")
        .output("out", graft::PortType::Image, "u8[32,32,3]", "RGB pixels; the key is FILE/NUMBER.")
        .param(
            graft::folder("root").required().doc("Folder with data_batch_1.bin to data_batch_5.bin and "
                                                 "test_batch.bin (CIFAR-10), or with train.bin "
                                                 "and test.bin (CIFAR-100); those that are there are read."))
        .param(graft::choice("dataset", {"cifar10", "cifar100"}, "cifar10").doc("Which of the two it is."))
        .param(graft::choice("labels", {"fine", "coarse"}, "fine")
                   .doc("CIFAR-100: its 100 classes, or the 20 groups of them."))
        .params_from(graft::Catalog::parameters())
        .example(R"(name: cifar-example
stages:
  images: {plugin: cifar, with: {root: "${CIFAR:-.}"}}
  features: {plugin: backbone, from: images, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
