#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// Text for HTML and SVG, between tags and in attributes: whatever is in a name stays text. Bytes that are no
/// UTF-8, control characters and those that turn the direction of text become U+FFFD. Any thread.
GRAFT_API std::string escaped(std::string_view text);

/// A name of the data: printable() and escaped, and isolated, so that right-to-left letters do not reorder
/// what is around.
GRAFT_API std::string name_in_text(std::string_view name);

/// A name that must fit into a column: its first characters, and an ellipsis where some are left out.
GRAFT_API std::string cut_to(const std::string& name, std::size_t characters);

}  // namespace graft
