#include "graph/check_output.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

namespace graft {
namespace {

constexpr std::uint64_t kMostBytes = 1ULL << 40;     // of an image or a tensor: more is a mistake
constexpr std::uint64_t kMostRowBytes = 1ULL << 30;  // what a record of the store can hold
constexpr std::size_t kMostRowExtents = 8;
constexpr std::size_t kMostLabels = 65535;  // what lists of inputs can hold

/// Bytes of a shape; nothing when an extent is negative or the product is absurd.
std::optional<std::uint64_t> bytes_of_extents(DType dtype, const Shape& shape) {
  std::uint64_t bytes = size_of(dtype);
  bool empty = bytes == 0;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return {};
    empty = empty || extent == 0;
    if (!empty && static_cast<std::uint64_t>(extent) > kMostBytes / bytes) return {};
    bytes *= empty ? 1 : static_cast<std::uint64_t>(extent);
  }
  return empty ? 0 : bytes;
}

bool is_dtype(DType dtype) {
  return dtype <= DType::I64;
}

std::string fault_of_image(const Image& image) {
  if (image.width <= 0 || image.height <= 0)
    return fmt::format("an image of {} x {} pixels", image.width, image.height);
  if (image.data == nullptr)
    return fmt::format("an image of {} x {} pixels without data", image.width, image.height);
  const std::int64_t row = std::int64_t{3} * image.width;
  if (image.stride < row)
    return fmt::format("an image of {} x {} pixels whose rows are {} bytes apart, expected at least {}",
                       image.width, image.height, image.stride, row);
  if (static_cast<std::uint64_t>(image.stride) > kMostBytes / static_cast<std::uint64_t>(image.height))
    return fmt::format("an image of {} rows of {} bytes", image.height, image.stride);
  return {};
}

std::string fault_of_tensor(const Tensor& tensor) {
  if (!is_dtype(tensor.dtype)) return fmt::format("a tensor of type {}", static_cast<int>(tensor.dtype));
  const auto bytes = bytes_of_extents(tensor.dtype, tensor.shape);
  if (!bytes) return fmt::format("a tensor of the impossible shape {}", to_string(tensor.shape));
  if (*bytes > 0 && tensor.data == nullptr)
    return fmt::format("a tensor {} without data", to_string(tensor.shape));
  return {};
}

}  // namespace

std::string fault_of_payload(const Payload& payload, bool may_be_file) {
  if (std::holds_alternative<std::monostate>(payload)) return "nothing";
  if (std::holds_alternative<FileRef>(payload))
    return may_be_file ? "" : "a file, which only sources may name";
  if (const auto* bytes = std::get_if<Bytes>(&payload))
    return bytes->data == nullptr && bytes->size > 0 ? fmt::format("{} bytes without data", bytes->size) : "";
  if (const auto* image = std::get_if<Image>(&payload)) return fault_of_image(*image);
  return fault_of_tensor(std::get<Tensor>(payload));
}

std::string fault_of_format(const Collector::RowFormat& format) {
  if (!is_dtype(format.dtype)) return fmt::format("rows of type {}", static_cast<int>(format.dtype));
  const std::string shape =
      fmt::format("rows of shape {}{}", to_string(format.dtype), to_string(format.shape));
  if (format.shape.size() > kMostRowExtents)
    return fmt::format("{}: at most {} extents are possible", shape, kMostRowExtents);
  const auto bytes = bytes_of_extents(format.dtype, format.shape);
  if (!bytes || *bytes == 0) return shape + ": every extent must be at least 1";
  if (*bytes > kMostRowBytes) return fmt::format("{}: at most {} bytes are possible", shape, kMostRowBytes);
  return {};
}

std::string fault_of_classes(const std::vector<std::string>& classes) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].empty()) return fmt::format("class {} has no name", i);
    if (!names.insert(classes[i]).second) return fmt::format("two classes are named '{}'", classes[i]);
  }
  return {};
}

std::string fault_of_entry(const Entry& entry, std::size_t classes) {
  if (entry.key.empty()) return "an input without a key";
  if (entry.split > Split::Test)
    return fmt::format("input '{}' has split {}, which does not exist", entry.key,
                       static_cast<int>(entry.split));
  if (entry.negative && !entry.labels.empty())
    return fmt::format("input '{}' is labelled with none of the classes, but has label {}", entry.key,
                       entry.labels[0]);
  if (entry.labels.size() > kMostLabels)
    return fmt::format("input '{}' has {} labels, at most {} are possible", entry.key, entry.labels.size(),
                       kMostLabels);
  for (const std::int32_t label : entry.labels)
    if (label < 0 || static_cast<std::size_t>(label) >= classes)
      return fmt::format("input '{}' has label {}, but there are {} classes: expected 0 to {}", entry.key,
                         label, classes, static_cast<std::int64_t>(classes) - 1);
  if (!std::holds_alternative<std::monostate>(entry.payload))
    if (const std::string fault = fault_of_payload(entry.payload, true); !fault.empty())
      return fmt::format("input '{}' is {}", entry.key, fault);
  return {};
}

std::string fault_of_scores(const Scores& scores, std::size_t rows, std::size_t classes) {
  if (rows == 0 && scores.rows == 0) return {};  // nothing to score, whatever the width
  if (scores.rows != rows || scores.classes != classes)
    return fmt::format("{} x {} scores, expected {} x {}", scores.rows, scores.classes, rows, classes);
  if (scores.values.size() != rows * classes)
    return fmt::format("{} values for {} x {} scores", scores.values.size(), rows, classes);
  return {};
}

std::string fault_of_values(const Scores& scores) {
  const auto bad =
      std::find_if(scores.values.begin(), scores.values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == scores.values.end()) return {};
  const auto at = static_cast<std::size_t>(bad - scores.values.begin());
  return fmt::format("the score {} for class {} of row {}", *bad, at % scores.classes, at / scores.classes);
}

std::string fault_of_neighbours(const Neighbours& found, std::size_t rows, std::size_t train_val) {
  if (found.k > train_val)
    return fmt::format("{} neighbours per row, but there are {} rows", found.k, train_val);
  if (found.rows.size() != rows * found.k || found.similarity.size() != found.rows.size())
    return fmt::format("{} neighbours and {} similarities for {} rows, expected {} each", found.rows.size(),
                       found.similarity.size(), rows, found.k);
  for (const std::uint32_t row : found.rows)
    if (row >= train_val) return fmt::format("row {} as a neighbour, but there are {} rows", row, train_val);
  return {};
}

std::string fault_of_bundle(const Bundle& bundle) {
  if (!bundle.facts.is_map()) return "facts that are not a map";
  for (const auto& [name, tensor] : bundle.tensors)
    if (const std::string fault = fault_of_tensor(tensor); !fault.empty())
      return fmt::format("'{}', {}", name, fault);
  for (const auto& [name, reader] : bundle.large) {
    if (reader == nullptr) return fmt::format("'{}', a tensor without data", name);
    if (bundle.tensors.contains(name)) return fmt::format("two tensors named '{}'", name);
    if (!is_dtype(reader->dtype()) || reader->shape().empty() ||
        !bytes_of_extents(reader->dtype(), reader->shape()))
      return fmt::format("'{}', a tensor of the impossible shape {}", name, to_string(reader->shape()));
  }
  return {};
}

std::string fault_of_file_name(const std::string& name) {
  if (!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
      name.find('\0') == std::string::npos)
    return {};
  return fmt::format("a file '{}': expected a name without folders", name);
}

}  // namespace graft
