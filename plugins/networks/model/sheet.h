#pragma once

#include <optional>
#include <string>
#include <vector>

#include <graft/value.h>

#include <network/architecture.h>
#include <network/cost.h>

namespace graft::model {

struct SheetOptions {
  std::optional<int> side;      ///< Of the image, in pixels; unset: what the network was trained on.
  std::string freeze = "none";  ///< "none", "all", or a layer or block: everything up to and including it.
  bool all = false;             ///< Every layer in place of one row for a block.
};

/// What can be said of a network: as a table, as a graph, as JSON.
class Sheet {
 public:
  /// Throws Error for a layer that is not there, and for images that do not fit.
  Sheet(nn::Architecture architecture, SheetOptions options);

  std::string text() const;
  /// Graphviz: a node for a row of the table, an edge for a value that one takes from another.
  std::string dot() const;
  /// Every layer, whatever `all` is.
  Value value() const;

 private:
  /// A layer, or the layers of a block together.
  struct Row {
    std::string name, type;
    Shape output;
    std::int64_t parameters = 0, multiply_adds = 0, bytes = 0;
    std::size_t layers = 0, frozen = 0;
  };

  std::vector<Row> rows(bool all) const;
  const nn::Block* block_of(const nn::Layer& layer) const;
  std::int64_t trainable() const;
  std::string facts() const;

  nn::Architecture net_;
  SheetOptions options_;
  nn::Extent size_;
  nn::Cost cost_;
  std::size_t frozen_ = 0;  ///< So many layers from the first.
};

}  // namespace graft::model
