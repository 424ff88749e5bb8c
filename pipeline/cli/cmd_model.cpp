#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "commands.h"
#include "output.h"
#include "plugin/registry.h"

namespace graft::cli {
namespace fs = std::filesystem;

int model(const Global&, const std::vector<std::string>&) {
  throw UsageError{"this command has its own options, which come after it: graft model list --json"};
}

int start_model(char** argv) {
  const fs::path here = program_folder();
  const fs::path places[] = {here / "graft-model", here / GRAFT_LIBEXEC_FROM_BIN / "graft-model"};
  for (const fs::path& program : places) {
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
