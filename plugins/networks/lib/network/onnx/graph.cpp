#include "graph.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/element.h>
#include "../printable.h"
#include "wire.h"

namespace graft::nn::onnx {
namespace {

/// Types of TensorProto, by their number: how weight files name them; null: not known here.
const char* type_name(std::int64_t type) {
  constexpr const char* kNames[] = {nullptr, "F32", "U8",  nullptr, nullptr, "I16",   "I32",   "I64", nullptr,
                                    "BOOL",  "F16", "F64", nullptr, nullptr, nullptr, nullptr, "BF16"};
  return type >= 0 && type < static_cast<std::int64_t>(std::size(kNames)) ? kNames[type] : nullptr;
}

std::string text_of(const Wire& wire) {
  return std::string(wire.bytes());
}

/// What a graph may have of nodes, attributes, names and tensors: each costs memory, however short it is in
/// the file.
class Parts {
 public:
  void take() {
    if (left_-- == 0) throw Error(fmt::format("a graph of more than {} nodes, names and attributes", kMost));
  }

 private:
  static constexpr std::size_t kMost = 200'000;
  std::size_t left_ = kMost;
};

/// What a TensorProto has, before its elements are read.
struct RawTensor {
  std::string name;
  std::int64_t type = 0;
  Shape shape;
  std::string_view raw, message;
  bool has_raw = false, is_external = false;
  /// Elements of float_data, of double_data, and of int32_data, int64_data and uint64_data (halves are bits).
  std::size_t reals = 0, doubles = 0, integers = 0;
};

constexpr std::size_t kMostAxes = 16;

RawTensor raw_tensor(std::string_view message) {
  RawTensor out;
  out.message = message;
  for (Wire wire(message, "a tensor"); wire.next();) switch (wire.field()) {
      case 1:
        wire.each_varint([&](std::int64_t n) {
          if (out.shape.size() == kMostAxes)
            throw Error(fmt::format("a tensor of more than {} axes", kMostAxes));
          out.shape.push_back(n);
        });
        break;
      case 2:
        out.type = wire.integer();
        break;
      case 4:
        out.reals += wire.reals<float>();
        break;
      case 5:
      case 7:
      case 11:
        out.integers += wire.varints();
        break;
      case 8:
        out.name = text_of(wire);
        break;
      case 9:
        out.raw = wire.bytes();
        out.has_raw = true;
        break;
      case 10:
        out.doubles += wire.reals<double>();
        break;
      case 13:
        out.is_external = true;
        break;
      case 14:
        out.is_external = out.is_external || wire.integer() == 1;
        break;
      default:
        break;
    }
  return out;
}

[[noreturn]] void fail_tensor(const RawTensor& tensor, const std::string& text) {
  throw Error(fmt::format("tensor '{}' {}", printable(tensor.name), text));
}

std::size_t checked_count(const RawTensor& tensor) {
  if (tensor.is_external)
    fail_tensor(tensor,
                "lies in another file, which is not opened: save the model as one file, in Python: "
                "onnx.save_model(onnx.load('model.onnx'), 'whole.onnx', save_as_external_data=False)");
  if (std::any_of(tensor.shape.begin(), tensor.shape.end(), [](std::int64_t n) { return n < 0; }))
    fail_tensor(tensor, fmt::format("has the shape {}: the file is damaged", to_string(tensor.shape)));
  try {
    return count_of(tensor.shape);
  } catch (const Error& fault) {
    fail_tensor(tensor, fault.what());
  }
}

/// Elements that lie as bytes.
Array from_bytes(const RawTensor& tensor, const char* type, std::size_t count) {
  const ElementType& element = *element_type(type);
  if (tensor.raw.size() / element.bytes != count || tensor.raw.size() % element.bytes != 0)
    fail_tensor(tensor,
                fmt::format("has {} bytes for {} of {}: the file is truncated or damaged; copy it again",
                            tensor.raw.size(), to_string(tensor.shape), type));
  Array out;
  out.shape = tensor.shape;
  const auto* bytes = reinterpret_cast<const std::byte*>(tensor.raw.data());
  if (type[0] == 'F' || type == std::string_view("BF16")) {
    out.reals.resize(count);
    element.to_float(bytes, count, out.reals.data());
    return out;
  }
  out.is_float = false;
  out.integers.resize(count);
  const auto read = [&]<typename T>(T value) {
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(&value, bytes + i * sizeof value, sizeof value);
      out.integers[i] = value;
    }
  };
  if (element.bytes == 8) read(std::int64_t{});
  if (element.bytes == 4) read(std::int32_t{});
  if (element.bytes == 2) read(std::int16_t{});
  if (element.bytes == 1) read(std::uint8_t{});
  return out;
}

ArrayPtr array_of(const RawTensor& tensor, std::string* type_out = nullptr) {
  const char* type = type_name(tensor.type);
  if (type == nullptr)
    fail_tensor(
        tensor,
        fmt::format("has the type {}: expected float, float16, bfloat16, double, int16, int32, int64, "
                    "uint8 or bool; export the model before it is quantised",
                    tensor.type));
  if (type_out != nullptr) *type_out = type;
  const std::size_t count = checked_count(tensor);
  if (tensor.has_raw) return std::make_shared<Array>(from_bytes(tensor, type, count));
  const auto check = [&](std::size_t got) {
    if (got != count)
      fail_tensor(
          tensor,
          fmt::format("has {} elements for the shape {}: the file is truncated or damaged; copy it again",
                      got, to_string(tensor.shape)));
  };
  Array out;
  out.shape = tensor.shape;
  const std::string_view name = type;
  const auto each_field = [&](auto take) {
    for (Wire wire(tensor.message, "a tensor"); wire.next();) take(wire);
  };
  const auto each_integer = [&](auto take) {
    each_field([&](const Wire& wire) {
      if (wire.field() == 5 || wire.field() == 7 || wire.field() == 11) wire.each_varint(take);
    });
  };
  if (name == "F32") {
    check(tensor.reals);
    out.reals.reserve(count);
    each_field([&](const Wire& wire) {
      if (wire.field() == 4) wire.append_reals(out.reals);
    });
  } else if (name == "F64") {
    check(tensor.doubles);
    std::vector<double> doubles;
    doubles.reserve(count);
    each_field([&](const Wire& wire) {
      if (wire.field() == 10) wire.append_reals(doubles);
    });
    out.reals.assign(doubles.begin(), doubles.end());
  } else if (name == "F16" || name == "BF16") {
    check(tensor.integers);
    std::vector<std::uint16_t> bits;
    bits.reserve(count);
    each_integer([&](std::int64_t v) { bits.push_back(static_cast<std::uint16_t>(v)); });
    out.reals.resize(count);
    element_type(name)->to_float(reinterpret_cast<const std::byte*>(bits.data()), count, out.reals.data());
  } else {
    check(tensor.integers);
    out.is_float = false;
    out.integers.reserve(count);
    each_integer([&](std::int64_t v) { out.integers.push_back(v); });
  }
  return std::make_shared<Array>(std::move(out));
}

Attribute attribute_of(std::string_view message, std::string& name) {
  Attribute out;
  for (Wire wire(message, "an attribute"); wire.next();) switch (wire.field()) {
      case 1:
        name = text_of(wire);
        break;
      case 2:
        out.kind = Attribute::Kind::Float;
        out.real = static_cast<double>(wire.real<float>());
        break;
      case 3:
        out.kind = Attribute::Kind::Int;
        out.integer = wire.integer();
        break;
      case 4:
        out.kind = Attribute::Kind::Text;
        out.text = text_of(wire);
        break;
      case 5:
        out.kind = Attribute::Kind::Tensor;
        out.tensor = array_of(raw_tensor(wire.bytes()));
        break;
      case 7:
        out.kind = Attribute::Kind::Floats;
        wire.append_reals(out.reals);
        break;
      case 8:
        out.kind = Attribute::Kind::Ints;
        if (out.integers.empty()) out.integers.reserve(wire.varints());
        wire.each_varint([&](std::int64_t v) { out.integers.push_back(v); });
        break;
      case 20: {  // an empty list has its type alone
        const std::int64_t type = wire.integer();
        if (type == 6) out.kind = Attribute::Kind::Floats;
        if (type == 7) out.kind = Attribute::Kind::Ints;
        break;
      }
      default:
        break;
    }
  return out;
}

Node node_of(std::string_view message, Parts& parts) {
  Node out;
  for (Wire wire(message, "a node"); wire.next();) {
    parts.take();
    switch (wire.field()) {
      case 1:
        out.inputs.push_back(text_of(wire));
        break;
      case 2:
        out.outputs.push_back(text_of(wire));
        break;
      case 3:
        out.name = text_of(wire);
        break;
      case 4:
        out.op = text_of(wire);
        break;
      case 5: {
        std::string name;
        Attribute attribute = attribute_of(wire.bytes(), name);
        out.attributes.insert_or_assign(std::move(name), std::move(attribute));
        break;
      }
      case 7:
        out.domain = text_of(wire);
        break;
      default:
        break;
    }
  }
  return out;
}

/// Messages within each other, by their fields: of a value, its type, that of a tensor, its shape.
GraphValue value_of(std::string_view message) {
  GraphValue out;
  const auto axis = [&](std::string_view bytes) {
    std::optional<std::int64_t> size;
    for (Wire wire(bytes, "an axis"); wire.next();)
      if (wire.field() == 1 && wire.integer() > 0) size = wire.integer();
    out.axes.push_back(size);
  };
  const auto shape = [&](std::string_view bytes) {
    out.has_shape = true;
    for (Wire wire(bytes, "a shape"); wire.next();)
      if (wire.field() == 1 && out.axes.size() < kMostAxes) axis(wire.bytes());
  };
  const auto tensor = [&](std::string_view bytes) {
    for (Wire wire(bytes, "a type"); wire.next();) {
      if (wire.field() == 1) out.type = static_cast<int>(std::min<std::uint64_t>(wire.varint(), 1000));
      if (wire.field() == 2) shape(wire.bytes());
    }
  };
  const auto type = [&](std::string_view bytes) {
    for (Wire wire(bytes, "a type"); wire.next();)
      if (wire.field() == 1) tensor(wire.bytes());
  };
  for (Wire wire(message, "a value"); wire.next();) {
    if (wire.field() == 1) out.name = text_of(wire);
    if (wire.field() == 2) type(wire.bytes());
  }
  return out;
}

void read_graph(std::string_view message, Graph& out) {
  std::map<std::string, std::string> types;
  Parts parts;
  for (Wire wire(message, "the graph"); wire.next();) {
    parts.take();
    switch (wire.field()) {
      case 1:
        out.nodes.push_back(node_of(wire.bytes(), parts));
        break;
      case 5: {
        RawTensor tensor = raw_tensor(wire.bytes());
        if (tensor.name.empty())
          throw Error("has a tensor without a name: the file is damaged; copy it again");
        if (!out.initializers.emplace(tensor.name, array_of(tensor, &types[tensor.name])).second)
          fail_tensor(tensor, "is there twice: the file is damaged; export it again");
        break;
      }
      case 11:
        out.inputs.push_back(value_of(wire.bytes()));
        break;
      case 12:
        out.outputs.push_back(value_of(wire.bytes()));
        break;
      case 15:
        throw Error("has sparse tensors, which are not supported: export the model with dense weights");
      default:
        break;
    }
  }
  for (const auto& [name, type] : types) out.initializer_types.push_back(type);
  std::erase_if(out.inputs, [&](const GraphValue& value) { return out.initializers.contains(value.name); });
}

/// Names are unique, and values are made before they are taken: cycles are impossible.
void check_order(const Graph& graph) {
  std::set<std::string> made;
  for (const auto& [name, array] : graph.initializers) made.insert(name);
  for (const GraphValue& input : graph.inputs)
    if (!made.insert(input.name).second)
      throw Error(fmt::format("has two inputs '{}': export it again", printable(input.name)));
  for (const Node& node : graph.nodes) {
    for (const std::string& input : node.inputs)
      if (!input.empty() && !made.contains(input))
        throw Error(
            fmt::format("{} takes '{}', which nothing before it makes: its nodes are out of order or form "
                        "a cycle; export it again",
                        node.title(), printable(input)));
    for (const std::string& output : node.outputs)
      if (!output.empty() && !made.insert(output).second)
        throw Error(fmt::format("{} makes '{}', which is there already: export it again", node.title(),
                                printable(output)));
  }
  if (graph.outputs.empty()) throw Error("has no outputs: export it again");
  for (const GraphValue& output : graph.outputs)
    if (!made.contains(output.name))
      throw Error(fmt::format("its output '{}' is made by no node: export it again", printable(output.name)));
}

/// What no output is made of would only cost time.
void drop_unused_nodes(Graph& graph) {
  std::set<std::string> used;
  for (const GraphValue& output : graph.outputs) used.insert(output.name);
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (std::none_of(node->outputs.begin(), node->outputs.end(),
                     [&](const std::string& name) { return used.contains(name); }))
      continue;
    used.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  graph.nodes = std::move(kept);
}

const Attribute* attribute_named(const Node& node, const char* name, Attribute::Kind kind) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return nullptr;
  if (found->second.kind != kind)
    node.fail(fmt::format("has an attribute `{}` of another type than its operator has", name));
  return &found->second;
}

}  // namespace

