#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "commands.h"
#include "helper_program.h"
#include "output.h"

namespace graft::cli {

int model(const Global&, const std::vector<std::string>&) {
  throw UsageError{"this command has its own options, which come after it: graft model list --json"};
}

int start_model(char** argv) {
  const std::vector<std::filesystem::path> places = places_of("graft-model");
  for (const std::filesystem::path& program : places) {
    ::execv(program.c_str(), argv);
    if (errno != ENOENT) {
      print_error("error: cannot start {}: {}\n", program.string(), std::strerror(errno));
      return kFailed;
    }
  }
  print_error(
      "error: graft model needs the program graft-model, which was not built or not installed: "
      "expected {} or "
      "{}; build the plugins too (./dev build)\n",
      places[0].string(), places[1].lexically_normal().string());
  return kFailed;
}

}  // namespace graft::cli
