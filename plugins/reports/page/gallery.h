#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <graft/run_record.h>

namespace graft::page {

/// One input as the page shows it.
struct Item {
  std::string key, truth, predicted;
  double score = 0;  ///< Of the predicted class.
  bool right = true;
  std::optional<std::size_t> thumbnail;  ///< Position in Gallery::images; nothing: there is no room for it.
};

/// The few inputs whose images the page has. Who asks first gets a place.
class Gallery {
 public:
  explicit Gallery(std::size_t places) : places_(places) {}

  /// A place for the image of an input of `learner`; the same for the same key.
  std::optional<std::size_t> place(const std::string& learner, const std::string& key);
  /// Reads the images, each as a data: URI of a JPEG with at most `side` pixels; empty: it cannot be had.
  std::vector<std::string> images(RunRecord& run, int side) const;

 private:
  const std::size_t places_;
  std::vector<std::pair<std::string, std::string>> wanted_;  // learner, key
  std::map<std::string, std::size_t> by_key_;
};

}  // namespace graft::page
