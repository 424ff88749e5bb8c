#include "gallery.h"

#include <set>

#include "markup.h"
#include "thumbnail.h"

namespace graft::page {

std::optional<std::size_t> Gallery::place(const std::string& learner, const std::string& key) {
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) return known->second;
  if (wanted_.size() >= places_) return {};
  by_key_.emplace(key, wanted_.size());
  wanted_.emplace_back(learner, key);
  return wanted_.size() - 1;
}

std::vector<std::string> Gallery::images(RunRecord& run, int side) const {
  std::map<std::string, std::set<std::string>> by_learner;
  for (const auto& [learner, key] : wanted_) by_learner[learner].insert(key);
  std::vector<std::string> out(wanted_.size());
  for (const auto& [learner, keys] : by_learner)
    for (const auto& [key, image] : run.images(learner, keys))
      out[by_key_.at(key)] = "data:image/jpeg;base64," + base64(thumbnail(image, side));
  return out;
}

}  // namespace graft::page
