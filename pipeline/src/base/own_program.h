#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"

namespace graft {

/// A program of graft's own that works in a process of its own, such as graft-hdf5-reader.
struct OwnProgram {
  std::string name;  ///< "graft-hdf5-reader".
  std::string does;  ///< "reads HDF5 files", for messages.

  /// Where it lies: beside this library in a build folder, in libexec of an installation. Throws Error.
  std::filesystem::path path() const;

  /// Descriptor here, descriptor there: each of the program's descriptors is a copy of one of this process,
  /// and it has no others. Standard input, output or error that is not named is /dev/null.
  using Descriptors = std::vector<std::pair<int, int>>;

  /// Starts it, in a process group of its own, since graft handles an interrupt from the terminal. Variables
  /// of the environment that begin with `hidden` are left out. Throws Error.
  pid_t start(const Descriptors& descriptors, std::string_view hidden = {}) const;
};

}  // namespace graft
