#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <graft/file_names.h>
#include <graft/plugin.h>
#include <graft/text.h>
#include <graft/value.h>
#include <source/delimited.h>
#include <source/flat_json.h>
#include <source/listed_files.h>
#include <split_names/split_names.h>

namespace {

using graft::Entry;
using graft::Error;
using graft::Split;
using graft::Value;
using graft::source::DelimitedReader;
using Line = graft::source::ListedFiles::Line;

constexpr std::size_t kMaxJsonLine = std::size_t{1} << 20;

std::string folder_of(const graft::Params& params) {
  if (params.has("root")) return params.get<std::string>("root");
  const std::filesystem::path folder = std::filesystem::path(params.get<std::string>("file")).parent_path();
  return folder.empty() ? "." : folder.string();
}

std::string format_of(const graft::Params& params) {
  auto format = params.get<std::string>("format");
  if (format != "auto") return format;
  const auto file = params.get<std::string>("file");
  std::string extension = graft::file_extension(file);
  if (extension == "ndjson") return "jsonl";
  if (extension == "csv" || extension == "tsv" || extension == "jsonl") return extension;
  throw Error("format: cannot tell from the name of " + file + "; write format: csv, tsv or jsonl");
}

/// Lists the images that a CSV, TSV or JSON Lines file names, in its order.
///
/// The list is read when the stage is made; `next` looks at the files (size and time) and `load` checks that
/// they are below the root, on any thread.
class ImageList final : public graft::Source {
 public:
  explicit ImageList(const graft::StageContext& context)
      : params_(context.params),
        file_(params_.get<std::string>("file")),
        separator_(params_.get<std::string>("label_separator")),
        separators_(separator_),
        empty_is_none_(params_.has("empty_labels") && params_.get<std::string>("empty_labels") == "none"),
        files_(context, folder_of(params_), file_) {
    if (params_.has("label") && params_.has("labels"))
      throw Error("label, labels: expected one of the two, got both");
    if (params_.has("empty_labels") && !params_.has("labels"))
      throw Error(std::string("empty_labels: expected labels, a column of any number of classes, got ") +
                  (params_.has("label") ? "label, a column of one" : "none") +
                  "; name the column with labels, or leave empty_labels out");
    if (separator_.empty()) throw Error("label_separator: expected a text, got an empty one");
    std::ifstream in(file_, std::ios::binary);
    if (!in) throw Error("cannot open " + file_ + ": " + std::strerror(errno));
    const std::string format = format_of(params_);
    if (format == "jsonl")
      read_json_lines(in, context);
    else
      read_delimited(in, separator_of(in, format == "tsv" ? '\t' : ','), context);
    if (in.bad()) throw Error("cannot read " + file_ + ": " + std::strerror(errno));
    if (params_.has("labels")) separators_.warn(context, column("labels"), file_);
    files_.close();
  }

  std::vector<std::string> classes() const override { return files_.classes(); }
  std::optional<std::size_t> count() override { return files_.count(); }
  bool next(Entry& entry) override { return files_.next(entry); }
  graft::Payload load(const Entry& entry) const override { return files_.load(entry); }

 private:
  [[noreturn]] void fail(std::size_t line, const std::string& text) const {
    throw Error(file_ + ":" + std::to_string(line) + ": " + text);
  }

  /// The column that a parameter names; the parameter's own name, where it is left out.
  std::string column(const char* parameter) const {
    return params_.has(parameter) ? params_.get<std::string>(parameter) : parameter;
  }

  /// The separator: that of the format, unless the header has the column of the paths with another one alone,
  /// as spreadsheets write lists in many countries.
  char separator_of(std::istream& in, char usual) const {
    for (const char separator : {usual, ',', ';', '\t', '|'}) {
      in.clear();
      in.seekg(0);
      std::vector<std::string> header;
      bool found = false;
      try {
        found = DelimitedReader(in, file_, separator).next(header) &&
                std::find(header.begin(), header.end(), column("path")) != header.end();
      } catch (const Error&) {
        // Read once more below, where the error is reported.
      }
      if (found) usual = separator;
      if (found) break;
    }
    in.clear();
    in.seekg(0);
    return usual;
  }

