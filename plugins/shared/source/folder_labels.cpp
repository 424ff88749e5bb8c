#include <source/folder_labels.h>

#include <algorithm>

#include <graft/error.h>
#include <source/words.h>

namespace graft::source {
namespace {

ParamSpec split_folders(const std::string& split) {
  return list(split, text("")).or_scalar().doc("Folders whose images are " + split + ".");
}

}  // namespace

std::vector<ParamSpec> FolderLabels::parameters() {
  return {
      object("splits", {split_folders("train"), split_folders("val"), split_folders("test")})
          .optional()
          .doc("The folders directly in the root that make up each split; left out: a hash of the key "
               "decides."),
      choice("label_from", {"top_folder", "folder", "none"}, "top_folder")
          .doc("What names the class: the topmost folder, below that of the split; the path of the folder "
               "that holds the file, such as animals/dogs; or nothing, for images without a class.")};
}

FolderLabels::FolderLabels(const Params& params) {
  const auto from = params.get<std::string>("label_from");
  label_from_ = from == "none"     ? LabelFrom::None
                : from == "folder" ? LabelFrom::Folder
                                   : LabelFrom::TopFolder;
  if (!params.has("splits")) return;
  const Params folders = params.object("splits");
  for (const Split split : {Split::Train, Split::Val, Split::Test})
    for (std::string& name : folders.get<std::vector<std::string>>(to_string(split)))
      splits_.emplace_back(std::move(name), split);
  if (splits_.empty()) throw Error("splits: expected a folder for train, val or test, got none");
}

std::optional<FolderLabels::Place> FolderLabels::place(const std::string& path) {
  Place place;
  std::size_t start = 0;
  if (!splits_.empty()) {
    const std::string first = path.substr(0, path.find('/'));
    top_.insert(first);
    const auto named =
        std::find_if(splits_.begin(), splits_.end(), [&](const auto& s) { return s.first == first; });
    if (named == splits_.end() || first.size() == path.size()) return {};
    place.split = named->second;
    start = first.size() + 1;
  }
  if (label_from_ == LabelFrom::None) return place;
  const std::size_t end = label_from_ == LabelFrom::Folder ? path.rfind('/') : path.find('/', start);
  if (end == std::string::npos || end < start) {
    ++loose_[path.substr(0, start)];
    return {};
  }
  place.labels.push_back(path.substr(start, end - start));
  return place;
}

void FolderLabels::tell(const std::string& root, const std::function<void(const std::string&)>& warn) const {
  for (const auto& [folder, files] : loose_)
    warn(plural(files, "file") + " directly in " + below(root, folder) + " ignored: not in a class folder");
  std::vector<std::string> ignored;
  for (const std::string& name : top_)
    if (std::none_of(splits_.begin(), splits_.end(), [&](const auto& s) { return s.first == name; }))
      ignored.push_back(name);
  if (!ignored.empty())
    warn("ignored in " + root + ", because splits does not name " + (ignored.size() == 1 ? "it" : "them") +
         ": " + joined(ignored));
}

void FolderLabels::check_splits(const std::string& root) const {
  const auto missing = std::find_if(splits_.begin(), splits_.end(),
                                    [&](const auto& split) { return !top_.contains(split.first); });
  if (missing == splits_.end()) return;
  throw Error("splits: expected a folder '" + missing->first + "' in " + root + ", got " +
              (top_.empty() ? "no folder at all" : "only " + joined({top_.begin(), top_.end()})) +
              "; name the folders that are there, or leave splits out to divide by a hash of the key");
}

}  // namespace graft::source
