#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// Whether `text` is valid UTF-8: no overlong forms, no surrogates, nothing cut short.
GRAFT_API bool is_utf8(std::string_view text);

/// A name from outside, fit for one line of a terminal: what would move the cursor, change colours or titles,
/// or turn the direction of the text is written as an escape instead. Control characters become \n, \t, \r or
/// \x1b, those beyond ASCII and the marks of bidirectional text \u009b or \u202e, bytes that are no UTF-8
/// \xff; all else stays. For what people read alone: files get the names as they are. Any thread.
GRAFT_API std::string printable(std::string_view name);

/// The same for a message of several lines or a table: line feeds stay, and tabs. `continued`: what every
/// line but the first begins with at least, so that a line feed in a name cannot begin a message of its own.
GRAFT_API std::string printable_lines(std::string_view text, std::string_view continued = {});

/// A JSON document with the characters that printable() escapes as \uXXXX: the same document.
GRAFT_API std::string printable_json(std::string_view document);

/// Writes printable_lines() of a text: everything that the programs say to people goes this way. Throws
/// std::system_error where it cannot be written.
GRAFT_API void print_text(std::FILE* to, std::string_view text);

/// Whether the first character of a text, which is not empty, is one that printable() escapes, and how many
/// bytes it takes. Touches no memory of the heap: for signal handlers.
GRAFT_API bool begins_unprintable(std::string_view text, std::size_t& bytes) noexcept;

}  // namespace graft
