#include <graft/markup.h>

#include <algorithm>

namespace graft {
namespace {

constexpr std::string_view kNoCharacter = "\xEF\xBF\xBD";

/// Bytes of the UTF-8 character at `at`; 0: there is none.
std::size_t length_of_character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first >= 0x80 && (first < 0xC2 || first > 0xF4)) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  // Overlong forms, surrogates, beyond U+10FFFF.
  const unsigned second = byte(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = length_of_character(text, at);
    const char c = text[at];
    const auto code = static_cast<unsigned char>(c);
    if (length == 0 || (length == 1 && ((code < 0x20 && c != '\n' && c != '\t') || code == 0x7F)))
      out += kNoCharacter;
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string name_in_text(std::string_view name) {
  return "<bdi>" + escaped(name) + "</bdi>";
}

std::string cut_to(const std::string& name, std::size_t characters) {
  std::size_t seen = 0;
  for (std::size_t at = 0; at < name.size(); ++at) {
    if ((static_cast<unsigned char>(name[at]) & 0xC0U) == 0x80U) continue;
    if (++seen == characters && at + 1 < name.size()) return name.substr(0, at) + "\xE2\x80\xA6";
  }
  return name;
}

}  // namespace graft
