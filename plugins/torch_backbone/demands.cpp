#include "demands.h"

#include <network/engine.h>
#include <network/open_model.h>

using namespace graft;

std::vector<Inspection::Fault> unmet_demands(const Params& params,
                                             const std::function<Service&(const std::string&)>& service) {
  std::vector<Inspection::Fault> out;
  const auto check = [&](const char* param, const auto& body) {
    try {
      body();
    } catch (const Error& fault) {
      out.push_back({param, fault.what()});
    }
  };
  check("sha256", [&] { nn::check_pinned(params); });
  const auto device = params.get<std::string>("device");
  // Loading LibTorch takes a second: only for those who name a GPU.
  if (service && device != "auto" && device != "cpu")
    check("device", [&] { nn::engine_service<nn::TorchService>(service, "torch").require_device(device); });
  return out;
}
