#include <graft/text.h>
#include <split_names/split_names.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace graft::source {

std::string folded(std::string_view name) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = std::min(name.find_first_not_of(kBlanks), name.size());
  return lower_case(std::string(name.substr(first, name.find_last_not_of(kBlanks) + 1 - first)));
}

bool names_a_split(std::string_view name) {
  constexpr std::array<std::string_view, 5> kUnclear{"eval", "evaluation", "holdout", "hold-out", "held-out"};
  return split_from(name) || std::find(kUnclear.begin(), kUnclear.end(), folded(name)) != kUnclear.end();
}

bool names_split_column(std::string_view name) {
  std::string letters;
  for (const char c : folded(name))
    if (c != '_' && c != '-' && c != ' ' && c != '.') letters += c;
  constexpr std::array<std::string_view, 10> kNames{"split", "splits", "subset", "set",   "fold",
                                                    "folds", "kfold",  "phase",  "usage", "partition"};
  if (std::find(kNames.begin(), kNames.end(), letters) != kNames.end()) return true;
  if (letters.ends_with("split") || letters.ends_with("subset") || letters.starts_with("split")) return true;
  if (letters.starts_with("is")) letters.erase(0, 2);
  return names_a_split(letters) || letters == "traintest" || letters == "trainval";
}

void UnusedSplits::see(std::string_view name, std::string_view path) {
  if (!names_a_split(name)) return;
  if (split_from(name) != Split::Train) {
    if (!held_out_) example_ = path;
    held_out_ = true;
  }
  if (!names_.contains(name)) names_.emplace(name);
}

void UnusedSplits::see_folders(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.substr(0, slash) == last_folder_) return;
  last_folder_ = path.substr(0, slash);
  for (std::string_view rest = last_folder_;;) {
    const std::size_t end = rest.find('/');
    see(rest.substr(0, end), path);
    if (end == std::string_view::npos) return;
    rest.remove_prefix(end + 1);
  }
}

void UnusedSplits::see_words(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (std::size_t i = 0; i < file.size();) {
    std::size_t end = i;
    while (end < file.size() && std::isalpha(static_cast<unsigned char>(file[end])) != 0) ++end;
    if (end > i) see(file.substr(i, end - i), path);
    i = end + 1;
  }
}

void UnusedSplits::warn(const std::string& cure, const std::function<void(const std::string&)>& warn) const {
  if (!held_out_) return;
  warn("names like those of splits, of which nothing is made: " + joined({names_.begin(), names_.end()}) +
       ", for example in " + example_ + ": splits come from a hash; " + cure);
}

}  // namespace graft::source
