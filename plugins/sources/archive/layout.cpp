#include "layout.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <graft/error.h>
#include <graft/file_names.h>
#include <graft/text.h>
#include <source/folder_labels.h>
#include <source/glob.h>
#include <split_names/split_names.h>

namespace {

using graft::Error;
using graft::joined;
using graft::Split;
using graft::Value;
using Warn = std::function<void(const std::string&)>;

constexpr std::uint64_t kMaxLabelFile = 1 << 16;

using graft::is_image_extension;

/// Classes by folders, like image_folder.
class Folders final : public Layout {
 public:
  explicit Folders(const graft::Params& params) : labels_(params) {}

  bool begin(const std::string&) override { return true; }

  std::vector<Input> finish(const std::string&) override { return std::exchange(inputs_, {}); }

  void close(const std::string& root) override { labels_.find_splits("the archives of " + root); }

  std::vector<Input> place(std::vector<Input> inputs) override {
    std::vector<Input> out;
    for (Input& input : inputs) {
      if (input.fault != Input::Fault::UnsafePath) {
        auto place = labels_.place(input.name);
        if (!place) continue;
        input.labels = std::move(place->labels);
        input.split = place->split;
      }
      out.push_back(std::move(input));
    }
    return out;
  }

  void report(const std::string& root, const Warn& warn, const graft::source::OnSkip& skip) const override {
    labels_.report("the archives of " + root, warn, skip);
    Layout::report(root, warn, skip);
  }

 private:
  std::size_t take(Input input, ArchiveReader&) override {
    if (input.fault != Input::Fault::UnsafePath) labels_.see(input.name.substr(0, input.name.find('/')));
    inputs_.push_back(std::move(input));
    return 0;
  }

  graft::source::FolderLabels labels_;
  std::vector<Input> inputs_;
};

/// Samples by the names of their members, like WebDataset: https://github.com/webdataset/webdataset.
class WebDataset final : public Layout {
 public:
  explicit WebDataset(const graft::Params& params) : label_field_(params.get<std::string>("label_field")) {
    if (!params.has("splits")) return;
    for (const Split split : {Split::Train, Split::Val, Split::Test})
      for (const auto& pattern :
           params.object("splits").get<std::vector<std::string>>(graft::to_string(split)))
        try {
          splits_.push_back({graft::source::Glob(pattern, graft::source::Glob::Case::Either), split});
        } catch (const Error& e) {
          throw Error(std::string("splits: ") + e.what());
        }
    if (splits_.empty())
      throw Error("splits: expected a pattern of archives for train, val or test, got none");
  }

  bool begin(const std::string& path) override {
    path_ = path;
    if (splits_.empty()) {
      unused_splits_.see_words(path);
      return true;
    }
    split_.reset();
    for (Pattern& pattern : splits_) {
      if (!pattern.glob.matches(path)) continue;
      pattern.used = true;
      if (split_ && *split_ != pattern.split)
        throw Error("splits: " + path + " is in " + graft::to_string(*split_) + " and in " +
                    graft::to_string(pattern.split) + " by its patterns; make them name it once");
      split_ = pattern.split;
    }
    if (!split_) ignored_.push_back(path);
    return split_.has_value();
  }

  std::vector<Input> finish(const std::string& path) override {
    std::vector<Input> inputs;
    for (auto& [stem, sample] : samples_) {
      if (sample.images.empty()) {
        if (!sample.dotted) imageless_.push_back(path + "/" + stem);
        continue;
      }
      if (!sample.labels.empty()) {
        any_label_ = true;
        numbered_ =
            numbered_ && sample.has_cls && std::all_of(sample.labels.begin(), sample.labels.end(), is_number);
      }
      for (Input& image : sample.images) {
        image.labels = sample.labels;
        image.split = split_;
        if (sample.images.size() > 1) image.group = path + "/" + stem;
        inputs.push_back(std::move(image));
      }
    }
    samples_.clear();
    std::sort(inputs.begin(), inputs.end(), [](const Input& a, const Input& b) { return a.index < b.index; });
    return inputs;
  }

  void close(const std::string& root) override {
    for (const Pattern& pattern : splits_)
      if (!pattern.used)
        throw Error("splits: expected archives in " + root + " that match '" + pattern.glob.pattern() +
                    "', got none; the pattern is for the archive's name, with a slash for its path");
  }

  // The format's own reading of a .cls: the number of the class.
  bool labels_are_positions() const override { return any_label_ && numbered_; }

  void report(const std::string& root, const Warn& warn, const graft::source::OnSkip& skip) const override {
    unused_splits_.warn("name the archives by patterns: splits: {train: \"train-*\", test: \"test-*\"}",
                        warn);
    if (!ignored_.empty())
      warn("ignored in " + root + ", because splits does not name " + (ignored_.size() == 1 ? "it" : "them") +
           ": " + joined(ignored_));
    for (const std::string& image : dotted_)
      skip("image with several dots in the name", image,
           "a sample's name ends at its first dot; rename the members, a-1.jpg for a.1.jpg");
    for (const std::string& sample : imageless_)
      skip("sample without an image", sample, "none of its members has the extension of an image");
    if (!any_label_)
      warn("no sample in " + root + " has a .cls, or a .json with the field '" + label_field_ +
           "': the images have no class");
    Layout::report(root, warn, skip);
  }

