#include <network/published.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include <network/state_dict.h>
#include <network/weight_fit.h>
#include "foreign_file.h"
#include "onnx/onnx_model.h"
#include "zoo/tensor_map.h"

namespace graft::nn {
namespace {

/// A place in a file where a network of a family is: what stands before its names.
struct Place {
  std::string prefix;
  std::size_t tensors = 0;  ///< After the prefix.
  auto rank() const { return std::tuple(role_of(prefix), -static_cast<std::int64_t>(tensors)); }
};

/// Names in order: how many begin in a certain way.
class SortedNames {
 public:
  explicit SortedNames(const WeightFile& file) {
    for (const TensorInfo& tensor : file.tensors()) names_.push_back(tensor.name);
    std::sort(names_.begin(), names_.end());
  }
  std::size_t beginning_with(std::string_view prefix) const {
    const auto part = [&](std::string_view name) { return name.substr(0, prefix.size()); };
    const auto first = std::partition_point(names_.begin(), names_.end(),
                                            [&](std::string_view name) { return part(name) < prefix; });
    return static_cast<std::size_t>(
        std::partition_point(first, names_.end(),
                             [&](std::string_view name) { return part(name) == prefix; }) -
        first);
  }

 private:
  std::vector<std::string_view> names_;
};

/// Every place where a tensor is that ends with a mark ("module." of "module.patch_embed.proj.weight"), the
/// most likely first. The part of a mark that ends with "|" belongs to the prefix. Throws Error where there
/// are more than kMostNetworks.
std::vector<Place> places_of(const WeightFile& file, const std::vector<std::string>& marks) {
  std::vector<Place> out;
  std::set<std::string> known;
  for (const std::string& mark : marks) {
    const std::size_t bar = mark.find('|');
    const std::string own = bar == std::string::npos ? "" : mark.substr(0, bar);
    const std::string whole = own + mark.substr(bar == std::string::npos ? 0 : bar + 1);
    for (const TensorInfo& tensor : file.tensors()) {
      if (!tensor.name.ends_with(whole)) continue;
      const std::string before = tensor.name.substr(0, tensor.name.size() - whole.size());
      if (!before.empty() && before.back() != '.') continue;
      if (known.insert(before + own).second) out.push_back({before + own});
      if (out.size() > kMostNetworks) throw Error(too_many_networks(file, whole));
    }
  }
  const SortedNames names(file);
  for (Place& place : out) place.tensors = names.beginning_with(place.prefix);
  std::stable_sort(out.begin(), out.end(),
                   [](const Place& a, const Place& b) { return a.rank() < b.rank(); });
  return out;
}

/// "blocks.#.norm1.weight"
std::string without_numbers(const std::string& name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(name[i])) != 0;
    const bool starts = i == 0 || name[i - 1] == '.';
    if (!is_digit || !(starts || out.ends_with('#')))
      out += name[i];
    else if (starts)
      out += '#';
  }
  return out;
}

/// What wrappers have put in front: a prefix without the publisher's own part.
std::string wrapper_of(const std::string& prefix) {
  constexpr std::string_view kOwn[] = {"visual.trunk.",          "visual.", "vision_model.", "vit.", "deit.",
                                       "dinov2_with_registers.", "dinov2.", "dinov3_vit."};
  for (const std::string_view own : kOwn)
    if (prefix.ends_with(own) &&
        (prefix.size() == own.size() || prefix[prefix.size() - own.size() - 1] == '.'))
      return prefix.substr(0, prefix.size() - own.size());
  return prefix;
}

void add_notes(Published& found, const std::vector<Place>& places) {
  const std::string& prefix = found.prefix;
  std::vector<std::string> notes;
  if (!wrapper_of(prefix).empty())
    notes.push_back(fmt::format("the network is under the prefix '{}'", prefix));
  for (const Place& other : places)
    if (other.prefix != prefix && !other.prefix.starts_with(prefix) && !prefix.starts_with(other.prefix))
      notes.push_back(fmt::format("not used: the network under the prefix '{}'", other.prefix));
  if (!found.unused.empty()) notes.push_back(fmt::format("not used: {}", joined(found.unused, 3)));
  found.notes.insert(found.notes.end(), notes.begin(), notes.end());
}

}  // namespace

