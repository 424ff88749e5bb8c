#include <network/cost.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/operation.h>

namespace graft::nn {
namespace {

/// Shapes of the values so far, by name.
class Shapes {
 public:
  Shapes(const Architecture& architecture, int height, int width)
      : network_(architecture.name), height_(height), width_(width) {
    known_["input"] = {3, height, width};
  }

  /// Output and products of a layer, whose output becomes known.
  LayerCost add(const Layer& layer) {
    std::vector<Shape> in;
    for (const std::string& name : layer.from) {
      const auto found = known_.find(name);
      if (found == known_.end())
        throw Error(fmt::format("{}: layer {} takes its input from '{}', which is not an earlier layer",
                                network_, layer.name, name));
      in.push_back(found->second);
    }
    const Operation& op = operation(layer.op);
    if (op.inputs == Operation::kAny ? in.empty() : in.size() != op.inputs)
      throw Error(fmt::format("{}: layer {} ({}) takes {} inputs, has {}", network_, layer.name, op.name,
                              op.inputs == Operation::kAny ? "some" : std::to_string(op.inputs), in.size()));
    LayerCost cost;
    try {
      cost.output = op.output(layer, in);
      if (op.multiply_adds != nullptr) cost.multiply_adds = op.multiply_adds(layer, in, cost.output);
    } catch (const WrongInput& fault) {
      throw Error(fmt::format("{}: layer {} ({}) takes {}, gets {} from {} for an image of {} x {} px",
                              network_, layer.name, op.name, fault.wanted, to_string(fault.got),
                              layer.from.back(), width_, height_));
    }
    if (!known_.emplace(layer.name, cost.output).second)
      throw Error(fmt::format("{}: two layers are named '{}'", network_, layer.name));
    return cost;
  }

 private:
  std::string network_;
  int height_, width_;
  std::map<std::string, Shape> known_;
};

void add(std::int64_t& total, std::int64_t part) {
  if (__builtin_add_overflow(total, part, &total)) throw Error("a network larger than any machine");
}

/// The most bytes of values that are needed at one time: those that are already there and still to be read,
/// and the one that is being computed.
std::int64_t peak(const Architecture& architecture, const std::vector<LayerCost>& layers,
                  std::int64_t input) {
  std::map<std::string, std::size_t> last_use;
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (const std::string& name : architecture.layers[i].from) last_use[name] = i;
  std::map<std::string, std::int64_t> alive = {{"input", input}};
  std::int64_t bytes = input, most = input;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = architecture.layers[i];
    alive[layer.name] = layers[i].bytes;
    bytes += layers[i].bytes;
    most = std::max(most, bytes);
    for (const std::string& name : layer.from)
      if (last_use[name] == i && alive.count(name) != 0) {
        bytes -= alive[name];
        alive.erase(name);
      }
  }
  return most;
}

}  // namespace

Cost cost_of(const Architecture& architecture, int height, int width) {
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide)
    throw Error(fmt::format("{}: expected images of 1 to {} px a side, got {} x {}", architecture.name,
                            kMaxSide, width, height));
  if (const auto& only = architecture.only; only && *only != Extent(height, width))
    throw Error(fmt::format("{}: is for images of {} x {} px alone, got {} x {}", architecture.name,
                            only->width, only->height, width, height));
  Shapes shapes(architecture, height, width);
  Cost cost;
  for (const Layer& layer : architecture.layers) {
    LayerCost one = shapes.add(layer);
    for (const Parameter& parameter : parameters_of(layer))
      if (parameter.trainable) add(one.parameters, elements(parameter.shape));
    one.bytes = elements(one.output) * static_cast<std::int64_t>(sizeof(float));
    add(cost.parameters, one.parameters);
    add(cost.multiply_adds, one.multiply_adds);
    add(cost.activation_bytes, one.bytes);
    cost.layers.push_back(std::move(one));
  }
  cost.peak_bytes = peak(architecture, cost.layers,
                         std::int64_t{3} * height * width * static_cast<std::int64_t>(sizeof(float)));
  return cost;
}

}  // namespace graft::nn
