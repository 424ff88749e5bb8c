#include <network/input_file.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>

#include "foreign_file.h"

namespace graft::nn {

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = open_regular_file(path_);
  if (fd_ < 0 && errno == ENXIO)
    throw Error(path_.string() + ": expected a file, got a folder or a device" + foreign_folder(path_));
  struct stat facts {};
  if (fd_ < 0 || ::fstat(fd_, &facts) != 0)
    throw Error(path_.string() + ": cannot be read: " + std::strerror(errno));
  size_ = static_cast<std::uint64_t>(facts.st_size);
}

InputFile::~InputFile() {
  ::close(fd_);
}

void InputFile::read(std::uint64_t offset, void* out, std::size_t size) const {
  auto* to = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = ::pread(fd_, to, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(path_.string() + ": cannot be read: " + std::strerror(errno));
    if (got == 0) throw Error(path_.string() + ": is truncated, or shrank while it was read; copy it again");
    to += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
}

std::string InputFile::read_some(std::uint64_t offset, std::size_t size) const {
  std::string out(offset >= size_ ? 0 : std::min<std::uint64_t>(size, size_ - offset), '\0');
  read(offset, out.data(), out.size());
  return out;
}

}  // namespace graft::nn
