#include "config/diagnostics.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include <graft/value.h>

namespace graft {
namespace {

std::string_view line_of(std::string_view text, int line) {
  for (int i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

const char* to_string(Diagnostics::Severity severity) {
  return severity == Diagnostics::Severity::Error     ? "error"
         : severity == Diagnostics::Severity::Warning ? "warning"
                                                      : "note";
}

}  // namespace

int Diagnostics::add_file(std::string name, std::string text) {
  files_.push_back({std::move(name), std::move(text)});
  return static_cast<int>(files_.size()) - 1;
}

void Diagnostics::add(Position at, Severity severity, std::string text) {
  entries_.push_back({at, severity, std::move(text)});
  errors_ += severity == Severity::Error ? 1 : 0;
}

std::string Diagnostics::where(Position at) const {
  if (at.file < 0) return "command line";
  if (at.line == 0) return file_name(at.file);
  return fmt::format("{}:{}:{}", file_name(at.file), at.line, at.column);
}

std::vector<Diagnostics::Entry> Diagnostics::sorted() const {
  std::vector<Entry> entries = entries_;
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.at.file, a.at.line, a.at.column) < std::tie(b.at.file, b.at.line, b.at.column);
  });
  return entries;
}

std::vector<Position> Diagnostics::error_places() const {
  std::vector<Position> places;
  for (const Entry& e : entries_)
    if (e.severity == Severity::Error) places.push_back(e.at);
  return places;
}

std::vector<Diagnostics::Rendered> Diagnostics::rendered() const {
  std::vector<Rendered> out;
  for (const Entry& e : sorted()) {
    std::string text = fmt::format("{}: {}: {}\n", where(e.at), to_string(e.severity), e.text);
    if (e.at.file >= 0 && e.at.line > 0 && e.severity != Severity::Note) {
      const std::string_view line = line_of(files_[static_cast<std::size_t>(e.at.file)].text, e.at.line);
      const auto column = static_cast<std::size_t>(std::max(e.at.column, 1));
      // Tabs stay tabs under the line, so that the caret stands under its character in any terminal.
      std::string pad(line.substr(0, std::min(column - 1, line.size())));
      std::replace_if(
          pad.begin(), pad.end(), [](char c) { return c != '\t'; }, ' ');
      text += fmt::format("    {}\n    {}^\n", line, pad);
    }
    Value v = Value::map();
    v["file"] = e.at.file < 0 ? Value() : Value(file_name(e.at.file));
    v["line"] = e.at.line;
    v["column"] = e.at.column;
    v["severity"] = to_string(e.severity);
    v["text"] = e.text;
    out.push_back({e.severity, std::move(text), v.to_json() + "\n"});
  }
  return out;
}

std::string Diagnostics::render() const {
  std::string out;
  for (const Rendered& e : rendered()) out += e.text;
  return out;
}

std::string Diagnostics::render_json() const {
  std::string out;
  for (const Rendered& e : rendered()) out += e.json;
  return out;
}

}  // namespace graft
