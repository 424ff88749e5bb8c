#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph.h"

namespace graft::nn::onnx {

/// What an evaluation may take: a file is small, and what it asks for may be large.
class Effort {
 public:
  /// `elements`: that are there at once; `steps`: sums of products and elements that are computed, in all.
  Effort(std::int64_t elements, std::int64_t steps) : elements_(elements), steps_(steps) {}
  /// Zeros. Throws Error beyond the limits.
  Array make(Shape shape, bool is_float = true);
  void work(std::int64_t steps);
  void forget(std::int64_t elements) { elements_ += elements; }
  std::int64_t steps_left() const { return steps_; }

 private:
  std::int64_t elements_, steps_;
};

/// The plain evaluator: one operator after the other, by loops, in float with sums in double. It is what
/// constants are folded with, and what a lowered network is compared with.
std::vector<ArrayPtr> evaluate(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs,
                               Effort& effort);

/// Values of all outputs.
std::vector<ArrayPtr> evaluate_graph(const Graph& graph, const std::map<std::string, ArrayPtr>& inputs,
                                     Effort& effort);

/// For the operators of `evaluate` that are layers; null for another one.
using Evaluate = Array (*)(const Node& node, std::int64_t opset, const std::vector<ArrayPtr>& inputs,
                           Effort& effort);
Evaluate layer_evaluation(const std::string& op);

/// Windows of a Conv or a pool.
struct Windows {
  std::int64_t kernel[2], stride[2], dilation[2], before[2], behind[2];
  bool ceil = false;
  /// Of a side with its padding. Throws Error where no window fits.
  std::int64_t count(const Node& node, std::size_t side, std::int64_t length) const;
};
/// `kernel`: of the weights; else of the attribute. Throws Error for what is not two-dimensional.
Windows windows_of(const Node& node, const Shape& image, const Shape& weight);

}  // namespace graft::nn::onnx
