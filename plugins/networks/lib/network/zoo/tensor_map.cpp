#include "tensor_map.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

namespace graft::nn::zoo {
namespace {

Shape without_ones(const Shape& shape) {
  Shape out;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(out), [](auto n) { return n != 1; });
  return out;
}

class RenamedWeights final : public WeightFile {
 public:
  RenamedWeights(std::unique_ptr<WeightFile> file, std::map<std::string, TensorMap::Source> sources)
      : WeightFile(file->path(), file->format()), inner_(std::move(file)), sources_(std::move(sources)) {
    for (const auto& [path, source] : sources_) {
      tensors_.push_back({path, "F32", source.shape});
      size_ += static_cast<std::uint64_t>(elements(source.shape)) * sizeof(float);
    }
    taken_ = inner_->taken();
    index_names();
  }

 private:
  void read_into(const Wanted& wanted) const override {
    for (const auto& [index, out] : wanted) {
      const TensorMap::Source& source = sources_.at(tensors_[index].name);
      const std::map<std::string, Tensor> read = inner_->read(source.tensors);
      std::vector<const float*> from;
      for (const std::string& name : source.tensors) from.push_back(read.at(name).as<float>());
      source.make(from, out);
    }
  }

  std::unique_ptr<WeightFile> inner_;
  std::map<std::string, TensorMap::Source> sources_;
};

}  // namespace

std::string TensorMap::first(const std::vector<std::string>& names, const std::string& ending) const {
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const std::string& name) { return has(name + ending); });
  return found == names.end() ? "" : *found;
}

Shape TensorMap::shape(const std::string& name, std::size_t axes) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) throw Error(fmt::format("{}: has no tensor '{}'", file_->path().string(), full(name)));
  const bool small = std::all_of(info->shape.begin(), info->shape.end(),
                                 [](std::int64_t n) { return n > 0 && n <= kMaxClasses; });
  if (info->shape.size() != axes || !small)
    throw Error(fmt::format("{}: tensor '{}' is {}: expected {} axes, each of 1 to {}",
                            file_->path().string(), full(name), to_string(info->shape), axes, kMaxClasses));
  return info->shape;
}

std::vector<float> TensorMap::values(const std::string& name) const {
  constexpr std::int64_t kMost = 100'000;
  if (elements(find(name)->shape) > kMost)
    throw Error(fmt::format("{}: tensor '{}' is {}: expected at most {} values", file_->path().string(),
                            full(name), to_string(find(name)->shape), kMost));
  const std::map<std::string, Tensor> read = file_->read({full(name)});
  const Tensor& tensor = read.begin()->second;
  return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
}

bool TensorMap::expect(const std::string& name, const Shape& shape) {
  used_.insert(full(name));
  const TensorInfo* info = find(name);
  if (info == nullptr) {
    missing_.push_back(fmt::format("{} {}", full(name), to_string(shape)));
  } else if (without_ones(info->shape) != without_ones(shape)) {
    misshaped_.push_back(
        fmt::format("{} {}, expected {}", full(name), to_string(info->shape), to_string(shape)));
  } else {
    return true;
  }
  return false;
}

void TensorMap::take(const std::string& path, const Shape& shape, const std::string& name) {
  make(path, shape, {{name, shape}},
       [n = elements(shape)](const auto& from, float* to) { std::copy_n(from[0], n, to); });
}

void TensorMap::make(const std::string& path, const Shape& shape,
                     const std::vector<std::pair<std::string, Shape>>& from, Make how) {
  Source source{shape, {}, std::move(how)};
  bool all = true;
  for (const auto& [name, wanted] : from) {
    all = expect(name, wanted) && all;
    source.tensors.push_back(full(name));
  }
  if (all) sources_.emplace(path, std::move(source));
}

void TensorMap::require_all(const std::string& what) const {
  if (missing_.empty() && misshaped_.empty()) {
    for (const auto& [path, source] : sources_)
      for (const std::string& name : source.tensors) file_->require_numbers(name);
    return;
  }
  std::string text = fmt::format("{}: has the tensors of {}, but not all fit", file_->path().string(), what);
  const auto list = [&](const char* title, const std::vector<std::string>& names) {
    if (!names.empty()) text += fmt::format("\n  {} ({}): {}", title, names.size(), joined(names));
  };
  list("missing", missing_);
  list("of another shape", misshaped_);
  const std::string other = file_->no_plain_tensors();
  throw Error(text + "\n  " +
              (other.empty() ? "download the file again, or export the model as TorchScript" : other));
}

std::vector<std::string> TensorMap::unused() const {
  std::vector<std::string> out;
  for (const TensorInfo& tensor : file_->tensors())
    if (tensor.name.starts_with(prefix_) && !used_.contains(tensor.name)) out.push_back(tensor.name);
  return out;
}

void TensorMap::require_all_used(const std::string& what) const {
  std::vector<std::string> left = unused();
  std::erase_if(left, [](const std::string& name) { return name.ends_with("num_batches_tracked"); });
  if (!left.empty())
    throw Error(
        fmt::format("has a tensor '{}', which no {} has ({} such): it is another network; export it as "
                    "TorchScript",
                    left[0], what, left.size()));
}

std::unique_ptr<WeightFile> TensorMap::renamed(TensorMap map) {
  return std::make_unique<RenamedWeights>(std::move(map.file_), std::move(map.sources_));
}

const Value* member(const Value& description, const std::string& path) {
  const Value* at = &description;
  for (std::size_t from = 0; at != nullptr && from <= path.size();) {
    const std::size_t to = std::min(path.find('.', from), path.size());
    at = at->find(path.substr(from, to - from));
    from = to + 1;
  }
  return at != nullptr && at->is_null() ? nullptr : at;
}

std::optional<int> whole_number(const Value& description, const std::string& path) {
  const Value* found = member(description, path);
  if (found == nullptr || found->is_map() || found->is_list()) return {};
  if (!found->is_int() || found->as_int() < 0 || found->as_int() > kMaxClasses)
    throw Error(fmt::format("its description has `{}`: {}, expected a whole number up to {}", path,
                            found->to_json(), kMaxClasses));
  return static_cast<int>(found->as_int());
}

std::string word(const Value& description, const std::string& path) {
  const Value* found = member(description, path);
  if (found == nullptr) return "";
  if (!found->is_string())
    throw Error(fmt::format("its description has `{}`: {}, expected a text", path, found->to_json()));
  return found->as_string();
}

std::optional<double> number(const Value& description, const std::string& path) {
  const Value* found = member(description, path);
  if (found == nullptr) return {};
  if (!found->is_number() || !std::isfinite(found->as_double()))
    throw Error(fmt::format("its description has `{}`: {}, expected a number", path, found->to_json()));
  return found->as_double();
}

}  // namespace graft::nn::zoo
