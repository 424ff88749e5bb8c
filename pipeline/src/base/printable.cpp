#include <graft/printable.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include <fmt/format.h>

#include "base/utf8.h"

namespace graft {
namespace {

/// Controls of ASCII and of Latin-1, line and paragraph separators, and what turns the direction of text.
bool is_control(std::uint32_t code) noexcept {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

void escape(std::uint32_t code, std::string& out) {
  if (code == '\n')
    out += "\\n";
  else if (code == '\t')
    out += "\\t";
  else if (code == '\r')
    out += "\\r";
  else
    out += code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

void escape_byte(char byte, std::string& out) {
  out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
}

/// Calls `take(character, its bytes)` for every character, with those of 0 bytes for a byte that is none.
template <typename Take>
void for_each_character(std::string_view text, Take take) {
  while (!text.empty()) {
    const Utf8Character c = first_character(text);
    const std::size_t bytes = std::max<std::size_t>(c.bytes, 1);
    take(c, text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

}  // namespace

Utf8Character first_character(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (bytes == 0 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {code, bytes};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t bytes = first_character(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string as_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  for_each_character(text, [&](const Utf8Character& c, std::string_view bytes) {
    if (c.bytes == 0)
      escape_byte(bytes[0], out);
    else
      out += bytes;
  });
  return out;
}

std::string printable(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  for_each_character(name, [&](const Utf8Character& c, std::string_view bytes) {
    if (c.bytes == 0)
      escape_byte(bytes[0], out);
    else if (is_control(c.code))
      escape(c.code, out);
    else
      out += bytes;
  });
  return out;
}

std::string printable_lines(std::string_view text, std::string_view continued) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](const Utf8Character& c, std::string_view bytes) {
    const bool stays = c.code == '\n' || c.code == '\t';
    out += c.bytes != 0 && stays ? std::string(bytes) : printable(bytes);
    // The end of the text begins no line.
    if (c.code != '\n' || continued.empty() || bytes.end() == text.end()) return;
    const auto rest = text.substr(static_cast<std::size_t>(bytes.end() - text.begin()));
    if (!rest.starts_with(continued)) out += continued;
  });
  return out;
}

std::string printable_json(std::string_view document) {
  std::string out;
  out.reserve(document.size());
  for_each_character(document, [&](const Utf8Character& c, std::string_view bytes) {
    // In a document, what is below a blank is between its values.
    if (c.bytes != 0 && c.code >= 0x20 && is_control(c.code))
      out += fmt::format("\\u{:04x}", c.code);
    else
      out += bytes;
  });
  return out;
}

void print_text(std::FILE* to, std::string_view text) {
  const std::string shown = printable_lines(text);
  if (std::fwrite(shown.data(), 1, shown.size(), to) != shown.size())
    throw std::system_error(errno, std::generic_category(), "cannot write");
}

bool begins_unprintable(std::string_view text, std::size_t& bytes) noexcept {
  const Utf8Character c = first_character(text);
  bytes = std::max<std::size_t>(c.bytes, 1);
  return c.bytes == 0 || is_control(c.code);
}

}  // namespace graft
