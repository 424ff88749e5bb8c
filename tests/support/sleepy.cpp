// A plugin for tests: takes its time.

#include <chrono>
#include <thread>

#include <graft/plugin.h>

namespace {

class Sleepy final : public graft::Transform {
 public:
  explicit Sleepy(const graft::StageContext& context)
      : seconds_(context.params.get<double>("seconds")), from_(context.params.get<std::string>("from_key")) {}
  graft::Payload apply(const graft::Item& item) const override {
    if (item.key() >= from_) std::this_thread::sleep_for(std::chrono::duration<double>(seconds_));
    return item.payload;
  }

 private:
  double seconds_;
  std::string from_;
};

}  // namespace

GRAFT_PLUGIN(
    sleepy, "1.0.0", Sleepy,
    graft::PluginSchema::transform("Sleeps before it passes an image on.")
        .input(graft::PortType::Image, "Any image.")
        .output("out", graft::PortType::Image, "u8[?,?,3]", "The same image.")
        .param(graft::number("seconds").required().not_in_fingerprint().doc("How long it sleeps."))
        .param(graft::text("from_key", "").not_in_fingerprint().doc("The first key that it sleeps for.")))
