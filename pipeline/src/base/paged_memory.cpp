#include "base/paged_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "base/files.h"

namespace graft {
namespace {

std::size_t page_bytes() {
  static const auto kBytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return kBytes;
}

/// A file without a name that has its room on the disk: writing to a mapped page never finds the disk full.
FileHandle nameless_file(std::size_t bytes) {
  std::error_code error;
  const std::string folder = std::filesystem::temp_directory_path(error).string();
  if (error) return {};
  FileHandle file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) {
    std::string name = folder + "/graft-XXXXXX";
    file = FileHandle(::mkostemp(name.data(), O_CLOEXEC));
    if (file) ::unlink(name.c_str());
  }
  if (file && ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)) != 0) return {};
  return file;
}

}  // namespace

PagedBlock::PagedBlock(std::size_t bytes, bool in_memory) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = MAP_FAILED;
  if (!in_memory) {
    // The mapping keeps the file: descriptors are few.
    if (const FileHandle file = nameless_file(bytes))
      data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    has_file_ = data != MAP_FAILED;
  }
  if (data == MAP_FAILED)
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(data);
}

PagedBlock::~PagedBlock() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void PagedBlock::swap(PagedBlock& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(has_file_, other.has_file_);
}

void PagedBlock::release(std::size_t first, std::size_t last) const {
  if (!has_file_) return;  // plain memory would lose its content
  first = first / page_bytes() * page_bytes();
  if (first < last) ::madvise(data_ + first, std::min(last, bytes_) - first, MADV_DONTNEED);
}

const void* PagedArena::keep(const void* data, std::size_t bytes, std::size_t alignment) {
  std::size_t at = (used_ + alignment - 1) / alignment * alignment;
  if (blocks_.empty() || at + bytes > blocks_.back().bytes()) {
    blocks_.emplace_back(std::max(kPagedBlockBytes, bytes), blocks_.empty());
    if (blocks_.size() > 2) blocks_[blocks_.size() - 3].release();
    at = 0;
  }
  std::byte* const place = blocks_.back().data() + at;
  if (bytes > 0) std::memcpy(place, data, bytes);
  used_ = at + bytes;
  return place;
}

}  // namespace graft
