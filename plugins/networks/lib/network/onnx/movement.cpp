#include "movement.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn::onnx {
namespace {

using Indices = std::vector<std::int32_t>;

/// Places of a value that is read with these strides.
Indices strided(const Shape& shape, const std::vector<std::int64_t>& strides, std::int64_t offset) {
  const std::size_t count = count_of(shape);
  Indices out;
  out.reserve(count);
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(static_cast<std::int32_t>(offset));
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/// One node, with what its kinds of movement have in common.
class Mover {
 public:
  Mover(const Node& node, std::int64_t opset, const std::vector<Operand>& inputs)
      : node_(node), opset_(opset), inputs_(inputs) {}

  using Kind = void (Mover::*)();
  static const std::map<std::string, Kind>& kinds() {
    static const std::map<std::string, Kind> kKinds = {{"Reshape", &Mover::reshape},
                                                       {"Flatten", &Mover::flatten},
                                                       {"Squeeze", &Mover::squeeze},
                                                       {"Unsqueeze", &Mover::unsqueeze},
                                                       {"Transpose", &Mover::transpose},
                                                       {"Slice", &Mover::slice},
                                                       {"Concat", &Mover::concat},
                                                       {"Split", &Mover::split},
                                                       {"Gather", &Mover::gather},
                                                       {"Expand", &Mover::expand},
                                                       {"Tile", &Mover::tile},
                                                       {"Pad", &Mover::pad},
                                                       {"Identity", &Mover::identity},
                                                       {"Dropout", &Mover::dropout},
                                                       {"ScatterND", &Mover::scatter_nd},
                                                       {"DepthToSpace", &Mover::to_space},
                                                       {"SpaceToDepth", &Mover::to_depth}};
    return kKinds;
  }

  Movement run() {
    out_.operands = {0};
    need(0);
    (this->*kinds().at(node_.op))();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& text) const { node_.fail(text); }
  void need(std::size_t input) const {
    if (input >= inputs_.size() || !node_.has_input(input)) fail(fmt::format("has no input {}", input));
  }
  const Shape& shape(std::size_t input = 0) const { return inputs_[input].shape; }
  std::size_t rank() const { return shape().size(); }
  std::size_t axis(std::int64_t given) const { return axis_of(node_, given, rank()); }
  const Array& constant(std::size_t input) const {
    need(input);
    const Array* found = inputs_[input].constant;
    if (found == nullptr)
      fail(fmt::format(
          "takes its input {} from what is computed of the image: only constants are possible there", input));
    return *found;
  }
  std::vector<std::int64_t> numbers(std::size_t input) const {
    const Array& array = constant(input);
    if (array.is_float) fail(fmt::format("has real numbers as its input {}: expected whole ones", input));
    return array.integers;
  }
  /// An input since an opset, an attribute before; nothing where neither is given.
  std::optional<std::vector<std::int64_t>> setting(std::size_t input, const char* attribute) const {
    if (node_.has_input(input) && input < inputs_.size()) return numbers(input);
    return node_.integers(attribute);
  }
  /// Refuses what no network does, before memory is taken: much from little.
  void check(const Shape& to) const {
    constexpr std::size_t kMostRank = 16, kFew = std::size_t{1} << 20;
    std::size_t all = 0;
    for (const std::size_t operand : out_.operands) all += count_of(shape(operand));
    if (to.size() > kMostRank)
      fail(fmt::format("makes a value of {} axes: expected at most {}", to.size(), kMostRank));
    if (count_of(to) > std::max(kFew, 4 * all))
      fail(fmt::format("makes {} of {} elements, which no network does", to_string(to), all));
  }
  void give(Shape to, Indices from = {}) {
    check(to);
    out_.outputs.push_back({std::move(to), std::move(from)});
  }

  void identity() { give(shape()); }

  void dropout() {
    const auto is_zero = [&](std::size_t i) {
      const Array* value = i < inputs_.size() ? inputs_[i].constant : nullptr;
      return value != nullptr && value->size() == 1 && value->at(0) == 0;
    };
    // torchvision's Swin has one in training mode that drops nothing.
    if (node_.has_input(2) && !is_zero(2) && !(node_.has_input(1) && is_zero(1)))
      fail("is in training mode: export the model after model.eval()");
    identity();
  }

  void reshape() {
    const std::vector<std::int64_t> wanted = numbers(1);
    const bool keeps_zero = node_.integer("allowzero", 0) != 0;
    Shape to;
    std::int64_t known = 1;
    std::optional<std::size_t> open;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      std::int64_t n = wanted[i];
      if (n == 0 && !keeps_zero) {
        if (i >= rank()) fail("copies an axis that its input does not have");
        n = shape()[i];
      }
      if (n < -1 || (n == -1 && open)) fail("has a shape that cannot be");
      if (n == -1)
        open = i;
      else if (__builtin_mul_overflow(known, n, &known))
        fail("has a shape that cannot be");
      to.push_back(n);
    }
    const auto count = static_cast<std::int64_t>(count_of(shape()));
    if (open) {
      if (known == 0 || count % known != 0) misfit(to);
      to[*open] = count / known;
    } else if (known != count) {
      misfit(to);
    }
    give(std::move(to));
  }
  [[noreturn]] void misfit(const Shape& to) const {
    fail(fmt::format(
        "makes {} of {}, which has another number of elements (for a batch of one image): the file may "
        "have been exported for a larger batch; export it for one image, or with a free batch",
        to_string(to), to_string(shape())));
  }

  void flatten() {
    std::int64_t at = node_.integer("axis", 1);
    if (at < 0) at += static_cast<std::int64_t>(rank());
    if (at < 0 || at > static_cast<std::int64_t>(rank())) fail("has an `axis` that its input does not have");
    const auto middle = shape().begin() + at;
    const auto product = [](auto from, auto to) {
      return std::accumulate(from, to, std::int64_t{1}, std::multiplies<>());
    };
    give({product(shape().begin(), middle), product(middle, shape().end())});
  }

  void squeeze() {
    const auto axes = setting(1, "axes");
    std::vector<bool> drop(rank());
    if (axes)
      for (const std::int64_t a : *axes) drop[axis(a)] = true;
    else
      for (std::size_t i = 0; i < rank(); ++i) drop[i] = shape()[i] == 1;
    Shape to;
    for (std::size_t i = 0; i < rank(); ++i)
      if (!drop[i])
        to.push_back(shape()[i]);
      else if (shape()[i] != 1)
        fail(fmt::format("drops axis {} of {}", i, to_string(shape())));
    give(std::move(to));
  }

  void unsqueeze() {
    const auto axes = setting(1, "axes");
    if (!axes) fail("names no axes");
    const std::size_t all = rank() + axes->size();
    std::vector<bool> added(all);
    for (const std::int64_t a : *axes) {
      const std::size_t at = axis_of(node_, a, all);
      if (added[at]) fail("adds an axis twice");
      added[at] = true;
    }
    Shape to;
    for (std::size_t i = 0, old = 0; i < all; ++i) to.push_back(added[i] ? 1 : shape()[old++]);
    give(std::move(to));
  }

  void transpose() {
    std::vector<std::int64_t> order(rank());
    for (std::size_t i = 0; i < rank(); ++i) order[i] = static_cast<std::int64_t>(rank() - 1 - i);
    order = node_.integers("perm").value_or(order);
    std::vector<bool> seen(rank());
    if (order.size() != rank()) fail("has a `perm` of another number of axes");
    const auto strides = strides_of(shape());
    Shape to;
    std::vector<std::int64_t> steps;
    for (const std::int64_t o : order) {
      const std::size_t from = axis(o);
      if (seen[from]) fail("has a `perm` that names an axis twice");
      seen[from] = true;
      to.push_back(shape()[from]);
      steps.push_back(strides[from]);
    }
    give(to, strided(to, steps, 0));
  }

  void slice() {
    const auto begins = setting(1, "starts"), ends = setting(2, "ends"), axes = setting(3, "axes"),
               steps = setting(4, "steps");
    if (!begins || !ends || begins->size() != ends->size() || (axes && axes->size() != begins->size()) ||
        (steps && steps->size() != begins->size()))
      fail("has starts, ends, axes and steps of different numbers");
    Shape to = shape();
    std::vector<std::int64_t> strides = strides_of(shape());
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < begins->size(); ++i) {
      const std::size_t at = axis(axes ? (*axes)[i] : static_cast<std::int64_t>(i));
      const std::int64_t side = shape()[at], step = steps ? (*steps)[i] : 1;
      if (step == 0 || step == std::numeric_limits<std::int64_t>::min()) fail("has a step of zero");
      const auto clamped = [&](std::int64_t place, std::int64_t low, std::int64_t high) {
        return std::clamp(place < 0 ? place + side : place, low, high);
      };
      const std::int64_t first =
                             step > 0 ? clamped((*begins)[i], 0, side) : clamped((*begins)[i], 0, side - 1),
                         last = step > 0 ? clamped((*ends)[i], 0, side) : clamped((*ends)[i], -1, side - 1),
                         span = step > 0 ? last - first : first - last, size = step > 0 ? step : -step;
      to[at] = span <= 0 || side == 0 ? 0 : (span - 1) / size + 1;
      if (to[at] > 0) offset += first * strides[at];
      strides[at] = to[at] > 1 ? strides[at] * step : 0;
    }
    give(to, strided(to, strides, offset));
  }

