#include "store/global_heap.h"

#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace {

constexpr std::size_t kHeader = 16;  // of a collection, and of each of its objects
constexpr std::uint64_t kMaxCollection = std::uint64_t{1} << 30;

template <typename T>
T little_endian(const std::uint8_t* at) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(value << 8 | at[i]);
  return value;
}

}  // namespace

std::span<const std::uint8_t> GlobalHeap::bytes(std::uint64_t offset, std::uint64_t count) const {
  if (offset > image_.size() || count > image_.size() - offset)
    throw Error(
        fmt::format("{} bytes at {} are not in the file, which has {}", count, offset, image_.size()));
  return image_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(count));
}

std::string_view GlobalHeap::object(std::uint64_t collection, std::uint32_t index, std::size_t bytes) {
  if (collection != loaded_) load(collection);
  const auto found = objects_.find(index);
  if (found == objects_.end() || found->second.size() < bytes)
    throw Error(fmt::format("the heap at {} has no object {} of {} bytes", collection, index, bytes));
  return {reinterpret_cast<const char*>(found->second.data()), bytes};
}

void GlobalHeap::load(std::uint64_t collection) {
  loaded_ = ~std::uint64_t{0};
  objects_.clear();
  const std::uint8_t* const header = bytes(collection, kHeader).data();
  const auto size = little_endian<std::uint64_t>(header + 8);
  if (std::memcmp(header, "GCOL\1", 5) != 0 || size < kHeader || size > kMaxCollection)
    throw Error(fmt::format("there is no heap at {}", collection));
  const std::span<const std::uint8_t> all = bytes(collection, size);
  for (std::size_t at = kHeader; at + kHeader <= size;) {
    const auto index = little_endian<std::uint16_t>(all.data() + at);
    if (index == 0) break;  // what is left is free
    const auto object = little_endian<std::uint64_t>(all.data() + at + 8);
    if (object > size - at - kHeader)
      throw Error(fmt::format("object {} leaves the heap at {}", index, collection));
    objects_[index] = all.subspan(at + kHeader, static_cast<std::size_t>(object));
    at += kHeader + (object + 7) / 8 * 8;
  }
  loaded_ = collection;
}

}  // namespace graft
