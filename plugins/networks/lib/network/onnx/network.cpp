#include "network.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/operation.h>

namespace graft::nn::onnx {
namespace {

/// "layer1.0.conv1" and "layer1.0.conv1.Conv" of "/layer1/layer1.0/conv1/Conv": the modules of a node, as
/// PyTorch's exporter names it, without and with its operator.
struct ModulePath {
  std::string module, whole;
};

ModulePath module_path(const std::string& node) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : node + "/") {
    if (c != '/') {
      part += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ? c : '_';
      continue;
    }
    while (!part.empty() && part.front() == '.') part.erase(part.begin());
    if (!parts.empty() && part.starts_with(parts.back() + ".")) parts.pop_back();
    if (!part.empty()) parts.push_back(std::exchange(part, {}));
  }
  ModulePath out;
  out.whole = fmt::format("{}", fmt::join(parts, "."));
  if (parts.size() > 1) parts.pop_back();
  out.module = fmt::format("{}", fmt::join(parts, "."));
  constexpr std::size_t kLongest = 150;
  for (std::string* name : {&out.whole, &out.module})
    if (name->size() > kLongest) name->resize(kLongest);
  return out;
}

/// What is of one pixel at the end becomes a vector, so that tasks can start from it.
class Head {
 public:
  explicit Head(std::vector<Network::Made>& layers) : layers_(layers) {}

  /// The number of the last layer afterwards.
  std::size_t make_vector(std::size_t last) {
    if (!is_pixel(layers_[last].shape)) return last;
    std::size_t first = last;
    while (converts(layers_[first]) && takes_pixel(layers_[first]) && only_reader(first))
      first = static_cast<std::size_t>(layers_[first].from[0]);
    // `first` gives the pixel; those after it, up to the last, become layers of vectors.
    Network::Made flat;
    flat.layer.op = Op::Flatten;
    flat.layer.in = flat.layer.out = static_cast<int>(layers_[first].shape[0]);
    flat.shape = {layers_[first].shape[0]};
    flat.name = "flatten";
    flat.from = {static_cast<LayerId>(first)};
    const auto at = static_cast<LayerId>(first) + 1;
    for (Network::Made& made : layers_)
      for (LayerId& from : made.from)
        if (from >= at) ++from;
    std::vector<bool> chain(layers_.size() + 1);
    std::size_t end = last == first ? first : last + 1;
    layers_.insert(layers_.begin() + at, std::move(flat));
    if (last == first) return static_cast<std::size_t>(at);
    for (std::size_t i = end; i != first && i != static_cast<std::size_t>(at);
         i = static_cast<std::size_t>(layers_[i].from[0])) {
      Network::Made& made = layers_[i];
      if (made.layer.op == Op::Conv) {
        made.layer.op = Op::Linear;
        made.layer.padding = {};
      }
      made.shape = {made.shape[0]};
      if (made.from[0] == static_cast<LayerId>(first)) made.from[0] = at;
    }
    return end;
  }

 private:
  static bool is_pixel(const Shape& shape) { return shape.size() == 3 && shape[1] == 1 && shape[2] == 1; }
  bool takes_pixel(const Network::Made& made) const {
    return made.from.size() == 1 && made.from[0] != kImage &&
           is_pixel(layers_[static_cast<std::size_t>(made.from[0])].shape);
  }
  static bool converts(const Network::Made& made) {
    const Layer& layer = made.layer;
    switch (layer.op) {
      case Op::Conv:
        return layer.kernel == 1 && layer.stride == 1 && layer.groups == 1 && layer.padding == Padding{} &&
               layer.padding_rule == PaddingRule::Fixed;
      case Op::Relu:
      case Op::Relu6:
      case Op::Silu:
      case Op::Sigmoid:
      case Op::Gelu:
      case Op::GeluTanh:
      case Op::QuickGelu:
      case Op::HardSigmoid:
      case Op::HardSwish:
      case Op::Tanh:
      case Op::LayerNorm:
      case Op::LayerScale:
        return true;
      default:
        return false;
    }
  }
  /// Whether the layer alone takes the value that it takes.
  bool only_reader(std::size_t layer) const {
    std::size_t readers = 0;
    for (const Network::Made& made : layers_)
      readers +=
          static_cast<std::size_t>(std::count(made.from.begin(), made.from.end(), layers_[layer].from[0]));
    return readers == 1;
  }

  std::vector<Network::Made>& layers_;
};

/// The layers that one needs, in order; their numbers are counted again.
std::vector<Network::Made> needed_for(const Network& network, LayerId output) {
  std::vector<bool> needed(network.size());
  needed[static_cast<std::size_t>(output)] = true;
  for (std::size_t i = network.size(); i-- > 0;)
    if (needed[i])
      for (const LayerId from : network[static_cast<LayerId>(i)].from)
        if (from != kImage) needed[static_cast<std::size_t>(from)] = true;
  std::vector<LayerId> number(network.size());
  std::vector<Network::Made> out;
  for (std::size_t i = 0; i < network.size(); ++i) {
    if (!needed[i]) continue;
    number[i] = static_cast<LayerId>(out.size());
    out.push_back(network[static_cast<LayerId>(i)]);
    for (LayerId& from : out.back().from)
      if (from != kImage) from = number[static_cast<std::size_t>(from)];
  }
  return out;
}