  void read_delimited(std::istream& in, char separator, const graft::StageContext& context) {
    DelimitedReader reader(in, file_, separator);
    std::vector<std::string> header, fields;
    if (!reader.next(header))
      throw Error("expected a header with the names of the columns in " + file_ + ", got an empty file");
    const auto path = position(header, reader.line(), "path", true);
    std::optional<std::size_t> id;
    if (params_.has("id")) id = position(header, reader.line(), "id", true);
    const auto split = position(header, reader.line(), "split", params_.has("split"));
    const auto labels =
        params_.has("labels") ? position(header, reader.line(), "labels", true) : std::nullopt;
    const auto label = labels ? labels : position(header, reader.line(), "label", params_.has("label"));
    if (!label && header.size() > 1u + (id ? 1 : 0) + (split ? 1 : 0))
      context.warn("no column 'label' in " + file_ + " (columns: " + graft::joined(header) +
                   "): the images have no class; name its column with label");
    UnusedColumns unused;
    std::vector<UnusedColumns::Column*> unused_columns(header.size());
    for (std::size_t c = 0; c < header.size() && !split; ++c)
      if (c != path && c != id && c != label) unused_columns[c] = unused.column(header[c]);
    while (reader.next(fields)) {
      if (fields.size() == 1 && fields[0].empty() && header.size() > 1) continue;  // a line of blanks
      if (fields.size() != header.size())
        fail(reader.line(), "expected " + graft::plural(header.size(), "field") +
                                ", as the header has, got " + std::to_string(fields.size()) +
                                "; put fields that hold the separator into quotes");
      Line line;
      line.number = reader.line();
      if (id) line.id = fields[*id];
      if (split) line.split = split_of(line.number, fields[*split]);
      for (std::size_t c = 0; c < header.size(); ++c)
        if (unused_columns[c] != nullptr) unused_columns[c]->see(fields[c]);
      if (labels) {
        line.labels = pieces(fields[*labels]);
        line.negative = line.labels.empty() && empty_is_none_;
      } else if (label) {
        line.labels = Labels().add(fields[*label]).take();
      }
      line.path = std::move(fields[*path]);
      files_.add(std::move(line));
    }
    if (files_.count() == 0)
      throw Error("expected lines of images below the header of " + file_ + ", got none");
    if (!split) warn_unused_split(unused, context);
    if (!split && std::find(header.begin(), header.end(), "group") != header.end() && !params_.has("group"))
      context.warn(
          "the column 'group' of " + file_ +
          " is not used: images of one group may be in several splits; write a column split, or give "
          "the parameter group, a pattern of the paths");
  }

  /// Columns that are not used, and whether all that they hold are names of splits.
  class UnusedColumns {
   public:
    struct Column {
      bool any = false, splits = true;

      void see(const std::string& field) {
        if (field.empty()) return;
        any = true;
        splits = splits && graft::source::names_a_split(field);
      }
    };
    /// Null for one too many: names that every line has anew are no columns, and would be held to the end.
    Column* column(const std::string& name) {
      if (columns_.size() == kMostColumns && !columns_.contains(name)) return nullptr;
      return &columns_[name];
    }
    /// One that may be meant for the splits: by its name, or by what it holds.
    std::optional<std::string> like_split() const {
      for (const auto& [name, column] : columns_)
        if (graft::source::folded(name) == "split") return name;
      for (const auto& [name, column] : columns_)
        if (column.any && column.splits) return name;
      for (const auto& [name, column] : columns_)
        if (graft::source::names_split_column(name)) return name;
      return {};
    }

    bool holds_splits(const std::string& name) const {
      const Column& column = columns_.at(name);
      return column.any && column.splits;
    }

