#include "store/global_heap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

GlobalHeap::GlobalHeap(const std::filesystem::path& file)
    : path_(file), file_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat info {};
  if (!file_ || ::fstat(file_.get(), &info) != 0) throw Error(file_error("open", path_, errno));
  size_ = static_cast<std::uint64_t>(info.st_size);
}

void GlobalHeap::read(std::uint64_t offset, std::size_t bytes, void* out) const {
  if (offset > size_ || bytes > size_ - offset)
    throw Error(fmt::format("{} bytes at {} are not in the file, which has {}", bytes, offset, size_));
  for (std::size_t have = 0; have < bytes;) {
    const ssize_t got = ::pread(file_.get(), static_cast<std::uint8_t*>(out) + have, bytes - have,
                                static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Error(file_error("read", path_, got < 0 ? errno : EIO));
    have += static_cast<std::size_t>(got);
  }
}

std::string_view GlobalHeap::object(std::uint64_t collection, std::uint32_t index, std::size_t bytes) {
  if (collection != loaded_) load(collection);
  const auto found = objects_.find(index);
  if (found == objects_.end() || found->second.size < bytes)
    throw Error(fmt::format("the heap at {} has no object {} of {} bytes", collection, index, bytes));
  return {reinterpret_cast<const char*>(bytes_.data() + found->second.offset), bytes};
}

void GlobalHeap::load(std::uint64_t collection) {
  loaded_ = ~std::uint64_t{0};
  objects_.clear();
  std::uint8_t header[kHeader];
  read(collection, sizeof header, header);
  const auto size = little_endian<std::uint64_t>(header + 8);
  if (std::memcmp(header, "GCOL\1", 5) != 0 || size < kHeader || size > kMaxCollection)
    throw Error(fmt::format("there is no heap at {}", collection));
  std::vector<std::uint8_t> bytes(std::min(size, size_));
  read(collection, size, bytes.data());
  for (std::size_t at = kHeader; at + kHeader <= size;) {
    const auto index = little_endian<std::uint16_t>(bytes.data() + at);
    if (index == 0) break;  // what is left is free
    const auto object = little_endian<std::uint64_t>(bytes.data() + at + 8);
    if (object > size - at - kHeader)
      throw Error(fmt::format("object {} leaves the heap at {}", index, collection));
    objects_[index] = {at + kHeader, static_cast<std::size_t>(object)};
    at += kHeader + (object + 7) / 8 * 8;
  }
  bytes_ = std::move(bytes);
  loaded_ = collection;
}

}  // namespace graft
