#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

inline std::uint64_t big_endian(const char* bytes, int n) {
  std::uint64_t value = 0;
  for (int i = 0; i < n; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// The boxes of an MP4 or MOV file (ISO/IEC 14496-12): each has a size, a type, and other boxes or data.
class Boxes {
 public:
  explicit Boxes(const std::string& path) : in_(path, std::ios::binary) {
    in_.seekg(0, std::ios::end);
    bytes_ = in_ ? static_cast<std::uint64_t>(in_.tellg()) : 0;
  }

  std::uint64_t bytes() const { return bytes_; }

  struct Box {
    std::string type;
    std::uint64_t begin, end;  ///< Of what it holds.
  };

  /// Calls `see` for every box between two positions until it returns true. False: the last box is not there
  /// as a whole.
  bool each(std::uint64_t begin, std::uint64_t end, const std::function<bool(const Box&)>& see) {
    while (begin + 8 <= end) {
      const std::string head = read(begin, 16);
      if (head.size() < 8) return false;
      std::uint64_t size = big_endian(head.data(), 4), header = 8;
      if (size == 1 && head.size() == 16) {
        size = big_endian(head.data() + 8, 8);
        header = 16;
      } else if (size == 0) {
        size = end - begin;
      }
      if (size < header || size > end - begin) return false;
      if (see({head.substr(4, 4), begin + header, begin + size})) return true;
      begin += size;
    }
    return begin == end;
  }

  /// The first box of a type in another one.
  std::optional<Box> find(const Box& in, std::string_view type) {
    std::optional<Box> found;
    each(in.begin, in.end, [&](const Box& box) {
      if (box.type == type) found = box;
      return found.has_value();
    });
    return found;
  }
  /// The header of the file.
  std::optional<Box> movie() { return find({"", 0, bytes_}, "moov"); }
  /// The first track of a header whose media are pictures.
  std::optional<Box> video_track(const Box& movie) {
    std::optional<Box> found;
    each(movie.begin, movie.end, [&](const Box& box) {
      if (box.type != "trak") return false;
      const auto media = find(box, "mdia");
      const auto handler = media ? find(*media, "hdlr") : std::nullopt;
      if (handler && data(*handler).substr(0, 12).ends_with("vide")) found = box;
      return found.has_value();
    });
    return found;
  }

  /// The data of a box, or the first 64 KiB of them that the file has.
  std::string data(const Box& box) { return read(box.begin, std::min(box.end - box.begin, kMaxBox)); }

 private:
  static constexpr std::uint64_t kMaxBox = 1 << 16;  ///< Most that are read have about 100 bytes.

  std::string read(std::uint64_t at, std::uint64_t n) {
    std::string out(n, '\0');
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(at));
    in_.read(out.data(), static_cast<std::streamsize>(n));
    out.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in_.gcount())));
    return out;
  }

  std::ifstream in_;
  std::uint64_t bytes_ = 0;
};
