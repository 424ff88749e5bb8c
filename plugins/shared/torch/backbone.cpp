#include "backbone.h"

#include <fmt/format.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include <graft/error.h>
#include <graft/random.h>

#include "align_channels.h"
#include "fold_padding.h"
#include "model_file.h"
#include "program.h"

namespace graft {
namespace {

using torch::jit::Module;

/// Weights as constants, batch-norm folded into convolutions; nothing that depends on the machine.
Module frozen(const Module& module) {
  Module copy = module.hasattr("training") ? torch::jit::freeze(module) : module.clone();
  return copy;
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

}  // namespace

struct Backbone::Impl {
  BackboneOptions options;
  Program plain, fast;
  bool has_fast = false;
  mutable std::mutex mutex;
  mutable std::map<std::pair<int, int>, bool> use_fast;  // by height and width

  /// [n, dim] from whatever the model gave.
  at::Tensor features(const c10::IValue& value, std::int64_t batch) const {
    if (!value.isTensor())
      throw Error(
          fmt::format("{}: expected a model that returns one tensor, got {}; wrap it so that forward returns "
                      "the features alone",
                      options.path, value.tagKind()));
    at::Tensor out = value.toTensor();
    if (out.is_mkldnn()) out = out.to_dense();
    if (out.dim() < 1 || out.size(0) != batch)
      throw Error(
          fmt::format("{}: expected an output with one row per image, [{},...], got {}; the model must keep "
                      "the batch as the first axis",
                      options.path, batch, text_of(out.sizes())));
    if (out.dim() == 4 && options.pool) out = out.mean({2, 3});
    return out.reshape({batch, -1}).to(at::kFloat).contiguous();
  }

  at::Tensor compute(const Program& program, const at::Tensor& input) const {
    c10::IValue value;
    try {
      value = program.run(input);
    } catch (const std::exception& fault) {
      throw UnfitInput(fmt::format("the model does not take images of {} x {} ([n,3,{},{}]): {}",
                                   input.size(3), input.size(2), input.size(2), input.size(3),
                                   reason(fault)));
    }
    return features(value, input.size(0));
  }

  /// Whether the fused network gives for this size what the plain one gives.
  bool agrees(int height, int width) const {
    at::Tensor noise = at::empty({options.batch, 3, height, width});
    Random random(1);
    float* values = noise.data_ptr<float>();
    for (std::int64_t i = 0; i < noise.numel(); ++i)
      values[i] = static_cast<float>(random.uniform(-2.0, 2.0));

    const std::int64_t some = std::min(options.batch, 2);  // not one: a model may squeeze that away
    const at::Tensor wanted = compute(plain, noise.narrow(0, 0, some));
    at::Tensor got;
    try {
      got = compute(fast, noise).narrow(0, 0, some);
    } catch (const UnfitInput& fault) {
      options.warn(
          fmt::format("{}: the fused network fails where the plain one works ({}); the plain one is used",
                      options.path, fault.what()));
      return false;
    }
    const double scale = wanted.abs().max().item<double>();
    const double off = got.sizes() == wanted.sizes() ? (got - wanted).abs().max().item<double>() : INFINITY;
    if (off <= 1e-3 * scale || !std::isfinite(scale)) return true;
    options.warn(
        fmt::format("{}: the fused network is off by {:.1e} of {:.1e} for {} x {} images; the plain one is "
                    "used, which is slower",
                    options.path, off, scale, width, height));
    return false;
  }

  const Program& program(int height, int width) const {
    if (!has_fast) return plain;
    const std::lock_guard lock(mutex);
    const auto [at, is_new] = use_fast.try_emplace({height, width}, false);
    if (is_new) {
      try {
        at->second = agrees(height, width);
      } catch (...) {
        use_fast.erase(at);
        throw;
      }
    }
    return at->second ? fast : plain;
  }
};

Backbone::Backbone(BackboneOptions options) : impl_(std::make_unique<Impl>()) {
  Module module = load_torchscript(options.path);
  if (options.untrained) forget(module, options.init_seed);
  impl_->options = std::move(options);
  try {
    const Module plain = frozen(module);
    impl_->plain = Program(plain);
    try {
      impl_->fast = Program(fused(plain));
      impl_->has_fast = true;
    } catch (const std::exception& fault) {
      impl_->options.warn(fmt::format("{}: cannot be fused ({}); it runs unfused, which is slower",
                                      impl_->options.path, reason(fault)));
    }
  } catch (const std::exception& fault) {
    throw Error(fmt::format("{}: cannot be frozen for inference: {}", impl_->options.path, reason(fault)));
  }
}

Backbone::~Backbone() = default;

Tensor Backbone::run(const float* images, int height, int width) const {
  // Guards are thread-local, so it must be here and not where the model is loaded.
  const c10::InferenceMode inference;
  const at::Tensor input =
      at::from_blob(const_cast<float*>(images), {impl_->options.batch, 3, height, width}, at::kFloat);
  auto out = std::make_shared<at::Tensor>(impl_->compute(impl_->program(height, width), input));
  Tensor tensor;
  tensor.shape = {out->size(0), out->size(1)};
  tensor.data = out->data_ptr<float>();
  tensor.owner = std::shared_ptr<void>(out, tensor.data);
  return tensor;
}

void Backbone::enter_thread() {
  use_one_thread();
}

}  // namespace graft
