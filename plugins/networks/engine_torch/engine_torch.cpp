#include <torch/cuda.h>
#include <torch/version.h>

#include <memory>
#include <utility>

#include <graft/plugin.h>
#include <network/torch_service.h>

#include <libtorch/describe_script.h>
#include <libtorch/device.h>
#include <libtorch/torch_engine.h>

namespace {

using namespace graft;

/// The engine `torch`: LibTorch computes layer by layer, on the CPU or a GPU. The reference that others are
/// compared with, and the one that can run any TorchScript file.
class EngineTorch final : public Service, public nn::TorchService {
 public:
  explicit EngineTorch(const StageContext&) {}

  std::unique_ptr<nn::Engine> make(const nn::Model& model, nn::EngineOptions options) const override {
    return libtorch::make_torch_engine(model, std::move(options));
  }
  bool sees_gpu() const override { return torch::cuda::device_count() > 0; }
  void require_device(const std::string& name) const override { libtorch::Device device(name); }
  std::optional<nn::Described> described(const nn::Model& torchscript,
                                         const nn::EngineOptions& options) const override {
    return libtorch::describe_script(torchscript, options);
  }
  std::unique_ptr<nn::Engine> make_optimised(const nn::Model& model,
                                             nn::EngineOptions options) const override {
    return libtorch::make_fused_engine(model, std::move(options));
  }
};

}  // namespace

GRAFT_PLUGIN(
    engine_torch, "1.1.0", EngineTorch,
    graft::PluginSchema::service("Runs networks and TorchScript files layer by layer, on LibTorch: the "
                                 "reference.")
        .known_fault(
            "1.1.0",
            "the features that a TorchScript file gave could be wrong for the last image of a batch "
            "(`engine: fused`), and mixed with those of its neighbours where the file was exported in "
            "training mode")
        .uses_libraries("libtorch " TORCH_VERSION))
