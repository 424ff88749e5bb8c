#include <fmt/format.h>

#include <graft/plugin.h>

#include "commands.h"
#include "output.h"

namespace graft::cli {

int version(const Global& global, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw UsageError{"this command takes no argument"};
  if (global.json) {
    Value v = Value::map();
    v["graft"] = GRAFT_VERSION;
    v["plugin_api"] = GRAFT_PLUGIN_API;
    v["abi"] = GRAFT_ABI_TAG;
    print_document(v);
  } else {
    say("graft {}\nplugin API {}\nABI {}\n", GRAFT_VERSION, GRAFT_PLUGIN_API, GRAFT_ABI_TAG);
  }
  return kOk;
}

}  // namespace graft::cli
