#include <source/memory_bound.h>

#include <graft/error.h>

namespace graft::source {

void MemoryBound::hold(std::uint64_t bytes) {
  if (bytes > left_)
    throw Error(
        path_ + " has " + std::to_string(bytes_) +
        " bytes, but lists inputs whose names alone need more than 64 MiB and 8 times that: it is damaged, "
        "or made to fill the memory");
  left_ -= bytes;
}

}  // namespace graft::source
