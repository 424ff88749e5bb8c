#include <libtorch/describe_script.h>

#include <fmt/format.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <libtorch/model_file.h>
#include "tap_modules.h"

namespace graft::libtorch {
namespace {

using nn::Layer;
using nn::Op;
using torch::jit::Node;
using torch::jit::toIValue;

/// Thrown where the graph does what no Architecture can say.
struct NotDescribed {};

void need(bool condition) {
  if (!condition) throw NotDescribed();
}

enum class Form {
  Map,     ///< [c,h,w]
  Pooled,  ///< [c,1,1]
  Flat,    ///< [values]
};

/// A value of the graph: a layer's, perhaps seen through zero padding or a choice of every n-th pixel, which
/// belong to the layer that reads it.
struct Seen {
  std::string layer;
  int channels = 0;
  Form form = Form::Map;
  nn::Padding padding = {};
  int every_row = 1, every_column = 1;

  bool plain() const { return padding == nn::Padding{} && every_row == 1 && every_column == 1; }
};

/// Where a node was called: the module that did it, and the block around it.
struct Place {
  std::string name;               ///< "layer1.0.conv1"; empty: the file does not say.
  std::string block, block_type;  ///< "layer1.0", "BasicBlock"; empty: none around it but containers.
};

/// By the calls that were inlined, from the outermost on.
Place place_of(const Node& node, Op op) {
  struct Call {
    std::string path, type;
    bool is_container, is_layer;
  };
  std::vector<Call> calls;
  const auto stack = node.callstack();
  if (!stack) return {};
  for (const auto& entry : (*stack)->vec()) {
    const auto& module = std::get<2>(entry);
    if (!module || !module->class_type() || module->instance_name().empty() ||
        module->instance_name() == "SELF")
      continue;
    const auto type = module->class_type()->name();
    const std::string full = type ? type->qualifiedName() : "";
    const bool is_container = full.find("torch.nn.modules.container.") != std::string::npos;
    calls.push_back({(calls.empty() ? "" : calls.back().path + ".") + module->instance_name(),
                     type ? type->name() : "", is_container,
                     !is_container && full.find("torch.nn.modules.") != std::string::npos});
  }
  if (calls.empty()) return {};
  Place place{calls.back().path, {}, {}};
  if (calls.back().is_layer)
    calls.pop_back();
  else  // an operation that the module calls itself
    place.name += std::string(".") + nn::to_string(op);
  while (!calls.empty() && calls.back().is_container) calls.pop_back();
  if (!calls.empty()) {
    place.block = calls.back().path;
    place.block_type = calls.back().type;
  }
  return place;
}

/// Makes layers of the nodes of a frozen graph, one after the other. Nodes are read by the positions of their
/// arguments, which are listed where they are read, as in PyTorch's native_functions.yaml.
class Reader {
 public:
  /// `several`: whether more than one output is wanted.
  Reader(const torch::jit::Graph& graph, bool several) {
    need(graph.inputs().size() == 2);  // the module itself, the images
    values_[graph.inputs()[1]] = {"input", 3};
    for (const Node* node : graph.nodes()) read(*node);
    need(graph.outputs().size() == 1);
    const torch::jit::Value* out = graph.outputs()[0];
    if (several && out->node()->kind() == c10::prim::TupleConstruct) {
      for (const torch::jit::Value* part : out->node()->inputs()) found_.outputs.push_back(layer_of(*part));
    } else {
      found_.outputs = {layer_of(*out)};
    }
    nn::Architecture& net = *found_.model.architecture;
    net.tap = found_.outputs.back();
    for (const std::string& output : found_.outputs) need(output != "input");
  }
  nn::Described take() { return std::move(found_); }

 private:
  static int int_at(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    need(v && v->isInt());
    return static_cast<int>(v->toInt());
  }
  static double number_at(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    need(v && v->isScalar());
    return v->toScalar().toDouble();
  }
  static bool flag_at(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    need(v && v->isBool());
    return v->toBool();
  }
  static std::vector<std::int64_t> ints_at(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    need(v && v->isIntList());
    return v->toIntVector();
  }
  /// Both of a pair that must be one number: kernels and strides here are square.
  static int square_at(const Node& node, std::size_t i) {
    const auto pair = ints_at(node, i);
    need(pair.size() == 2 && pair[0] == pair[1]);
    return static_cast<int>(pair[0]);
  }
  static at::Tensor tensor_at(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    if (!v || v->isNone()) return {};
    need(v->isTensor() && v->toTensor().scalar_type() == at::kFloat);
    return v->toTensor().contiguous();
  }
  static bool is_none(const Node& node, std::size_t i) {
    const auto v = toIValue(node.inputs().at(i));
    return v && v->isNone();
  }

