// A plugin for tests: passes images on, and says that its output depends on LibTorch, which takes long to
// load.

#include <graft/plugin.h>

namespace {

class Heavy final : public graft::Transform {
 public:
  explicit Heavy(const graft::StageContext&) {}
  graft::Payload apply(const graft::Item& item) const override { return item.payload; }
};

}  // namespace

GRAFT_PLUGIN(heavy, "1.0.0", Heavy,
             graft::PluginSchema::transform("Passes an image on.")
                 .input(graft::PortType::Image, "Any image.")
                 .output("out", graft::PortType::Image, "u8[?,?,3]", "The same image.")
                 .uses_libraries("libtorch 2.0.0"))
