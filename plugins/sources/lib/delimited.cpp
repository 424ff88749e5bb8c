#include "source/delimited.h"

#include <string_view>
#include <utility>

#include <graft/error.h>

namespace graft::source {
namespace {

constexpr std::size_t kMaxField = std::size_t{1} << 20, kMaxFields = 10'000;
constexpr int kEnd = std::char_traits<char>::eof();

}  // namespace

DelimitedReader::DelimitedReader(std::istream& in, std::string name, char separator)
    : in_(*in.rdbuf()), name_(std::move(name)), separator_(separator) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  char start[kMark.size()] = {};
  const auto n = in_.sgetn(start, kMark.size());
  if (std::string_view(start, static_cast<std::size_t>(n)) == kMark) return;
  // At the start of a file: cannot fail.
  in_.pubseekpos(0);
}

void DelimitedReader::fail(std::size_t line, const std::string& text) const {
  throw graft::Error(name_ + ":" + std::to_string(line) + ": " + text);
}

int DelimitedReader::get() {
  const int c = in_.sbumpc();
  if (c == 0) fail(line_, "a NUL byte; the list must be text in UTF-8 or another encoding of single bytes");
  if (c == '\n' || (c == '\r' && in_.sgetc() != '\n')) ++line_;
  return c;
}

// Takes the rest of a line end that begins with `c`: "\n", "\r\n", or "\r" alone.
bool DelimitedReader::at_line_end(int c) {
  if (c == '\r' && in_.sgetc() == '\n') c = get();
  return c == '\n' || c == '\r';
}

void DelimitedReader::append(std::string& field, int c) const {
  if (field.size() == kMaxField)
    fail(begin_, "a field of more than 1 MiB begins in this record; is a quote missing?");
  field += static_cast<char>(c);
}

int DelimitedReader::skip_blanks(int c) {
  while (c != separator_ && (c == ' ' || c == '\t')) c = get();
  return c;
}

void DelimitedReader::read_field(std::string& field) {
  field.clear();
  int c = skip_blanks(get());
  if (c == '"') return read_quoted(field);
  while (c != kEnd && c != separator_ && !at_line_end(c)) {
    append(field, c);
    c = get();
  }
  end_ = c == kEnd || c == separator_ ? c : '\n';
  field.erase(field.find_last_not_of(separator_ == '\t' ? " " : " \t") + 1);
}

void DelimitedReader::read_quoted(std::string& field) {
  const std::size_t opened = line_;
  for (;;) {
    int c = get();
    if (c == kEnd) fail(opened, "a quoted field begins here and does not end; close it with '\"'");
    if (c != '"') {
      append(field, c);
      continue;
    }
    c = get();
    if (c == '"') {
      append(field, c);
      continue;
    }
    c = skip_blanks(c);
    const std::size_t here = c == '\n' ? line_ - 1 : line_;
    end_ = at_line_end(c) ? '\n' : c;
    if (end_ != '\n' && end_ != separator_ && end_ != kEnd)
      fail(here, "text after the closing quote of a field; write a quote inside a quoted field twice");
    return;
  }
}

bool DelimitedReader::next(std::vector<std::string>& fields) {
  for (int c = in_.sgetc(); c == '\n' || c == '\r'; c = in_.sgetc()) {
    at_line_end(get());
  }
  if (in_.sgetc() == kEnd) return false;
  begin_ = line_;
  std::size_t n = 0;
  do {
    if (n == kMaxFields)
      fail(begin_, "a record of more than " + std::to_string(kMaxFields) + " fields; is a line end missing?");
    if (n == fields.size()) fields.emplace_back();
    read_field(fields[n++]);
  } while (end_ == separator_);
  fields.resize(n);
  return true;
}

}  // namespace graft::source
