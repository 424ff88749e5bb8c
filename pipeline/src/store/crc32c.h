#pragma once

#include <cstddef>
#include <cstdint>

#include <graft/export.h>

namespace graft {

/// CRC-32C (Castagnoli, RFC 3720): the instruction where the processor has it, a table elsewhere.
GRAFT_API std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t crc = 0);
/// The table alone: the reference for tests.
GRAFT_API std::uint32_t crc32c_portable(const void* data, std::size_t size, std::uint32_t crc = 0);

}  // namespace graft
