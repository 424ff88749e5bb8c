#include <graft/graph_drawing.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <graft/markup.h>

namespace graft {
namespace {

constexpr double kLine = 15, kGapX = 36, kGapY = 16, kMargin = 2;
constexpr std::size_t kMostLines = 4, kLongest = 30;

constexpr const char* kAloneStyle =
    "<style><![CDATA[svg{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--tint:#f3f5f8}"
    "@media(prefers-color-scheme:dark){svg{--ink:#e6eaef;--soft:#a3adb8;--rule:#38414b;--tint:#1e252c}}"
    "text{fill:var(--ink);font:12px system-ui,\"DejaVu "
    "Sans\",sans-serif}.tick{fill:var(--soft);font-size:11px}"
    ".strong{font-weight:700}.mid{text-anchor:middle}.node{fill:var(--tint);stroke:var(--rule)}"
    ".edge{fill:none;stroke:var(--soft);stroke-width:1.2}]]></style>";

/// A place in a layer: of a node, or of an edge that passes the layer.
struct Slot {
  std::size_t layer = 0;
  std::size_t node = 0;                  ///< Of an edge: the number of nodes.
  std::vector<std::size_t> left, right;  ///< Slots in the layers beside it.
  double y = 0;                          ///< Its middle.
  double height = 0;
};

class Layout {
 public:
  Layout(const GraphDrawing& graph, double box_height) : graph_(graph), box_(box_height) {
    place_in_layers();
    order();
    set_heights();
  }

  std::size_t layers() const { return order_.size(); }
  std::size_t layer(std::size_t node) const { return slots_[node].layer; }
  double middle(std::size_t slot) const { return slots_[slot].y; }
  /// The slots of an edge, from the input to the node.
  const std::vector<std::size_t>& way(std::size_t node, std::size_t input) const {
    return ways_[node][input];
  }
  double height() const {
    double most = 0;
    for (const Slot& s : slots_) most = std::max(most, s.y + s.height / 2);
    return most;
  }

 private:
  void place_in_layers() {
    const std::size_t n = graph_.nodes.size();
    slots_.resize(n);
    ways_.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      slots_[i].node = i;
      slots_[i].height = box_;
      for (const GraphDrawing::Input& in : graph_.nodes[i].inputs)
        if (in.node < i) slots_[i].layer = std::max(slots_[i].layer, slots_[in.node].layer + 1);
    }
    for (std::size_t i = 0; i < n; ++i)
      for (const GraphDrawing::Input& in : graph_.nodes[i].inputs) {
        std::vector<std::size_t>& way = ways_[i].emplace_back();
        if (in.node >= i) continue;
        way.push_back(in.node);
        for (std::size_t layer = slots_[in.node].layer + 1; layer < slots_[i].layer; ++layer) {
          slots_.push_back({layer, n, {}, {}, 0, box_ / 4});
          way.push_back(slots_.size() - 1);
        }
        way.push_back(i);
        for (std::size_t k = 0; k + 1 < way.size(); ++k) {
          slots_[way[k]].right.push_back(way[k + 1]);
          slots_[way[k + 1]].left.push_back(way[k]);
        }
      }
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      order_.resize(std::max(order_.size(), slots_[s].layer + 1));
      order_[slots_[s].layer].push_back(s);
    }
  }

  std::vector<std::size_t> positions() const {
    std::vector<std::size_t> at(slots_.size());
    for (const auto& layer : order_)
      for (std::size_t i = 0; i < layer.size(); ++i) at[layer[i]] = i;
    return at;
  }

  std::size_t crossings() const {
    const std::vector<std::size_t> at = positions();
    std::size_t count = 0;
    for (const auto& layer : order_)
      for (std::size_t i = 0; i < layer.size(); ++i)
        for (std::size_t j = i + 1; j < layer.size(); ++j)
          for (const std::size_t a : slots_[layer[i]].right)
            for (const std::size_t b : slots_[layer[j]].right) count += at[a] > at[b] ? 1 : 0;
    return count;
  }

  /// Sorts each layer by the medians of its neighbours to one side, then to the other, and keeps the best.
  void order() {
    constexpr int kSweeps = 8;
    auto best = order_;
    std::size_t fewest = crossings();
    for (int sweep = 0; sweep < kSweeps && fewest > 0; ++sweep) {
      const bool forward = sweep % 2 == 0;
      for (std::size_t l = 0; l < order_.size(); ++l)
        sort_layer(order_[forward ? l : order_.size() - 1 - l], forward);
      if (const std::size_t now = crossings(); now < fewest) {
        fewest = now;
        best = order_;
      }
    }
    order_ = std::move(best);
  }

  void sort_layer(std::vector<std::size_t>& layer, bool by_left) {
    const std::vector<std::size_t> at = positions();
    std::vector<std::pair<double, std::size_t>> keyed;
    for (const std::size_t s : layer) {
      std::vector<std::size_t> near;
      for (const std::size_t other : by_left ? slots_[s].left : slots_[s].right) near.push_back(at[other]);
      std::sort(near.begin(), near.end());
      const double median = near.empty() ? static_cast<double>(at[s])
                            : near.size() % 2 == 1
                                ? static_cast<double>(near[near.size() / 2])
                                : static_cast<double>(near[near.size() / 2 - 1] + near[near.size() / 2]) / 2;
      keyed.emplace_back(median, s);
    }
    std::stable_sort(keyed.begin(), keyed.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < layer.size(); ++i) layer[i] = keyed[i].second;
  }

