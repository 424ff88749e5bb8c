#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace graft::source {

/// What the list of a file's inputs may hold of memory: 64 MiB and 8 times the size of the file. Packed files
/// can say much more in few bytes than a data set ever does. Used by one thread.
class MemoryBound {
 public:
  /// What an input takes in the lists of a run, beside its name.
  static constexpr std::uint64_t kInput = 192;

  MemoryBound(std::string path, std::uint64_t file_bytes)
      : path_(std::move(path)), bytes_(file_bytes), left_((std::uint64_t{64} << 20) + 8 * file_bytes) {}

  /// Notes that so many bytes more are held. Throws Error, which names the file, when that is too much.
  void hold(std::uint64_t bytes);

 private:
  const std::string path_;
  const std::uint64_t bytes_;
  std::uint64_t left_;
};

}  // namespace graft::source
