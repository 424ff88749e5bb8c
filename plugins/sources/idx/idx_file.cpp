#include "idx_file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>

namespace {

using graft::Error;

/// An image of more bytes is no image of this format, but a damaged header.
constexpr std::uint64_t kMaxElement = 64'000'000;

std::string hex(const std::uint8_t* bytes) {
  char out[16];
  std::snprintf(out, sizeof out, "0x%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
  return out;
}

gzFile handle(const std::shared_ptr<void>& file) {
  return static_cast<gzFile>(file.get());
}

}  // namespace

IdxFile::IdxFile(std::string path, std::size_t dimensions, const std::string& wanted)
    : path_(std::move(path)) {
  // Not by gzopen: that would wait for ever at a FIFO.
  const int file = graft::open_regular_file(path_);
  if (file < 0 && errno == ENXIO) throw Error("expected a regular file: " + path_);
  if (file < 0) throw Error("cannot open " + path_ + ": " + std::strerror(errno));
  struct stat info {};
  const bool examined = ::fstat(file, &info) == 0;
  const gzFile gz = examined ? ::gzdopen(file, "rb") : nullptr;
  if (gz == nullptr) {
    ::close(file);
    throw Error("cannot open " + path_ + ": " + (examined ? "out of memory" : std::strerror(errno)));
  }
  file_bytes_ = static_cast<std::uint64_t>(info.st_size);
  file_ = std::shared_ptr<void>(gz, [](void* f) { ::gzclose_r(static_cast<gzFile>(f)); });
  ::gzbuffer(gz, 1 << 17);
  read_header(dimensions, wanted);
}

void IdxFile::read_header(std::size_t dimensions, const std::string& wanted) {
  constexpr std::uint8_t kUnsignedBytes = 0x08;
  const std::uint8_t magic[4] = {0, 0, kUnsignedBytes, static_cast<std::uint8_t>(dimensions)};
  std::uint8_t bytes[4];
  const std::size_t got = read_some(bytes, 4);
  if (got != 4 || std::memcmp(bytes, magic, 4) != 0)
    throw Error("expected an IDX file of " + wanted + "; it begins with " + hex(magic) + ", " + path_ +
                " with " + (got == 4 ? hex(bytes) : "fewer than 4 bytes"));
  std::uint64_t element = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    if (read_some(bytes, 4) != 4) throw Error("the header of " + path_ + " is cut off; get the file again");
    dimensions_.push_back(std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                          std::uint32_t{bytes[2]} << 8 | bytes[3]);
    // At most 64 million times 2^32: no overflow.
    if (d > 0) element *= dimensions_.back();
    if (element > kMaxElement || dimensions_.back() == 0)
      throw Error("expected " + wanted + " of 1 to " + std::to_string(kMaxElement) + " bytes each in " +
                  path_ + ", got " + (dimensions_.back() == 0 ? "none" : "more") +
                  " by its header; get the file again");
  }
  element_bytes_ = static_cast<std::size_t>(element);
  // Before anything is held for so many elements; gzip makes at most 1032 bytes of one.
  const bool packed = ::gzdirect(handle(file_)) == 0;
  const std::uint64_t most = packed ? 1032 * file_bytes_ : file_bytes_ - 4 * (1 + dimensions);
  if (element > most / dimensions_[0]) fail_of_size((packed ? "at most " : "") + std::to_string(most));
}

std::size_t IdxFile::read_some(std::uint8_t* out, std::size_t n) {
  const int got = ::gzread(handle(file_), out, static_cast<unsigned>(n));
  int error = Z_OK;
  const char* text = ::gzerror(handle(file_), &error);
  // A packed file that is cut off reads as a short one, with Z_BUF_ERROR.
  if (got < 0 || (error != Z_OK && error != Z_STREAM_END))
    throw Error("cannot read " + path_ + " after image or label " + std::to_string(position_) + ": " +
                (error == Z_ERRNO ? std::strerror(errno) : text) + "; get the file again");
  return static_cast<std::size_t>(got);
}

void IdxFile::read(std::uint8_t* out) {
  const std::size_t got = read_some(out, element_bytes_);
  if (got != element_bytes_) fail_of_size(std::to_string(std::uint64_t{position_} * element_bytes_ + got));
  ++position_;
}

void IdxFile::skip(std::size_t elements) {
  if (elements == 0) return;
  if (::gzseek(handle(file_), static_cast<z_off_t>(elements * element_bytes_), SEEK_CUR) < 0)
    throw Error("cannot read " + path_ + " after image or label " + std::to_string(position_));
  position_ += elements;
}

void IdxFile::check_end() {
  std::uint8_t byte = 0;
  if (read_some(&byte, 1) != 0) fail_of_size("more");
}

void IdxFile::fail_of_size(const std::string& got) const {
  throw Error("expected " + std::to_string(count()) + " times " + std::to_string(element_bytes_) +
              " bytes after the header of " + path_ + ", got " + got + "; get the file again");
}
