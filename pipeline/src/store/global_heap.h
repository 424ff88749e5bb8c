#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>

namespace graft {

/// The global heap of an HDF5 file, where texts of variable length lie (HDF5 File Format Specification,
/// III.E), read without HDF5: version 1.10 believes every length and reference in it, so that one damaged
/// byte ends the process or never ends at all. One thread.
class GlobalHeap {
 public:
  /// `image`: the whole file, which outlives the heap and what it gives.
  explicit GlobalHeap(std::span<const std::uint8_t> image) : image_(image) {}

  /// Bytes of the file. Throws Error when it has fewer.
  std::span<const std::uint8_t> bytes(std::uint64_t offset, std::uint64_t count) const;

  /// The first `bytes` of an object in the collection at that address. Throws Error when there is no such
  /// collection or object, or it is shorter.
  std::string_view object(std::uint64_t collection, std::uint32_t index, std::size_t bytes);

 private:
  void load(std::uint64_t collection);

  const std::span<const std::uint8_t> image_;
  std::uint64_t loaded_ = ~std::uint64_t{0};  ///< Address of the collection that objects_ are of.
  std::unordered_map<std::uint32_t, std::span<const std::uint8_t>> objects_;
};

}  // namespace graft
