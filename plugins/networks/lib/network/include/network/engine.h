#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <graft/stage.h>
#include <network/architecture.h>
#include <network/finding.h>

namespace graft::nn {

/// What an engine is to run: a network that is described, with its weights, or a TorchScript file.
struct Model {
  std::string name;                          ///< For messages: a file or an architecture.
  std::optional<Architecture> architecture;  ///< Nothing: `torchscript` holds the model.
  std::map<std::string, Tensor> weights;     ///< f32, by path; of the layers that the taps need.
  std::string torchscript;                   ///< Path of the file. It is code.
  std::vector<Finding> findings;             ///< Of a published model: what was taken from where.
  std::vector<std::string> guesses;          ///< What was guessed of it, a line each.
};

struct EngineOptions {
  std::vector<std::string> taps;   ///< What is wanted, in this order; empty: the model's own features.
  int batch = 8;                   ///< Images in every call of run.
  std::string precision = "fp32";  ///< "fp32" or "bf16": of weights and sums of products; results are f32.
  std::string device = "cpu";      ///< "cpu", "cuda", "cuda:1".
  int threads = 1;                 ///< That one call of run may use.
  std::optional<std::uint64_t> forget;           ///< TorchScript: seed of random weights in place of its own.
  std::function<void(const std::string&)> warn;  ///< Any thread.
};

/// Images that the model does not take: another size than its layers expect.
class UnfitInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A module of a TorchScript file, with parameters of its own.
struct ScriptModule {
  std::string path;  ///< "features.0.conv"; empty: the network itself.
  std::string type;  ///< Of its class: "Conv2d".
  std::int64_t parameters = 0;
};

/// Runs a network. Immutable; run may be called by any number of threads at once.
///
/// Equal inputs give equal bits, in every call, on every thread, whatever else is in the batch.
class Engine {
 public:
  virtual ~Engine() = default;

  /// `images`: batch x 3 x height x width, normalised. One f32 tensor per tap, [batch, ...]; owned by the
  /// caller. Throws UnfitInput for a size that the model does not take, Error when an output is not a tensor
  /// with one row per image.
  virtual std::vector<Tensor> run(const float* images, int height, int width) const = 0;

  /// The values of each of `count` images by the engine's simplest path, one image at a time: the reference
  /// for `run`, slow. By default, and if an engine has only one path: nothing.
  virtual std::vector<Tensor> run_plainly(const float* /*images*/, int /*count*/, int /*height*/,
                                          int /*width*/) const {
    return {};
  }

  /// Called once on each thread before run.
  virtual void enter_thread() const {}
  /// Of a TorchScript file: its layers, where the engine has read all of them; null: it has not, or they gave
  /// other values than the file.
  virtual const Architecture* described() const { return nullptr; }
  /// Of one that is not described: its modules, in the order of the file; none where it was frozen.
  virtual std::vector<ScriptModule> modules() const { return {}; }
  /// False: on a GPU.
  virtual bool on_cpu() const { return true; }
  /// The same network with another number of threads per call; it shares the packed weights. Null: this
  /// engine cannot share them, and another one is to be made.
  virtual std::unique_ptr<Engine> with_threads(int /*threads*/) const { return nullptr; }
};

/// What a service plugin engine_NAME implements beside graft::Service: `engine: NAME` of backbone.
class EngineService {
 public:
  virtual ~EngineService() = default;
  /// An engine, ready to run. Throws Error when the model cannot be loaded, or a device or a tap is not
  /// there.
  virtual std::unique_ptr<Engine> make(const Model& model, EngineOptions options) const = 0;
};

/// The service engine_NAME as the interface `T`. Throws Error when it is not installed or has another one.
template <typename T>
const T& engine_service(const std::function<Service&(const std::string&)>& service, const std::string& name) {
  if (const auto* engine = dynamic_cast<const T*>(&service("engine_" + name))) return *engine;
  throw Error("engine_" + name +
              " does not offer what is wanted of it: rebuild it with this graft's headers");
}

}  // namespace graft::nn
