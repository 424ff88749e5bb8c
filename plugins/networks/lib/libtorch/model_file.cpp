#include <libtorch/model_file.h>

#include <fmt/format.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/version.h>

#include <string_view>
#include <vector>

#include <graft/error.h>
#include <network/initial_weights.h>
#include <network/weight_file.h>

#include <libtorch/program.h>

namespace graft::libtorch {
namespace {

at::Tensor he_normal(const at::Tensor& like, std::uint64_t seed, const std::string& name) {
  at::Tensor values = at::empty(like.sizes(), at::kFloat);
  nn::he_normal(values.data_ptr<float>(), Shape(like.sizes().begin(), like.sizes().end()), seed, name);
  return values;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

torch::jit::Module load_torchscript(const std::string& path) {
  nn::require_whole_torchscript(path);
  torch::jit::Module module;
  try {
    module = torch::jit::load(path, at::Device(at::kCPU));
  } catch (const std::exception& fault) {
    throw Error(fmt::format(
        "{}: expected a TorchScript archive, got a file that LibTorch {} cannot load ({}); export "
        "the model with torch.jit.script or torch.jit.trace and .save(), or copy the file again",
        path, TORCH_VERSION, reason(fault)));
  }
  const auto forward = module.find_method("forward");
  if (!forward)
    throw Error(
        fmt::format("{}: expected a model with a method `forward`, got one without; export it with "
                    "torch.jit.script or torch.jit.trace",
                    path));
  const auto& arguments = forward->function().getSchema().arguments();
  std::size_t wanted = 0;
  for (const auto& argument : arguments) wanted += argument.default_value() ? 0 : 1;
  if (arguments.size() != 2 || wanted != 2)
    throw Error(
        fmt::format("{}: expected a forward that takes one tensor of images, got one with {} arguments; wrap "
                    "the model so that it takes [n,3,height,width]",
                    path, arguments.size() - 1));
  module.eval();
  return module;
}

std::string cure_for_type(const torch::jit::Module& module) {
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& parameter : module.parameters()) tensors.push_back(parameter);
  for (const at::Tensor& buffer : module.buffers()) tensors.push_back(buffer);
  // A frozen module has its weights in the graph.
  for (const torch::jit::Node* node : module.get_method("forward").graph()->nodes())
    if (node->kind() == c10::prim::Constant && node->outputs().size() == 1)
      if (const auto v = torch::jit::toIValue(node->output()); v && v->isTensor())
        tensors.push_back(v->toTensor());
  for (const at::Tensor& tensor : tensors)
    if (tensor.is_floating_point() && tensor.scalar_type() != at::kFloat)
      return fmt::format(
          " (its weights are {}, and images are Float: call .float() of the model, and save it again)",
          c10::toString(tensor.scalar_type()));
  return {};
}

std::string not_features(const at::Tensor& value) {
  return fmt::format(
      "expected features, floating-point numbers, got values of type {}; save the model again without what "
      "makes these of its features (argmax, a comparison)",
      c10::toString(value.scalar_type()));
}

void forget(torch::jit::Module& module, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  std::size_t changed = 0;
  for (const auto& parameter : module.named_parameters()) {
    at::Tensor value = parameter.value;
    if (value.dim() >= 2)
      value.copy_(he_normal(value, seed, parameter.name));
    else
      value.fill_(ends_with(parameter.name, "weight") ? 1.0 : 0.0);
    ++changed;
  }
  if (changed == 0)
    throw Error(
        "untrained: the model has no parameters that could be reset: it was frozen before it was saved; "
        "export it without torch.jit.freeze");
  for (const auto& buffer : module.named_buffers()) {
    at::Tensor value = buffer.value;
    if (ends_with(buffer.name, "running_mean")) value.zero_();
    if (ends_with(buffer.name, "running_var")) value.fill_(1.0);
  }
}

}  // namespace graft::libtorch
