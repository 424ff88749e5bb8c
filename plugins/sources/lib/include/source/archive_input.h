#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace graft::source {

/// The bytes of an archive, wherever they are. Used by one thread at a time.
class ArchiveInput {
 public:
  virtual ~ArchiveInput() = default;

  /// What messages call it.
  virtual const std::string& name() const = 0;
  virtual std::uint64_t size() const = 0;
  /// Some bytes from `offset` on, at least one; none at the end and behind it. They stay until the next call.
  /// Throws graft::Error, also Reject, where they cannot be read, and FatalError for an archive that was
  /// changed.
  virtual std::span<const std::uint8_t> read(std::uint64_t offset) = 0;
  /// What will be read next: all of these bytes.
  virtual void expect(std::uint64_t offset, std::uint64_t bytes) = 0;

  /// Bytes from `offset` on; fewer at the end.
  std::string text(std::uint64_t offset, std::uint64_t bytes);
};

/// A file. Throws graft::Error when it is no regular one or cannot be opened.
std::unique_ptr<ArchiveInput> archive_file(std::string path);

}  // namespace graft::source
