#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>

namespace graft {

/// \file
/// Words and numbers in messages to people. Any thread.

/// "a, b, c and 7 more": at most `most` words, each shortened().
GRAFT_API std::string joined(const std::vector<std::string>& words, std::size_t most = 10);

/// "; did you mean 'x'?" of the nearest name (nearest() in graft/params.h), or nothing.
GRAFT_API std::string suggestion(std::string_view wrong, const std::vector<std::string>& names);

/// At most the first 100 bytes or so of a name that may be a megabyte, never half a character.
GRAFT_API std::string shortened(const std::string& name);

/// "1 file", "2 files"; the noun ends at a preposition: "2 samples without an image".
GRAFT_API std::string plural(std::size_t n, const std::string& noun);

/// "1.5 GiB", "397 B".
GRAFT_API std::string human_bytes(std::uint64_t bytes);

/// The number with leading zeros up to `digits`, so that names sort as their numbers do.
GRAFT_API std::string zero_padded(std::size_t n, std::size_t digits);

/// Letters of ASCII; others stay as they are.
GRAFT_API std::string lower_case(std::string text);

/// Where the cells of a column stand that are narrower than it.
enum class Align { Left, Right };

/// Rows of cells as lines in columns, two spaces apart. The first column is flush left, the others as
/// `others` says. Each line ends with a newline and begins with `indent` spaces; spaces at its end are left
/// out. Widths count characters of UTF-8; a cell is one line, whatever is in it (graft/printable.h).
///
/// `columns`: of the terminal; 0: as many as needed. A table that is wider becomes several, one below the
/// other, each with the first column and as many of the others as fit, at least one.
GRAFT_API std::string text_table(std::vector<std::vector<std::string>> rows, Align others = Align::Left,
                                 std::size_t indent = 0, std::size_t columns = 0);
/// With an alignment per column; further columns have that of the last, Left where `each` is empty.
GRAFT_API std::string text_table(std::vector<std::vector<std::string>> rows, const std::vector<Align>& each,
                                 std::size_t indent = 0, std::size_t columns = 0);

}  // namespace graft