 private:
  struct Sample {
    std::vector<Input> images;
    std::vector<std::string> labels;
    bool has_cls = false;
    bool dotted = false;  ///< A member would be an image if its name had one dot.
  };
  struct Pattern {
    graft::source::Glob glob;
    Split split;
    bool used = false;
  };

  // The name of a sample ends at the first dot of the last part of the path.
  std::size_t take(Input input, ArchiveReader& member) override {
    const std::size_t base = input.name.rfind('/') + 1;  // npos + 1 is 0
    const std::size_t dot = std::min(input.name.find('.', base), input.name.size());
    Sample& sample = samples_[input.name.substr(0, dot)];
    const std::string extension = graft::lower_case(input.name.substr(std::min(dot + 1, input.name.size())));
    if (is_image_extension(extension)) {
      sample.images.push_back(std::move(input));
    } else if (extension == "cls") {
      sample.labels = one_label(text_of(member));
      sample.has_cls = true;
    } else if (extension == "json" && !sample.has_cls) {
      sample.labels = labels_of(member);
    } else if (is_image_extension(graft::file_extension(input.name))) {
      sample.dotted = true;
      dotted_.push_back(path_ + "/" + input.name);
    }
    std::size_t held = 0;
    for (const std::string& label : sample.labels) held += sizeof(std::string) + label.size();
    return held;
  }

  static std::string text_of(ArchiveReader& member) {
    try {
      const std::vector<std::uint8_t> data = member.read(kMaxLabelFile);
      return {data.begin(), data.end()};
    } catch (const graft::Reject& e) {
      throw Error("cannot read the label '" + member.name() + "' in " + member.path() + ": " + e.what());
    }
  }

  static bool is_number(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  /// Without the blanks around it; none, where nothing is left.
  static std::vector<std::string> one_label(const std::string& text) {
    constexpr const char* kSpace = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string::npos) return {};
    return {text.substr(first, text.find_last_not_of(kSpace) + 1 - first)};
  }

  std::vector<std::string> labels_of(ArchiveReader& member) const {
    const std::string text = text_of(member);
    try {
      const Value value = Value::from_json(text);
      const Value* field = value.find(label_field_);
      std::vector<std::string> out;
      std::unordered_set<std::string> seen;
      if (field == nullptr || field->is_null()) return out;
      for (const Value& one : field->is_list() ? field->as_list() : Value::List{*field}) {
        if (!one.is_string() && !one.is_int())
          throw Error("'" + label_field_ + "': expected a text or a whole number, got a " + one.kind() +
                      (one.is_map() || one.is_list() ? "" : "; write it in quotes"));
        for (std::string& label : one_label(one.is_int() ? std::to_string(one.as_int()) : one.as_string()))
          if (seen.insert(label).second) out.push_back(std::move(label));
      }
      return out;
    } catch (const Error& e) {
      throw Error("cannot use the label '" + member.name() + "' in " + member.path() + ": " + e.what());
    }
  }

  const std::string label_field_;
  std::vector<Pattern> splits_;
  std::string path_;            ///< The archive that is being read,
  std::optional<Split> split_;  ///< and its split.
  std::unordered_map<std::string, Sample> samples_;
  std::vector<std::string> ignored_;
  std::vector<std::string> dotted_;     ///< Members that would be images if their names had one dot.
  std::vector<std::string> imageless_;  ///< Samples of nothing that looks like an image.
  graft::source::UnusedSplits unused_splits_;
  bool any_label_ = false;
  bool numbered_ = true;  ///< All labels are whole numbers, in .cls members.
};

}  // namespace

std::size_t Layout::take(ArchiveReader& reader) {
  const graft::source::OnSkip skip = [this](const auto& kind, const auto& path, const auto& cure) {
    left_.push_back({kind, path, cure});
  };
  auto member = graft::source::archive_member(reader, skip);
  if (!member) return 0;
  return take(Input{reader.count() - 1, std::move(member->name), reader.size(), member->fault, {}, {}, {}},
              reader);
}

void Layout::report(const std::string&, const Warn&, const graft::source::OnSkip& skip) const {
  for (const Left& left : left_) skip(left.kind, left.path, left.cure);
}

std::vector<graft::ParamSpec> layout_parameters() {
  std::vector<graft::ParamSpec> specs{graft::choice("layout", {"folders", "webdataset"}, "folders")
                                          .doc("folders: CLASS/IMAGE or SPLIT/CLASS/IMAGE in the archives, "
                                               "like image_folder; webdataset: members "
                                               "with the same name up to its first dot are one sample.")};
  for (graft::ParamSpec& p : graft::source::FolderLabels::parameters()) {
    if (p.name == "splits")
      p.doc(
          "layout: folders: the topmost folders in the archives that make up each split; layout: webdataset: "
          "patterns of the archives that do, such as 'train-*.tar'; left out: a hash of the key decides.");
    specs.push_back(std::move(p));
  }
  specs.push_back(graft::text("label_field", "label")
                      .doc("layout: webdataset: field of the .json members that holds the class or a list of "
                           "classes; a .cls member is stronger."));
  return specs;
}

std::unique_ptr<Layout> make_layout(const graft::Params& params) {
  if (params.get<std::string>("layout") == "webdataset") return std::make_unique<WebDataset>(params);
  return std::make_unique<Folders>(params);
}
