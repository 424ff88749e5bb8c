#include "torch_engine.h"

#include <fmt/format.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

#include <graft/error.h>
#include <graft/random.h>

#include "align_channels.h"
#include "device.h"
#include "fold_padding.h"
#include "model_file.h"
#include "network_module.h"
#include "program.h"
#include "tap_modules.h"

namespace graft {
namespace {

using nn::EngineOptions;
using nn::Model;
using nn::UnfitInput;
using torch::jit::Module;
using Outputs = std::vector<at::Tensor>;

/// The module that gives what the options want, in eval mode, unfrozen, on the CPU.
Module module_of(const Model& model, const EngineOptions& options) {
  Module module("none");
  if (model.architecture) {
    const std::vector<std::string> own{model.architecture->tap};
    module = make_module(*model.architecture, options.taps.empty() ? own : options.taps);
    set_tensors(module, model.weights);
    module.eval();
  } else {
    module = load_torchscript(model.torchscript);
    if (!options.taps.empty()) module = tap_modules(module, options.taps);
  }
  if (options.forget) forget(module, *options.forget);
  return module;
}

/// Weights as constants, batch-norm folded into convolutions; nothing that depends on the machine.
Module frozen(const Module& module) {
  return module.hasattr("training") ? torch::jit::freeze(module) : module.clone();
}

/// oneDNN's blocked layout from end to end, weights packed once.
Module fused(const Module& plain) {
  Module copy = plain.clone();
  auto graph = copy.get_method("forward").graph();
  fold_padding(graph);
  align_channels(graph);
  return torch::jit::optimize_for_inference(copy);
}

std::string text_of(at::IntArrayRef sizes) {
  return to_string(Shape(sizes.begin(), sizes.end()));
}

class TorchEngine final : public nn::Engine {
 public:
  TorchEngine(const Model& model, EngineOptions options, bool fuse)
      : name_(model.name),
        options_(std::move(options)),
        device_(options_.device),
        several_(model.architecture || !options_.taps.empty()) {
    Module module = module_of(model, options_);
    if (options_.precision == "bf16") module.to(at::kBFloat16);
    try {
      module = device_.place(module);
      plain_ = Program(module);
      if (!fuse) return;
      const Module folded = frozen(module);
      try {
        fast_ = Program(device_.is_cpu() ? fused(folded) : folded);
        has_fast_ = true;
      } catch (const std::exception& fault) {
        options_.warn(
            fmt::format("{}: cannot be fused ({}); it runs unfused, which is slower", name_, reason(fault)));
      }
    } catch (const std::exception& fault) {
      throw Error(fmt::format("{}: cannot be prepared for inference: {}", name_, reason(fault)));
    }
  }

  void enter_thread() const override { use_threads(options_.threads); }
  bool on_cpu() const override { return device_.is_cpu(); }

  std::vector<Tensor> run(const float* images, int height, int width) const override {
    // Guards are thread-local, so it must be here and not where the model is loaded.
    const c10::InferenceMode inference;
    const at::Tensor input =
        at::from_blob(const_cast<float*>(images), {options_.batch, 3, height, width}, at::kFloat);
    std::vector<Tensor> out;
    for (const at::Tensor& value : compute(program(height, width), input)) {
      auto owner = std::make_shared<at::Tensor>(value);
      Tensor tensor;
      tensor.shape.assign(owner->sizes().begin(), owner->sizes().end());
      tensor.data = owner->data_ptr<float>();
      tensor.owner = std::shared_ptr<void>(owner, tensor.data);
      out.push_back(std::move(tensor));
    }
    return out;
  }

 private:
  /// Float tensors on the CPU from whatever the model gave.
  Outputs outputs_of(const c10::IValue& value, std::int64_t batch) const {
    std::vector<c10::IValue> values{value};
    if (several_ && value.isTuple()) values = value.toTuple()->elements().vec();
    Outputs out;
    for (const c10::IValue& v : values) {
      if (!v.isTensor())
        throw Error(fmt::format(
            "{}: expected a model that returns one tensor, got {}; wrap it so that forward returns "
            "the features alone, or name what you want with taps",
            name_, v.tagKind()));
      at::Tensor tensor = v.toTensor();
      if (tensor.is_mkldnn()) tensor = tensor.to_dense();
      if (tensor.dim() < 1 || tensor.size(0) != batch)
        throw Error(fmt::format(
            "{}: expected an output with one row per image, [{},...], got {}; the model must keep "
            "the batch as the first axis",
            name_, batch, text_of(tensor.sizes())));
      out.push_back(tensor.to(at::kFloat).contiguous());
    }
    return out;
  }

  Outputs compute(const Program& program, const at::Tensor& input) const {
    c10::IValue value;
    try {
      const auto type = options_.precision == "bf16" ? at::kBFloat16 : at::kFloat;
      value = device_.run(program, input, type);
    } catch (const std::exception& fault) {
      throw UnfitInput(fmt::format("the model does not take images of {} x {} ([n,3,{},{}]): {}",
                                   input.size(3), input.size(2), input.size(2), input.size(3),
                                   reason(fault)));
    }
    return outputs_of(value, input.size(0));
  }

  /// Whether the fused network gives for this size what the plain one gives.
  bool agrees(int height, int width) const {
    at::Tensor noise = at::empty({options_.batch, 3, height, width});
    Random random(1);
    float* values = noise.data_ptr<float>();
    for (std::int64_t i = 0; i < noise.numel(); ++i)
      values[i] = static_cast<float>(random.uniform(-2.0, 2.0));

    const std::int64_t some = std::min(options_.batch, 2);  // not one: a model may squeeze that away
    const Outputs wanted = compute(plain_, noise.narrow(0, 0, some));
    Outputs got;
    try {
      got = compute(fast_, noise);
    } catch (const UnfitInput& fault) {
      options_.warn(
          fmt::format("{}: the fused network fails where the plain one works ({}); the plain one is used",
                      name_, fault.what()));
      return false;
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const at::Tensor part = got.at(i).narrow(0, 0, some);
      const double scale = wanted[i].abs().max().item<double>();
      const double off =
          part.sizes() == wanted[i].sizes() ? (part - wanted[i]).abs().max().item<double>() : INFINITY;
      const double allowed = options_.precision == "bf16" ? 5e-2 : 1e-3;
      if (off <= allowed * scale || !std::isfinite(scale)) continue;
      options_.warn(
          fmt::format("{}: the fused network is off by {:.1e} of {:.1e} for {} x {} images; the plain one is "
                      "used, which is slower",
                      name_, off, scale, width, height));
      return false;
    }
    return true;
  }

  const Program& program(int height, int width) const {
    if (!has_fast_) return plain_;
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = use_fast_.try_emplace({height, width}, false);
    if (is_new) {
      try {
        at->second = agrees(height, width);
      } catch (...) {
        use_fast_.erase(at);
        throw;
      }
    }
    return at->second ? fast_ : plain_;
  }

  const std::string name_;
  const EngineOptions options_;
  const Device device_;
  Program plain_, fast_;
  const bool several_;  ///< The module was made to return a tuple.
  bool has_fast_ = false;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, int>, bool> use_fast_;  // by height and width
};

}  // namespace

std::unique_ptr<nn::Engine> make_torch_engine(const Model& model, EngineOptions options) {
  return std::make_unique<TorchEngine>(model, std::move(options), false);
}

std::unique_ptr<nn::Engine> make_fused_engine(const Model& model, EngineOptions options) {
  return std::make_unique<TorchEngine>(model, std::move(options), true);
}

}  // namespace graft
