#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "evaluate.h"
#include "graph.h"
#include "network.h"
#include "patterns.h"
#include "view.h"

namespace graft::nn::onnx {

/// What the lowerings of a graph may take together to fold its constants: enough for the masks and tables of
/// the largest published networks, and in proportion to its weights.
std::int64_t folding_steps(const Graph& graph);

/// Makes a network of a graph for images of one size. Constants are folded; what moves elements about is
/// followed element by element (View); the rest become operations of the network.
///
/// Throws Error that names the node for what no operation of a network computes.
class Lowering {
 public:
  /// `steps`: that folding may take, as Effort counts them.
  Lowering(const Graph& graph, int height, int width, std::int64_t steps);
  std::int64_t steps_left() const { return effort_.steps_left(); }

  /// `notes`: what was decided on the way, a line each.
  NamedNetwork run(std::vector<std::string>& notes);

 private:
  // lowering.cpp: what is the same for all nodes
  void lower(const Node& node);
  void make(const Node& node);
  bool fold(const Node& node);
  void release(const Node& node);
  void let_go(const std::string& name);
  const GraphEntry& entry(const std::string& name) const;
  const GraphEntry& entry(const Node& node, std::size_t input) const;
  const View& view(const Node& node, std::size_t input) const;
  const Array* constant(const Node& node, std::size_t input) const;
  std::vector<Operand> operands(const Node& node) const;
  void give(const Node& node, View view);
  LayerId output(std::vector<std::string>& notes);
  LayerId token_vector(const Node& node, const View& view, const Rows& rows);
  const Node* maker(const std::string& name) const;

  // lower_movements.cpp: elements in another order
  void move(const Node& node);
  bool join(const Node& node);
  View materialised_image(const Node& node, const View& view, Padding* padding);
  std::optional<Rows> rows_of(const View& view) const;
  /// Makes the value one whose rows are channels of places. Throws Error where that is impossible.
  Rows need_rows(const Node& node, View& view);
  static void need_few(const Node& node, std::size_t elements);
  std::optional<View> merged_patches(const Node& node, const View& view);
  std::optional<View> embedded(const View& view, const Array* added);

  // lower_elementwise.cpp: one number in, one out
  void unary(const Node& node);
  void binary(const Node& node);
  View per_channel(const Node& node, const View& in, const std::vector<double>& number, bool reversed);
  bool binary_constant(const Node& node, const View& value, const Array& other, bool reversed);
  void binary_views(const Node& node, View a, View b);
  bool gated(const Node& node, const View& a, const View& b);
  bool swiglu(const Node& node, const View& a, const View& b);
  View resolved(const Node& node, const View& view);
  View affine(const Node& node, const View& view, const std::vector<double>& factor,
              const std::vector<double>& offset);
  static View sampled(const Node& node, const View& view, const std::function<double(double)>& f);

  // lower_layers.cpp: layers with weights, pools and norms
  void conv(const Node& node);
  void pool(const Node& node);
  void reduce_mean(const Node& node, const std::vector<std::int64_t>& axes, bool keeps);
  void batch_norm(const Node& node);
  void layer_norm(const Node& node);
  bool long_layer_norm(const Node& node);
  View normalised(const Node& node, const View& in, std::size_t axis, double eps, const Array* scale,
                  const Array* bias);
  void linear(const Node& node);
  View product(const Node& node, View in, const std::vector<float>& weight, std::size_t out,
               const std::vector<float>& bias);

  // lower_attention.cpp
  void scores(const Node& node);
  bool score_arithmetic(const Node& node);
  bool score_shape(const Node& node);
  void softmax(const Node& node);
  void attention(const Node& node, const Scores& scores, const View& value);
  LayerId joined(const Node& node, const std::array<LayerId, 3>& layers,
                 const std::array<std::vector<std::int32_t>, 3>& channels, double factor);
  void token_attention(const Node& node, const Scores& scores, const View& value);
  void window_attention(const Node& node, const Scores& scores, const View& value);

  const Graph& graph_;
  Network net_;
  Effort effort_;
  std::map<std::string, GraphEntry> entries_;
  std::map<std::string, std::size_t> uses_;
  std::map<std::string, const Node*> makers_;
  std::map<std::string, LongLayerNorm> norms_;
  /// Layers of activations that were made, so that each is made once.
  std::map<std::pair<LayerId, std::shared_ptr<const Samples>>, View> resolved_;
};

}  // namespace graft::nn::onnx
