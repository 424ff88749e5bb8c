#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/value.h>

/// \file
/// What the program says. Commands print text with `say`, messages with `print_error`, and names in either
/// cannot control the terminal. With --json, what goes to stdout is one JSON document, in success and in
/// failure, and nothing else, whatever a plugin or a library prints.
namespace graft::cli {

/// To be called before anything is opened: the descriptor of a closed standard stream must not be reused for
/// a file of the store.
void open_standard_streams();

/// To stdout, and to stderr. Throw std::system_error.
template <typename... T>
void say(fmt::format_string<T...> format, T&&... arguments) {
  print_text(stdout, fmt::format(format, std::forward<T>(arguments)...));
}
template <typename... T>
void print_error(fmt::format_string<T...> format, T&&... arguments) {
  print_text(stderr, fmt::format(format, std::forward<T>(arguments)...));
}

/// To stdout: the text of reports. On a terminal with colours its headings are bold: the first line, and each
/// after an empty one.
void say_report(const std::string& text);

/// Columns for text that people read: of the terminal, at most 100.
std::size_t reading_columns();
/// Names with sentences on their right, indented by two; below them on a narrow terminal.
std::string explained(const std::vector<std::pair<std::string, std::string>>& names, std::size_t columns);
/// Text broken at spaces, with an indent, and a line feed at its end.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t columns = 100);

/// Columns of the terminal that stdout is; 0: it is none, so that text may be as wide as it likes.
std::size_t terminal_columns();

/// From here on stdout is for the document only; all other output goes to stderr.
void begin_document();
/// Prints the document. Only the first counts.
void print_document(const Value& document);

/// Prints a line of a document that has many, for commands whose output may be large; without --json, a line
/// of text, which cannot control a terminal. The document is then complete without print_document.
void print_line(const std::string& line);

/// Of a file of features in which inputs without features have rows of NaN.
void warn_of_nan_rows(const std::filesystem::path& file, std::uint64_t rows);

/// Records that printing to stdout failed; finish_output reports it.
void note_output_error(int error);

/// At the end of every command. Returns `exit_code`, or kFailed with a message if output could not be
/// written. `why` is the document of a failure that printed none.
int finish_output(int exit_code, const std::string& why);

}  // namespace graft::cli
