#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/safetensors.h>

#include <network/element.h>
#include "weight_formats.h"

namespace graft::nn {
namespace {

class SafetensorsFile final : public WeightFile {
 public:
  explicit SafetensorsFile(std::unique_ptr<InputFile> file) : WeightFile(std::move(file), "safetensors") {
    std::uint64_t length = 0;
    file_->read(0, &length, sizeof length);
    if (length > bytes() - sizeof length || length > kMaxSafetensorsHeader)
      fail(fmt::format(
          "its header claims {} bytes, the file has {} and at most {} are read: it is truncated or "
          "damaged; copy it again",
          length, bytes(), kMaxSafetensorsHeader));
    data_ = sizeof length + length;
    SafetensorsHeader header;
    try {
      header = parse_safetensors_header(file_->read_some(sizeof length, length), bytes() - data_);
    } catch (const Error& fault) {
      fail(fmt::format("is not a valid safetensors file: {}", fault.what()));
    }
    metadata_ = std::move(header.metadata);
    for (SafetensorsEntry& entry : header.tensors) {
      tensors_.push_back({std::move(entry.name), std::move(entry.dtype), std::move(entry.shape)});
      begins_.push_back(entry.begin);
    }
    index_names();
  }

 private:
  void read_into(const Wanted& wanted) const override {
    constexpr std::size_t kBlock = std::size_t{64} << 10;
    std::vector<std::byte> block;
    for (const auto& [index, out] : wanted) {
      const ElementType& type = *element_type(tensors_[index].type);
      const auto count = static_cast<std::size_t>(elements(tensors_[index].shape));
      const std::uint64_t begin = data_ + begins_[index];
      if (std::string_view(type.name) == "F32") {
        file_->read(begin, out, count * sizeof(float));
        continue;
      }
      block.resize(kBlock);
      for (std::size_t done = 0; done < count;) {
        const std::size_t n = std::min(count - done, kBlock / type.bytes);
        file_->read(begin + done * type.bytes, block.data(), n * type.bytes);
        type.to_float(block.data(), n, out + done);
        done += n;
      }
    }
  }

  std::uint64_t data_ = 0;             ///< Where the tensors' bytes begin.
  std::vector<std::uint64_t> begins_;  ///< Parallel to tensors_, counted from there.
};

}  // namespace

std::unique_ptr<WeightFile> open_safetensors(std::unique_ptr<InputFile> file) {
  return std::make_unique<SafetensorsFile>(std::move(file));
}

}  // namespace graft::nn
