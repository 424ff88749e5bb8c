#include "jpeg_scan.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <graft/error.h>

#include <image/byte_reader.h>

namespace graft::image {
namespace {

constexpr std::uint32_t kTemporary = 0x01, kFrame0 = 0xc0, kFrame1 = 0xc1, kHuffman = 0xc4, kRestart0 = 0xd0,
                        kRestart7 = 0xd7, kEnd = 0xd9, kScan = 0xda, kInterval = 0xdd;

// A Huffman table (ITU-T T.81, annex F.2.2.3).
struct Table {
  std::array<std::int32_t, 17> last{};   // largest code of each length; -1: none
  std::array<std::int32_t, 17> first{};  // its value's place less its code
  std::array<std::uint8_t, 256> values{};
};

// The entropy-coded bytes of one interval, up to a marker, with stuffed zeros removed.
class Bits {
 public:
  Bits(const std::uint8_t* data, std::size_t size) : data_(data), size_(8 * size) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return size_ - at_; }
  int bit() {
    if (at_ >= size_) return -1;
    const int v = data_[at_ / 8] >> (7 - at_ % 8) & 1;
    ++at_;
    return v;
  }
  bool skip(std::size_t n) {
    if (left() < n) return false;
    at_ += n;
    return true;
  }
  // -1 where there is no such code.
  int symbol(const Table& t) {
    std::int32_t code = 0;
    for (std::size_t length = 1; length <= 16; ++length) {
      const int v = bit();
      if (v < 0) return -1;
      code = code << 1 | v;
      if (code <= t.last[length]) return t.values[static_cast<std::size_t>(t.first[length] + code) & 255];
    }
    return -1;
  }
  bool block(const Table& dc, const Table& ac) {
    const int size = symbol(dc);
    if (size < 0 || !skip(static_cast<std::size_t>(size))) return false;
    for (int k = 1; k < 64; ++k) {
      const int v = symbol(ac);
      if (v < 0 || !skip(static_cast<std::size_t>(v & 15))) return false;
      if ((v & 15) == 0 && v >> 4 != 15) break;  // the end of the block
      k += v >> 4;
    }
    return true;
  }
  // Whether all bits up to the next byte, from `value` on, are equal to it.
  bool padded_with(int value) const {
    Bits rest = *this;
    while (rest.at_ % 8 != 0)
      if (rest.bit() != value) return false;
    return true;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

struct Component {
  std::uint32_t id = 0, h = 1, v = 1, dc = 0, ac = 0;
};

std::uint64_t blocks_of(std::uint64_t pixels, std::uint64_t factor, std::uint64_t largest) {
  const std::uint64_t samples = (pixels * factor + largest - 1) / largest;
  return (samples + 7) / 8;
}

class Walker {
 public:
  explicit Walker(const Bytes& bytes) : in_(bytes, true) {}

  void walk() {
    for (std::uint64_t at = 2;;) {
      while (in_.has(at, 2) && !(*in_.u8(at) == 0xff && *in_.u8(at + 1) != 0 && *in_.u8(at + 1) != 0xff))
        ++at;
      const auto marker = in_.u8(at + 1);
      const auto length = in_.u16(at + 2);
      if (!marker || *marker == kEnd) return;
      at += 2;
      // Markers without a length: a stray restart, a second start, or TEM.
      if ((*marker >= kRestart0 && *marker < kEnd) || *marker == kTemporary) continue;
      if (!length || !in_.has(at, *length)) return;
      const ByteReader segment = in_.part(at + 2, *length - std::min(*length, 2u));
      at += *length;
      if (*marker == kFrame0 || *marker == kFrame1)
        frame(segment);
      else if (*marker > kFrame1 && *marker < 0xd0 && *marker != kHuffman && *marker != 0xc8 &&
               *marker != 0xcc)
        return;  // progressive, arithmetic or lossless
      else if (*marker == kHuffman)
        tables(segment);
      else if (*marker == kInterval)
        interval_ = segment.u16(0).value_or(0);
      else if (*marker == kScan)
        at = scan(segment, at);
    }
  }

 private:
  void frame(const ByteReader& s) {
    height_ = s.u16(1).value_or(0);
    width_ = s.u16(3).value_or(0);
    frame_.resize(std::min(s.u8(5).value_or(0), 4u));
    for (std::size_t i = 0; i < frame_.size(); ++i) {
      frame_[i].id = s.u8(6 + 3 * i).value_or(0);
      frame_[i].h = std::max(s.u8(7 + 3 * i).value_or(0) >> 4, 1u);
      frame_[i].v = std::max(s.u8(7 + 3 * i).value_or(0) & 15, 1u);
    }
  }

  void tables(const ByteReader& s) {
    for (std::uint64_t at = 0; s.has(at, 17);) {
      Table& t = (*s.u8(at) >> 4 ? ac_ : dc_)[*s.u8(at) & 3];
      std::int32_t code = 0, place = 0;
      for (std::size_t length = 1; length <= 16; ++length) {
        const auto n = static_cast<std::int32_t>(*s.u8(at + length));
        t.first[length] = place - code;
        code += n;
        place += n;
        t.last[length] = n > 0 ? code - 1 : -1;
        code <<= 1;
      }
      at += 17;
      for (std::uint64_t i = 0; i < 256 && i < static_cast<std::uint64_t>(place); ++i)
        t.values[i] = static_cast<std::uint8_t>(s.u8(at + i).value_or(0));
      at += static_cast<std::uint64_t>(place);
    }
  }

  // Returns the place after the scan.
  std::uint64_t scan(const ByteReader& s, std::uint64_t at) {
    std::vector<Component> parts(std::min(s.u8(0).value_or(0), 4u));
    if (parts.empty() || frame_.empty()) return at;  // a scan of nothing has no data
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::uint32_t id = s.u8(1 + 2 * i).value_or(0), used = s.u8(2 + 2 * i).value_or(0);
      for (const Component& c : frame_)
        if (c.id == id) parts[i] = c;
      parts[i].dc = used >> 4 & 3;
      parts[i].ac = used & 3;
    }
    std::uint32_t h = 1, v = 1;
    for (const Component& c : frame_) h = std::max(h, c.h), v = std::max(v, c.v);
    // A scan of one component has its blocks row by row, whatever the factors.
    const bool alone = parts.size() == 1;
    std::uint64_t across = (width_ + 8 * h - 1) / (8 * h), down = (height_ + 8 * v - 1) / (8 * v);
    if (alone) {
      across = blocks_of(width_, parts[0].h, h);
      down = blocks_of(height_, parts[0].v, v);
      parts[0].h = parts[0].v = 1;
    }
    const std::uint64_t units = across * down;
    for (std::uint64_t done = 0; done < units;) {
      const std::uint64_t n = interval_ > 0 ? std::min<std::uint64_t>(interval_, units - done) : units;
      at = interval(parts, n, across, at);
      done += n;
      const auto marker = in_.u8(at + 1);
      if (!marker || *marker < kRestart0 || *marker > kRestart7) break;
      at += 2;
    }
    return at;
  }

  bool unit(Bits& bits, const std::vector<Component>& parts) const {
    for (const Component& c : parts)
      for (std::uint32_t i = 0; i < c.h * c.v; ++i)
        if (!bits.block(dc_[c.dc], ac_[c.ac])) return false;
    return true;
  }

  // The data of `units` MCUs; returns the place of the marker after them.
  std::uint64_t interval(const std::vector<Component>& parts, std::uint64_t units, std::uint64_t across,
                         std::uint64_t at) {
    data_.clear();
    for (; in_.has(at, 1); ++at) {
      const std::uint32_t v = *in_.u8(at);
      if (v == 0xff) {
        std::uint64_t next = at + 1;
        while (in_.u8(next) == 0xffu) ++next;
        if (in_.u8(next).value_or(kEnd) != 0) {
          at = next - 1;
          break;
        }
        at = next;
      }
      data_.push_back(static_cast<std::uint8_t>(v));
    }
    Bits bits(data_.data(), data_.size());
    for (std::uint64_t i = 0; i < units; ++i)
      if (!unit(bits, parts)) return at;  // libjpeg reports this itself
    check_rest(bits, parts, across);
    return at;
  }

  void check_rest(Bits bits, const std::vector<Component>& parts, std::uint64_t across) const {
    if (bits.left() < 8) return;
    const std::size_t next = (bits.at() + 7) / 8;
    const bool zeros = std::all_of(data_.begin() + static_cast<std::ptrdiff_t>(next), data_.end(),
                                   [](std::uint8_t v) { return v == 0; });
    // Writers that fill up to whole words do it with zeros.
    if (zeros && bits.padded_with(0)) return;
    if (!bits.padded_with(1)) reject(data_.size() - next);
    if (zeros) return;
    std::uint64_t more = 0;
    for (Bits rest = bits; unit(rest, parts) && rest.at() > bits.at();) {
      bits = rest;
      ++more;
    }
    // Whole rows below the image are those of a picture whose header was shortened.
    if (more > 0 && bits.left() < 8 && bits.padded_with(1) && more % across != 0) reject(data_.size() - next);
  }

  [[noreturn]] static void reject(std::size_t bytes) {
    throw Reject("corrupt", "the JPEG file is damaged: " + std::to_string(bytes) +
                                " bytes of a scan are left over, so blocks before them are wrong; copy or "
                                "download it again");
  }

  ByteReader in_;
  std::uint64_t width_ = 0, height_ = 0;
  std::uint32_t interval_ = 0;
  std::vector<Component> frame_;
  std::array<Table, 4> dc_, ac_;
  std::vector<std::uint8_t> data_;
};

}  // namespace

void check_scans(const Bytes& bytes) {
  Walker(bytes).walk();
}

}  // namespace graft::image
