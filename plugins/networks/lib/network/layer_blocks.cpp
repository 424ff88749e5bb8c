#include <network/layer_blocks.h>

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>

namespace graft::nn {
namespace {

bool is_part_of(std::string_view layer, std::string_view name) {
  return layer == name ||
         (layer.size() > name.size() && layer.starts_with(name) && layer[name.size()] == '.');
}

bool has_weights(const Layer& layer) {
  return !parameters_of(layer).empty();
}

/// Layers that cannot be taken apart: single ones, or branches with what joins them.
struct Unit {
  std::size_t first, last;
};

std::vector<Unit> units_of(const Architecture& net) {
  std::vector<Unit> units;
  for (std::size_t i = 0; i < net.layers.size(); ++i) {
    if (value_before(net, i)) units.push_back({i, i});
    units.back().last = i + 1;  // nothing comes before the first layer but the input
  }
  return units;
}

class Divider {
 public:
  explicit Divider(const Architecture& net) : net_(net), units_(units_of(net)) {
    const auto pools = std::count_if(net.layers.begin(), net.layers.end(),
                                     [](const Layer& layer) { return layer.op == Op::MaxPool; });
    has_stages_ = pools > 1 && units_.size() == net.layers.size();
  }

  std::vector<LayerBlock> divide() {
    for (const Unit& unit : units_) {
      const std::string named = own_name(net_.layers[unit.first].name);
      const bool other = named != name_ && (!named.empty() || weighted(unit) != nullptr);
      if (blocks_.empty() || other || (named.empty() && begins(unit))) {
        blocks_.push_back({named, unit.first, unit.last});
        name_ = named;
        convolutions_ = Convolutions::None;
        pooled_ = false;
      }
      blocks_.back().last = unit.last;
      see(unit);
    }
    return finished();
  }

 private:
  /// What there is of convolutions in the block so far, seen from its end.
  enum class Convolutions { None, Widening, Depthwise, Other };

  /// Of the block in the architecture's own list that the layer is in; empty: of none.
  std::string own_name(const std::string& layer) const {
    for (const Block& block : net_.blocks)
      if (is_part_of(layer, block.name)) return block.name;
    return "";
  }

  const Layer* weighted(const Unit& unit) const {
    for (std::size_t i = unit.first; i < unit.last; ++i)
      if (has_weights(net_.layers[i])) return &net_.layers[i];
    return nullptr;
  }

  bool has(const Unit& unit, Op op) const {
    for (std::size_t i = unit.first; i < unit.last; ++i)
      if (net_.layers[i].op == op) return true;
    return false;
  }

  static bool is_depthwise(const Layer& conv) { return conv.groups > 1 && conv.groups == conv.in; }

  bool begins(const Unit& unit) const {
    if (weighted(unit) == nullptr) return false;
    if (has(unit, Op::Add)) return true;
    const Layer& layer = net_.layers[unit.first];
    if (unit.last - unit.first > 1) return false;  // the branch of a scale
    if (layer.op == Op::Linear) return true;
    if (layer.op != Op::Conv) return false;
    if (has_stages_) return pooled_;
    if (is_depthwise(layer)) return convolutions_ != Convolutions::Widening;
    return layer.kernel != 1 || convolutions_ != Convolutions::Depthwise;
  }

  void see(const Unit& unit) {
    if (has(unit, Op::MaxPool)) pooled_ = true;
    if (has(unit, Op::Add)) convolutions_ = Convolutions::Other;
    const Layer& layer = net_.layers[unit.first];
    if (unit.last - unit.first > 1 || layer.op != Op::Conv) return;
    const bool first = convolutions_ == Convolutions::None;
    convolutions_ = is_depthwise(layer)                                  ? Convolutions::Depthwise
                    : first && layer.kernel == 1 && layer.out > layer.in ? Convolutions::Widening
                                                                         : Convolutions::Other;
  }

  /// Runs without weights join the block before them, or after them at the start; the rest get names.
  std::vector<LayerBlock> finished() const {
    std::vector<LayerBlock> out;
    std::size_t first = 0;
    for (const LayerBlock& block : blocks_) {
      const Layer* layer = weighted({block.first, block.last});
      if (layer == nullptr && out.empty()) continue;
      if (layer == nullptr) {
        out.back().last = first = block.last;
        continue;
      }
      out.push_back({block.name.empty() ? layer->name : block.name, first, block.last});
      first = block.last;
    }
    return out;
  }

  const Architecture& net_;
  std::vector<Unit> units_;
  bool has_stages_ = false;
  std::vector<LayerBlock> blocks_;
  std::string name_;
  Convolutions convolutions_ = Convolutions::None;
  bool pooled_ = false;
};

}  // namespace

std::vector<LayerBlock> blocks_of(const Architecture& architecture) {
  return Divider(architecture).divide();
}

std::vector<std::size_t> blocks_named(const Architecture& architecture, const std::vector<LayerBlock>& blocks,
                                      const std::string& name) {
  std::vector<std::size_t> found;
  std::vector<std::string> names;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    names.push_back(blocks[b].name);
    for (std::size_t i = blocks[b].first; i < blocks[b].last; ++i)
      if (is_part_of(architecture.layers[i].name, name)) {
        found.push_back(b);
        break;
      }
  }
  if (!found.empty()) return found;
  throw Error(fmt::format("{} has no block '{}'{} (blocks: {})", architecture.name, name,
                          suggestion(name, names), fmt::join(names, ", ")));
}

std::optional<std::string> value_before(const Architecture& architecture, std::size_t index) {
  std::set<std::string> inside, outside;
  for (std::size_t i = index; i < architecture.layers.size(); ++i) {
    for (const std::string& from : architecture.layers[i].from)
      if (!inside.contains(from)) outside.insert(from);
    inside.insert(architecture.layers[i].name);
  }
  if (outside.size() != 1) return {};
  return *outside.begin();
}

}  // namespace graft::nn
