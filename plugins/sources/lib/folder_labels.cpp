#include <source/folder_labels.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include <graft/error.h>
#include <graft/text.h>

namespace graft::source {
namespace {

ParamSpec split_folders(const std::string& split) {
  return list(split, text("")).or_scalar().doc("Folders whose images are " + split + ".");
}

/// The folder that a name in `splits` means: of that name, else the only one that differs in case alone, else
/// the only one that is another word for the same split.
std::string folder_of_split(const std::string& name, const std::set<std::string, std::less<>>& folders,
                            const std::string& root) {
  if (folders.contains(name)) return name;
  const auto among = [&](const auto& is_meant) {
    std::vector<std::string> found;
    std::copy_if(folders.begin(), folders.end(), std::back_inserter(found), is_meant);
    return found;
  };
  auto found = among([&](const std::string& seen) { return folded(seen) == folded(name); });
  if (found.empty() && split_from(name))
    found = among([&](const std::string& seen) { return split_from(seen) == split_from(name); });
  if (found.empty())
    throw Error("splits: expected a folder '" + name + "' in " + root + ", got " +
                (folders.empty() ? "no folder at all" : "only " + joined({folders.begin(), folders.end()})) +
                "; name the folders that are there, or leave splits out to divide by a hash of the key");
  if (found.size() > 1)
    throw Error("splits: '" + name + "' may be any of " + joined(found) + " in " + root +
                "; write the names of the folders as they are");
  return found.front();
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

void FolderLabels::find_splits(const std::string& root) {
  for (auto& [name, split] : splits_) name = folder_of_split(name, top_, root);
  for (std::size_t i = 0; i < splits_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (splits_[i].first == splits_[j].first && splits_[i].second != splits_[j].second)
        throw Error(std::string("splits: the folder '") + splits_[i].first + "' in " + root +
                    " would be both " + to_string(splits_[j].second) + " and " +
                    to_string(splits_[i].second) + "; write the names of the folders as they are");
}

std::optional<FolderLabels::Place> FolderLabels::place(const std::string& path) {
  Place place;
  std::size_t start = 0;
  if (splits_.empty()) {
    unused_splits_.see_folders(path);
  } else {
    const std::string first = path.substr(0, path.find('/'));
    const auto named =
        std::find_if(splits_.begin(), splits_.end(), [&](const auto& s) { return s.first == first; });
    if (named == splits_.end() || first.size() == path.size()) return {};
    place.split = named->second;
    start = first.size() + 1;
  }
  if (label_from_ == LabelFrom::None) return place;
  const std::size_t end = label_from_ == LabelFrom::Folder ? path.rfind('/') : path.find('/', start);
  if (end == std::string::npos || end < start) {
    loose_.push_back(path);
    return {};
  }
  place.labels.push_back(path.substr(start, end - start));
  return place;
}

void FolderLabels::report(const std::string& root, const std::function<void(const std::string&)>& warn,
                          const OnSkip& skip) const {
  for (const std::string& path : loose_) skip("loose file", root + "/" + path, "it is in no class folder");
  unused_splits_.warn("name the folders of the root that are splits: splits: {train: ..., test: ...}", warn);
  if (splits_.empty()) return;
  std::vector<std::string> ignored;
  for (const std::string& name : top_)
    if (std::none_of(splits_.begin(), splits_.end(), [&](const auto& s) { return s.first == name; }))
      ignored.push_back(name);
  if (!ignored.empty())
    warn("ignored in " + root + ", because splits does not name " + (ignored.size() == 1 ? "it" : "them") +
         ": " + joined(ignored));
}

}  // namespace graft::source
