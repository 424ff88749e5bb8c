#include "script_module.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include <graft/error.h>

#include <libtorch/program.h>
#include "divided_network.h"

namespace graft {
namespace {

using torch::jit::Module;

Module empty_module(const std::string& name, const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  Module module(c10::QualifiedName("__torch__.graft." + name), unit);
  module.register_attribute("training", c10::BoolType::get(), false);
  return module;
}

at::Tensor copied(const Tensor& tensor) {
  return at::from_blob(tensor.data, tensor.shape).clone();
}

Module wrapped(const Module& backbone, const LinearHead* head, bool dropout) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module root = empty_module("finetuned", unit);
  root.register_module("backbone", backbone);
  std::string source = R"(def forward(self, x):
    y = self.backbone.forward(x)
    if y.dim() == 4:
        y = torch.mean(y, [2, 3])
    y = torch.flatten(y, 1)
)";
  if (dropout) {
    Module mask = empty_module(kHeadDropout, unit);
    mask.register_attribute("mask", c10::TensorType::get(), at::ones({1}));
    root.register_module(kHeadDropout, mask);
    source += fmt::format("    y = torch.mul(y, self.{}.mask)\n", kHeadDropout);
  }
  if (head != nullptr) {
    Module linear = empty_module(kHead, unit);
    linear.register_parameter("weight", copied(head->weight), false);
    linear.register_parameter("bias", copied(head->bias), false);
    root.register_module(kHead, linear);
    source += fmt::format("    y = torch.linear(y, self.{0}.weight, self.{0}.bias)\n", kHead);
  }
  try {
    root.define(source + "    return y\n");
  } catch (const std::exception& fault) {
    throw Error(fmt::format(
        "expected a model that returns one tensor, got another one ({}); wrap it so that forward returns the "
        "features alone",
        libtorch::reason(fault)));
  }
  return root;
}

class ScriptEngine final : public nn::Engine {
 public:
  ScriptEngine(const Module& module, int batch) : program_(module), batch_(batch) {}

  void enter_thread() const override { libtorch::use_one_thread(); }

  std::vector<Tensor> run(const float* images, int height, int width) const override {
    const c10::InferenceMode inference;
    const at::Tensor input =
        at::from_blob(const_cast<float*>(images), {batch_, 3, height, width}, at::kFloat);
    at::Tensor value;
    try {
      value = program_.run(input).toTensor().to(at::kFloat).contiguous();
    } catch (const std::exception& fault) {
      throw nn::UnfitInput(fmt::format("the model does not take images of {} x {}: {}", width, height,
                                       libtorch::reason(fault)));
    }
    if (value.dim() != 2 || value.size(0) != batch_)
      throw Error(fmt::format("expected a model with one row of values per image, got {} for {} images",
                              to_string(Shape(value.sizes().begin(), value.sizes().end())), batch_));
    Tensor out = Tensor::allocate(DType::F32, {batch_, value.size(1)});
    std::memcpy(out.data, value.data_ptr<float>(), out.bytes());
    return {out};
  }

 private:
  libtorch::Program program_;
  std::int64_t batch_;
};

}  // namespace

Module script_features(const Module& backbone) {
  return wrapped(backbone, nullptr, false);
}

Module script_with_head(const Module& backbone, const LinearHead& head, bool dropout) {
  return wrapped(backbone, &head, dropout);
}

std::unique_ptr<nn::Engine> script_engine(const Module& module, int batch) {
  return std::make_unique<ScriptEngine>(module, batch);
}

}  // namespace graft