Array Array::zeros(Shape shape, bool is_float) {
  const std::size_t count = count_of(shape);
  Array out;
  out.shape = std::move(shape);
  out.is_float = is_float;
  if (is_float)
    out.reals.resize(count);
  else
    out.integers.resize(count);
  return out;
}

std::size_t count_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t n : shape)
    if (n < 0 || __builtin_mul_overflow(count, n, &count) || count > kMostElements)
      throw Error(
          fmt::format("has the shape {}: at most {} elements are possible", to_string(shape), kMostElements));
  return static_cast<std::size_t>(count);
}

std::int64_t Node::integer(const char* key, std::int64_t usual) const {
  const Attribute* found = attribute_named(*this, key, Attribute::Kind::Int);
  return found == nullptr ? usual : found->integer;
}

double Node::real(const char* key, double usual) const {
  const Attribute* found = attribute_named(*this, key, Attribute::Kind::Float);
  return found == nullptr ? usual : found->real;
}

std::string Node::text(const char* key, const char* usual) const {
  const Attribute* found = attribute_named(*this, key, Attribute::Kind::Text);
  return found == nullptr ? usual : found->text;
}

std::optional<std::vector<std::int64_t>> Node::integers(const char* key) const {
  const Attribute* found = attribute_named(*this, key, Attribute::Kind::Ints);
  return found == nullptr ? std::nullopt : std::optional(found->integers);
}

