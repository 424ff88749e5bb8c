#include <graft/markup.h>

#include <algorithm>

#include <graft/printable.h>

#include "base/utf8.h"

namespace graft {
namespace {

constexpr std::string_view kNoCharacter = "\xEF\xBF\xBD";

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = first_character(text.substr(at)).bytes;
    const char c = text[at];
    if (c != '\n' && c != '\t' && begins_unprintable(text.substr(at), length))
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
  return "<bdi>" + escaped(printable(name)) + "</bdi>";
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
