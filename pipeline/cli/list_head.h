#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace graft::cli {

/// The first lines of a text file, whatever ends its lines (LF, CR LF, CR alone).
struct ListHead {
  std::vector<std::string> lines;  ///< Without a byte order mark; at most 1000, of at most 1 MiB together.
  bool is_utf16 = false;           ///< Then there are no lines.
};
/// Without lines where the file is no regular one, or cannot be read.
ListHead head_of_list(const std::filesystem::path& file);

/// Fields of a line; quotes are taken off.
std::vector<std::string> fields_of(const std::string& line, char separator);

/// What separates the names in some fields of several labels: '|', ';' or ','; '|' where none has several.
char label_separator_of(const std::vector<std::string>& fields);

}  // namespace graft::cli
