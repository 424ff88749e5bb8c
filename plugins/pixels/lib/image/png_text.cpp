#include <image/png_text.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include <zlib.h>

#include <graft/error.h>

namespace graft::image {
namespace {

// Pillow's limit for a compressed text; without it, a short file could fill memory.
constexpr std::size_t kMaxText = 1 << 20;

std::optional<std::string> inflated(std::string_view data, std::uint64_t& budget) {
  constexpr std::size_t kMaxRatio = 1032;  // of deflate
  std::string out(std::min(kMaxText + 1, kMaxRatio * data.size()), '\0');
  auto size = static_cast<uLongf>(out.size());
  const auto* from = reinterpret_cast<const Bytef*>(data.data());
  const int status =
      uncompress(reinterpret_cast<Bytef*>(out.data()), &size, from, static_cast<uLong>(data.size()));
  if (size > budget)
    throw Reject("too-large", "the PNG file has texts of more than " + std::to_string(kMaxTexts >> 20) +
                                  " MiB when they are decompressed; save it without them");
  budget -= size;
  if (status != Z_OK || size > kMaxText) return {};
  out.resize(size);
  return out;
}

// Removes and returns the part of `text` before the first zero byte; nothing if there is none.
std::optional<std::string_view> take_word(std::string_view& text) {
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) return {};
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end + 1);
  return word;
}

}  // namespace

std::pair<std::string, std::string> png_text(std::string_view name, const ByteReader& data,
                                             std::uint64_t& budget) {
  std::string_view rest(reinterpret_cast<const char*>(data.data()), data.size());
  const auto keyword = take_word(rest);
  if (!keyword) return {};
  bool compressed = name == "zTXt";
  if (name == "iTXt") {
    if (rest.size() < 2 || (rest[0] != 0 && rest[1] != 0)) return {};
    compressed = rest[0] != 0;
    rest.remove_prefix(2);
    if (!take_word(rest) || !take_word(rest)) return {};  // language, translated keyword
  } else if (compressed) {
    if (rest.empty() || rest[0] != 0) return {};
    rest.remove_prefix(1);
  } else if (name != "tEXt") {
    return {};
  }
  std::optional<std::string> text = compressed ? inflated(rest, budget) : std::string(rest);
  if (!text) return {};
  return {std::string(*keyword), std::move(*text)};
}

std::string raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string out;
  int high = -1;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isspace(u)) continue;
    if (!std::isxdigit(u)) return {};
    const int digit = std::isdigit(u) ? c - '0' : std::tolower(u) - 'a' + 10;
    if (high >= 0) out += static_cast<char>(high << 4 | digit);
    high = high >= 0 ? -1 : digit;
  }
  return high >= 0 ? std::string() : out;
}

}  // namespace graft::image
