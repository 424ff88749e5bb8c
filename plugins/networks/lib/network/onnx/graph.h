#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "array.h"

namespace graft::nn::onnx {

/// An attribute of a node; graphs as attributes are not kept.
struct Attribute {
  enum class Kind { Float, Int, Text, Tensor, Floats, Ints, Other } kind = Kind::Other;
  double real = 0;
  std::int64_t integer = 0;
  std::string text;
  ArrayPtr tensor;
  std::vector<float> reals;
  std::vector<std::int64_t> integers;
};

struct Node {
  std::string op, domain, name;
  std::vector<std::string> inputs, outputs;  ///< An empty name: left out.
  std::map<std::string, Attribute> attributes;

  /// Attributes, or the default. Throw Error for one of another kind.
  std::int64_t integer(const char* key, std::int64_t usual) const;
  double real(const char* key, double usual) const;
  std::string text(const char* key, const char* usual) const;
  std::optional<std::vector<std::int64_t>> integers(const char* key) const;
  bool has(const char* key) const { return attributes.contains(key); }
  bool has_input(std::size_t i) const { return i < inputs.size() && !inputs[i].empty(); }

  /// For messages: "node '/fc/Gemm' (Gemm)".
  std::string title() const;
  /// Throws Error: its title, then `text`.
  [[noreturn]] void fail(const std::string& text) const;
  /// Its name, or that of what it makes: "/fc/Gemm".
  const std::string& path() const { return name.empty() && !outputs.empty() ? outputs[0] : name; }
};

/// Types of real numbers, as TensorProto counts types.
inline bool is_real_type(std::int64_t type) {
  constexpr std::int64_t kFloat = 1, kHalf = 10, kDouble = 11, kBfloat16 = 16;
  return type == kFloat || type == kHalf || type == kDouble || type == kBfloat16;
}

/// What goes into a graph or comes out.
struct GraphValue {
  std::string name;
  int type = 0;                                   ///< As TensorProto counts types: 1 is float.
  std::vector<std::optional<std::int64_t>> axes;  ///< Nothing: left open.
  bool has_shape = false;
};

struct Graph {
  std::string producer;  ///< "pytorch 1.13.0"; empty: not known.
  std::int64_t ir = 0, opset = 0;
  std::vector<Node> nodes;  ///< Each after those whose values it takes.
  std::map<std::string, ArrayPtr> initializers;
  std::vector<std::string> initializer_types;  ///< In the order of the map: "F32".
  std::vector<GraphValue> inputs, outputs;     ///< Inputs without those that have an initializer.

  /// How often each operator occurs, by its name.
  std::map<std::string, std::size_t> operators() const;
};

/// Whether images are [n,height,width,3], as TensorFlow has them, not [n,3,height,width].
inline bool has_rows_of_pixels(const GraphValue& image) {
  return image.axes.size() == 4 && image.axes[1] != 3 && image.axes[3] == 3;
}

/// Reads a model. Throws Error without the path for one that is damaged, whose values are not each made once
/// and before they are taken, whose weights lie in other files, and for quantised types.
Graph parse_graph(std::string_view file);

}  // namespace graft::nn::onnx