std::string Node::title() const {
  return fmt::format("node '{}' ({})", printable(path()), printable(op));
}

void Node::fail(const std::string& text) const {
  throw Error(title() + " " + text);
}

std::map<std::string, std::size_t> Graph::operators() const {
  std::map<std::string, std::size_t> out;
  for (const Node& node : nodes)
    ++out[node.domain.empty() || node.domain == "ai.onnx" ? node.op : node.domain + "." + node.op];
  return out;
}

Graph parse_graph(std::string_view file) {
  Graph out;
  std::string_view graph;
  std::string producer, version;
  for (Wire wire(file, "the model"); wire.next();) switch (wire.field()) {
      case 1:
        out.ir = wire.integer();
        break;
      case 2:
        producer = text_of(wire);
        break;
      case 3:
        version = text_of(wire);
        break;
      case 7:
        graph = wire.bytes();
        break;
      case 8: {
        std::string domain;
        std::int64_t opset = 0;
        for (Wire inner(wire.bytes(), "an opset"); inner.next();) {
          if (inner.field() == 1) domain = text_of(inner);
          if (inner.field() == 2) opset = inner.integer();
        }
        if (domain.empty() || domain == "ai.onnx") out.opset = opset;
        break;
      }
      default:
        break;
    }
  if (graph.empty())
    throw Error("an ONNX model without a graph: the file is truncated or damaged; copy it again");
  if (out.opset < 1) throw Error("an ONNX model that names no opset: export it again");
  // Before, attributes said to which axes a second operand belongs.
  constexpr std::int64_t kOldest = 7;
  if (out.opset < kOldest)
    throw Error(fmt::format(
        "an ONNX model of opset {}, in which operators mean something else: expected {} or later; export it "
        "again, with opset 11 or later",
        out.opset, kOldest));
  out.producer = printable(producer.empty()  ? version
                           : version.empty() ? producer
                                             : producer + " " + version);
  read_graph(graph, out);
  check_order(out);
  drop_unused_nodes(out);
  return out;
}

}  // namespace graft::nn::onnx