   private:
    static constexpr std::size_t kMostColumns = 1000;
    std::map<std::string, Column> columns_;
  };

  void warn_unused_split(const UnusedColumns& unused, const graft::StageContext& context) const {
    if (const auto like = unused.like_split())
      context.warn(
          "no column 'split' in " + file_ + " (did you mean '" + *like + "'?): splits come from a hash; " +
          (unused.holds_splits(*like) ? "name its column with split"
                                      : "write train, val or test into a column, and name it with split"));
  }

  /// Where a column is. Throws Error when it is missing but needed, or stands twice.
  std::optional<std::size_t> position(const std::vector<std::string>& header, std::size_t line,
                                      const char* parameter, bool needed) const {
    const std::string name = column(parameter);
    const auto at = std::find(header.begin(), header.end(), name);
    if (at == header.end()) {
      if (!needed) return {};
      const auto near = graft::nearest(name, header);
      fail(line, "expected a header with a column '" + name + "', got the columns " + graft::joined(header) +
                     (near ? " (did you mean '" + *near + "'?)" : "") + "; name the column with " +
                     parameter);
    }
    if (std::find(at + 1, header.end(), name) != header.end())
      fail(line, "the column '" + name + "' stands twice in the header");
    return static_cast<std::size_t>(at - header.begin());
  }

  std::optional<Split> split_of(std::size_t line, const std::string& given) const {
    if (graft::source::folded(given).empty()) return {};
    if (const auto split = graft::split_from(given)) return split;
    fail(line,
         "expected the split train, val or test (valid, validation and dev are val), got '" + given + "'");
  }

  /// What a column of several classes separates them with, where that is not label_separator.
  class OtherSeparators {
   public:
    explicit OtherSeparators(std::string own) : own_(std::move(own)) {}

    void see(const std::string& field) {
      const bool is_list = field.starts_with('[') && field.ends_with(']');
      if (field.find(own_) != std::string::npos && !is_list) ++own_count_;
      for (Count& other : others_) {
        const bool has = other.separator == '[' ? is_list : field.find(other.separator) != std::string::npos;
        if (has && other.fields++ == 0) other.example = field;
      }
    }

    void warn(const graft::StageContext& context, const std::string& column, const std::string& file) const {
      for (const Count& other : others_) {
        if (own_count_ > 0 || other.fields == 0 || own_.find(other.separator) != std::string::npos) continue;
        const std::string fields =
            graft::plural(other.fields, "field") + " of the column '" + column + "' in " + file;
        const std::string example = ", for example " + graft::shortened(other.example);
        if (other.separator == '[')
          context.warn(fields + (other.fields == 1 ? " is a list" : " are lists") + " in brackets" + example +
                       ": each is taken as one class; write the classes alone, with '" + own_ +
                       "' between them");
        else
          context.warn("no field of the column '" + column + "' in " + file + " holds label_separator '" +
                       own_ + "', and " + std::to_string(other.fields) +
                       (other.fields == 1 ? " holds '" : " hold '") + other.separator + "'" + example +
                       ": each is taken as one class; write label_separator: \"" + other.separator +
                       "\" if it separates classes");
        return;
      }
    }

   private:
    struct Count {
      char separator;  ///< [: a list in brackets.
      std::size_t fields = 0;
      std::string example = {};
    };
    std::string own_;
    std::size_t own_count_ = 0;
    std::array<Count, 4> others_{{{'['}, {';'}, {'|'}, {','}}};
  };

  /// The classes in one field, each once.
  std::vector<std::string> pieces(const std::string& field) {
    separators_.see(field);
    Labels out;
    for (std::size_t start = 0; start <= field.size();) {
      const std::size_t end = std::min(field.find(separator_, start), field.size());
      out.add(field.substr(start, end - start));
      start = end + separator_.size();
    }
    return out.take();
  }

