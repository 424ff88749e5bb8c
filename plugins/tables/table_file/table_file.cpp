#include <graft/table_file.h>
#include <graft/text.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <graft/hash.h>
#include <graft/plugin.h>
#include <split_names/split_names.h>

namespace {

using graft::Entry;
using graft::Error;
using graft::Split;
using graft::TableFile;
namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
constexpr std::size_t kDescribed = 65536;  // rows at a time

std::optional<std::string> name_of(const graft::Params& params, const char* parameter) {
  if (!params.has(parameter)) return {};
  return params.get<std::string>(parameter);
}

std::string shown(const TableFile& file) {
  return "rows of " + graft::to_string(file.shape()) + " in " + file.path();
}

/// What a file's rows are called in keys: its name, with as many folders before it as tell it from the
/// others.
std::vector<std::string> short_names(const std::vector<fs::path>& paths) {
  std::vector<std::string> names(paths.size());
  std::vector<fs::path> rest = paths;
  bool unique = false;
  while (!unique) {
    for (std::size_t f = 0; f < paths.size(); ++f) {
      const std::string part = rest[f].filename().string();
      if (part.empty()) continue;
      names[f] = names[f].empty() ? part : part + "/" + names[f];
      rest[f] = rest[f].parent_path();
    }
    std::vector<std::string> sorted = names;
    std::sort(sorted.begin(), sorted.end());
    unique = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  }
  return names;
}

/// Gives the rows of ready-made tables as items. What the files say beside the features is read when the
/// stage is made; the features block by block while the rows are listed, for each row's digest names its
/// content.
class TableFiles final : public graft::ForwardSource {
 public:
  explicit TableFiles(const graft::StageContext& context) : catalog_(context), warn_(context.warn) {
    const graft::Params files = context.params.object("files");
    const TableFile::Names names{context.params.get<std::string>("features"),
                                 name_of(context.params, "labels"), name_of(context.params, "keys"),
                                 name_of(context.params, "splits"), name_of(context.params, "views")};
    open(files, "all", {}, names);
    for (const Split split : {Split::Train, Split::Val, Split::Test})
      open(files, graft::to_string(split), split, names);
    if (parts_.empty()) throw Error("files: expected at least one file, got none");
    check_together();
    classes_ = classes_of_all();
    if (!classes_.empty()) catalog_.set_classes(classes_);
    std::vector<fs::path> paths;
    for (const Part& part : parts_) paths.push_back(part.canonical);
    const std::vector<std::string> prefixes = short_names(paths);
    numbered_ = std::all_of(parts_.begin(), parts_.end(),
                            [](const Part& part) { return part.file.has_numbered_labels(); });
    if (numbered_) catalog_.labels_are_positions();
    for (std::size_t p = 0; p < parts_.size(); ++p) add(parts_[p], prefixes[p]);
    check_views();
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    const std::size_t found = catalog_.found_at(position_);
    entry = catalog_.entry(position_++);
    if (found >= block_first_ + block_rows_) read_block(found);
    row_ = block_.get() + (found - block_first_) * dim();
    entry.content = graft::digest(row_, dim() * sizeof(float));
    return true;
  }

  // The tensor shares the block that next has read.
  graft::Payload read_current() override {
    graft::Tensor tensor;
    tensor.shape = parts_[0].file.shape();
    tensor.owner = block_;
    tensor.data = row_;
    return tensor;
  }

 private:
  struct Part {
    TableFile file;
    fs::path canonical;
    std::string under;           ///< "all", or the split.
    std::optional<Split> split;  ///< Nothing: the file says, or a hash decides.
    std::size_t first = 0;       ///< Position of its first row among those of all files.
  };

  /// A row as a view of the image that its key names.
  struct View {
    std::uint64_t key;  ///< Hash of the key in the file.
    std::uint32_t number;
    std::optional<Split> split;
    std::size_t row;  ///< Among those of all files, and in the catalog until that is closed.
  };

