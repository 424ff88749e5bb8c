#pragma once

#include <cstdint>
#include <string>

#include <graft/export.h>

namespace graft {

/// The machine that this process runs on, as far as the process may use it.
struct Machine {
  /// $GRAFT_NODE, or what Slurm calls the node, or the host's: in a container that is another one.
  std::string name;
  std::string processor;     ///< Its model, or the architecture where the kernel tells none.
  int processors = 1;        ///< See usable_processors().
  std::uint64_t memory = 0;  ///< Bytes, see usable_memory().

  /// "n1: AMD EPYC 7713 64-Core Processor, 8 processors, 31.0 GiB of memory".
  GRAFT_API std::string text() const;
};
GRAFT_API Machine this_machine();

}  // namespace graft
