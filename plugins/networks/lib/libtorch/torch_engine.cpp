#include <libtorch/torch_engine.h>

#include <fmt/format.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include <graft/error.h>
#include <network/engine_check.h>

#include <libtorch/device.h>
#include <libtorch/model_file.h>
#include <libtorch/network_module.h>
#include <libtorch/program.h>
#include "align_channels.h"
#include "fold_padding.h"
#include "tap_modules.h"

namespace graft::libtorch {
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
  avoid_filler(graph);
  return torch::jit::optimize_for_inference(copy);
}

/// Those of large networks are some hundreds.
constexpr std::size_t kMostModules = 2000;

/// The modules that hold the parameters; none are left of a frozen one.
std::vector<nn::ScriptModule> modules_in(const Module& module) {
  std::vector<nn::ScriptModule> out;
  for (const auto& part : module.named_modules()) {
    std::int64_t parameters = 0;
    for (const at::Tensor& parameter : part.value.parameters(/*recurse=*/false))
      parameters += parameter.numel();
    if (parameters == 0 || out.size() == kMostModules) continue;
    const auto name = part.value.type()->name();
    out.push_back({part.name, name ? name->name() : "", parameters});
  }
  return out;
}

std::string text_of(at::IntArrayRef sizes) {
  return to_string(Shape(sizes.begin(), sizes.end()));
}

class TorchEngine final : public nn::Engine {
 public:
  TorchEngine(const Model& model, EngineOptions options, const Optimise* optimise)
      : name_(model.name),
        options_(std::move(options)),
        device_(options_.device),
        only_(model.architecture ? model.architecture->only : std::nullopt),
        several_(model.architecture || !options_.taps.empty()) {
    Module module = module_of(model, options_);
    if (!model.architecture) modules_ = modules_in(module);
    if (options_.precision == "bf16")
      module.to(at::kBFloat16);
    else
      cure_ = cure_for_type(module);
    try {
      module = device_.place(module);
      plain_ = Program(module);
      if (optimise == nullptr) return;
      const Module folded = frozen(module);
      try {
        fast_ = Program(*optimise ? (*optimise)(folded) : device_.is_cpu() ? fused(folded) : folded);
        has_fast_ = true;
      } catch (const std::exception& fault) {
        options_.warn(fmt::format("{}: cannot be fused ({}){}; it runs unfused, which is slower", name_,
                                  reason(fault), cure_));
      }
    } catch (const std::exception& fault) {
      throw Error(fmt::format("{}: cannot be prepared for inference: {}{}", name_, reason(fault), cure_));
    }
  }

  void enter_thread() const override { use_threads(options_.threads); }
  bool on_cpu() const override { return device_.is_cpu(); }
  std::vector<nn::ScriptModule> modules() const override { return modules_; }

  std::vector<Tensor> run(const float* images, int height, int width) const override {
    return tensors(program(height, width), images, options_.batch, height, width);
  }

  std::vector<Tensor> run_plainly(const float* images, int count, int height, int width) const override {
    const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    std::vector<Tensor> out;
    for (int i = 0; i < count; ++i) {
      const std::vector<Tensor> values = alone(images + static_cast<std::size_t>(i) * one, height, width);
      for (std::size_t output = 0; output < values.size(); ++output) {
        const Tensor& value = values[output];
        if (i == 0) {
          Shape shape = value.shape;
          shape[0] = count;
          out.push_back(Tensor::allocate(DType::F32, shape));
        }
        std::copy_n(value.as<float>(), value.size(), out.at(output).as<float>() + i * value.size());
      }
    }
    return out;
  }

 private:
  std::vector<Tensor> tensors(const Program& program, const float* images, int count, int height,
                              int width) const {
    // Guards are thread-local, so it must be here and not where the model is loaded.
    const c10::InferenceMode inference;
    const at::Tensor input = at::from_blob(const_cast<float*>(images), {count, 3, height, width}, at::kFloat);
    std::vector<Tensor> out;
    for (const at::Tensor& value : compute(program, input)) {
      auto owner = std::make_shared<at::Tensor>(value);
      Tensor tensor;
      tensor.shape.assign(owner->sizes().begin(), owner->sizes().end());
      tensor.data = owner->data_ptr<float>();
      tensor.owner = std::shared_ptr<void>(owner, tensor.data);
      out.push_back(std::move(tensor));
    }
    return out;
  }

