#include "gzip_reader.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

namespace graft::source {
namespace {

constexpr std::size_t kBlock = 1 << 17;
constexpr int kGzipOnly = 15 + 16;  // zlib.h, inflateInit2: the largest window, with a header of gzip
constexpr unsigned char kFirst = 0x1f, kSecond = 0x8b;

}  // namespace

struct GzipReader::Stream {
  Stream() {
    if (::inflateInit2(&z, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Stream() { ::inflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  z_stream z{};
};

bool GzipReader::is_gzip(ArchiveInput& input) {
  const auto begin = input.read(0);
  return begin.size() >= 2 && begin[0] == kFirst && begin[1] == kSecond;
}

GzipReader::GzipReader(ArchiveInput& input)
    : input_(input), stream_(std::make_unique<Stream>()), unpacked_(kBlock) {}

GzipReader::~GzipReader() = default;

/// False at the end of the input.
bool GzipReader::refill() {
  z_stream& z = stream_->z;
  if (z.avail_in > 0) return true;
  auto some = input_.read(offset_);
  some = some.first(std::min<std::size_t>(some.size(), std::numeric_limits<uInt>::max()));
  offset_ += some.size();
  z.next_in = const_cast<Bytef*>(some.data());  // zlib only reads there
  z.avail_in = static_cast<uInt>(some.size());
  return !some.empty();
}

bool GzipReader::next_member() {
  z_stream& z = stream_->z;
  if (!refill() || *z.next_in != kFirst) return false;
  // The second byte may be in the next block, where what is to be left out could not be told from a member.
  if (z.avail_in == 1) {
    const auto next = input_.text(offset_, 1);
    if (next.empty() || static_cast<unsigned char>(next[0]) != kSecond) return false;
    z.avail_in = 0;
    --offset_;  // both bytes are asked for again
    if (!refill()) return false;
  } else if (z.next_in[1] != kSecond) {
    return false;
  }
  return ::inflateReset(&z) == Z_OK;
}

std::span<const std::uint8_t> GzipReader::read() {
  z_stream& z = stream_->z;
  z.next_out = unpacked_.data();
  z.avail_out = static_cast<uInt>(unpacked_.size());
  while (!ended_ && z.avail_out > 0) {
    if (!refill()) throw GzipDamage("unexpected end of file");
    const int result = ::inflate(&z, Z_NO_FLUSH);
    if (result == Z_STREAM_END)
      ended_ = !next_member();
    else if (result == Z_MEM_ERROR)
      throw std::bad_alloc();
    else if (result != Z_OK && result != Z_BUF_ERROR)
      throw GzipDamage(z.msg != nullptr ? z.msg : "invalid compressed data");
  }
  return {unpacked_.data(), unpacked_.size() - z.avail_out};
}

}  // namespace graft::source
