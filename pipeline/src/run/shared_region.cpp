#include "run/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include <fmt/format.h>

namespace graft {
namespace {

constexpr std::size_t kRegionStep = std::size_t{1} << 20;

}  // namespace

SharedRegion::SharedRegion() : file_(::memfd_create("graft", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  if (!file_ || ::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    throw Error(fmt::format("cannot make shared memory: {}", std::strerror(errno)));
}

SharedRegion::SharedRegion(FileHandle file) : file_(std::move(file)) {
  ::fcntl(file_.get(), F_SETFD, FD_CLOEXEC);
}

SharedRegion::~SharedRegion() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void SharedRegion::map(std::size_t bytes) {
  void* const at = data_ == nullptr
                       ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0)
                       : ::mremap(data_, size_, bytes, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(at);
  size_ = bytes;
}

void SharedRegion::grow(std::size_t bytes) {
  if (bytes <= size_) return;
  bytes = std::max(bytes, size_ + size_ / 2);
  bytes = (bytes + kRegionStep - 1) / kRegionStep * kRegionStep;
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw std::bad_alloc();
  if (static_cast<std::size_t>(info.st_size) < bytes &&
      ::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0)
    throw std::bad_alloc();
  map(bytes);
}

std::span<const std::uint8_t> SharedRegion::look() {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0)
    throw Error(fmt::format("cannot read shared memory: {}", std::strerror(errno)));
  if (const auto now = static_cast<std::size_t>(info.st_size); now > size_) map(now);
  return {data_, size_};
}

}  // namespace graft
