#include <network/cost.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

/// Shapes of the values so far, by name.
class Shapes {
 public:
  Shapes(const Architecture& architecture, int height, int width)
      : network_(architecture.name), height_(height), width_(width) {
    known_["input"] = {3, height, width};
  }

  /// The output of a layer, which becomes known.
  const Shape& add(const Layer& layer) {
    std::vector<Shape> in;
    for (const std::string& name : layer.from) {
      const auto found = known_.find(name);
      if (found == known_.end())
        throw Error(fmt::format("{}: layer {} takes its input from '{}', which is not an earlier layer",
                                network_, layer.name, name));
      in.push_back(found->second);
    }
    const std::size_t wanted = layer.op == Op::Add || layer.op == Op::Mul ? 2 : 1;
    if (in.size() != wanted)
      throw Error(fmt::format("{}: layer {} ({}) takes {} inputs, has {}", network_, layer.name,
                              to_string(layer.op), wanted, in.size()));
    const auto [at, is_new] = known_.emplace(layer.name, output(layer, in));
    if (!is_new) throw Error(fmt::format("{}: two layers are named '{}'", network_, layer.name));
    return at->second;
  }

 private:
  [[noreturn]] void fail(const Layer& layer, const std::string& wanted, const Shape& got) const {
    throw Error(fmt::format("{}: layer {} ({}) takes {}, gets {} from {} for an image of {} x {} px",
                            network_, layer.name, to_string(layer.op), wanted, to_string(got),
                            layer.from.back(), width_, height_));
  }

  void need_image(const Layer& layer, const Shape& in) const {
    if (in.size() != 3) fail(layer, "an image", in);
    if (in[0] != layer.in) fail(layer, fmt::format("{} channels", layer.in), in);
  }

  Shape windows(const Layer& layer, const Shape& in) const {
    const std::int64_t height = in[1] + layer.padding.top + layer.padding.bottom - layer.kernel;
    const std::int64_t width = in[2] + layer.padding.left + layer.padding.right - layer.kernel;
    if (height < 0 || width < 0)
      fail(layer, fmt::format("at least {} x {} px with its padding", layer.kernel, layer.kernel), in);
    return {layer.out, height / layer.stride + 1, width / layer.stride + 1};
  }

  Shape output(const Layer& layer, const std::vector<Shape>& inputs) const {
    const Shape& in = inputs[0];
    switch (layer.op) {
      case Op::Conv:
      case Op::MaxPool:
        need_image(layer, in);
        return windows(layer, in);
      case Op::BatchNorm:
        need_image(layer, in);
        return in;
      case Op::Relu:
      case Op::Relu6:
      case Op::Silu:
      case Op::Sigmoid:
      case Op::Dropout:
        return in;
      case Op::Add:
        if (in != inputs[1]) fail(layer, fmt::format("two values of {}", to_string(in)), inputs[1]);
        return in;
      case Op::Mul:
        need_image(layer, in);
        if (inputs[1] != Shape{in[0], 1, 1})
          fail(layer, fmt::format("a scale of [{},1,1]", in[0]), inputs[1]);
        return in;
      case Op::AvgPool:
        need_image(layer, in);
        return {in[0], layer.size, layer.size};
      case Op::GlobalPool:
        need_image(layer, in);
        return {in[0], 1, 1};
      case Op::Flatten:
        return {elements(in)};
      case Op::Linear:
        if (in != Shape{layer.in}) fail(layer, fmt::format("{} values", layer.in), in);
        return {layer.out};
      case Op::Shortcut:
        need_image(layer, in);
        return {layer.out, (in[1] - 1) / layer.stride + 1, (in[2] - 1) / layer.stride + 1};
    }
    throw Error(fmt::format("{}: layer {} has an unknown operation", network_, layer.name));
  }

  std::string network_;
  int height_, width_;
  std::map<std::string, Shape> known_;
};

// elements() looks after products that no number holds: networks come from files, too.
std::int64_t multiply_adds(const Layer& layer, const Shape& output) {
  if (layer.op == Op::Conv)
    return elements({elements(output), layer.in / layer.groups, layer.kernel, layer.kernel});
  if (layer.op == Op::Linear) return std::int64_t{layer.in} * layer.out;
  return 0;
}

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
  Shapes shapes(architecture, height, width);
  Cost cost;
  for (const Layer& layer : architecture.layers) {
    LayerCost one;
    one.output = shapes.add(layer);
    for (const Parameter& parameter : parameters_of(layer))
      if (parameter.trainable) add(one.parameters, elements(parameter.shape));
    one.multiply_adds = multiply_adds(layer, one.output);
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
