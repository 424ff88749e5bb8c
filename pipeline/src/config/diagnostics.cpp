#include "config/diagnostics.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/value.h>

namespace graft {
namespace {

/// The part of a line that is shown for a fault: at most kShown bytes around its column.
struct Excerpt {
  std::string line, caret;
};

constexpr std::size_t kShown = 160;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

Excerpt excerpt(std::string_view line, std::size_t column) {
  std::size_t begin = 0, end = line.size();
  if (line.size() > kShown) {
    begin = std::min(column > kShown / 2 ? column - kShown / 2 : 0, line.size() - kShown);
    end = begin + kShown;
    while (begin > 0 && is_continuation(line[begin])) --begin;
    while (end < line.size() && is_continuation(line[end])) ++end;
  }
  const std::size_t at = std::clamp(column, begin, end);
  const auto shown = [&](std::size_t from, std::size_t to) {
    return printable_lines(line.substr(from, to - from));
  };
  Excerpt out;
  const std::string before = (begin > 0 ? "..." : "") + shown(begin, at);
  out.line = before + shown(at, end) + (end < line.size() ? "..." : "");
  // Tabs stay tabs under the line, so that the caret stands under its character in any terminal.
  for (const char c : before)
    if (!is_continuation(c)) out.caret += c == '\t' ? '\t' : ' ';
  out.caret += '^';
  return out;
}

/// Where the lines of a text begin.
std::vector<std::size_t> line_starts(std::string_view text) {
  std::vector<std::size_t> starts{0};
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    starts.push_back(at + 1);
  return starts;
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
  errors_ += severity == Severity::Error ? 1 : 0;
  if (entries_.size() < kMostEntries)
    entries_.push_back({at, severity, std::move(text)});
  else if (severity == Severity::Error)
    ++untold_;
}

std::string_view Diagnostics::line_at(Position at) const {
  const auto file = static_cast<std::size_t>(at.file);
  const std::string_view text = files_[file].text;
  if (file >= starts_.size()) starts_.resize(files_.size());
  if (starts_[file].empty()) starts_[file] = line_starts(text);
  const auto line = static_cast<std::size_t>(at.line) - 1;
  if (line >= starts_[file].size()) return {};
  std::string_view out = text.substr(starts_[file][line]);
  out = out.substr(0, out.find('\n'));
  if (out.ends_with('\r')) out.remove_suffix(1);
  return out;
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
    std::string text = fmt::format("{}: {}: {}\n", printable(where(e.at)), to_string(e.severity),
                                   printable_lines(e.text, "  "));
    if (e.at.file >= 0 && e.at.line > 0 && e.severity != Severity::Note) {
      const Excerpt place = excerpt(line_at(e.at), static_cast<std::size_t>(std::max(e.at.column, 1)) - 1);
      text += fmt::format("    {}\n    {}\n", place.line, place.caret);
    }
    Value v = Value::Map{{"file", e.at.file < 0 ? Value() : Value(file_name(e.at.file))},
                         {"line", e.at.line},
                         {"column", e.at.column},
                         {"severity", to_string(e.severity)},
                         {"text", e.text}};
    out.push_back({e.severity, std::move(text), printable_json(v.to_json()) + "\n"});
  }
  if (untold_ > 0) {
    const std::string text = fmt::format("{} more faults are not listed", untold_);
    Value v = Value::Map{{"file", Value()},
                         {"line", 0},
                         {"column", 0},
                         {"severity", to_string(Severity::Error)},
                         {"text", text}};
    out.push_back({Severity::Error, text + "\n", v.to_json() + "\n"});
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
