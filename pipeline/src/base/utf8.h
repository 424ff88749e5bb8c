#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

struct Utf8Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  ///< 0: it is no UTF-8.
};
/// The first character of a text that is not empty. Overlong forms, surrogates and what is beyond U+10FFFF
/// are no UTF-8.
Utf8Character first_character(std::string_view text) noexcept;

/// The text with every byte that is no UTF-8 written as \xff, so that it is UTF-8; all else stays. Different
/// texts stay different, but for one that has such an escape in letters.
GRAFT_API std::string as_utf8(std::string_view text);

}  // namespace graft
