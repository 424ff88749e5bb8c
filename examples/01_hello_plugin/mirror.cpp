#include <graft/plugin.h>

namespace {

/// Mirrors an image left to right.
class Mirror final : public graft::Transform {
 public:
  explicit Mirror(const graft::StageContext&) {}
  graft::Payload apply(const graft::Item& item) const override {
    const graft::Image& in = item.image();
    graft::Image out = graft::Image::allocate(in.width, in.height);
    for (int y = 0; y < in.height; ++y)
      for (int x = 0; x < in.width; ++x)
        for (int c = 0; c < 3; ++c) out.row(y)[3 * (in.width - 1 - x) + c] = in.row(y)[3 * x + c];
    return out;
  }
};

}  // namespace

GRAFT_PLUGIN(mirror, "1.0.0", Mirror,
             graft::PluginSchema::transform("Mirrors images left to right.")
                 .input(graft::PortType::Image, "Any image.")
                 .output("out", graft::PortType::Image, "u8[?,?,3]", "The same size."))
