#include "dataset_look.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/file_names.h>
#include <graft/item.h>
#include <graft/text.h>

#include "list_head.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostFiles = 1'000'000;
constexpr std::size_t kFewImages = 20;  ///< Classes with fewer are named.
constexpr const char* kVideos[] = {"mp4", "m4v",  "mov", "avi", "mkv", "webm",
                                   "mpg", "mpeg", "wmv", "flv", "ogv"};

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool is_image(const fs::path& path) {
  return is_image_extension(file_extension(path));
}

bool is_video(const fs::path& path) {
  return std::find(std::begin(kVideos), std::end(kVideos), file_extension(path)) != std::end(kVideos);
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (!is_hidden(it->path())) out.push_back(it->path());
  if (error) throw Error(fmt::format("cannot read {}: {}", folder.string(), error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

/// Images below a folder, by the ends of their names.
struct Count {
  std::size_t images = 0, others = 0;
  std::map<std::string, std::size_t> ends;
};

Count count_below(const fs::path& folder) {
  Count count;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_hidden(it->path())) {
      it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error)) continue;
    if (is_image(it->path())) {
      ++count.images;
      ++count.ends[lower_case(it->path().extension())];
    } else {
      ++count.others;
    }
    if (count.images + count.others == kMostFiles) break;
  }
  return count;
}

std::string in_words(const std::map<std::string, std::size_t>& ends) {
  std::vector<std::string> words;
  for (const auto& [end, n] : ends) words.push_back(fmt::format("{} {}", n, end));
  return joined(words);
}

/// Class folders: the folders in `folder` with images in them.
std::map<std::string, std::size_t> class_folders(const fs::path& folder, Count& all) {
  std::map<std::string, std::size_t> classes;
  std::error_code error;
  for (const fs::path& entry : entries_of(folder)) {
    if (!fs::is_directory(entry, error)) continue;
    const Count count = count_below(entry);
    if (count.images > 0) classes[entry.filename()] = count.images;
    all.images += count.images;
    all.others += count.others;
    for (const auto& [end, n] : count.ends) all.ends[end] += n;
  }
  return classes;
}

void note_classes(const std::map<std::string, std::size_t>& classes, DatasetLook& look) {
  std::vector<std::string> all, few;
  for (const auto& [name, n] : classes) {
    all.push_back(fmt::format("{} ({})", name, n));
    if (n < kFewImages) few.push_back(fmt::format("{} ({})", name, n));
  }
  look.notes.push_back(fmt::format("{} classes: {}.", classes.size(), joined(all)));
  if (!few.empty())
    look.notes.push_back(fmt::format(
        "Classes with fewer than {} images, whose scores will be unreliable: {}.", kFewImages, joined(few)));
}

void note_files(const Count& count, DatasetLook& look) {
  look.notes.push_back(fmt::format("{}: {}.", plural(count.images, "image"), in_words(count.ends)));
  if (count.others > 0)
    look.notes.push_back(
        fmt::format("{} with other ends: each becomes a reject that says why; `exclude` leaves files out.",
                    plural(count.others, "file")));
}

/// DIR/SPLIT/CLASS/...
std::optional<DatasetLook> split_folders(const fs::path& folder) {
  std::map<Split, std::string> splits;
  std::error_code error;
  const std::vector<fs::path> entries = entries_of(folder);
  for (const fs::path& entry : entries) {
    if (!fs::is_directory(entry, error)) continue;
    const auto split = split_from(entry.filename().string());
    if (split && !splits.contains(*split)) splits[*split] = entry.filename();
  }
  if (!splits.contains(Split::Train)) {
    const std::size_t folders = static_cast<std::size_t>(std::count_if(
        entries.begin(), entries.end(), [&](const fs::path& e) { return fs::is_directory(e, error); }));
    if (splits.empty() || splits.size() < folders) return {};
    std::vector<std::string> names;
    for (const auto& [split, name] : splits) names.push_back(name);
    throw Error(fmt::format("{} has the folders {}, and none to train on: wanted a folder train beside them",
                            folder.string(), joined(names)));
  }
  DatasetLook look;
  look.plugin = "image_folder";
  Count count;
  std::map<std::string, std::size_t> classes;
  for (const auto& [split, name] : splits)
    for (const auto& [label, n] : class_folders(folder / name, count)) classes[label] += n;
  if (classes.empty()) return {};
  // Val is for choosing: where it is all that is held out, it is the test, and val is taken from train.
  const bool val_is_test = splits.contains(Split::Val) && !splits.contains(Split::Test);
  for (const auto& [split, name] : splits)
    look.with["splits"][val_is_test && split == Split::Val ? "test" : to_string(split)] = name;
  note_files(count, look);
  note_classes(classes, look);
  if (val_is_test)
    look.notes.push_back(
        fmt::format("The images of '{}' are the test; a part of '{}' becomes val, by which learners choose.",
                    splits[Split::Val], splits[Split::Train]));
  return look;
}

