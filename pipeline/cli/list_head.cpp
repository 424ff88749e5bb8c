#include "list_head.h"

#include <algorithm>
#include <string_view>

#include <graft/files.h>

#include "base/files.h"

namespace graft::cli {
namespace {

constexpr std::size_t kHeadBytes = std::size_t{1} << 20, kHeadLines = 1000;

}  // namespace

ListHead head_of_list(const std::filesystem::path& file) {
  ListHead head;
  const FileHandle in(open_regular_file(file));
  if (!in) return head;
  std::string text(kHeadBytes, '\0');
  text.resize(read_at(in.get(), text.data(), text.size(), 0, file));
  const bool is_cut = text.size() == kHeadBytes;
  head.is_utf16 = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  if (head.is_utf16) return head;
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  for (std::size_t at = 0; at < text.size() && head.lines.size() < kHeadLines;) {
    const std::size_t end = text.find_first_of("\r\n", at);
    if (end == std::string::npos && is_cut) break;
    head.lines.push_back(text.substr(at, end - at));
    if (end == std::string::npos) break;
    at = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return head;
}

std::vector<std::string> fields_of(const std::string& line, char separator) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line)
    if (c == '"')
      quoted = !quoted;
    else if (c == separator && !quoted)
      out.emplace_back();
    else
      out.back() += c;
  return out;
}

char label_separator_of(const std::vector<std::string>& fields) {
  for (const char separator : {'|', ';', ','})
    if (std::any_of(fields.begin(), fields.end(),
                    [&](const std::string& field) { return field.find(separator) != std::string::npos; }))
      return separator;
  return '|';
}

}  // namespace graft::cli
