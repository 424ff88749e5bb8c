#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

/// Reads a list of paths, one per line: a file, or the standard input, which may be slow to give the next
/// one. Used by one thread.
class LineReader {
 public:
  /// A file. Throws graft::Error where it cannot be opened.
  explicit LineReader(std::string path);
  /// The standard input. `keep_waiting` is called while there is nothing to read; false ends the list.
  explicit LineReader(std::function<bool()> keep_waiting);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line that is not empty, without its end; nothing at the end of the list. Throws graft::Error
  /// for a line with a NUL byte, for one of more than a MiB, and where nothing can be read.
  std::optional<std::string> next();

 private:
  bool fill();
  bool wait() const;

  const std::string name_;  ///< For messages.
  const int file_;
  const std::function<bool()> keep_waiting_;
  std::string buffer_;
  std::size_t at_ = 0;  ///< In buffer_.
  bool first_ = true, ended_ = false;
};
