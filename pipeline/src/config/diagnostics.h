#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>

namespace graft {

/// A place in a config. `file` indexes the files of Diagnostics; lines and columns count from 1; 0 means the
/// file as a whole.
struct Position {
  int file = -1;
  int line = 0;
  int column = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

/// The errors found in a config, with the texts to show the lines they are in: the first 1000, of which
/// nobody reads more, and the number of the others. Columns count bytes. What is shown cannot control a
/// terminal, and of a long line only the part around the column is.
class GRAFT_API Diagnostics {
 public:
  /// Registers a file (or a command-line argument, whose name is then how it was given).
  int add_file(std::string name, std::string text);
  const std::string& file_name(int file) const { return files_[static_cast<std::size_t>(file)].name; }

  void error(Position at, std::string text) { add(at, Severity::Error, std::move(text)); }
  void warning(Position at, std::string text) { add(at, Severity::Warning, std::move(text)); }
  /// A note, neither an error nor a warning: one line, without the config's text.
  void note(Position at, std::string text) { add(at, Severity::Note, std::move(text)); }

  /// Places of all errors so far: what is wrong there already needs no second complaint.
  std::vector<Position> error_places() const;
  bool has_errors() const { return errors_ > 0; }
  std::size_t errors() const { return errors_; }
  bool empty() const { return entries_.empty(); }
  /// `file:line:column`, or the file's name alone.
  std::string where(Position at) const;
  enum class Severity { Error, Warning, Note };
  /// An entry as it is shown: `file:line:column: error: text`, the line, a caret; and as a line of JSON.
  struct Rendered {
    Severity severity;
    std::string text, json;
  };
  /// Every entry, sorted by place.
  std::vector<Rendered> rendered() const;
  /// All of it, sorted by place: `file:line:column: error: text`, the line, a caret.
  std::string render() const;
  /// The same as JSON lines of {"file","line","column","severity","text"}.
  std::string render_json() const;

 private:
  struct File {
    std::string name, text;
  };
  struct Entry {
    Position at;
    Severity severity;
    std::string text;
  };
  void add(Position at, Severity severity, std::string text);
  std::vector<Entry> sorted() const;
  std::string_view line_at(Position at) const;

  static constexpr std::size_t kMostEntries = 1000;
  std::vector<File> files_;
  mutable std::vector<std::vector<std::size_t>>
      starts_;  ///< Of the lines of files_, once they are asked for.
  std::vector<Entry> entries_;
  std::size_t errors_ = 0, untold_ = 0;
};

}  // namespace graft
