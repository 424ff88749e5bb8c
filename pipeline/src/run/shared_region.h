#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/files.h"

namespace graft {

/// Memory that two processes share: one grows and fills it, the other reads. It cannot shrink, so that a
/// reader never touches what is gone.
class SharedRegion {
 public:
  /// A new region. Throws Error.
  SharedRegion();
  /// The one of another process.
  explicit SharedRegion(FileHandle file);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  int descriptor() const { return file_.get(); }
  /// For the side that fills it: makes it at least so large. Throws std::bad_alloc.
  void grow(std::size_t bytes);
  /// For the side that reads it: all that is there now. Throws Error.
  std::span<const std::uint8_t> look();
  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }

 private:
  void map(std::size_t bytes);

  FileHandle file_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace graft
