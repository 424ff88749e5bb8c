#include "base/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include <graft/resources.h>
#include <graft/text.h>

namespace graft {
namespace {

std::string node_name() {
  for (const char* variable : {"GRAFT_NODE", "SLURMD_NODENAME"})
    if (const char* name = std::getenv(variable); name != nullptr && *name != '\0') return name;
  utsname system{};
  return ::uname(&system) == 0 ? system.nodename : "unknown host";
}

/// The kernel names the model on some architectures alone.
std::string processor_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname system{};
  return ::uname(&system) == 0 ? fmt::format("{} processor", system.machine) : "unknown processor";
}

}  // namespace

std::string Machine::text() const {
  return fmt::format("{}: {}, {}, {} of memory", name, processor,
                     plural(static_cast<std::size_t>(processors), "processor"), human_bytes(memory));
}

Machine this_machine() {
  return {node_name(), processor_model(), usable_processors(), usable_memory()};
}

}  // namespace graft
