#include "container.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string_view>

#include "boxes.h"

namespace {

using namespace std::string_view_literals;

/// The first bytes of a file, of which `at` looks at some.
class Head {
 public:
  explicit Head(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    in.read(bytes_.data(), bytes_.size());
    size_ = static_cast<std::size_t>(in.gcount());
  }
  bool at(std::size_t offset, std::string_view magic) const {
    return size_ >= offset + magic.size() && std::string_view(bytes_.data() + offset, magic.size()) == magic;
  }
  bool is_mp4() const {
    constexpr std::array kFirst{"ftyp"sv, "moov"sv, "mdat"sv, "free"sv, "skip"sv, "wide"sv};
    return std::any_of(kFirst.begin(), kFirst.end(), [&](std::string_view box) { return at(4, box); });
  }
  bool is_matroska() const { return at(0, "\x1a\x45\xdf\xa3"sv); }

 private:
  std::array<char, 400> bytes_{};
  std::size_t size_ = 0;
};

/// The size of an EBML element (RFC 8794, 4), whose first byte says how long it is: as many bytes as it has
/// zeros in front of its first one. Nothing where the size is not known, as in a file that was sent while it
/// was recorded, or where there is none.
std::optional<std::uint64_t> ebml_size(std::ifstream& in) {
  const int first = in.get();
  if (first <= 0) return {};
  int more = 0;
  while ((first & (0x80 >> more)) == 0) ++more;
  std::uint64_t size = static_cast<unsigned>(first) & (0x7FU >> more);
  bool is_known = size != (0x7FU >> more);
  for (int i = 0; i < more; ++i) {
    const int byte = in.get();
    if (byte < 0) return {};
    size = size << 8 | static_cast<unsigned>(byte);
    is_known = is_known || byte != 0xFF;
  }
  return is_known ? std::optional(size) : std::nullopt;
}

/// The segment has everything but the header in front of it.
bool ends_before_its_segment(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(0, std::ios::end);
  const auto bytes = static_cast<std::uint64_t>(std::max<std::streamoff>(0, in.tellg()));
  in.seekg(4);
  const auto header = ebml_size(in);
  if (!header || *header > bytes) return true;
  in.seekg(static_cast<std::streamoff>(*header), std::ios::cur);
  std::array<char, 4> id{};
  in.read(id.data(), id.size());
  if (!in || std::string_view(id.data(), id.size()) != "\x18\x53\x80\x67"sv) return false;
  const auto size = ebml_size(in);
  const auto begin = static_cast<std::uint64_t>(std::max<std::streamoff>(0, in.tellg()));
  return size && (begin > bytes || *size > bytes - begin);
}

}  // namespace

bool is_container(const std::string& path) {
  const Head head(path);
  return head.is_mp4() || head.is_matroska() || (head.at(0, "RIFF"sv) && head.at(8, "AVI "sv)) ||
         head.at(0, "\0\0\1\xba"sv) || head.at(0, "\0\0\1\xb3"sv) ||           // MPEG program, video stream
         (head.at(0, "G"sv) && head.at(188, "G"sv) && head.at(376, "G"sv)) ||  // MPEG transport stream
         head.at(0, "OggS"sv) || head.at(0, "FLV\1"sv) ||                      // Ogg, FLV
         head.at(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"sv);                     // ASF
}

bool mp4_lacks_its_header(const std::string& path) {
  return Head(path).is_mp4() && !Boxes(path).movie();
}

bool is_cut_short(const std::string& path) {
  const Head head(path);
  if (head.is_matroska()) return ends_before_its_segment(path);
  if (!head.is_mp4()) return false;
  Boxes boxes(path);
  return !boxes.each(0, boxes.bytes(), [](const Boxes::Box&) { return false; });
}