/// A layer has the name of its module, unless others are below it or have it; those with weights come first.
void name_layers(std::vector<Network::Made>& layers) {
  std::vector<ModulePath> paths;
  std::set<std::string> modules, taken = {"input", ""};
  for (const Network::Made& made : layers) {
    paths.push_back(module_path(made.name));
    modules.insert(paths.back().module);
  }
  const auto has_below = [&](const std::string& name) {
    const auto next = modules.lower_bound(name + ".");
    return next != modules.end() && next->starts_with(name + ".");
  };
  for (const bool weighted : {true, false})
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (layers[i].weights.empty() == weighted) continue;
      std::string name = paths[i].module;
      if (taken.contains(name) || has_below(name)) name = paths[i].whole;
      if (name.empty()) name = "layer";
      const std::string base = name;
      for (int n = 2; taken.contains(name); ++n) name = fmt::format("{}_{}", base, n);
      taken.insert(name);
      layers[i].layer.name = std::move(name);
    }
}

/// How features come from tokens, where they do: by the class token or by the mean of all after it.
void name_pooling(Architecture& net) {
  const Layer& tap = *net.find(net.tap);
  const auto embed = std::find_if(net.layers.begin(), net.layers.end(),
                                  [](const Layer& layer) { return layer.op == Op::Embed; });
  if (tap.op != Op::TokenMean || embed == net.layers.end()) return;
  if (tap.count == 1 && tap.first == 0 && embed->prefix > 0) {
    net.pool = "cls";
    net.class_tokens = 1;
  }
  if (tap.count == 0 && tap.first == embed->prefix) net.pool = "avg";
}

}  // namespace

int Network::channels(LayerId id) const {
  const Shape& own = shape(id);
  return static_cast<int>(own.size() == 3 ? own[0] : own.back());
}

std::int64_t Network::places(LayerId id) const {
  const Shape& own = shape(id);
  return own.size() == 3 ? own[1] * own[2] : own.size() == 2 ? own[0] : 1;
}

LayerId Network::add(Layer layer, std::vector<LayerId> from, Weights weights, const std::string& name) {
  std::vector<Shape> in;
  for (const LayerId id : from) in.push_back(shape(id));
  if (layer.in == 0) layer.in = channels(from.at(0));
  if (layer.out == 0) layer.out = layer.in;
  Made made{std::move(layer), std::move(from), {}, std::move(weights), name};
  try {
    made.shape = operation(made.layer.op).output(made.layer, in);
    count_of(made.shape);
  } catch (const WrongInput& fault) {
    throw Error(fmt::format("node '{}' becomes a {}, which takes {}, not {}", name, to_string(made.layer.op),
                            fault.wanted, to_string(fault.got)));
  }
  if (std::any_of(made.shape.begin(), made.shape.end(), [](std::int64_t n) { return n < 1; }))
    throw Error(fmt::format("node '{}' gives {}: nothing is left of the image", name, to_string(made.shape)));
  made_.push_back(std::move(made));
  return static_cast<LayerId>(made_.size()) - 1;
}

NamedNetwork finished(const Network& network, LayerId output, std::vector<std::string>& notes) {
  if (output == kImage) throw Error("its output is the image itself");
  std::vector<Network::Made> layers = needed_for(network, output);
  const std::size_t last = Head(layers).make_vector(layers.size() - 1);
  name_layers(layers);
  NamedNetwork out;
  Architecture& net = out.architecture;
  for (const Network::Made& made : layers) {
    Layer layer = made.layer;
    for (const LayerId from : made.from)
      layer.from.push_back(from == kImage ? "input" : layers[static_cast<std::size_t>(from)].layer.name);
    for (const Parameter& parameter : parameters_of(layer)) {
      const std::vector<float>& values = made.weights.at(parameter.path.substr(layer.name.size() + 1));
      if (static_cast<std::int64_t>(values.size()) != elements(parameter.shape))
        throw Error(fmt::format("tensor {} has {} values for {}: this is a bug in graft", parameter.path,
                                values.size(), to_string(parameter.shape)));
      Tensor tensor = Tensor::allocate(DType::F32, parameter.shape);
      std::copy(values.begin(), values.end(), tensor.as<float>());
      out.weights.emplace(parameter.path, std::move(tensor));
    }
    net.layers.push_back(std::move(layer));
  }
  const Network::Made& end = layers[last];
  if (end.shape.size() != 1) throw Error(fmt::format("its output is {}, not a vector", to_string(end.shape)));
  net.tap = end.layer.name;
  net.features = static_cast<int>(end.shape[0]);
  if (end.layer.op == Op::Linear && end.layer.bias && end.from[0] != kImage) {
    const Network::Made& before = layers[static_cast<std::size_t>(end.from[0])];
    net.classifier = end.layer.name;
    net.classes = net.features;
    net.tap = before.layer.name;
    net.features = static_cast<int>(before.shape[0]);
    notes.push_back(fmt::format(
        "features are what its last linear layer {} takes; `taps: {}` gives what it makes of them",
        net.classifier, net.classifier));
  }
  name_pooling(net);
  return out;
}

}  // namespace graft::nn::onnx
