#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <graft/plugin.h>
#include <graft/text.h>
#include <remote/transfer_settings.h>
#include <source/memory_bound.h>
#include <source/walk.h>

#include "archive_list.h"
#include "layout.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::plural;
using graft::Reject;

/// Lists the images in tar and zip archives and reads them from there. The headers are read when the stage is
/// made; `read_current` reads on in the archives.
class Archive final : public graft::ForwardSource {
 public:
  explicit Archive(const graft::StageContext& context)
      : max_bytes_(context.params.get<std::uint64_t>("max_bytes")),
        max_members_(context.params.get<std::uint64_t>("max_members")),
        catalog_(context),
        skip_([this](const auto& kind, const auto& path, const auto& cure) {
          catalog_.skipped(kind, path, cure);
        }),
        archives_(context, skip_) {
    const auto layout = make_layout(context.params);
    const std::string& place = archives_.place();
    if (archives_.size() == 0) {
      catalog_.close();  // warns of what was there instead
      throw Error("expected archives in " + place + ", got none" +
                  (archives_.left_out().empty() ? "" : ": " + archives_.left_out()));
    }
    std::vector<std::vector<Input>> inputs(archives_.size());
    for (std::size_t a = 0; a < archives_.size(); ++a)
      if (layout->begin(archives_.name(a))) inputs[a] = list(a, *layout);
    layout->close(place);
    for (std::size_t a = 0; a < archives_.size(); ++a) add(a, layout->place(std::move(inputs[a])));
    layout->report(place, context.warn, skip_);
    if (!endless_.empty())
      context.warn("without the zeros that end a tar archive, so that whole members may be missing: " +
                   graft::joined(endless_) + "; compare with where it comes from, or copy it again");
    if (layout->labels_are_positions()) catalog_.labels_are_positions();
    if (places_.empty()) {
      catalog_.close();
      throw Error("expected images in the " + plural(archives_.size(), "archive") + " of " + place +
                  ", got none; look at layout, splits and label_from");
    }
    if (again_ > 0)
      context.warn(plural(again_, "member") +
                   " with a name that an earlier member of its archive has, for example " + twice_ +
                   ": kept as inputs of their own, with keys such as NAME#2");
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    current_ = places_[catalog_.found_at(position_)];
    entry = catalog_.entry(position_++);
    current_key_ = entry.key;
    // What read_current refuses has no content that could be remembered.
    if (current_.fault != Input::Fault::None || current_.size > max_bytes_) return true;
    graft::FileRef file = archives_.file(current_.archive);
    file.member = entry.key.substr(archives_.name(current_.archive).size() + 1);
    entry.payload = std::move(file);
    return true;
  }

  static graft::Inspection inspect(const graft::StageContext& context) {
    return ArchiveList::inspect(context);
  }

  graft::Payload read_current() override {
    graft::source::require_usable(current_.fault);
    if (damaged_ == current_.archive) throw Reject("corrupt", "the archive is damaged before this member");
    try {
      return read_member();
    } catch (const graft::FatalError&) {
      throw;
    } catch (const Reject& e) {
      if (e.code() == "unreadable" || e.code() == "missing") reader_.reset();  // it cannot read on
      throw;
    } catch (const Error& e) {
      damaged_ = current_.archive;
      reader_.reset();
      throw Reject("corrupt", e.what());
    }
  }

 private:
  graft::Payload read_member() {
    seek();
    // A copy's key has its number after the name.
    const std::string name = archives_.name(current_.archive) + "/" + graft::source::cleaned(reader_->name());
    if (current_key_ != name && !current_key_.starts_with(name + "#"))
      throw Reject("changed", "the archive was changed while it was used");
    auto data = std::make_shared<std::vector<std::uint8_t>>(reader_->read(max_bytes_));
    return graft::Bytes{data, data->data(), data->size()};
  }

  struct Place {
    std::uint32_t archive = 0, index = 0;
    std::uint64_t size = 0;  ///< 0 also where the header does not say.
    Input::Fault fault = Input::Fault::None;
  };

