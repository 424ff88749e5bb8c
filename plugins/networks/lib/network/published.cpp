#include <network/published.h>

#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "zoo/tensor_map.h"

namespace graft::nn {
namespace {

/// What stands before the first tensor that a mark ends: "module." of "module.patch_embed.proj.weight"; the
/// part of a mark that ends with "|" belongs to the prefix.
std::optional<std::string> prefix_before(const WeightFile& file, const std::vector<std::string>& marks) {
  for (const std::string& mark : marks) {
    const std::size_t bar = mark.find('|');
    const std::string own = bar == std::string::npos ? "" : mark.substr(0, bar);
    const std::string whole = own + mark.substr(bar == std::string::npos ? 0 : bar + 1);
    for (const TensorInfo& tensor : file.tensors())
      if (tensor.name.ends_with(whole)) {
        const std::string before = tensor.name.substr(0, tensor.name.size() - whole.size());
        if (before.empty() || before.back() == '.') return before + own;
      }
  }
  return {};
}

}  // namespace

std::optional<Published> open_published(const ModelFiles& files, std::optional<int> heads) {
  std::unique_ptr<WeightFile> file = open_weights(files);
  for (const zoo::PublishedFamily& family : zoo::published_families())
    if (const auto prefix = prefix_before(*file, family.marks)) {
      const std::string path = files.path.string();
      try {
        auto found = family.read(files, zoo::TensorMap(std::move(file), *prefix), heads);
        if (found) return found;
        file = open_weights(files);
      } catch (const Error& fault) {
        const std::string text = fault.what();
        throw Error(text.starts_with(path) ? text : path + ": " + text);
      }
    }
  return {};
}

}  // namespace graft::nn