  std::size_t dim() const { return parts_[0].file.dim(); }

  void open(const graft::Params& files, const std::string& under, std::optional<Split> split,
            const TableFile::Names& names) {
    for (const auto& path : files.get<std::vector<std::string>>(under)) {
      const fs::path canonical = fs::canonical(path);
      const auto same = std::find_if(parts_.begin(), parts_.end(),
                                     [&](const Part& part) { return part.canonical == canonical; });
      if (same != parts_.end())
        throw Error("files: " + path + " stands twice, under " + graft::joined({same->under, under}) +
                    "; the same rows in two splits would spoil every figure");
      parts_.push_back({TableFile(path, names), canonical, under, split, rows_});
      rows_ += parts_.back().file.rows();
      any_views_ = any_views_ || parts_.back().file.has_views();
      warn_of_unread(parts_.back());
    }
  }

  /// Of datasets whose names are nearly those that are read, where the file has none of those.
  void warn_of_unread(const Part& part) {
    const TableFile& file = part.file;
    std::vector<std::string> columns;
    for (const auto& [name, rows] : file.unread())
      if (rows == file.rows()) columns.push_back(name);
    const auto first = [](const std::vector<std::string>& names, const auto& fits) {
      const auto at = std::find_if(names.begin(), names.end(), fits);
      return at == names.end() ? std::string() : *at;
    };
    const auto one_of = [](std::vector<std::string> likely) {
      return [likely = std::move(likely)](const std::string& name) {
        return std::find(likely.begin(), likely.end(), graft::source::folded(name)) != likely.end();
      };
    };
    const auto warn = [&](const char* dataset, const std::string& meant, const std::string& text) {
      if (!meant.empty() && warned_of_.insert(dataset).second)
        warn_(std::string("no dataset '") + dataset + "' in " + file.path() + " (did you mean '" + meant +
              "'?): " + text);
    };
    if (!part.split && !file.has_splits())
      warn("splits", first(columns, graft::source::names_split_column),
           "splits come from a hash; name it with splits if it holds train, val, test or 0, 1, 2");
    if (!file.has_keys())
      warn("keys",
           first(columns,
                 one_of({"key", "id", "ids", "name", "names", "path", "paths", "filename", "filenames"})),
           "rows are called FILE/NUMBER; name it with keys");
    else if (!file.has_views())
      warn("views", first(columns, one_of({"view"})), "every row counts as an image; name it with views");
    if (file.has_numbered_labels()) {
      std::vector<std::string> names;
      for (const auto& [name, rows] : file.unread()) names.push_back(name);
      warn("classes", first(names, one_of({"class", "class_names", "classnames", "label_names"})),
           "classes are called by their numbers; call the list of their names classes");
    }
    if (!file.has_labels() && !columns.empty() && warned_of_.insert("labels").second)
      warn_("no dataset 'labels' in " + file.path() + " (datasets with a row for each of the features: " +
            graft::joined(columns) + "): the rows have no class; name it with labels");
  }

  void check_together() const {
    for (const Part& part : parts_) {
      if (part.file.shape() != parts_[0].file.shape())
        throw Error("files: the rows of a table must have one shape, got " + shown(parts_[0].file) + " and " +
                    shown(part.file));
      if (part.file.has_keys() != parts_[0].file.has_keys())
        warn_("some of the files have keys and some have none: rows of those without are called FILE/NUMBER");
    }
  }

  /// The list of classes that those files have that have one.
  std::vector<std::string> classes_of_all() const {
    const Part* named = nullptr;
    for (const Part& part : parts_) {
      if (part.file.classes().empty()) continue;
      if (named == nullptr) named = &part;
      if (part.file.classes() != named->file.classes())
        throw Error("files: expected one list of classes, got " + graft::joined(named->file.classes()) +
                    " in " + named->file.path() + " and " + graft::joined(part.file.classes()) + " in " +
                    part.file.path());
    }
    return named == nullptr ? std::vector<std::string>() : named->file.classes();
  }

