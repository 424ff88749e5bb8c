#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// Reads an IDX file forwards, plain or packed by gzip: a big-endian header (two zero bytes, the type, the
/// number of dimensions, then each dimension in four bytes), then unsigned bytes, the last dimension varying
/// fastest. http://yann.lecun.com/exdb/mnist. Used by one thread at a time. Everything throws graft::Error.
class IdxFile {
 public:
  /// Opens the file and reads its header, which must give unsigned bytes in so many dimensions, and no more
  /// elements than a file of this size can hold. `wanted` says what they mean, for messages.
  IdxFile(std::string path, std::size_t dimensions, const std::string& wanted);

  const std::string& path() const { return path_; }
  std::size_t count() const { return dimensions_[0]; }
  const std::vector<std::uint32_t>& dimensions() const { return dimensions_; }
  /// Of the file as it lies there, packed or not.
  std::uint64_t file_bytes() const { return file_bytes_; }
  /// Bytes of one element: an image, a label.
  std::size_t element_bytes() const { return element_bytes_; }

  /// Position of the element that read gives next.
  std::size_t position() const { return position_; }
  /// Reads element_bytes() bytes.
  void read(std::uint8_t* out);
  void skip(std::size_t elements);
  /// After the last element: nothing must follow, and the checksum of a packed file must be right.
  void check_end();

 private:
  /// Bytes read: fewer than `n` only at the end.
  std::size_t read_some(std::uint8_t* out, std::size_t n);
  void read_header(std::size_t dimensions, const std::string& wanted);
  [[noreturn]] void fail_of_size(const std::string& got) const;

  std::string path_;
  std::uint64_t file_bytes_ = 0;
  std::vector<std::uint32_t> dimensions_;
  std::size_t element_bytes_ = 1, position_ = 0;
  std::shared_ptr<void> file_;  // gzFile; zlib stays out of the header
};