  const Seen& seen(const torch::jit::Value& value) const {
    const auto found = values_.find(&value);
    need(found != values_.end());
    return found->second;
  }
  const std::string& layer_of(const torch::jit::Value& value) const {
    need(seen(value).plain());
    return seen(value).layer;
  }

  void need_form(const Node& node, Form form) const { need(seen(*node.inputs().at(0)).form == form); }
  bool is_image(const Node& node) const { return seen(*node.inputs().at(0)).form != Form::Flat; }

  /// Its value has the form of its first input.
  Layer& add(const Node& node, Op op, int out, std::size_t inputs = 1) {
    Layer layer;
    layer.name = name_for(node, op);
    layer.op = op;
    layer.in = seen(*node.inputs().at(0)).channels;
    layer.out = out;
    for (std::size_t i = 0; i < inputs; ++i) layer.from.push_back(seen(*node.inputs().at(i)).layer);
    values_[node.output()] = {layer.name, out, seen(*node.inputs().at(0)).form};
    layers().push_back(std::move(layer));
    return layers().back();
  }
  /// People know the modules of the file. A module may be called several times.
  std::string name_for(const Node& node, Op op) {
    const Place place = place_of(node, op);
    const std::string name = place.name.empty() ? nn::to_string(op) : place.name;
    auto& blocks = found_.model.architecture->blocks;
    const bool is_known = std::any_of(blocks.begin(), blocks.end(),
                                      [&](const nn::Block& block) { return block.name == place.block; });
    if (!place.block.empty() && !is_known) blocks.push_back({place.block, place.block_type});
    std::string unique = name;
    for (int n = 2; !names_.insert(unique).second; ++n) unique = fmt::format("{}_{}", name, n);
    return unique;
  }
  void becomes(const Node& node, Form form) { values_[node.output()].form = form; }
  std::vector<Layer>& layers() { return found_.model.architecture->layers; }

  void keep(const std::string& path, const at::Tensor& tensor) {
    Tensor copy = Tensor::allocate(DType::F32, Shape(tensor.sizes().begin(), tensor.sizes().end()));
    std::memcpy(copy.data, tensor.data_ptr<float>(), copy.bytes());
    found_.model.weights[path] = copy;
  }

  void read(const Node& node) {
    if (node.kind() == c10::prim::Constant || node.kind() == c10::prim::ListConstruct ||
        node.kind() == c10::prim::TupleConstruct)
      return;
    const std::string_view kind = node.kind().toQualString();
    static const std::map<std::string_view, std::function<void(Reader&, const Node&)>> kKnown = {
        {"aten::conv2d", [](Reader& r, const Node& n) { r.convolution(n, 6); }},
        {"aten::_convolution",
         [](Reader& r, const Node& n) {
           need(!flag_at(n, 6));  // transposed
           r.convolution(n, 8);
         }},
        {"aten::batch_norm", &Reader::batch_norm},
        {"aten::relu", [](Reader& r, const Node& n) { r.element_wise(n, Op::Relu); }},
        {"aten::relu6", [](Reader& r, const Node& n) { r.element_wise(n, Op::Relu6); }},
        {"aten::hardtanh", &Reader::clamp},
        {"aten::clamp", &Reader::clamp},
        {"aten::silu", [](Reader& r, const Node& n) { r.element_wise(n, Op::Silu); }},
        {"aten::sigmoid", [](Reader& r, const Node& n) { r.element_wise(n, Op::Sigmoid); }},
        {"aten::dropout",
         [](Reader& r, const Node& n) {
           need(!flag_at(n, 2));  // training
           r.element_wise(n, Op::Dropout);
         }},
        {"aten::add",
         [](Reader& r, const Node& n) {
           need(number_at(n, 2) == 1);
           r.sum(n);
         }},
        {"aten::mul", &Reader::scale},
        {"aten::max_pool2d", &Reader::max_pool},
        {"aten::adaptive_avg_pool2d",
         [](Reader& r, const Node& n) {
           const int size = square_at(n, 1);
           need(r.is_image(n));
           r.element_wise(n, size == 1 ? Op::GlobalPool : Op::AvgPool);
           r.layers().back().size = size;
           r.becomes(n, size == 1 ? Form::Pooled : Form::Map);
         }},
        {"aten::mean", &Reader::mean},
        {"aten::flatten", &Reader::flatten},
        {"aten::linear", &Reader::linear},
        {"aten::constant_pad_nd", [](Reader& r, const Node& n) { r.pad(n, 2); }},
        {"aten::pad",
         [](Reader& r, const Node& n) {
           const auto mode = toIValue(n.inputs().at(2));
           need(mode && mode->isString() && mode->toStringRef() == "constant");
           r.pad(n, 3);
         }},
        {"aten::slice", &Reader::slice},
    };
    // relu_ writes over its input, which nobody reads again in a network that can be described.
    std::string_view name = kind;
    if (name.ends_with('_')) {
      need(node.inputs().at(0)->uses().size() == 1 && owns_its_memory(seen(*node.inputs().at(0))));
      name.remove_suffix(1);
    }
    const auto known = kKnown.find(name);
    need(known != kKnown.end());
    known->second(*this, node);
  }