  void add(const Part& part, const std::string& prefix) {
    std::size_t other_splits = 0;
    // Where every file has numbers, they are what the labels are, whatever a `classes` file calls the
    // classes; beside files with names, they are those of the list that the files have in common.
    std::unordered_map<std::string, std::string> meant;
    if (part.file.has_numbered_labels())
      for (std::size_t c = 0; c < classes_.size(); ++c) {
        const std::string number = std::to_string(c);
        meant.emplace(part.file.classes().empty() ? number : classes_[c], numbered_ ? number : classes_[c]);
      }
    for (std::size_t first = 0; first < part.file.rows(); first += kDescribed) {
      auto rows = part.file.describe(first, std::min(kDescribed, part.file.rows() - first));
      for (std::size_t i = 0; i < rows.size(); ++i) {
        TableFile::Row& row = rows[i];
        if (row.key.empty()) row.key = prefix + "/" + graft::zero_padded(first + i, 5);
        if (part.split && row.split && row.split != part.split) ++other_splits;
        for (std::string& label : row.labels)
          if (const auto known = meant.find(label); known != meant.end()) label = known->second;
        const std::optional<Split> split = part.split ? part.split : row.split;
        const std::size_t at = part.first + first + i;
        std::string group;  // a hash decides for all views of an image alike
        if (any_views_) views_.push_back({graft::hash64(row.key), row.view, split, at});
        if (row.view > 0) {
          group = row.key;
          row.key += "#" + std::to_string(row.view);
        }
        catalog_.add(std::move(row.key), row.labels, split, at, group, row.negative);
      }
    }
    if (other_splits > 0)
      warn_(part.file.path() + " stands under " + part.under + ", but says of " +
            graft::plural(other_splits, "row") +
            " that they are of another split; to go by what it says, put it under all");
  }

  /// Entries have keys of their own: view n of KEY, but for n = 0, becomes KEY#n. Throws Error where a row
  /// has that key already, where views have one number, and where they are in two splits.
  void check_views() {
    std::vector<View> views = std::exchange(views_, {});
    if (std::all_of(views.begin(), views.end(), [](const View& v) { return v.number == 0; })) return;
    std::sort(views.begin(), views.end(), [](const View& a, const View& b) {
      return std::tie(a.key, a.number, a.row) < std::tie(b.key, b.number, b.row);
    });
    for (std::size_t i = 0; i < views.size(); ++i) {
      const View& view = views[i];
      if (view.number > 0) check_entry_key(view, views);
      if (i == 0 || views[i - 1].key != view.key || key_in_file(views[i - 1]) != key_in_file(view)) continue;
      const View& other = views[i - 1];
      if (other.number == view.number)
        throw Error(place(other) + " and " + place(view) + " are both view " + std::to_string(view.number) +
                    " of '" + key_in_file(view) + "'; give every view of a key a number of its own");
      if (other.split != view.split)
        throw Error(place(other) + " and " + place(view) + " are views of '" + key_in_file(view) +
                    "', one of " + split_name(other) + " and one of " + split_name(view) +
                    "; the same image in two splits would spoil every score");
    }
  }

  void check_entry_key(const View& view, const std::vector<View>& views) const {
    std::string key(catalog_.key(view.row));
    const std::uint64_t hash = graft::hash64(key);
    const auto other = std::lower_bound(views.begin(), views.end(), hash,
                                        [](const View& v, std::uint64_t h) { return v.key < h; });
    if (other != views.end() && other->key == hash && other->number == 0 && catalog_.key(other->row) == key)
      throw Error(place(view) + " is view " + std::to_string(view.number) + " of '" + key_in_file(view) +
                  "' and would be called '" + key + "', which is the key of " + place(*other) +
                  "; give one of the two images another key");
  }

