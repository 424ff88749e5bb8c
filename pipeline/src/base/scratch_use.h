#pragma once

#include <cstdint>

#include <graft/export.h>

namespace graft {

/// What all Scratch together have held at most, in bytes, since this was called last.
GRAFT_API std::uint64_t take_most_scratch();

}  // namespace graft