  /// Whether it is a new value, not a view of a value that may be read elsewhere.
  bool owns_its_memory(const Seen& value) const {
    if (!value.plain() || value.layer == "input") return false;
    const Op op = found_.model.architecture->find(value.layer)->op;
    return op != Op::Dropout && op != Op::Flatten;
  }

  /// (input, weight, bias, stride, padding, dilation, then groups at `groups_at`)
  void convolution(const Node& node, std::size_t groups_at) {
    const Seen from = seen(*node.inputs().at(0));
    const at::Tensor weight = tensor_at(node, 1), bias = tensor_at(node, 2);
    const auto padding = ints_at(node, 4);
    need(from.every_row == 1 && from.every_column == 1 && weight.defined() && weight.dim() == 4 &&
         weight.size(2) == weight.size(3) && padding.size() == 2 && square_at(node, 5) == 1);
    need(bias.defined() || is_none(node, 2));
    need(from.form == Form::Map || (from.form == Form::Pooled && weight.size(2) == 1));
    Layer& layer = add(node, Op::Conv, static_cast<int>(weight.size(0)));
    layer.groups = int_at(node, groups_at);
    layer.in = static_cast<int>(weight.size(1)) * layer.groups;
    layer.kernel = static_cast<int>(weight.size(2));
    layer.stride = square_at(node, 3);
    const int rows = static_cast<int>(padding[0]), columns = static_cast<int>(padding[1]);
    layer.padding = {from.padding.top + rows, from.padding.left + columns, from.padding.bottom + rows,
                     from.padding.right + columns};
    layer.bias = bias.defined();
    keep(layer.name + ".weight", weight);
    if (layer.bias) keep(layer.name + ".bias", bias);
  }

  /// (input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
  void batch_norm(const Node& node) {
    need(!flag_at(node, 5) && is_image(node));
    element_wise(node, Op::BatchNorm);
    Layer& layer = layers().back();
    layer.eps = number_at(node, 7);
    std::size_t at = 1;
    for (const char* name : {".weight", ".bias", ".running_mean", ".running_var"}) {
      const at::Tensor tensor = tensor_at(node, at++);
      need(tensor.defined());
      keep(layer.name + name, tensor);
    }
  }

  /// Any layer that keeps the channels and reads no padding.
  void element_wise(const Node& node, Op op) {
    layer_of(*node.inputs().at(0));
    add(node, op, seen(*node.inputs().at(0)).channels);
  }

  /// (input, min, max)
  void clamp(const Node& node) {
    need(number_at(node, 1) == 0 && number_at(node, 2) == 6);
    element_wise(node, Op::Relu6);
  }

  void sum(const Node& node) {
    const Seen a = seen(*node.inputs().at(0)), b = seen(*node.inputs().at(1));
    need(a.plain() && b.plain() && a.form == b.form && a.channels == b.channels);
    add(node, Op::Add, a.channels, 2);
  }

  /// The product of an image and a factor per channel (squeeze-and-excitation), in either order.
  void scale(const Node& node) {
    const Seen a = seen(*node.inputs().at(0)), b = seen(*node.inputs().at(1));
    need(a.plain() && b.plain() && a.channels == b.channels && a.form != Form::Flat && b.form != Form::Flat &&
         (a.form == Form::Pooled || b.form == Form::Pooled));
    Layer& layer = add(node, Op::Mul, a.channels, 2);
    if (b.form != Form::Pooled) std::swap(layer.from[0], layer.from[1]);
    becomes(node, a.form == b.form ? Form::Pooled : Form::Map);
  }

  /// (input, kernel_size, stride, padding, dilation, ceil_mode)
  void max_pool(const Node& node) {
    need_form(node, Form::Map);
    element_wise(node, Op::MaxPool);
    Layer& layer = layers().back();
    layer.kernel = square_at(node, 1);
    layer.stride = ints_at(node, 2).empty() ? layer.kernel.height : square_at(node, 2);
    const int pad = square_at(node, 3);
    layer.padding = {pad, pad, pad, pad};
    need(square_at(node, 4) == 1 && !flag_at(node, 5));
  }

