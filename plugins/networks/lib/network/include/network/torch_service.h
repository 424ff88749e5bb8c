#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <network/engine.h>

namespace graft::nn {

/// A model as data, and the layers whose values are wanted.
struct Described {
  Model model;
  std::vector<std::string> outputs;
};

/// What engine_torch can do beyond that, for other engines.
class TorchService : public EngineService {
 public:
  /// Whether LibTorch sees a GPU.
  virtual bool sees_gpu() const = 0;
  /// Throws Error, listing what is available, for a device ("cpu", "cuda", "cuda:1") that is not there.
  virtual void require_device(const std::string& name) const = 0;
  /// The network in a TorchScript file as data, with its weights, up to what the options' taps want. Nothing
  /// when Architecture does not know an operation in it. Throws Error for a file that cannot be loaded.
  virtual std::optional<Described> described(const Model& torchscript,
                                             const EngineOptions& options) const = 0;
  /// As fast as LibTorch's own optimiser makes it, on the CPU or on a GPU.
  virtual std::unique_ptr<Engine> make_optimised(const Model& model, EngineOptions options) const = 0;
};

}  // namespace graft::nn