std::vector<PublishedFamilyName> published_families() {
  std::vector<PublishedFamilyName> out;
  for (const zoo::PublishedFamily& family : zoo::published_families()) {
    PublishedFamilyName one{family.name, family.marks, family.members};
    for (std::string& mark : one.marks) std::erase(mark, '|');
    out.push_back(std::move(one));
  }
  return out;
}

std::string nearest_family(const WeightFile& file) {
  if (std::string other = file.no_plain_tensors(); !other.empty()) return other;
  std::string name;
  std::vector<std::string> fitting, others;
  for (const zoo::PublishedFamily& family : zoo::published_families()) {
    if (family.names == nullptr) continue;
    const std::vector<std::string> patterns = family.names();
    std::vector<std::string> in, out;
    for (const TensorInfo& tensor : file.tensors()) {
      const std::string plain = without_numbers(tensor.name);
      const bool fits = std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return plain.ends_with(pattern) &&
               (plain.size() == pattern.size() || plain[plain.size() - pattern.size() - 1] == '.');
      });
      (fits ? in : out).push_back(tensor.name);
    }
    if (in.size() <= fitting.size()) continue;
    name = family.name;
    fitting = std::move(in);
    others = std::move(out);
  }
  const std::string cure = "export the model as TorchScript";
  if (4 * fitting.size() < file.tensors().size())
    return fmt::format(
        "these weights fit no architecture that graft knows (graft model list) and no family "
        "(graft model list --families); {}",
        cure);
  const auto some = [](std::vector<std::string> names) {
    constexpr std::size_t kShown = 3;
    const bool more = names.size() > kShown;
    names.resize(std::min(kShown, names.size()));
    return fmt::format("{}{}", fmt::join(names, ", "), more ? ", ..." : "");
  };
  return fmt::format(
      "these weights fit no architecture that graft knows (graft model list) and no family (graft model list "
      "--families); the nearest family is {}: {} of {} tensors have its names ({}){}; {}",
      name, fitting.size(), file.tensors().size(), some(fitting),
      others.empty() ? ", but others that it needs are missing"
                     : fmt::format(", the others do not ({})", some(others)),
      cure);
}

std::optional<Published> open_published(const ModelFiles& files, std::optional<int> heads) {
  if (is_onnx(InputFile(files.weights))) {
    if (heads.value_or(0) > 0)
      throw Error(fmt::format("{}: the graph itself says how many heads it has; leave `heads` out",
                              files.path.string()));
    return onnx::read_model(files);
  }
  std::unique_ptr<WeightFile> file = open_weights(files);
  const std::string path = files.path.string();
  for (const zoo::PublishedFamily& family : zoo::published_families()) {
    const std::vector<Place> places = places_of(*file, family.marks);
    if (places.empty()) continue;
    const std::string& prefix = places[0].prefix;
    try {
      auto found = family.read(files, zoo::TensorMap(std::move(file), prefix, wrapper_of(prefix)), heads);
      if (!found) {
        file = open_weights(files);
        continue;
      }
      for (const Place& other : places)
        if (other.prefix != prefix && other.rank() == places[0].rank())
          throw Error(fmt::format(
              "has the tensors of a {} more than once, under the prefixes '{}' and '{}', and nothing says "
              "which are meant; save one network's state_dict alone",
              family.name, prefix, other.prefix));
      found->prefix = prefix;
      add_notes(*found, places);
      return found;
    } catch (const Error& fault) {
      const std::string text = fault.what();
      throw Error(text.starts_with(path) ? text : fmt::format("{}: {}", path, text));
    }
  }
  return {};
}

std::optional<double> difference_from_graph(const ModelFiles& files, const Published& model) {
  if (!is_onnx(InputFile(files.weights))) return {};
  return onnx::compare_with_graph(files, model);
}

}  // namespace graft::nn