  /// (input, dim, keepdim, dtype)
  void mean(const Node& node) {
    auto axes = ints_at(node, 1);
    for (std::int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
    need(axes == std::vector<std::int64_t>{2, 3} && is_none(node, 3) && is_image(node));
    element_wise(node, Op::GlobalPool);
    becomes(node, Form::Pooled);
    if (flag_at(node, 2)) return;
    Layer flat;
    flat.name = name_for(node, Op::Flatten);
    flat.op = Op::Flatten;
    flat.from = {layers().back().name};
    flat.in = flat.out = layers().back().out;
    values_[node.output()] = {flat.name, flat.out, Form::Flat};
    layers().push_back(std::move(flat));
  }

  /// (input, start_dim, end_dim)
  void flatten(const Node& node) {
    const int last = int_at(node, 2);
    need(int_at(node, 1) == 1 && (last == -1 || last == 3) && is_image(node));
    element_wise(node, Op::Flatten);
    becomes(node, Form::Flat);
  }

  /// (input, weight, bias)
  void linear(const Node& node) {
    const at::Tensor weight = tensor_at(node, 1), bias = tensor_at(node, 2);
    need(weight.defined() && weight.dim() == 2 && (bias.defined() || is_none(node, 2)));
    layer_of(*node.inputs().at(0));
    need_form(node, Form::Flat);
    Layer& layer = add(node, Op::Linear, static_cast<int>(weight.size(0)));
    layer.in = static_cast<int>(weight.size(1));
    layer.bias = bias.defined();
    keep(layer.name + ".weight", weight);
    if (layer.bias) keep(layer.name + ".bias", bias);
  }

  /// (input, pad, value at `fill_at`); `pad`: before and after the last axis, then those of the axis before.
  /// Zeros around an image wait for the convolution; zeros before and after the channels, after a choice of
  /// every n-th pixel, are He's parameter-free shortcut.
  void pad(const Node& node, std::size_t fill_at) {
    const auto amounts = ints_at(node, 1);
    need(is_none(node, fill_at) || number_at(node, fill_at) == 0);
    for (const std::int64_t amount : amounts) need(amount >= 0);
    Seen from = seen(*node.inputs().at(0));
    need(from.form == Form::Map);
    if (amounts.size() == 4) {
      need(from.every_row == 1 && from.every_column == 1);
      from.padding = {from.padding.top + static_cast<int>(amounts[2]),
                      from.padding.left + static_cast<int>(amounts[0]),
                      from.padding.bottom + static_cast<int>(amounts[3]),
                      from.padding.right + static_cast<int>(amounts[1])};
      values_[node.output()] = from;
      return;
    }
    need(amounts.size() == 6 && amounts[0] + amounts[1] + amounts[2] + amounts[3] == 0 &&
         from.padding == nn::Padding{} && from.every_row == from.every_column);
    const std::int64_t missing = amounts[4] + amounts[5];
    need(amounts[4] == missing / 2 && from.channels > 0);
    add(node, Op::Shortcut, from.channels + static_cast<int>(missing)).stride = from.every_row;
  }

  /// (input, dim, start, end, step)
  void slice(const Node& node) {
    Seen from = seen(*node.inputs().at(0));
    const int axis = int_at(node, 1), step = int_at(node, 4);
    const auto end = toIValue(node.inputs().at(3));
    need((is_none(node, 2) || int_at(node, 2) == 0) && end &&
         (end->isNone() || (end->isInt() && end->toInt() > nn::kMaxSide)) && from.padding == nn::Padding{});
    need(from.form == Form::Map && axis >= 0 && axis < 4 && (axis >= 2 || step == 1));
    if (axis == 2) from.every_row *= step;
    if (axis == 3) from.every_column *= step;
    values_[node.output()] = from;
  }

  std::map<const torch::jit::Value*, Seen> values_;
  std::set<std::string> names_{"input"};
  nn::Described found_ = [] {
    nn::Described start;
    start.model.architecture.emplace();
    return start;
  }();
};

}  // namespace

std::optional<nn::Described> describe_script(const nn::Model& torchscript, const nn::EngineOptions& options) {
  torch::jit::Module module = load_torchscript(torchscript.torchscript);
  if (!options.taps.empty()) module = tap_modules(module, options.taps);
  if (options.forget) forget(module, *options.forget);  // untrained: weights are drawn by this seed
  try {
    if (module.hasattr("training")) module = torch::jit::freeze(module);
    const auto graph = module.get_method("forward").graph()->copy();
    torch::jit::Inline(*graph);
    nn::Described found = Reader(*graph, !options.taps.empty()).take();
    found.model.name = found.model.architecture->name = torchscript.name;
    return found;
  } catch (const NotDescribed&) {
    return {};
  } catch (const c10::Error&) {
    return {};  // LibTorch's own engines say what is wrong
  }
}

}  // namespace graft::libtorch
