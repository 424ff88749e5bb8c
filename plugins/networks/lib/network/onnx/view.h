#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <network/architecture.h>

#include "array.h"
#include "movement.h"
#include "samples.h"

namespace graft::nn::onnx {

/// Places of elements, shared by the values that have the same.
using Places = std::shared_ptr<const std::vector<std::int32_t>>;

/// Number of a layer of the network that is being built; kImage: the image.
using LayerId = int;
constexpr LayerId kImage = -1;

/// Places that are followed element by element: values of published networks have fewer.
constexpr std::size_t kMostPlaces = 12'000'000;

/// A value of the graph for one image, as a layer's value in another order: exporters write reshapes and
/// transposes at will, and only where each element comes from counts.
struct View {
  LayerId layer = kImage;
  Shape shape;  ///< As the graph has it, with a batch of one.
  /// By element: the place in the layer's value; below zero, -1 - i: the i-th of `fixed`. Null: as they lie.
  Places places;
  std::shared_ptr<const std::vector<float>> fixed;
  /// What is still to be done to each element, by its values at sample points; null: nothing.
  std::shared_ptr<const Samples> samples;
  std::string sampled_by;  ///< The node that did the last of it.

  std::int32_t place(std::size_t i) const { return places ? (*places)[i] : static_cast<std::int32_t>(i); }
  std::size_t size() const { return count_of(shape); }
  /// The same elements with these places; what lies in order is known as such.
  View with(Shape new_shape, std::vector<std::int32_t> new_places, std::size_t layer_size) const;
};

/// Rows of a value: the last axis are channels of one place of the layer.
struct Rows {
  std::vector<std::int32_t> place;    ///< By row: a pixel, a token, 0 of a vector; below zero: a fixed row.
  std::vector<std::int32_t> channel;  ///< By element of a row.
};

/// Products of queries and keys that are on their way to an attention.
struct Scores {
  View query, key;  ///< [..., n, d] and [..., d, m]
  double scale = 1;
  std::vector<float> bias;  ///< [..., n, m]; empty: none.
  bool normalised = false;  ///< Softmax is done.
};

/// A value of the graph.
struct GraphEntry {
  explicit GraphEntry(ArrayPtr value) : kind(Kind::Constant), constant(std::move(value)) {}
  explicit GraphEntry(nn::onnx::View value) : kind(Kind::View), view(std::move(value)) {}
  GraphEntry(nn::onnx::Scores value, Shape shape)
      : kind(Kind::Scores),
        scores(std::make_shared<const nn::onnx::Scores>(std::move(value))),
        scores_shape(std::move(shape)) {}
  explicit GraphEntry(std::string fault) : kind(Kind::Error), error(std::move(fault)) {}

  enum class Kind { Constant, View, Scores, Error } kind;
  ArrayPtr constant;
  nn::onnx::View view;
  std::shared_ptr<const nn::onnx::Scores> scores;
  Shape scores_shape;
  /// Why nothing was made of it: reported if it is needed after all, which the inside of a pattern is not.
  std::string error;
};

}  // namespace graft::nn::onnx