  std::string key_in_file(const View& view) const {
    std::string key(catalog_.key(view.row));
    if (view.number > 0) key.erase(key.rfind('#'));
    return key;
  }
  std::string place(const View& view) const {
    const Part& part = part_of(view.row);
    return "row " + std::to_string(view.row - part.first) + " of " + part.file.path();
  }
  static std::string split_name(const View& view) {
    return view.split ? graft::to_string(*view.split) : "no split";
  }

  const Part& part_of(std::size_t row) const {
    return *std::find_if(parts_.rbegin(), parts_.rend(), [&](const Part& p) { return p.first <= row; });
  }

  /// A new block each time: items in flight may hold on to the one before.
  void read_block(std::size_t found) {
    const Part& part = part_of(found);
    const std::size_t row = found - part.first;
    const std::size_t rows =
        std::min(std::max<std::size_t>(1, kBlockBytes / (dim() * sizeof(float))), part.file.rows() - row);
    block_ = std::make_shared_for_overwrite<float[]>(rows * dim());
    part.file.read(row, rows, block_.get());
    block_first_ = found;
    block_rows_ = rows;
  }

  graft::Catalog catalog_;
  const std::function<void(const std::string&)> warn_;
  std::vector<Part> parts_;
  std::vector<std::string> classes_;  ///< By number, as the files name them; empty: they do not.
  bool numbered_ = false;             ///< Labels are numbers of classes in every file.
  std::vector<View> views_;           ///< Of all rows, where a file has views, until they are checked.
  bool any_views_ = false;
  std::set<std::string> warned_of_;  ///< Datasets that a file may have under another name.
  std::size_t rows_ = 0, position_ = 0;
  std::shared_ptr<float[]> block_;
  std::size_t block_first_ = 0, block_rows_ = 0;
  float* row_ = nullptr;
};

graft::ParamSpec files(const std::string& name, const std::string& sentence) {
  return graft::list(name, graft::file("")).or_scalar().doc(sentence);
}

}  // namespace

GRAFT_PLUGIN(
    table_file, "1.0.0", TableFiles,
    graft::PluginSchema::source("Reads feature vectors that other software has stored in HDF5 files.")
        .output("out", graft::PortType::Tensor, "f32[?]",
                "A row's features; the key is the file's own (KEY#n for view n > 0), or FILE/NUMBER.")
        .param(graft::object("files",
                             {files("all",
                                    "Files that say of each row which split it is of; where "
                                    "they do not, a hash of the key decides."),
                              files("train", "Files of train rows."),
                              files("val", "Files of val rows; without, val is carved out of train."),
                              files("test", "Files of test rows.")})
                   .or_scalar()
                   .required()
                   .doc("The HDF5 files, by split; one file alone is `all`."))
        .param(graft::text("features", "features")
                   .doc("Dataset of the features: [rows, ...] of float16, float32 or float64."))
        .param(graft::text("labels").optional().doc(
            "Dataset of the labels: numbers of classes, -1 for an unlabelled row; 0 and 1 for every class, "
            "-1 in every column for an unlabelled row; or class names. Left out: labels, if there is such a "
            "dataset."))
        .param(graft::text("keys").optional().doc(
            "Dataset of the keys, texts; left out: keys, if there is such a dataset."))
        .param(graft::text("splits").optional().doc(
            "Dataset of the splits: train, val, test or 0, 1, 2; empty or -1: a hash decides; left out: "
            "splits, if there is such a dataset."))
        .param(
            graft::text("views").optional().doc("Dataset of whole numbers from 0: rows of one key are views "
                                                "of one image. They stay in one split; "
                                                "left out: views, if there is such a dataset beside keys."))
        .params_from(graft::Catalog::parameters())
        .example(R"(name: table-file-example
stages:
  features: {plugin: table_file, with: {files: "${GRAFT_SHARE}/configs/table_file.h5"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
