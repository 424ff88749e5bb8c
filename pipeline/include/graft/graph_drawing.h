#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// Boxes with arrows between them, drawn from left to right: the stages of a config, for one.
struct GraphDrawing {
  struct Input {
    std::size_t node = 0;  ///< The position of a node before this one.
    std::string label = {};
  };
  struct Node {
    std::vector<std::string> lines;  ///< Of text, the first one bold; at most four are drawn.
    std::vector<Input> inputs;
  };
  std::string title;  ///< For people who cannot see it.
  std::vector<Node> nodes;
};

/// An SVG element whose parts have classes (node, edge, name, tick). `alone`: with a style of its own, light
/// and dark; otherwise it is for a page that has one. Texts are escaped. The layers are those of the longest
/// paths; nodes within a layer are ordered by the median heuristic for few crossings (Sugiyama, Tagawa and
/// Toda 1981; Gansner, Koutsofios, North and Vo 1993). The same drawing each time. Any thread.
GRAFT_API std::string svg_of(const GraphDrawing& graph, bool alone = false);

}  // namespace graft
