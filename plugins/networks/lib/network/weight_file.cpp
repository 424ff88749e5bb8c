#include <network/weight_file.h>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include <network/element.h>
#include "foreign_file.h"
#include "onnx/onnx_model.h"
#include "printable.h"
#include "weight_formats.h"

namespace graft::nn {
namespace {

/// As float32, 16 bits become twice as many, and tied weights are there under two names.
constexpr std::uint64_t kMostGrowth = 4;

}  // namespace

const TensorInfo* WeightFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void WeightFile::fail(const std::string& text) const {
  throw Error(fmt::format("{}: {}", path().string(), text));
}

void WeightFile::index_names() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    if (name.empty() || printable(name) != name)
      fail(fmt::format("has a tensor named '{}': expected a name of 1 to 200 printable characters",
                       printable(name)));
    if (!index_.emplace(name, i).second) fail(fmt::format("has two tensors named '{}'", name));
  }
}

void WeightFile::require_numbers(const std::string& name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) fail(fmt::format("has no tensor '{}'", name));
  const ElementType* type = element_type(info->type);
  if (type != nullptr && type->to_float != nullptr) return;
  const bool is_complex = info->type.starts_with("C");
  fail(fmt::format("tensor '{}' has type {}: expected F32, F16, BF16, F64 or I64; {}", name, info->type,
                   is_complex ? "networks of complex numbers are not supported"
                              : "save it as floating-point numbers (dequantise quantised weights first)"));
}

std::string WeightFile::no_plain_tensors() const {
  if (unusable_.empty()) return "";
  std::vector<std::string> names;
  for (const auto& [name, how] : unusable_) names.push_back(fmt::format("{} ({})", printable(name), how));
  return fmt::format(
      "{} of its tensors cannot be read: {}; save plain tensors, in Python: model.dequantize() of quantised "
      "ones, tensor.to_dense() of sparse ones",
      unusable_.size(), joined(names, 5));
}

std::map<std::string, Tensor> WeightFile::read(const std::vector<std::string>& names) const {
  // All is checked before memory is taken: strides of zero can make more elements than the file has.
  std::uint64_t bytes = 0;
  for (const std::string& name : names) {
    require_numbers(name);
    bytes += static_cast<std::uint64_t>(elements(find(name)->shape)) * sizeof(float);
    if (bytes > kMostGrowth * this->bytes())
      fail(fmt::format(
          "its tensors have more elements than the file of {} bytes can hold (at '{}'): it is hostile, "
          "compressed, or was saved with .expand(); save the tensors with .contiguous() and torch.save",
          this->bytes(), name));
  }
  std::map<std::string, Tensor> out;
  Wanted wanted;
  for (const std::string& name : names) {
    const auto [at, is_new] = out.emplace(name, Tensor());
    if (!is_new) continue;
    const TensorInfo* info = find(name);
    at->second = Tensor::allocate(DType::F32, info->shape);
    wanted.emplace_back(static_cast<std::size_t>(info - tensors_.data()), at->second.as<float>());
  }
  read_into(wanted);
  return out;
}

std::size_t legacy_magic_size(std::string_view start) {
  constexpr std::string_view kFrame = "\x95",
                             kNumber{"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13};
  if (start.size() < 2 || start[0] != '\x80') return 0;
  std::size_t at = 2;  // after the protocol, which may be framed
  if (start.substr(at, 1) == kFrame) at += 9;
  return start.size() > at && start.substr(at, kNumber.size()) == kNumber ? at + kNumber.size() : 0;
}

std::unique_ptr<WeightFile> open_weights(const std::filesystem::path& path) {
  auto file = std::make_unique<InputFile>(path);
  const std::string start = file->read_some(0, 32);
  if (start.compare(0, kZipMagic.size(), kZipMagic) == 0) return open_torch_zip(std::move(file));
  if (legacy_magic_size(start) > 0) return open_torch_legacy(std::move(file));
  // A damaged length must not change the format: the brace identifies it.
  if (start.size() > sizeof(std::uint64_t) && start[sizeof(std::uint64_t)] == '{' && !is_text(*file))
    return open_safetensors(std::move(file));
  if (is_onnx(*file)) return onnx::open_initializers(std::move(file));
  throw Error(fmt::format("{}: expected weights as safetensors or as a state_dict of torch.save, got {}",
                          path.string(), foreign_file(*file)));
}

}  // namespace graft::nn
