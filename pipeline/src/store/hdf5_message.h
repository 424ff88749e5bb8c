#pragma once

#include <cstdint>

#include "base/message.h"

namespace graft {

/// What TableFile and the process that reads for it say to each other, over one socket.

/// To the reader. Open: the path for messages, the names of the datasets. Describe and Read: first, count.
enum class Hdf5Request : std::uint64_t { Open = 1, Describe = 2, Read = 3 };
/// From the reader. Refused: why, as text.
enum class Hdf5Answer : std::uint64_t { Done = 1, Refused = 2 };

}  // namespace graft
