#include <libtorch/network_module.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <graft/error.h>
#include <network/operation.h>

namespace graft::libtorch {
namespace {

using nn::Layer;
using nn::Op;
using torch::jit::Module;

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t to = std::min(path.find('.', from), path.size());
    parts.push_back(path.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

/// The modules of a network by path, made when they are first asked for.
class Tree {
 public:
  explicit Tree(const std::string& name)
      : name_(name), unit_(std::make_shared<torch::jit::CompilationUnit>()), root_(make(name)) {}

  Module& root() { return root_; }

  Module at(const std::string& path) {
    if (path.empty()) return root_;
    if (const auto known = modules_.find(path); known != modules_.end()) return known->second;
    const auto dot = path.rfind('.');
    Module parent = at(dot == std::string::npos ? "" : path.substr(0, dot));
    std::string class_name = name_ + "_" + path;
    std::replace(class_name.begin(), class_name.end(), '.', '_');
    Module module = make(class_name);
    parent.register_module(dot == std::string::npos ? path : path.substr(dot + 1), module);
    return modules_.emplace(path, module).first->second;
  }

 private:
  Module make(const std::string& class_name) {
    Module module(c10::QualifiedName("__torch__.graft." + class_name), unit_);
    module.register_attribute("training", c10::BoolType::get(), true);
    return module;
  }

  std::string name_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  Module root_;
  std::map<std::string, Module> modules_;
};

void register_tensors(Tree& tree, const Layer& layer) {
  for (const nn::Parameter& p : nn::parameters_of(layer)) {
    const std::string name = p.path.substr(layer.name.size() + 1);
    Module module = tree.at(layer.name);
    if (p.trainable)
      module.register_parameter(name, at::empty(p.shape), false);
    else
      module.register_buffer(name, name == "running_var" ? at::ones(p.shape) : at::zeros(p.shape));
  }
}

/// TorchScript that reaches the module at `path` from `self`; parts such as "0" are no Python names.
std::string reach(const std::string& path) {
  std::string text = "self";
  for (const std::string& part : parts_of(path)) text = fmt::format("getattr({}, \"{}\")", text, part);
  return text;
}

/// The module that has the last part of a path such as "layer1.0.conv1.weight", and that part; nothing where
/// there is none.
std::optional<std::pair<Module, std::string>> owner_of(const Module& module, const std::string& path) {
  Module at = module;
  std::vector<std::string> parts = parts_of(path);
  const std::string name = parts.back();
  parts.pop_back();
  for (const std::string& part : parts) {
    if (!at.hasattr(part)) return {};
    at = at.attr(part).toModule();
  }
  if (!at.hasattr(name)) return {};
  return std::pair(at, name);
}

Module make(const nn::Architecture& net, const std::vector<std::string>& outputs, bool training, bool bf16) {
  Tree tree(net.name);
  std::map<std::string, std::string> value = {{"input", "x"}};
  std::string source = "def forward(self, x):\n";
  int values = 0;
  for (const Layer& layer : net.layers) {
    if (layer.op == Op::Dropout) {
      if (!training) {
        value[layer.name] = value.at(layer.from[0]);
        continue;
      }
      tree.at(layer.name).register_attribute("mask", c10::TensorType::get(), at::ones({1}));
    }
    register_tensors(tree, layer);
    std::vector<std::string> in;
    for (const std::string& name : layer.from) in.push_back(value.at(name));
    const nn::TorchNames names{std::move(in), reach(layer.name), fmt::format("v{}", ++values), bf16};
    std::vector<std::string> lines;
    lines.push_back(fmt::format("{} = {}", names.out, nn::operation(layer.op).torch(layer, names, lines)));
    for (const std::string& line : lines) source += "    " + line + "\n";
    value[layer.name] = names.out;
  }
  std::string result = value.at(net.layers.back().name);
  if (!outputs.empty()) {
    result = "(";
    for (const std::string& name : outputs) result += value.at(name) + ", ";
    result += ")";
  }
  tree.root().define(source + "    return " + result + "\n");
  return tree.root();
}

}  // namespace

Module make_module(const nn::Architecture& architecture, const std::vector<std::string>& outputs) {
  return make(outputs.empty() ? architecture : nn::reduced_to(architecture, outputs), outputs, false, false);
}

Module make_training_module(const nn::Architecture& architecture, bool bf16) {
  return make(architecture, {}, true, bf16);
}

void set_mask(const Module& module, const std::string& path, const at::Tensor& mask) {
  auto owner = owner_of(module, path + ".mask");
  if (!owner) throw Error(fmt::format("the network has no dropout layer '{}'", path));
  owner->first.setattr(owner->second, mask);
}

void set_tensors(const Module& module, const std::map<std::string, Tensor>& tensors) {
  const at::NoGradGuard no_grad;
  for (const auto& [path, tensor] : tensors) {
    const auto owner = owner_of(module, path);
    if (!owner) throw Error(fmt::format("the network has no tensor '{}'", path));
    const at::Tensor to = owner->first.attr(owner->second).toTensor();
    if (tensor.dtype != DType::F32 || tensor.shape != Shape(to.sizes().begin(), to.sizes().end()))
      throw Error(fmt::format("{}: expected f32{}, got {}{}", path,
                              to_string(Shape(to.sizes().begin(), to.sizes().end())), to_string(tensor.dtype),
                              to_string(tensor.shape)));
    to.copy_(at::from_blob(tensor.data, to.sizes()));
  }
}

}  // namespace graft::libtorch
