// A plugin for tests that reads a file when it is made, and writes its first byte into every image: as what a
// network computes depends on its weights.

#include <fstream>

#include <graft/plugin.h>

namespace {

using namespace graft;  // NOLINT: a test plugin

class Reading final : public Transform {
 public:
  explicit Reading(const StageContext& context)
      : byte_(static_cast<std::uint8_t>(std::ifstream(context.params.get<std::string>("file")).get())) {}
  Payload apply(const Item& item) const override {
    const Image& image = item.image();
    Image out = Image::allocate(image.width, image.height);
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < 3 * image.width; ++x) out.row(y)[x] = image.row(y)[x];
    out.row(0)[0] = byte_;
    return out;
  }

 private:
  std::uint8_t byte_;
};

}  // namespace

GRAFT_PLUGIN(reading, "1.0.0", Reading,
             PluginSchema::transform("Writes the first byte of a file into images.")
                 .input(PortType::Image, "Images.")
                 .output("out", PortType::Image, "u8[?,?,3]", "The same, marked.")
                 .param(file("file").required().doc("The file.")))
