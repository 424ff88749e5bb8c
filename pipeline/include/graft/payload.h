#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <graft/export.h>

namespace graft {

enum class DType : std::uint8_t { U8, F16, F32, I64 };

GRAFT_API std::size_t size_of(DType dtype);
GRAFT_API const char* to_string(DType dtype);  // "u8", "f16", "f32", "i64"

using Shape = std::vector<std::int64_t>;
GRAFT_API std::int64_t elements(const Shape& shape);  ///< Throws Error: negative extents, no memory as large.
GRAFT_API std::string to_string(const Shape& shape);  // "[224,224,3]"

/// A regular file that has not been read yet. The runtime reads it (never a device, a FIFO or a folder)
/// before the first stage downstream of the source; stages see Bytes.
struct FileRef {
  std::string path;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;  ///< Last change of the content, since 1970.
  /// A part of the file, named by the source, whose load() then makes the payload: an archive's member, a
  /// frame of a video. While size and time of the file stay, the runtime remembers what the part holds.
  std::string member = {};
  /// Last change of the file's entry: detects a changed file whose mtime was reset. 0: unknown.
  std::int64_t ctime_ns = 0;
};

/// Encoded bytes: a file or an archive member. Immutable; `owner` keeps `data` alive.
struct Bytes {
  std::shared_ptr<const void> owner;
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
};

/// 8-bit RGB pixels, row after row, channels interleaved; `stride` bytes from one row to the next.
/// Shared by every consumer of the item: treat the pixels as read-only unless you have just allocated them.
struct GRAFT_API Image {
  std::shared_ptr<void> owner;
  std::uint8_t* data = nullptr;
  int width = 0;
  int height = 0;
  std::ptrdiff_t stride = 0;

  /// Uninitialised pixels, rows tightly packed.
  static Image allocate(int width, int height);
  std::uint8_t* row(int y) const { return data + y * stride; }
  std::size_t bytes() const { return static_cast<std::size_t>(stride) * static_cast<std::size_t>(height); }
};

/// A dense array, row-major without gaps. Shared like Image.
struct GRAFT_API Tensor {
  DType dtype = DType::F32;
  Shape shape;
  std::shared_ptr<void> owner;
  void* data = nullptr;

  /// Uninitialised elements.
  static Tensor allocate(DType dtype, Shape shape);
  std::int64_t size() const { return elements(shape); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

using Payload = std::variant<std::monostate, FileRef, Bytes, Image, Tensor>;

/// "nothing", "file", "bytes", "image" or "tensor": the words used in messages and for port types.
GRAFT_API const char* kind_of(const Payload& payload);
/// Memory that the payload holds, in bytes.
GRAFT_API std::size_t bytes_of(const Payload& payload);

}  // namespace graft