  /// One image through the network as it stands. A model may want two images at least, since it squeezes the
  /// axis of one away, or the number that it was traced with: they are then copies of the image.
  std::vector<Tensor> alone(const float* image, int height, int width) const {
    const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    for (const int count : {1, 2, options_.batch}) {
      std::vector<float> copies;
      for (int i = 0; i < count; ++i) copies.insert(copies.end(), image, image + one);
      try {
        std::vector<Tensor> values = tensors(plain_, copies.data(), count, height, width);
        for (Tensor& value : values) value.shape[0] = 1;
        return values;
      } catch (const std::exception&) {
        if (count >= options_.batch) throw;
      }
    }
    throw Error(name_ + ": takes no batch");  // not reached: the last number is the batch
  }

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
      if (!tensor.is_floating_point()) throw Error(fmt::format("{}: {}", name_, not_features(tensor)));
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
    if (only_ && (only_->height != input.size(2) || only_->width != input.size(3)))
      throw UnfitInput(fmt::format("the model does not take images of {} x {}: it is for {} x {} px alone",
                                   input.size(3), input.size(2), only_->width, only_->height));
    c10::IValue value;
    try {
      const auto type = options_.precision == "bf16" ? at::kBFloat16 : at::kFloat;
      value = device_.run(program, input, type);
    } catch (const std::exception& fault) {
      throw UnfitInput(fmt::format("the model does not take images of {} x {} ([n,3,{},{}]): {}{}",
                                   input.size(3), input.size(2), input.size(2), input.size(3), reason(fault),
                                   cure_));
    }
    return outputs_of(value, input.size(0));
  }

  void require_independence(const nn::EngineCheck& check, const nn::RunImages& alone,
                            const nn::RunImages& plain, double allowed) const {
    std::optional<std::string> why;
    try {
      // A few images are enough if the batches are the fused network's.
      why = check.dependence(alone, plain, has_fast_ ? std::min(options_.batch, 3) : options_.batch, allowed);
    } catch (const std::exception&) {
      if (!has_fast_ || options_.batch <= 3) throw;
      why = check.dependence(alone, plain, options_.batch, allowed);
    }
    if (why) throw Error(fmt::format("{}: {}", name_, *why));
  }

  /// Whether the fused network computes for this size what the plain one computes, image by image.
  /// `thorough`: for the first sizes, which also check that the plain network's result of an image does not
  /// depend on the others.
  bool is_fast_right(int height, int width, bool thorough) const {
    const nn::Tolerance tolerance = nn::Tolerance::of(options_.precision);
    const auto by = [&](const Program& program) -> nn::RunImages {
      return [this, &program, height, width](const float* images, int count) {
        return tensors(program, images, count, height, width);
      };
    };
    const nn::RunImages one_by_one = [&](const float* images, int) { return alone(images, height, width); };
    const nn::EngineCheck check(one_by_one, options_.batch, height, width, thorough);
    if (thorough) require_independence(check, one_by_one, by(plain_), tolerance.wrong);
    if (!has_fast_) return false;
    try {
      const auto found = check.difference(by(fast_), by(plain_), tolerance.trusted);
      if (!found) return true;
      options_.warn(fmt::format(
          "{}: the fused network is wrong for {} x {} images ({}); the plain one is used, which is "
          "slower",
          name_, width, height, *found));
    } catch (const UnfitInput& fault) {
      options_.warn(
          fmt::format("{}: the fused network fails where the plain one works ({}); the plain one is used",
                      name_, fault.what()));
    }
    return false;
  }

  const Program& program(int height, int width) const {
    const std::lock_guard lock(mutex_);
    const auto known = use_fast_.find({height, width});
    if (known != use_fast_.end()) return known->second ? fast_ : plain_;
    const bool thorough = use_fast_.size() < kThoroughSizes;
    const bool right = (has_fast_ || thorough) && is_fast_right(height, width, thorough);
    use_fast_[{height, width}] = right;
    return right ? fast_ : plain_;
  }

  static constexpr std::size_t kThoroughSizes = 2;

  const std::string name_;
  const EngineOptions options_;
  const Device device_;
  const std::optional<nn::Extent> only_;   ///< The one size of images that the network is for.
  std::vector<nn::ScriptModule> modules_;  ///< Of a TorchScript file.
  std::string cure_;                       ///< Added to errors: of weights of another type.
  Program plain_, fast_;
  const bool several_;  ///< The module was made to return a tuple.
  bool has_fast_ = false;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, int>, bool> use_fast_;  // by height and width
};

}  // namespace

std::unique_ptr<nn::Engine> make_torch_engine(const Model& model, EngineOptions options) {
  return std::make_unique<TorchEngine>(model, std::move(options), nullptr);
}

std::unique_ptr<nn::Engine> make_fused_engine(const Model& model, EngineOptions options,
                                              const Optimise& optimise) {
  return std::make_unique<TorchEngine>(model, std::move(options), &optimise);
}

}  // namespace graft::libtorch
