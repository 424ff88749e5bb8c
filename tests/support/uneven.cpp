// A plugin for tests that makes two views; the second of an image whose first pixel is (1, 2, 3) is one
// column narrower.

#include <graft/plugin.h>

namespace {

using namespace graft;  // NOLINT: a test plugin

class Uneven final : public Transform {
 public:
  explicit Uneven(const StageContext&) {}
  std::uint32_t views() const override { return 2; }
  Payload apply(const Item& item) const override {
    Image image = item.image();
    const auto* first = image.row(0);
    if (item.view % 2 == 1 && first[0] == 1 && first[1] == 2 && first[2] == 3) --image.width;
    return image;
  }
};

}  // namespace

GRAFT_PLUGIN(uneven, "1.0.0", Uneven,
             PluginSchema::transform("Makes two views.")
                 .input(PortType::Image, "Images.")
                 .output("out", PortType::Image, "u8[?,?,3]", "The same, or narrower.")
                 .views_from("views")
                 .param(integer("views", 2).range(2, 2).doc("Views.")))
