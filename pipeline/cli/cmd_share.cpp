#include "commands.h"
#include "output.h"
#include "plugin/registry.h"

namespace graft::cli {

int share(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const std::string folder = share_folder().string();
  if (global.json) {
    Value document = Value::map();
    document["share"] = folder;
    print_document(document);
  } else {
    say("{}\n", printable(folder));
  }
  return kOk;
}

}  // namespace graft::cli
