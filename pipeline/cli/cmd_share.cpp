#include "commands.h"
#include "output.h"
#include "plugin/registry.h"

namespace graft::cli {

int share(const Global& global, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw UsageError{"this command takes no argument"};
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