  void concat() {
    out_.operands.clear();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      need(i);
      out_.operands.push_back(i);
    }
    const std::size_t at = axis(node_.integer("axis", opset_ < 4 ? 1 : 0));
    Shape to = shape();
    to[at] = 0;
    for (const Operand& one : inputs_) {
      for (std::size_t i = 0; i < to.size(); ++i)
        if (one.shape.size() != to.size() || (i != at && one.shape[i] != to[i]))
          fail(fmt::format("joins {} and {}", to_string(shape()), to_string(one.shape)));
      to[at] += one.shape[at];
    }
    const std::size_t count = count_of(to);
    std::int64_t outer = 1, inner = 1;
    for (std::size_t i = 0; i < to.size(); ++i) (i < at ? outer : inner) *= i == at ? 1 : to[i];
    Indices from;
    from.reserve(count);
    for (std::int64_t o = 0; o < outer; ++o) {
      std::int64_t before = 0;
      for (const Operand& one : inputs_) {
        const std::int64_t run = one.shape[at] * inner;
        for (std::int64_t i = 0; i < run; ++i)
          from.push_back(static_cast<std::int32_t>(before + o * run + i));
        before += run * outer;
      }
    }
    give(std::move(to), std::move(from));
  }

  void split() {
    const std::size_t at = axis(node_.integer("axis", 0)), n = node_.outputs.size();
    std::vector<std::int64_t> sizes;
    if (const auto given = setting(1, "split")) {
      sizes = *given;
    } else {
      const std::int64_t parts = std::max<std::int64_t>(static_cast<std::int64_t>(n), 1),
                         each = (shape()[at] + parts - 1) / parts;
      for (std::int64_t rest = shape()[at]; sizes.size() < n; rest -= sizes.back())
        sizes.push_back(std::min(rest, each));
    }
    const bool all =
        std::all_of(sizes.begin(), sizes.end(), [](std::int64_t s) { return s >= 0 && s <= kMostElements; });
    if (sizes.size() != n || !all ||
        std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != shape()[at])
      fail(fmt::format("does not split {} into its {} outputs", to_string(shape()), n));
    const auto strides = strides_of(shape());
    std::int64_t first = 0;
    for (const std::int64_t size : sizes) {
      Shape to = shape();
      to[at] = size;
      give(to, strided(to, strides, first * strides[at]));
      first += size;
    }
  }

  void gather() {
    const Array& places = constant(1);
    if (places.is_float) fail("has real numbers as indices");
    const std::size_t at = axis(node_.integer("axis", 0));
    std::int64_t outer = 1, inner = 1;
    for (std::size_t i = 0; i < rank(); ++i) (i < at ? outer : inner) *= i == at ? 1 : shape()[i];
    Shape to(shape().begin(), shape().begin() + static_cast<std::ptrdiff_t>(at));
    to.insert(to.end(), places.shape.begin(), places.shape.end());
    to.insert(to.end(), shape().begin() + static_cast<std::ptrdiff_t>(at) + 1, shape().end());
    check(to);
    Indices from;
    from.reserve(count_of(to));
    for (std::int64_t o = 0; o < outer; ++o)
      for (const std::int64_t given : places.integers) {
        const std::int64_t place = given < 0 ? given + shape()[at] : given;
        if (place < 0 || place >= shape()[at])
          fail(fmt::format("takes index {} of {} along axis {}", given, to_string(shape()), at));
        for (std::int64_t i = 0; i < inner; ++i)
          from.push_back(static_cast<std::int32_t>((o * shape()[at] + place) * inner + i));
      }
    give(std::move(to), std::move(from));
  }

  void expand() {
    const Shape to = broadcast(shape(), numbers(1));
    check(to);
    give(to, broadcast_places(shape(), to));
  }

  void tile() {
    const std::vector<std::int64_t> times = numbers(1);
    if (times.size() != rank()) fail("repeats another number of axes");
    Shape to = shape();
    for (std::size_t i = 0; i < rank(); ++i)
      if (times[i] < 0 || __builtin_mul_overflow(to[i], times[i], &to[i])) fail("has repeats that cannot be");
    check(to);
    // Each axis is two: the repeats, which go back to the beginning, and the axis itself.
    const auto own = strides_of(shape());
    Shape both;
    std::vector<std::int64_t> strides;
    for (std::size_t i = 0; i < rank(); ++i) {
      both.insert(both.end(), {times[i], shape()[i]});
      strides.insert(strides.end(), {0, own[i]});
    }
    give(std::move(to), strided(both, strides, 0));
  }

  /// Where a padded place comes from along a side; nothing: outside.
  std::optional<std::int64_t> padded(const std::string& mode, std::int64_t place, std::int64_t side) const {
    if (place >= 0 && place < side) return place;
    if (mode == "constant") return {};
    if (mode == "edge") return std::clamp<std::int64_t>(place, 0, side - 1);
    if (mode != "reflect") fail(fmt::format("has the mode '{}': expected constant, reflect or edge", mode));
    const std::int64_t mirrored = place < 0 ? -place : 2 * (side - 1) - place;
    if (mirrored < 0 || mirrored >= side) fail("mirrors more than there is");
    return mirrored;
  }

  void pad() {
    const std::string mode = node_.text("mode", "constant");
    const auto pads = setting(1, opset_ < 2 ? "paddings" : "pads");
    if (!pads || pads->size() != 2 * rank() || node_.has_input(3))
      fail("does not pad both sides of each axis of its input");
    out_.fill = node_.real("value", 0);
    if (node_.has_input(2)) {
      const Array& value = constant(2);
      if (value.size() != 1) fail("pads with several values");
      out_.fill = value.at(0);
    }
    Shape to = shape();
    for (std::size_t i = 0; i < rank(); ++i) {
      const std::int64_t before = (*pads)[i], behind = (*pads)[i + rank()];
      if (std::max(before, behind) > kMostElements || std::min(before, behind) < -kMostElements)
        fail("has padding that cannot be");
      to[i] += before + behind;
      if (to[i] < 0 || (shape()[i] == 0 && mode != "constant")) fail("cuts off more than there is");
    }
    if (to == shape() && std::all_of(pads->begin(), pads->end(), [](std::int64_t p) { return p == 0; }))
      return give(to);
    check(to);
    const auto strides = strides_of(shape());
    std::vector<std::int64_t> index(rank());
    Indices from(count_of(to));
    for (std::int32_t& place : from) {
      std::int64_t at = 0;
      bool inside = true;
      for (std::size_t i = 0; i < rank(); ++i) {
        const auto along = padded(mode, index[i] - (*pads)[i], shape()[i]);
        inside = inside && along;
        if (inside) at += *along * strides[i];
      }
      place = inside ? static_cast<std::int32_t>(at) : Movement::kFill;
      for (std::size_t i = rank(); i-- > 0;) {
        if (++index[i] < to[i]) break;
        index[i] = 0;
      }
    }
    give(std::move(to), std::move(from));
  }

  void scatter_nd() {
    need(2);
    out_.operands = {0, 2};
    if (node_.text("reduction", "none") != "none") fail("adds what it scatters, which is not supported");
    const Array& places = constant(1);
    if (places.is_float || places.shape.empty()) fail("has indices that are not whole numbers");
    const auto depth = static_cast<std::size_t>(places.shape.back());
    const auto strides = strides_of(shape());
    if (depth < 1 || depth > rank()) fail("has indices of more axes than its input");
    std::int64_t run = 1;
    for (std::size_t i = depth; i < rank(); ++i) run *= shape()[i];
    const std::size_t rows = places.integers.size() / depth;
    const std::size_t data = count_of(shape());
    if (count_of(shape(2)) != rows * static_cast<std::size_t>(run))
      fail("has another number of updates than of indices");
    Indices from(data);
    std::iota(from.begin(), from.end(), 0);
    for (std::size_t row = 0; row < rows; ++row) {
      std::int64_t at = 0;
      for (std::size_t i = 0; i < depth; ++i) {
        const std::int64_t given = places.integers[row * depth + i],
                           place = given < 0 ? given + shape()[i] : given;
        if (place < 0 || place >= shape()[i]) fail("has an index outside of its input");
        at += place * strides[i];
      }
      for (std::int64_t i = 0; i < run; ++i)
        from[static_cast<std::size_t>(at + i)] = static_cast<std::int32_t>(
            data + row * static_cast<std::size_t>(run) + static_cast<std::size_t>(i));
    }
    give(shape(), std::move(from));
  }

  /// The side of the blocks, of an image [n,c,h,w].
  std::int64_t block() const {
    const std::int64_t side = node_.integer("blocksize", 0);
    if (rank() != 4 || side < 1 || side > kMaxBlock) fail("has blocks that do not fit its input");
    return side;
  }
  static constexpr std::int64_t kMaxBlock = 1024;

  void to_space() {
    const std::int64_t b = block(), n = shape()[0], c = shape()[1], h = shape()[2], w = shape()[3];
    if (c % (b * b) != 0) fail("has blocks that do not fit its input");
    const std::int64_t each = c / (b * b);
    const bool rows_first = node_.text("mode", "DCR") == "DCR";
    const Shape split = rows_first ? Shape{n, b, b, each, h, w} : Shape{n, each, b, b, h, w};
    const auto s = strides_of(split);
    const Shape order = {n, each, h, b, w, b};
    give({n, each, h * b, w * b}, rows_first ? strided(order, {s[0], s[3], s[4], s[1], s[5], s[2]}, 0)
                                             : strided(order, {s[0], s[1], s[4], s[2], s[5], s[3]}, 0));
  }

  void to_depth() {
    const std::int64_t b = block(), n = shape()[0], c = shape()[1], h = shape()[2], w = shape()[3];
    if (h % b != 0 || w % b != 0) fail("has blocks that do not fit its input");
    const auto s = strides_of({n, c, h / b, b, w / b, b});
    give({n, c * b * b, h / b, w / b},
         strided({n, b, b, c, h / b, w / b}, {s[0], s[3], s[5], s[1], s[2], s[4]}, 0));
  }

  const Node& node_;
  const std::int64_t opset_;
  const std::vector<Operand>& inputs_;
  Movement out_;
};

}  // namespace

