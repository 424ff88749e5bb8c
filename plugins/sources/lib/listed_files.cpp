#include <source/listed_files.h>

#include <utility>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/text.h>

namespace graft::source {

std::vector<ParamSpec> ListedFiles::parameters() {
  std::vector<ParamSpec> specs{RootedPaths::parameter()};
  for (ParamSpec& p : Catalog::parameters()) specs.push_back(std::move(p));
  return specs;
}

ListedFiles::ListedFiles(const StageContext& context, const std::string& root, std::string list)
    : list_(std::move(list)), warn_(context.warn), paths_(root, context.params), catalog_(context) {}

void ListedFiles::add(Line line) {
  const auto fail = [&](const std::string& text) {
    throw Error(list_ + ":" + std::to_string(line.number) + ": " + text);
  };
  if (line.path.empty()) fail("the path is empty");
  if (line.path.find('\0') != std::string::npos) fail("the path holds a NUL byte, which no file name can");
  if (line.id && line.id->empty()) fail("the id is empty; give every line one, or none to all");

  splits_given_ = splits_given_ || line.split.has_value();
  unused_splits_.see_folders(line.path);
  if (line.path.find('\\') != std::string::npos && line.path.find('/') == std::string::npos &&
      ++backslashes_ == 1)
    backslashed_ = line.path;
  std::string key = line.id.value_or(line.path), group;
  const auto twin = catalog_.find(key);
  if (twin && line.id)
    fail("the id '" + key + "' is in line " + std::to_string(lines_[*twin]) + " already; give each its own");
  if (twin) {
    if (copies_.empty()) twice_ = key + " in line " + std::to_string(line.number);
    std::size_t& copies = copies_.try_emplace(key, 1).first->second;
    do key = line.path + "#" + std::to_string(++copies);
    while (catalog_.find(key));
    group = line.path;
  }
  std::size_t other = 0;
  if (key != line.path) {
    other = other_paths_.size() + 1;
    other_paths_.append(line.path).push_back('\0');
  }
  if (line.id) {
    lines_.resize(catalog_.size());
    lines_.push_back(static_cast<std::uint32_t>(line.number));
  }
  catalog_.add(std::move(key), line.labels, line.split, other, group, line.negative);
}

void ListedFiles::close() {
  if (catalog_.size() == 0) throw Error("expected one path per line in " + list_ + ", got none");
  std::size_t again = 0;
  for (const auto& [path, copies] : copies_) again += copies - 1;
  if (again > 0)
    warn_(plural(again, "line") + " of " + list_ + " with a path that an earlier line has, " +
          "for example " + twice_ + ": kept as inputs of their own, with keys such as PATH#2");
  if (backslashes_ > 0)
    warn_(plural(backslashes_, "path") + " of " + list_ + " with backslashes, for example " + backslashed_ +
          ": here / separates folders, and \\ is a part of a name");
  if (!splits_given_)
    unused_splits_.warn("if these are splits, use a list with a column split (image_list)", warn_);
  std::exchange(lines_, {});
  catalog_.close();
}

bool ListedFiles::next(Entry& entry) {
  if (position_ == catalog_.size()) return false;
  const std::size_t other = catalog_.found_at(position_);
  entry = catalog_.entry(position_++);
  entry.payload = paths_.look(other == 0 ? entry.key : other_paths_.c_str() + other - 1);
  return true;
}

}  // namespace graft::source
