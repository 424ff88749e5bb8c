#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <functional>
#include <memory>
#include <utility>

#include <graft/plugin.h>
#include <network/checked_engine.h>
#include <network/device_name.h>
#include <network/engine.h>
#include <network/torch_service.h>

#include "fused_engine.h"

#define GRAFT_DNNL_VERSION \
  GRAFT_TEXT(DNNL_VERSION_MAJOR) "." GRAFT_TEXT(DNNL_VERSION_MINOR) "." GRAFT_TEXT(DNNL_VERSION_PATCH)

namespace {

using namespace graft;

/// The engine `fused`: a described network runs on oneDNN, without LibTorch. A TorchScript file is read by
/// the engine `torch`; when every operation in it can be described, it runs here too, else LibTorch's own
/// optimiser does what it can. So it does on a GPU.
class EngineFused final : public Service, public nn::EngineService {
 public:
  explicit EngineFused(const StageContext& context) : service_(context.service) {
    const dnnl_version_t& loaded = *dnnl_version();
    const std::string have = fmt::format("{}.{}.{}", loaded.major, loaded.minor, loaded.patch);
    if (have != GRAFT_DNNL_VERSION)
      context.warn(
          fmt::format("oneDNN {} is loaded, this plugin was built with {}, which is what tables are "
                      "named by; rebuild it",
                      have, GRAFT_DNNL_VERSION));
  }

  std::unique_ptr<nn::Engine> make(const nn::Model& model, nn::EngineOptions options) const override {
    const std::string device = fmt::format("device: '{}'", options.device);
    if (!on_cpu(options.device)) return torch(device).make_optimised(model, std::move(options));
    if (model.architecture) return std::make_unique<fused::FusedEngine>(model, std::move(options));
    const nn::TorchService& reader = torch(model.name + ": a TorchScript archive");
    const auto described = reader.described(model, options);
    if (!described) return reader.make_optimised(model, std::move(options));
    nn::EngineOptions as_described = options;
    as_described.taps = described->outputs;
    const auto with_batch = [options](int batch) {
      nn::EngineOptions other = options;
      other.batch = batch;
      return other;
    };
    const auto engine = std::make_shared<const fused::FusedEngine>(described->model, as_described);
    return std::make_unique<nn::CheckedEngine>(
        [engine](int batch) { return std::make_unique<fused::FusedEngine>(*engine, batch); },
        [&reader, model, with_batch](int batch) { return reader.make(model, with_batch(batch)); },
        [&reader, model, with_batch](int batch) { return reader.make_optimised(model, with_batch(batch)); },
        options, model.name);
  }

 private:
  /// LibTorch takes a second to load: it is asked for a GPU only where there is a driver for one, and where
  /// there is LibTorch.
  bool on_cpu(const std::string& device) const {
    if (device != "auto") return device == "cpu";
    if (!nn::has_gpu_files()) return true;
    try {
      return !torch("").sees_gpu();
    } catch (const Error&) {
      return true;
    }
  }

  /// `what` needs it, for messages.
  const nn::TorchService& torch(const std::string& what) const {
    try {
      return nn::engine_service<nn::TorchService>(service_, "torch");
    } catch (const Error& fault) {
      throw Error(fmt::format("{} needs LibTorch: {}", what, fault.what()));
    }
  }

  std::function<Service&(const std::string&)> service_;
};

}  // namespace

GRAFT_PLUGIN(engine_fused, "1.1.1", EngineFused,
             graft::PluginSchema::service("Runs networks with layers merged, on oneDNN; the default engine.")
                 .known_fault("1.1.1",
                              "where a layer overflowed or the weights were damaged, ReLU and max pool made "
                              "finite, wrong features of NaN")
                 .may_need("engine_torch")
                 .uses_libraries("oneDNN " GRAFT_DNNL_VERSION))
