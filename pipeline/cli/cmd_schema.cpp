#include "commands.h"
#include "config/config_schema.h"
#include "output.h"
#include "plugin/registry.h"

namespace graft::cli {

int schema(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  say("{}\n", config_schema(registry).to_json_pretty());
  return kOk;
}

}  // namespace graft::cli
