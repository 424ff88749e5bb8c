#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

/// A file of CIFAR records: one label byte (CIFAR-10) or two (CIFAR-100: coarse, fine), then 32x32 pixels as
/// a plane of red, one of green, one of blue. Open for reading as long as this lives; every function may be
/// called from any thread. https://www.cs.toronto.edu/~kriz/cifar.html, "binary version".
class RecordFile {
 public:
  static constexpr int kSide = 32;
  static constexpr std::size_t kPlane = std::size_t{kSide} * kSide, kPixels = 3 * kPlane;
  using Pixels = std::array<std::uint8_t, kPixels>;

  /// Throws graft::Error when the file cannot be opened or is not a whole number of records long.
  RecordFile(std::string path, std::size_t label_bytes);

  std::size_t size() const { return size_; }
  std::size_t record_bytes() const { return label_bytes_ + kPixels; }
  const std::string& path() const { return path_; }

  /// Byte `which` in front of the pixels of a record. Throws graft::Error.
  std::uint8_t label(std::size_t record, std::size_t which) const;
  /// The three planes of a record. Throws graft::Error.
  Pixels pixels(std::size_t record) const;

 private:
  void read(std::size_t offset, std::uint8_t* out, std::size_t n) const;

  std::string path_;
  std::size_t label_bytes_, size_ = 0;
  std::shared_ptr<const int> file_;
};