  /// The classes of one image, each once and without blanks around it.
  class Labels {
   public:
    Labels& add(std::string label) {
      constexpr const char* kBlanks = " \t";
      label.erase(0, std::min(label.find_first_not_of(kBlanks), label.size()));
      label.erase(label.find_last_not_of(kBlanks) + 1);
      if (!label.empty() && is_new(label)) labels_.push_back(std::move(label));
      return *this;
    }
    std::vector<std::string> take() { return std::move(labels_); }

   private:
    static constexpr std::size_t kFew = 8;
    /// Nearly all images have few: these are looked at one by one.
    bool is_new(const std::string& label) {
      if (labels_.size() < kFew) return std::find(labels_.begin(), labels_.end(), label) == labels_.end();
      if (seen_.empty()) seen_.insert(labels_.begin(), labels_.end());
      return seen_.insert(label).second;
    }

    std::vector<std::string> labels_;
    std::unordered_set<std::string> seen_;
  };

  void read_json_lines(std::istream& in, const graft::StageContext& context) {
    const std::string path = column("path"), id = column("id"), split = column("split");
    const bool many = params_.has("labels");
    const std::string label = column(many ? "labels" : "label");
    bool any_label = false, any_split = false, any_other = false;
    UnusedColumns unused;
    std::string text;
    for (std::size_t number = 1; next_line(in, number, text); ++number) {
      if (text.find_first_not_of(" \t") == std::string::npos) continue;
      Value object;
      try {
        auto flat = graft::source::flat_object(text);
        object = flat ? std::move(*flat) : Value::from_json(text);
      } catch (const Error& e) {
        const std::string fault = e.what();
        // What has a reason after a colon is JSON, and one object.
        const bool is_syntax =
            fault.starts_with("not valid JSON at byte") && fault.find(':') == std::string::npos;
        fail(number, fault + (is_syntax ? "; write one JSON object per line" : ""));
      }
      if (!object.is_map())
        fail(number, std::string("expected a JSON object, got a ") + object.kind() +
                         "; write one JSON object per line");
      const Value* found = object.find(path);
      if (found == nullptr) {
        std::vector<std::string> names;
        for (const auto& [name, value] : object.as_map()) names.push_back(graft::shortened(name));
        fail(number, "expected a field '" + path + "', got " +
                         (names.empty() ? "none" : "the fields " + graft::joined(names)) +
                         "; name the field with path");
      }
      Line line{number, word(number, path, *found), {}, {}, {}};
      if (params_.has("id")) {
        const Value* key = object.find(id);
        if (key == nullptr) fail(number, "expected a field '" + id + "' with the id, got none");
        line.id = word(number, id, *key);
      }
      if (const Value* s = object.find(split)) {
        any_split = true;
        line.split = split_of(number, s->is_null() ? "" : word(number, split, *s));
      }
      if (const Value* l = object.find(label)) {
        any_label = true;
        line.labels = labels_of(number, label, *l, many);
        // Unlike a text, an empty list cannot mean anything else.
        const bool none = l->is_list() && l->as_list().empty();
        line.negative = many && line.labels.empty() && (none || (empty_is_none_ && !l->is_null()));
      }
      for (const auto& [name, value] : object.as_map()) {
        if (name == path || name == label || name == split || (params_.has("id") && name == id)) continue;
        any_other = true;
        if (auto* seen = unused.column(name))
          seen->see(value.is_string() ? value.as_string() : value.is_null() ? "" : "no text");
      }
      files_.add(std::move(line));
    }
    for (const auto& [parameter, seen] :
         {std::pair{many ? "labels" : "label", any_label}, {"split", any_split}})
      if (params_.has(parameter) && !seen)
        throw Error(std::string(parameter) + ": no line of " + file_ + " has a field '" + column(parameter) +
                    "'");
    if (!any_label && any_other)
      context.warn("no field 'label' in " + file_ + ": the images have no class; name its field with label");
    if (!any_split) warn_unused_split(unused, context);
  }