std::optional<std::string> column(const std::vector<std::string>& columns,
                                  std::initializer_list<const char*> names) {
  for (const char* name : names)
    for (const std::string& each : columns)
      if (lower_case(each) == name) return each;
  return {};
}

std::string field_at(const std::vector<std::string>& columns, const std::string& name,
                     const std::vector<std::string>& fields) {
  const auto at = static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
  return at < fields.size() ? fields[at] : "";
}

bool is_json_lines(const std::string& end) {
  return end == ".jsonl" || end == ".ndjson";
}

/// Texts in a member of JSON lines.
std::vector<std::string> texts_in(const std::vector<std::string>& lines, const std::string& name) {
  std::vector<std::string> out;
  for (const std::string& line : lines) try {
      const Value object = Value::from_json(line);
      if (const Value* v = object.find(name); v != nullptr && v->is_string()) out.push_back(v->as_string());
    } catch (const Error&) {  // the run reports it with its line
    }
  return out;
}

std::optional<DatasetLook> list_file(const fs::path& folder) {
  std::vector<DatasetLook> found;
  std::error_code error;
  for (const fs::path& entry : entries_of(folder)) {
    const std::string end = lower_case(entry.extension());
    if (end != ".csv" && end != ".tsv" && !is_json_lines(end)) continue;
    std::vector<std::string> lines = head_of_list(entry).lines;
    if (lines.empty()) continue;
    std::vector<std::string> columns;
    char separator = 0;
    if (is_json_lines(end)) {
      try {
        const Value first = Value::from_json(lines[0]);
        for (const auto& [name, v] : first.as_map()) columns.push_back(name);
      } catch (const Error&) {
        continue;
      }
    } else {
      for (const char candidate : {'\t', ';', '|', ','})
        if (columns.size() < 2) columns = fields_of(lines[0], separator = candidate);
      lines.erase(lines.begin());
    }
    const auto path = column(columns, {"path", "file", "filename", "file_name", "filepath", "image",
                                       "image_path", "img", "image_id", "name"});
    const auto label =
        column(columns, {"label", "class", "class_name", "category", "species", "target", "y"});
    const auto labels = column(columns, {"labels", "classes", "tags"});
    if (!path || (!label && !labels)) continue;
    // A table of something else may have such columns, too. The run reports what is wrong with an empty list.
    if (separator != 0 && !lines.empty() &&
        !fs::exists(folder / field_at(columns, *path, fields_of(lines[0], separator)), error))
      continue;
    DatasetLook look;
    look.plugin = "image_list";
    look.with["file"] = entry.filename().string();
    look.with["path"] = *path;
    if (label)
      look.with["label"] = *label;
    else
      look.with["labels"] = *labels;
    if (!label) {
      std::vector<std::string> fields;
      if (separator == 0) fields = texts_in(lines, *labels);
      for (const std::string& each : separator == 0 ? std::vector<std::string>() : lines)
        fields.push_back(field_at(columns, *labels, fields_of(each, separator)));
      if (const char between = label_separator_of(fields); between != '|') {
        look.with["label_separator"] = std::string(1, between);
        look.notes.push_back(fmt::format("In the column {}, '{}' separates labels.", *labels, between));
      }
    }
    if (const auto split = column(columns, {"split", "set", "subset"})) look.with["split"] = *split;
    look.notes.push_back(
        fmt::format("The list {} has the columns {}.", entry.filename().string(), joined(columns)));
    found.push_back(std::move(look));
  }
  if (found.size() < 2) return found.empty() ? std::nullopt : std::optional(std::move(found[0]));
  std::vector<std::string> names;
  for (const DatasetLook& look : found) names.push_back(look.with.find("file")->as_string());
  throw Error(
      fmt::format("{} has several lists of images ({}): join them to one, with a column split (train, val, "
                  "test), or move away those that are not meant",
                  folder.string(), joined(names)));
}

/// Lists that are not read: they may be why nothing names the classes.
std::string unread_lists(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::path& entry : entries_of(folder))
    if (const std::string end = lower_case(entry.extension());
        end == ".csv" || end == ".tsv" || is_json_lines(end))
      if (head_of_list(entry).is_utf16) names.push_back(entry.filename().string());
  return names.empty() ? "" : fmt::format("; {} is text in UTF-16: save it as UTF-8", joined(names));
}

