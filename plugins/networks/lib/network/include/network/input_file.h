#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace graft::nn {

/// An open regular file, read piece by piece at given places: a file that shrinks while it is read is an
/// error, where a mapped one would kill the process. Any number of threads.
class InputFile {
 public:
  /// Throws Error with path and reason; folders, devices and FIFOs are refused without blocking.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  /// Exactly `size` bytes from `offset`. Throws Error with the path.
  void read(std::uint64_t offset, void* out, std::size_t size) const;
  /// At most `size` bytes; fewer only at the end of the file.
  std::string read_some(std::uint64_t offset, std::size_t size) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace graft::nn