  /// Every slot is drawn to the mean of its neighbours; layers are then spread so that nothing overlaps.
  void set_heights() {
    constexpr int kRounds = 12;
    for (const auto& layer : order_) spread(layer);
    for (int round = 0; round < kRounds; ++round)
      for (const auto& layer : order_) {
        for (const std::size_t s : layer) {
          double sum = 0;
          std::size_t count = 0;
          for (const auto* side : {&slots_[s].left, &slots_[s].right})
            for (const std::size_t other : *side) {
              sum += slots_[other].y;
              ++count;
            }
          if (count > 0) slots_[s].y = sum / static_cast<double>(count);
        }
        spread(layer);
      }
    double top = std::numeric_limits<double>::infinity();
    for (const Slot& s : slots_) top = std::min(top, s.y - s.height / 2);
    for (Slot& s : slots_) s.y -= top;
  }

  /// Keeps the order and the mean: pushes apart downwards, then moves all back.
  void spread(const std::vector<std::size_t>& layer) {
    double before = 0, after = 0;
    for (std::size_t i = 0; i < layer.size(); ++i) {
      Slot& s = slots_[layer[i]];
      before += s.y;
      if (i > 0) {
        const Slot& above = slots_[layer[i - 1]];
        s.y = std::max(s.y, above.y + above.height / 2 + kGapY + s.height / 2);
      }
      after += s.y;
    }
    for (const std::size_t s : layer) slots_[s].y -= (after - before) / static_cast<double>(layer.size());
  }

  const GraphDrawing& graph_;
  const double box_;
  std::vector<Slot> slots_;                                  // those of the nodes first
  std::vector<std::vector<std::size_t>> order_;              // by layer
  std::vector<std::vector<std::vector<std::size_t>>> ways_;  // by node and input
};

/// Of a box: what its longest line needs, in the fonts of the style.
double width_of(const GraphDrawing& graph) {
  double most = 0;
  for (const GraphDrawing::Node& node : graph.nodes)
    for (std::size_t i = 0; i < std::min(node.lines.size(), kMostLines); ++i) {
      const std::string line = cut_to(node.lines[i], kLongest);
      const auto characters = static_cast<double>(std::count_if(
          line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
      most = std::max(most, characters * (i == 0 ? 7.6 : 6.4));
    }
  return most + 18;
}

}  // namespace

std::string svg_of(const GraphDrawing& graph, bool alone) {
  std::size_t lines = 1;
  for (const GraphDrawing::Node& node : graph.nodes)
    lines = std::max(lines, std::min(node.lines.size(), kMostLines));
  const double high = kLine * static_cast<double>(lines) + 9, wide = width_of(graph);
  const Layout layout(graph, high);
  const auto left = [&](std::size_t layer) { return kMargin + static_cast<double>(layer) * (wide + kGapX); };
  const double width =
      2 * kMargin + std::max(0.0, static_cast<double>(layout.layers()) * (wide + kGapX) - kGapX);
  const double height = 2 * kMargin + layout.height();
  std::string svg = fmt::format(
      "<svg class=\"chart graph\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "role=\"img\" "
      "aria-label=\"{2}\" xmlns=\"http://www.w3.org/2000/svg\">{3}",
      width, height, escaped(graph.title), alone ? kAloneStyle : "");
  const auto put = std::back_inserter(svg);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    for (std::size_t in = 0; in < graph.nodes[i].inputs.size(); ++in) {
      const std::vector<std::size_t>& way = layout.way(i, in);
      if (way.empty()) continue;
      const std::size_t first = layout.layer(way[0]);
      std::string path;
      for (std::size_t k = 0; k + 1 < way.size(); ++k) {
        const double x1 = left(first + k) + wide, x2 = left(first + k + 1);
        const double y1 = kMargin + layout.middle(way[k]), y2 = kMargin + layout.middle(way[k + 1]);
        if (k == 0) path = fmt::format("M{:.1f} {:.1f}", x1, y1);
        if (k > 0) path += fmt::format("H{:.1f}", x1);
        path += fmt::format("C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", x1 + kGapX / 2, y1, x2 - kGapX / 2,
                            y2, x2, y2);
      }
      fmt::format_to(put, "<path class=\"edge\" d=\"{}\"/>", path);
      if (const std::string& label = graph.nodes[i].inputs[in].label; !label.empty())
        fmt::format_to(put, "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"tick mid\">{}</text>",
                       left(first) + wide + kGapX / 2, kMargin + layout.middle(way[0]) - 4,
                       escaped(cut_to(label, 8)));
    }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const double x = left(layout.layer(i)), y = kMargin + layout.middle(i) - high / 2;
    fmt::format_to(
        put, "<rect class=\"node\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"5\"/>",
        x, y, wide, high);
    const std::vector<std::string>& text = graph.nodes[i].lines;
    for (std::size_t l = 0; l < std::min(text.size(), kMostLines); ++l)
      fmt::format_to(put, "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>", x + 8,
                     y + kLine * static_cast<double>(l + 1), l == 0 ? "name strong" : "tick",
                     escaped(cut_to(text[l], kLongest)));
  }
  return svg + "</svg>";
}

}  // namespace graft
