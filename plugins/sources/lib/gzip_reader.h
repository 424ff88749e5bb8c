#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <source/archive_input.h>

namespace graft::source {

/// Packed bytes are not what gzip writes; says why.
class GzipDamage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Unpacks what gzip has packed (RFC 1952), one member after the other; as gzip does, what follows the last
/// one and is none is left out. Checksums are compared, which libarchive's own filter does not do.
class GzipReader {
 public:
  /// Whether the input begins as gzip's files do.
  static bool is_gzip(ArchiveInput& input);

  explicit GzipReader(ArchiveInput& input);
  ~GzipReader();

  /// The next bytes, until the next call; none at the end. Throws GzipDamage, and what the input throws.
  std::span<const std::uint8_t> read();

 private:
  struct Stream;
  bool refill();
  bool next_member();

  ArchiveInput& input_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t offset_ = 0;  ///< Of the packed bytes that were asked for.
  std::vector<std::uint8_t> unpacked_;
  bool ended_ = false;
};

}  // namespace graft::source
