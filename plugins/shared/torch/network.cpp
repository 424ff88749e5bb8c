#include "network.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include <graft/error.h>

#include "program.h"

namespace graft {
namespace {

using torch::jit::Module;

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

/// TorchScript that reaches the module at `path` from `self`; parts such as "0" are no Python names.
std::string reach(const std::string& path) {
  std::string text = "self";
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t to = std::min(path.find('.', from), path.size());
    text = fmt::format("getattr({}, \"{}\")", text, path.substr(from, to - from));
    from = to + 1;
  }
  return text;
}

void register_tensors(Module module, const Layer& layer) {
  const auto parameter = [&](const char* name, std::vector<std::int64_t> shape) {
    module.register_parameter(name, at::empty(shape), false);
  };
  switch (layer.op) {
    case Layer::Op::Conv:
      parameter("weight", {layer.out, layer.in, layer.kernel, layer.kernel});
      if (layer.bias) parameter("bias", {layer.out});
      break;
    case Layer::Op::BatchNorm:
      parameter("weight", {layer.out});
      parameter("bias", {layer.out});
      module.register_buffer("running_mean", at::zeros({layer.out}));
      module.register_buffer("running_var", at::ones({layer.out}));
      break;
    case Layer::Op::Linear:
      parameter("weight", {layer.out, layer.in});
      if (layer.bias) parameter("bias", {layer.out});
      break;
    default:
      break;
  }
}

bool has_tensors(const Layer& layer) {
  return layer.op == Layer::Op::Conv || layer.op == Layer::Op::BatchNorm || layer.op == Layer::Op::Linear;
}

std::string expression(const Layer& layer, const std::vector<std::string>& in) {
  const std::string self = reach(layer.name);
  const std::string bias = layer.bias ? self + ".bias" : "None";
  switch (layer.op) {
    case Layer::Op::Conv:
      return fmt::format("torch.conv2d({0}, {1}.weight, {2}, [{3}, {3}], [{4}, {4}], [1, 1], 1)", in[0], self,
                         bias, layer.stride, layer.padding);
    case Layer::Op::BatchNorm:
      return fmt::format(
          "torch.batch_norm({0}, {1}.weight, {1}.bias, {1}.running_mean, {1}.running_var, self.training, "
          "0.1, 1e-5, "
          "False)",
          in[0], self);
    case Layer::Op::Relu:
      return fmt::format("torch.relu({})", in[0]);
    case Layer::Op::Add:
      return fmt::format("torch.add({}, {})", in[0], in[1]);
    case Layer::Op::MaxPool:
      return fmt::format("torch.max_pool2d({0}, [{1}, {1}], [{2}, {2}])", in[0], layer.kernel, layer.stride);
    case Layer::Op::Shortcut: {
      const int missing = layer.out - layer.in;
      return fmt::format("torch.constant_pad_nd({0}[:, :, ::{1}, ::{1}], [0, 0, 0, 0, {2}, {3}], 0.0)", in[0],
                         layer.stride, missing / 2, missing - missing / 2);
    }
    case Layer::Op::GlobalPool:
      return fmt::format("torch.mean({}, [2, 3])", in[0]);
    case Layer::Op::Flatten:
      return fmt::format("torch.flatten({}, 1)", in[0]);
    case Layer::Op::Linear:
      return fmt::format("torch.linear({}, {}.weight, {})", in[0], self, bias);
  }
  throw Error("layer " + layer.name + " has no expression");
}

/// The network up to the layer `last`.
Module build(const Architecture& architecture, const std::string& last) {
  Tree tree(architecture.name);
  std::map<std::string, std::string> value = {{"input", "x"}};
  std::string source = "def forward(self, x):\n";
  for (const Layer& layer : architecture.layers) {
    if (has_tensors(layer)) register_tensors(tree.at(layer.name), layer);
    std::vector<std::string> in;
    for (const std::string& name : layer.from) in.push_back(value.at(name));
    const std::string out = fmt::format("v{}", value.size());
    source += fmt::format("    {} = {}\n", out, expression(layer, in));
    value[layer.name] = out;
    if (layer.name == last) break;
  }
  source += fmt::format("    return {}\n", value.at(last));
  tree.root().define(source);
  return tree.root();
}

}  // namespace

Module build_network(const Architecture& architecture) {
  return build(architecture, architecture.layers.back().name);
}

Module build_extractor(const Architecture& architecture, const Module& trained) {
  Module extractor = build(architecture, architecture.tap);
  for (const Layer& layer : architecture.layers) {
    if (has_tensors(layer)) {
      // A path that the extractor lacks belongs to the classifier.
      Module from = trained, to = extractor;
      bool inside = true;
      for (std::size_t at = 0; inside && at < layer.name.size();) {
        const std::size_t end = std::min(layer.name.find('.', at), layer.name.size());
        const std::string part = layer.name.substr(at, end - at);
        inside = to.hasattr(part);
        if (inside) {
          from = from.attr(part).toModule();
          to = to.attr(part).toModule();
        }
        at = end + 1;
      }
      if (inside)
        for (const char* name : {"weight", "bias", "running_mean", "running_var"})
          if (to.hasattr(name)) to.setattr(name, from.attr(name).toTensor().detach());
    }
    if (layer.name == architecture.tap) break;
  }
  extractor.eval();
  return extractor;
}

void save_torchscript(const Module& module, const std::string& path) {
  const std::string temporary = path + ".part";
  try {
    module.save(temporary);
    std::filesystem::rename(temporary, path);
  } catch (const std::exception& fault) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error(fmt::format("{}: cannot be written: {}", path, reason(fault)));
  }
}

}  // namespace graft
