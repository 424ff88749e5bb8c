// Built several times, each with one macro: the shared objects that registry_test.cpp expects to be refused.

#include <graft/plugin.h>

namespace {

class Nothing final : public graft::Transform {
 public:
  explicit Nothing(const graft::StageContext&) {}
  graft::Payload apply(const graft::Item& item) const override { return item.payload; }
};

graft::PluginSchema schema() {
  auto s = graft::PluginSchema::transform("Does nothing.");
  s.name = "well";
  s.version = "1.0.0";
  return s;
}

const graft_plugin_descriptor kDescriptor = {
#ifdef WRONG_SIZE
    8,
#else
    sizeof(graft_plugin_descriptor),
#endif
#ifdef WRONG_API
    99,
#else
    GRAFT_PLUGIN_API,
#endif
#ifdef WRONG_ABI
    "c++98 of another planet",
#else
    GRAFT_ABI_TAG,
#endif
#ifdef WRONG_NAME
    "another_name",
#else
    "well",
#endif
    "1.0.0",
    schema,
    [](const graft::StageContext& c) -> graft::Stage* { return new Nothing(c); }};

}  // namespace

#ifdef WRONG_SYMBOL
#define NAME graft_plug
#else
#define NAME graft_plugin
#endif
extern "C" __attribute__((visibility("default"))) const graft_plugin_descriptor* NAME();
extern "C" const graft_plugin_descriptor* NAME() {
  return &kDescriptor;
}
