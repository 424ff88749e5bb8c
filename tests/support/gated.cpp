// A plugin for tests: stops at one image until a file is there, so that a run is at a known place.

#include <chrono>
#include <filesystem>
#include <thread>

#include <graft/plugin.h>

namespace {

class Gated final : public graft::Transform {
 public:
  explicit Gated(const graft::StageContext& context)
      : gate_(context.params.get<std::string>("gate")), key_(context.params.get<std::string>("key")) {}
  graft::Payload apply(const graft::Item& item) const override {
    while (item.key() == key_ && !std::filesystem::exists(gate_))
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return item.payload;
  }

 private:
  std::string gate_, key_;
};

}  // namespace

GRAFT_PLUGIN(gated, "1.0.0", Gated,
             graft::PluginSchema::transform("Waits for a file before it passes one image on.")
                 .input(graft::PortType::Image, "Any image.")
                 .output("out", graft::PortType::Image, "u8[?,?,3]", "The same image.")
                 .param(graft::text("gate", "/").not_in_fingerprint().doc("The file to wait for."))
                 .param(graft::text("key", "").not_in_fingerprint().doc("The image that waits.")))