  /// The classes in a field: a list of them, one, or, with `many`, several in one text.
  std::vector<std::string> labels_of(std::size_t line, const std::string& field, const Value& value,
                                     bool many) {
    Labels labels;
    if (value.is_null()) return {};
    if (many && !value.is_list()) return pieces(word(line, field, value));
    if (!value.is_list()) return labels.add(word(line, field, value)).take();
    for (const Value& one : value.as_list()) labels.add(word(line, field, one));
    return labels.take();
  }

  /// A text or a whole number.
  std::string word(std::size_t line, const std::string& field, const Value& value) const {
    if (value.is_string()) return value.as_string();
    if (value.is_int()) return std::to_string(value.as_int());
    fail(line, "'" + field + "': expected a text or a whole number, got a " + value.kind() +
                   (value.is_map() || value.is_list() ? "" : "; write it in quotes"));
  }

  /// A line without its end, and without a byte order mark in the first.
  bool next_line(std::istream& in, std::size_t number, std::string& text) const {
    text.clear();
    std::streambuf& buffer = *in.rdbuf();
    constexpr int kEnd = std::char_traits<char>::eof();
    int c = buffer.sbumpc();
    if (c == kEnd) return false;
    for (; c != kEnd && c != '\n'; c = buffer.sbumpc()) {
      if (c == '\r' && buffer.sgetc() != '\n') break;  // a line end of its own
      if (text.size() == kMaxJsonLine) fail(number, "a line of more than 1 MiB; write one object a line");
      text += static_cast<char>(c);
    }
    if (text.ends_with('\r')) text.pop_back();
    if (number == 1 && text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
    return true;
  }

  const graft::Params params_;
  const std::string file_, separator_;
  OtherSeparators separators_;
  const bool empty_is_none_;  ///< A text without a class in the column `labels`.
  graft::source::ListedFiles files_;
};

graft::ParamSpec empty_labels() {
  graft::ParamSpec spec = graft::choice("empty_labels", {"unlabelled", "none"}, "unlabelled").optional();
  spec.default_value = {};  // so that one that is given without labels is noticed
  return spec.doc(
      "What an empty field in the column labels means: unlabelled, the classes are not known; or none, the "
      "image shows none of the classes. Default: unlabelled. In JSON, an empty list always means none, and "
      "null or no such field unlabelled.");
}

}  // namespace

GRAFT_PLUGIN(
    image_list, "1.1.0", ImageList,
    graft::PluginSchema::source("Lists the images that a CSV, TSV or JSON Lines file names.")
        .output("out", graft::PortType::Bytes, "u8[?]", "The files, in the order of the list.")
        .param(graft::file("file").required().doc(
            "The list: an image a line; CSV and TSV begin with a header that names the columns."))
        .param(graft::choice("format", {"auto", "csv", "tsv", "jsonl"}, "auto")
                   .doc("Format of the list; auto: by the end of its name."))
        .param(graft::folder("root").optional().doc(
            "Folder where the paths start, and which they may not leave; left out: the list's own."))
        .param(graft::text("path").optional().doc("Column of the paths; left out: path."))
        .param(graft::text("label").optional().doc("Column of the class, empty for an image without one; "
                                                   "left out: label, if there is such a column."))
        .param(graft::text("labels").optional().doc(
            "Column of any number of classes, for multi-label learning: separated, or a list in JSON."))
        .param(graft::text("label_separator", "|").doc("What separates the classes in the column labels."))
        .param(empty_labels())
        .param(graft::text("split").optional().doc(
            "Column of the split: train (training), val (valid, validation, dev, development) or test "
            "(testing), in either case, empty where a hash of the key is to decide; left out: split, if "
            "there is such a column."))
        .param(graft::text("id").optional().doc(
            "Column of the key, which is then used in all outputs; left out: the path, as it is written."))
        .params_from(graft::source::ListedFiles::parameters())
        .example(R"(name: image-list-example
stages:
  images:
    plugin: image_list
    with: {file: "${GRAFT_SHARE}/configs/image_list.csv", root: "${PHOTOS:-.}", label: species}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
