// graft-plugin-schema PLUGIN.so OUT.json: writes the schema that a plugin declares. Run by graft_add_plugin
// after the plugin is linked, so that graft can check and describe configs without loading it.

#include <cstdio>
#include <fstream>

#include "plugin/registry.h"
#include "plugin/schema_file.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: graft-plugin-schema PLUGIN.so OUT.json\n", stderr);
    return 2;
  }
  graft::Registry::Rejected why;
  const graft_plugin_descriptor* d = graft::load_plugin(argv[1], why);
  if (d == nullptr) {
    std::fprintf(stderr, "error: %s\n", why.message().c_str());
    return 1;
  }
  std::ofstream out(argv[2], std::ios::binary);
  out << graft::to_json({d->api_version, d->abi_tag, d->schema()});
  out.close();
  if (!out) std::fprintf(stderr, "error: cannot write %s\n", argv[2]);
  return out ? 0 : 1;
}
