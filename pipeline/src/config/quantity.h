#pragma once

#include <cstdint>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// "512MiB", "2 GiB", "1.5TB", "4096" in bytes: a number that is not negative and B, kB, KiB, MB, MiB, GB,
/// GiB, TB, TiB or nothing. Throws Error that says what was expected, and of more than can be counted (8
/// EiB).
GRAFT_API std::uint64_t parse_bytes(std::string_view text);

/// "30d", "12 h" in seconds: a number that is not negative and s, min, h, d or w. Throws Error.
GRAFT_API std::int64_t parse_seconds(std::string_view text);

}  // namespace graft
