#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <vector>

namespace graft::source {

/// Reads records of fields (RFC 4180, any separator): fields may be quoted and then hold separators, line
/// ends and doubled quotes. Takes LF, CRLF and CR, a byte order mark, a last line without an end; blanks
/// around a field are cut off, those in quotes kept; leaves out blank lines. A quote inside a field that does
/// not begin with one is a plain character. Bytes are kept as they are.
class DelimitedReader {
 public:
  /// `name` is how messages call the file.
  DelimitedReader(std::istream& in, std::string name, char separator);

  /// The next record; false at the end. Throws graft::Error "FILE:LINE: ..." for a quoted field without an
  /// end or with text after it, a NUL byte, a field of more than a mebibyte, and more than 10,000 fields.
  bool next(std::vector<std::string>& fields);

  /// Line, counted from 1, in which the last record began.
  std::size_t line() const { return begin_; }

 private:
  int get();
  bool at_line_end(int c);
  void read_field(std::string& field);
  int skip_blanks(int c);
  void read_quoted(std::string& field);
  [[noreturn]] void fail(std::size_t line, const std::string& text) const;
  void append(std::string& field, int c) const;

  std::streambuf& in_;
  const std::string name_;
  const char separator_;
  std::size_t line_ = 1, begin_ = 1;
  int end_ = 0;  ///< What ended the last field: the separator, '\n', or the end of the file.
};

}  // namespace graft::source