bool is_movement(const std::string& op) {
  return Mover::kinds().contains(op);
}

Movement movement_of(const Node& node, std::int64_t opset, const std::vector<Operand>& inputs) {
  return Mover(node, opset, inputs).run();
}

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> out(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) out[i - 1] = out[i] * shape[i];
  return out;
}

Shape broadcast(const Shape& a, const Shape& b) {
  constexpr std::size_t kMostAxes = 16;
  if (std::max(a.size(), b.size()) > kMostAxes)
    throw Error(
        fmt::format("a value of {} axes: expected at most {}", std::max(a.size(), b.size()), kMostAxes));
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto side = [&](const Shape& shape) {
      return i < out.size() - shape.size() ? 1 : shape[i - (out.size() - shape.size())];
    };
    const std::int64_t x = side(a), y = side(b);
    if (x != y && x != 1 && y != 1)
      throw Error(fmt::format("values of {} and {} do not go together", to_string(a), to_string(b)));
    out[i] = x == 1 ? y : x;
  }
  count_of(out);
  return out;
}

std::vector<std::int32_t> broadcast_places(const Shape& from, const Shape& to) {
  const auto own = strides_of(from);
  std::vector<std::int64_t> strides(to.size());
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1) strides[to.size() - from.size() + i] = own[i];
  return strided(to, strides, 0);
}

std::size_t axis_of(const Node& node, std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n) node.fail(fmt::format("has the axis {}, its input has {} axes", axis, rank));
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

}  // namespace graft::nn::onnx
