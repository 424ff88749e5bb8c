#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/files.h"

namespace graft {

/// The global heap of an HDF5 file, where texts of variable length lie (HDF5 File Format Specification,
/// III.E), read without HDF5: version 1.10 believes every length and reference in it, so that one damaged
/// byte ends the process or never ends at all. One thread.
class GRAFT_API GlobalHeap {
 public:
  /// Throws Error when the file cannot be opened.
  explicit GlobalHeap(const std::filesystem::path& file);

  /// Bytes of the file. Throws Error when it has fewer.
  void read(std::uint64_t offset, std::size_t bytes, void* out) const;

  /// The first `bytes` of an object in the collection at that address. Valid until the next call. Throws
  /// Error when there is no such collection or object, or it is shorter.
  std::string_view object(std::uint64_t collection, std::uint32_t index, std::size_t bytes);

 private:
  void load(std::uint64_t collection);

  const std::filesystem::path path_;
  FileHandle file_;
  std::uint64_t size_ = 0;
  std::uint64_t loaded_ = ~std::uint64_t{0};  ///< Address of the collection in memory.
  std::vector<std::uint8_t> bytes_;
  struct Place {
    std::size_t offset, size;
  };
  std::unordered_map<std::uint32_t, Place> objects_;
};

}  // namespace graft