std::optional<DatasetLook> record_files(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::path& entry : entries_of(folder)) names.insert(entry.filename());
  const auto has = [&](const std::string& name) {
    return names.contains(name) || names.contains(name + ".gz");
  };
  DatasetLook look;
  look.gives_pixels = true;
  if (has("train-images-idx3-ubyte")) {
    look.plugin = "idx";
    look.notes.emplace_back("Files of MNIST's format.");
    return look;
  }
  if (names.contains("data_batch_1.bin")) {
    look.plugin = "cifar";
    look.notes.emplace_back("CIFAR-10 in its binary version.");
    return look;
  }
  if (names.contains("train.bin") && names.contains("fine_label_names.txt")) {
    look.plugin = "cifar";
    look.with["dataset"] = "cifar100";
    look.notes.emplace_back("CIFAR-100 in its binary version.");
    return look;
  }
  return {};
}

std::optional<DatasetLook> archives(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::path& entry : entries_of(folder))
    if (is_archive_name(entry)) names.push_back(entry.filename());
  if (names.empty()) return {};
  DatasetLook look;
  look.plugin = "archive";
  const auto is_shard = [](const std::string& name) {
    return lower_case(name).find(".tar") != std::string::npos &&
           std::any_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  const bool shards = std::all_of(names.begin(), names.end(), is_shard);
  if (shards) {
    look.with["layout"] = "webdataset";
    std::map<Split, std::string> splits;
    for (const std::string& name : names) {
      const std::string word = name.substr(0, name.find_first_of("-_.0123456789"));
      if (const auto split = split_from(word)) splits.emplace(*split, word + "*");
    }
    if (splits.contains(Split::Train))
      for (const auto& [split, pattern] : splits) look.with["splits"][to_string(split)] = pattern;
  }
  look.notes.push_back(fmt::format("{}: {}.", plural(names.size(), "archive"), joined(names)));
  look.notes.emplace_back(shards
                              ? "Numbered tar files are taken for WebDataset: image and class share a name."
                              : "In archives, the folders name the classes.");
  return look;
}

/// DIR/CLASS/... of videos.
std::optional<DatasetLook> video_folders(const fs::path& folder) {
  std::vector<std::string> classes;
  std::error_code error;
  for (const fs::path& entry : entries_of(folder)) {
    std::size_t videos = 0;
    for (fs::recursive_directory_iterator it(entry, error), end; !error && it != end; it.increment(error))
      videos += !is_hidden(it->path()) && is_video(it->path()) ? 1 : 0;
    if (videos > 0)
      classes.push_back(fmt::format("{} ({})", entry.filename().string(), plural(videos, "video")));
  }
  if (classes.size() < 2) return {};
  DatasetLook look;
  look.plugin = "video";
  look.gives_pixels = true;
  look.with["fps"] = 1;
  look.notes.push_back(fmt::format("{} classes: {}.", classes.size(), joined(classes)));
  look.notes.emplace_back(
      "A frame of every second is an image; all frames of a video are in the same split.");
  return look;
}

}  // namespace

DatasetLook look_at_dataset(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw Error(fmt::format("{} is not a folder: expected one with images", folder.string()));
  for (const auto find : {record_files, split_folders, list_file})
    if (std::optional<DatasetLook> found = find(folder)) return *found;
  Count count;
  const std::map<std::string, std::size_t> classes = class_folders(folder, count);
  // `train` alone may be a class, beside `car` and `ship`.
  const bool are_splits = std::all_of(classes.begin(), classes.end(),
                                      [](const auto& c) { return split_from(c.first).has_value(); });
  if (classes.size() > 1 && are_splits) {
    std::vector<std::string> names;
    for (const auto& [name, n] : classes) names.push_back(name);
    throw Error(fmt::format(
        "{} has {} in the folders {}, which are splits, and no folder per class in them: nothing names the "
        "classes; wanted train/CLASS and test/CLASS, or a list (.csv, .tsv, .jsonl) with columns such as "
        "path, label and split",
        folder.string(), plural(count.images, "image"), joined(names)));
  }
  if (classes.size() > 1) {
    DatasetLook look;
    look.plugin = "image_folder";
    note_files(count, look);
    note_classes(classes, look);
    look.notes.emplace_back(
        "A hash of its path puts an image into train, val or test, so that it stays there when others come.");
    return look;
  }
  for (const auto find : {archives, video_folders})
    if (std::optional<DatasetLook> found = find(folder)) return *found;
  const Count flat = count_below(folder);
  const std::string wanted =
      "wanted a folder per class, train/CLASS and test/CLASS, a list (.csv, .tsv, .jsonl) with columns such "
      "as path and label, archives, a folder of videos per class, or files of CIFAR or MNIST";
  const std::string unread = unread_lists(folder);
  if (flat.images == 0) throw Error(fmt::format("{} has no images: {}{}", folder.string(), wanted, unread));
  throw Error(fmt::format("{} has {}, and nothing {}: {}{} (graft embed takes images without classes)",
                          folder.string(), plural(flat.images, "image"),
                          classes.size() == 1 ? "distinguishes their classes: one folder holds all of them"
                                              : "names their classes",
                          wanted, unread));
}

}  // namespace graft::cli