  std::vector<Input> list(std::size_t a, Layout& layout) {
    try {
      const auto reader = archives_.open(a);
      graft::source::MemoryBound bound(reader->path(), reader->file_bytes());
      while (reader->next()) {
        if (++members_ > max_members_)
          throw Error("the archives of " + archives_.place() + " have more than max_members: " +
                      std::to_string(max_members_) + " members; raise it if they are meant to");
        bound.hold(graft::source::MemoryBound::kInput + 2 * reader->name().size());
        bound.hold(layout.take(*reader));
      }
      if (reader->lacks_end()) endless_.push_back(archives_.name(a));
    } catch (const Reject& e) {  // of a server
      throw Error("cannot read " + archives_.name(a) + ": " + e.what());
    }
    return layout.finish(archives_.name(a));
  }

  void add(std::size_t a, std::vector<Input> inputs) {
    const std::string& path = archives_.name(a);
    std::unordered_set<std::string> keys;
    std::unordered_map<std::string, std::size_t> copies;
    for (Input& input : inputs) {
      std::string key = path + "/" + input.name;
      if (!keys.insert(key).second) {
        if (again_++ == 0) twice_ = key;
        if (input.group.empty()) input.group = key;
        const std::string name = key;
        std::size_t& n = copies.try_emplace(name, 1).first->second;
        do key = name + "#" + std::to_string(++n);
        while (!keys.insert(key).second);
      }
      catalog_.add(std::move(key), input.labels, input.split, places_.size(), input.group);
      places_.push_back({static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(input.index),
                         input.size.value_or(0), input.fault});
    }
  }

  /// Goes to the current member, in what is open if that is not after it.
  void seek() {
    if (!reader_ || open_ != current_.archive || reader_->count() > current_.index) {
      reader_ = archives_.open(current_.archive);
      open_ = current_.archive;
    }
    while (reader_->count() <= current_.index)
      if (!reader_->next()) throw Error("the archive has become shorter");
  }

  const std::uint64_t max_bytes_, max_members_;
  graft::Catalog catalog_;
  const graft::source::OnSkip skip_;
  ArchiveList archives_;
  std::vector<Place> places_;
  std::size_t position_ = 0, members_ = 0, again_ = 0;
  std::string twice_;
  std::vector<std::string> endless_;  ///< Archives without an end mark.
  Place current_;                     ///< Of the entry that next gave last.
  std::string current_key_;
  // What read_current reads from.
  std::unique_ptr<ArchiveReader> reader_;
  std::uint32_t open_ = 0;
  std::uint32_t damaged_ = std::numeric_limits<std::uint32_t>::max();  ///< No archive.
};

}  // namespace

GRAFT_PLUGIN(
    archive, "1.0.0", Archive,
    graft::PluginSchema::source("Lists the images in tar and zip archives and reads them without unpacking.")
        .output("out", graft::PortType::Bytes, "u8[?]",
                "The members, archive by archive in the order of their paths; the key is ARCHIVE/MEMBER.")
        .param(graft::folder("root").optional().doc(
            "Folder with the archives, also in folders within it; this or urls."))
        .param(graft::list("urls", graft::text(""))
                   .or_scalar()
                   .items(1, 100'000)
                   .optional()
                   .doc("The archives by their URLs: http://, https:// or s3://BUCKET/KEY, read there by "
                        "ranges; each may have one range of numbers in it, {000000..000099}; this or root."))
        .param(graft::list("files", graft::text(""))
                   .or_scalar()
                   .items(1, 1000)
                   .default_list({"*.tar", "*.tar.gz", "*.tgz", "*.tar.bz2", "*.tar.xz", "*.tar.zst",
                                  "*.zip"})
                   .doc("With root, patterns of the archives: one without a slash is for the name, one with "
                        "a slash for the path below the root, ** crosses slashes; in either case."))
        .params_from(layout_parameters())
        .param(graft::integer("max_bytes", 100 << 20)
                   .range(1, 2147483647)
                   .unit("bytes")
                   .doc("Longer members are rejected, whatever their header says."))
        .param(graft::integer("max_members", 10'000'000)
                   .at_least(1)
                   .doc("More members in all archives together are an error."))
        .param(graft::flag("follow_symlinks", false).doc("Follow symbolic links to archives and folders."))
        .params_from(graft::remote::transfer_parameters())
        .params_from(graft::remote::cache_parameters())
        .params_from(graft::Catalog::parameters())
        .example(R"(name: archive-example
stages:
  images:
    plugin: archive
    with: {root: "${SHARDS:-.}", layout: webdataset, splits: {train: "train-*.tar", test: "test-*.tar"}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
