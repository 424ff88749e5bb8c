#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <network/operation.h>

#include "lowering.h"

namespace graft::nn::onnx {
namespace {

std::int32_t fixed_place(std::size_t i) {
  return -1 - static_cast<std::int32_t>(i);
}

}  // namespace

/// Elements of one layer, and constants, in another order.
void Lowering::move(const Node& node) {
  const Movement how = movement_of(node, graph_.opset, operands(node));
  if (node.op == "Concat" && join(node)) return;
  const View* first = nullptr;
  std::vector<std::int32_t> all;
  std::vector<float> fixed;
  std::optional<View> kept;
  for (const std::size_t i : how.operands)
    if (constant(node, i) == nullptr) {
      const View& one = view(node, i);
      if (first != nullptr && (one.layer != first->layer || one.samples != first->samples))
        node.fail(
            "joins values of several layers otherwise than by channels: no operation of graft does that");
      if (first == nullptr) {
        // An activation that is still to come must not be of the constants.
        const bool adds = how.operands.size() > 1 || how.fill != 0 || node.op == "Pad";
        kept = adds && one.samples ? resolved(node, one) : one;
      }
      first = &one;
    }
  if (!kept) node.fail("moves constants alone, but could not be folded");
  const std::size_t layer_size = count_of(net_.shape(kept->layer));
  if (how.operands.size() == 1 && how.outputs.size() == 1 && how.outputs[0].from.empty()) {
    View out = *kept;
    out.shape = how.outputs[0].shape;
    return give(node, std::move(out));
  }
  std::size_t total = 0;
  for (const std::size_t i : how.operands) total += count_of(operands(node)[i].shape);
  need_few(node, total);
  for (const std::size_t i : how.operands) {
    if (const Array* numbers = constant(node, i)) {
      if (!numbers->is_float) node.fail("joins whole and real numbers");
      for (const float value : numbers->reals) {
        all.push_back(fixed_place(fixed.size()));
        fixed.push_back(value);
      }
      continue;
    }
    const View one = kept->samples != view(node, i).samples ? resolved(node, view(node, i)) : view(node, i);
    if (one.layer != kept->layer)
      node.fail("joins values of several layers otherwise than by channels: no operation of graft does that");
    for (std::size_t k = 0; k < one.size(); ++k) {
      std::int32_t place = one.place(k);
      if (place < 0) {
        fixed.push_back((*one.fixed)[static_cast<std::size_t>(-1 - place)]);
        place = fixed_place(fixed.size() - 1);
      }
      all.push_back(place);
    }
  }
  const std::int32_t fill = fixed_place(fixed.size());
  fixed.push_back(static_cast<float>(how.fill));
  View base = *kept;
  base.fixed = std::make_shared<const std::vector<float>>(std::move(fixed));
  for (std::size_t i = 0; i < how.outputs.size() && i < node.outputs.size(); ++i) {
    std::vector<std::int32_t> places;
    places.reserve(count_of(how.outputs[i].shape));
    if (how.outputs[i].from.empty()) places = all;
    for (const std::int32_t from : how.outputs[i].from)
      places.push_back(from == Movement::kFill ? fill : all[static_cast<std::size_t>(from)]);
    View out = base.with(how.outputs[i].shape, std::move(places), layer_size);
    if (out.places &&
        std::none_of(out.places->begin(), out.places->end(), [](std::int32_t p) { return p < 0; }))
      out.fixed = nullptr;
    if (node.outputs[i].empty() || (node.op == "Dropout" && i > 0)) continue;
    entries_.insert_or_assign(node.outputs[i], GraphEntry(std::move(out)));
  }
}

/// Channels of several layers; false where they are of one, or not channels.
bool Lowering::join(const Node& node) {
  std::vector<View> parts;
  bool several = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (constant(node, i) != nullptr) return false;
    parts.push_back(view(node, i));
    several = several || parts.back().layer != parts[0].layer || parts.back().samples != parts[0].samples;
  }
  if (!several) return false;
  const std::size_t rank = parts[0].shape.size(), axis = axis_of(node, node.integer("axis", 1), rank);
  if (rank == 4 && axis == 1) {
    Layer layer;
    layer.op = Op::Concat;
    std::vector<LayerId> from;
    for (View& part : parts) {
      const View one = materialised_image(node, resolved(node, part), nullptr);
      from.push_back(one.layer);
      layer.out += net_.channels(one.layer);
    }
    View out;
    out.layer = net_.add(layer, std::move(from), {}, node.path());
    out.shape = {1, layer.out, parts[0].shape[2], parts[0].shape[3]};
    give(node, std::move(out));
    return true;
  }
  if (axis + 1 != rank) return false;
  // Vectors, one after the other: of tokens each is one of them.
  Layer layer;
  layer.op = Op::Concat;
  std::vector<LayerId> from;
  for (View& part : parts) {
    View one = resolved(node, part);
    if (one.size() != static_cast<std::size_t>(one.shape.back())) return false;
    const Rows rows = need_rows(node, one);
    if (net_.is_tokens(one.layer))
      from.push_back(token_vector(node, one, rows));
    else if (!one.places)
      from.push_back(one.layer);
    else
      return false;
    layer.out += net_.channels(from.back());
  }
  View out;
  out.layer = net_.add(layer, std::move(from), {}, node.path());
  out.shape = parts[0].shape;
  out.shape.back() = layer.out;
  give(node, std::move(out));
  return true;
}

/// One whole token as a vector.
LayerId Lowering::token_vector(const Node& node, const View& view, const Rows& rows) {
  const int width = net_.channels(view.layer);
  if (rows.place.size() != 1 || rows.place[0] < 0 || static_cast<int>(rows.channel.size()) != width)
    node.fail("takes a part of a token: only whole ones are possible");
  for (std::size_t c = 0; c < rows.channel.size(); ++c)
    if (rows.channel[c] != static_cast<std::int32_t>(c))
      node.fail("takes the values of a token in another order");
  Layer token;
  token.op = Op::TokenMean;
  token.out = width;
  token.first = rows.place[0];
  token.count = 1;
  return net_.add(token, {view.layer}, {}, "token");
}

/// A value [1,c,h,w] as the whole value of a layer. Zeros around it are given as `padding` where one is
/// asked for.
View Lowering::materialised_image(const Node& node, const View& view, Padding* padding) {
  if (view.shape.size() != 4 || view.shape[0] != 1)
    node.fail(fmt::format("takes {}: images [n,c,h,w] are expected", to_string(view.shape)));
  if (!net_.is_image(view.layer))
    node.fail(fmt::format("takes {} of a layer that gives {}: tokens cannot become an image again",
                          to_string(view.shape), to_string(net_.shape(view.layer))));
  const Shape own = net_.shape(view.layer);
  const std::int64_t c = view.shape[1], h = view.shape[2], w = view.shape[3], area = own[1] * own[2];
  if (!view.places && Shape{c, h, w} == own) return view;
  if (!view.places) node.fail("takes pixels as channels: no operation of graft does that");
  // The window of the image that is neither padded nor cut off, by its first element.
  std::int64_t top = -1, left = 0;
  for (std::int64_t y = 0; y < h && top < 0; ++y)
    for (std::int64_t x = 0; x < w && top < 0; ++x)
      if (view.place(static_cast<std::size_t>(y * w + x)) >= 0) {
        top = y;
        left = x;
      }
  const auto refuse = [&] {
    node.fail(fmt::format("takes {} of a value {}, in an order that no operation of graft makes",
                          to_string(view.shape), to_string(own)));
  };
  if (top < 0) refuse();
  const Padding around{static_cast<int>(top), static_cast<int>(left), static_cast<int>(h - top - own[1]),
                       static_cast<int>(w - left - own[2])};
  const bool is_padded = around != Padding{};
  if (around.bottom < 0 || around.right < 0 || (is_padded && padding == nullptr)) refuse();
  std::vector<std::int64_t> channel(static_cast<std::size_t>(c));
  for (std::int64_t i = 0; i < c; ++i)
    for (std::int64_t y = 0; y < h; ++y)
      for (std::int64_t x = 0; x < w; ++x) {
        const std::int64_t v = y - top, u = x - left;
        const std::int32_t place = view.place(static_cast<std::size_t>((i * h + y) * w + x));
        if (v < 0 || u < 0 || v >= own[1] || u >= own[2]) {
          if (place >= 0 || (*view.fixed)[static_cast<std::size_t>(-1 - place)] != 0) refuse();
          continue;
        }
        if (v == 0 && u == 0) channel[static_cast<std::size_t>(i)] = place / area;
        if (place < 0 || place != channel[static_cast<std::size_t>(i)] * area + v * own[2] + u) refuse();
      }
  if (is_padded) *padding = around;
  View out;
  out.layer = view.layer;
  out.shape = {1, c, own[1], own[2]};
  Layer layer;
  layer.out = static_cast<int>(c);
  bool runs = true;
  for (std::size_t i = 0; i < channel.size(); ++i)
    runs = runs && channel[i] == channel[0] + static_cast<std::int64_t>(i);
  if (runs && c == own[0]) return out;
  if (runs) {
    layer.op = Op::ChannelSlice;
    layer.first = static_cast<int>(channel[0]);
    out.layer = net_.add(layer, {view.layer}, {}, node.path());
    return out;
  }
  layer.op = Op::ChannelShuffle;
  for (std::int64_t groups = 2; c == own[0] && groups < c; ++groups) {
    if (c % groups != 0) continue;
    const std::int64_t each = c / groups;
    bool fits = true;
    for (std::int64_t from = 0; fits && from < c; ++from)
      fits = channel[static_cast<std::size_t>(from % each * groups + from / each)] == from;
    if (!fits) continue;
    layer.groups = static_cast<int>(groups);
    out.layer = net_.add(layer, {view.layer}, {}, node.path());
    return out;
  }
  // Any other order: a convolution with ones.
  layer.op = Op::Conv;
  std::vector<float> ones(static_cast<std::size_t>(c * own[0]));
  for (std::int64_t i = 0; i < c; ++i)
    ones[static_cast<std::size_t>(i * own[0] + channel[static_cast<std::size_t>(i)])] = 1;
  out.layer = net_.add(layer, {view.layer}, {{"weight", std::move(ones)}}, node.path());
  return out;
}

std::optional<Rows> Lowering::rows_of(const View& view) const {
  if (view.shape.empty() || view.shape.back() == 0 || view.size() == 0) return {};
  const std::size_t width = static_cast<std::size_t>(view.shape.back()), n = view.size() / width;
  const bool is_image = net_.is_image(view.layer);
  const auto places = static_cast<std::int32_t>(net_.places(view.layer)),
             channels = net_.channels(view.layer);
  const auto channel_of = [&](std::int32_t at) { return is_image ? at / places : at % channels; };
  const auto place_of = [&](std::int32_t at) { return is_image ? at % places : at / channels; };
  Rows out;
  for (std::size_t r = 0; r < n; ++r) {
    const bool is_fixed = view.place(r * width) < 0;
    for (std::size_t j = 0; j < width; ++j) {
      const std::int32_t at = view.place(r * width + j);
      if ((at < 0) != is_fixed) return {};
      if (is_fixed) continue;
      if (j == 0) out.place.push_back(place_of(at));
      if (out.channel.size() < width) out.channel.push_back(channel_of(at));
      if (place_of(at) != out.place.back() || channel_of(at) != out.channel[j]) return {};
    }
    if (is_fixed) out.place.push_back(-1);
  }
  if (out.channel.empty()) return {};
  return out;
}

void Lowering::need_few(const Node& node, std::size_t elements) {
  if (elements > kMostPlaces)
    node.fail(
        fmt::format("has {} elements in an order of their own: at most {} can be followed; export the model "
                    "for smaller images",
                    elements, kMostPlaces));
}

Rows Lowering::need_rows(const Node& node, View& view) {
  need_few(node, view.size());
  auto rows = rows_of(view);
  const auto has_fixed = [&] {
    return rows && std::any_of(rows->place.begin(), rows->place.end(), [](std::int32_t p) { return p < 0; });
  };
  if (rows && !has_fixed()) return *rows;
  auto other = rows ? embedded(view, nullptr) : merged_patches(node, view);
  if (!rows && !other && !view.places && net_.is_image(view.layer) &&
      view.size() == static_cast<std::size_t>(view.shape.back())) {
    Layer flat;  // all pixels of all channels are one row
    flat.op = Op::Flatten;
    other = view;
    other->layer = net_.add(flat, {view.layer}, {}, node.path());
  }
  if (other) {
    view = std::move(*other);
    rows = rows_of(view);
  }
  if (!rows || has_fixed())
    node.fail(fmt::format("takes {} of a value {}, in an order that no operation of graft makes",
                          to_string(view.shape), to_string(net_.shape(view.layer))));
  return *rows;
}

/// Four pixels next to each other as one.
std::optional<View> Lowering::merged_patches(const Node& node, const View& view) {
  if (!net_.is_image(view.layer) || !view.places) return {};
  const Shape own = net_.shape(view.layer);
  const std::int64_t c = own[0], h = (own[1] + 1) / 2, w = (own[2] + 1) / 2;
  if (view.shape.back() != 4 * c || static_cast<std::int64_t>(view.size()) != 4 * c * h * w) return {};
  std::size_t i = 0;
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x)
      for (std::int64_t k = 0; k < 4 * c; ++k, ++i) {
        const std::int64_t part = k / c, v = 2 * y + part % 2, u = 2 * x + part / 2;
        const std::int32_t place = view.place(i);
        if (v < own[1] && u < own[2] ? place != (k % c * own[1] + v) * own[2] + u
                                     : place >= 0 || (*view.fixed)[static_cast<std::size_t>(-1 - place)] != 0)
          return {};
      }
  Layer layer;
  layer.op = Op::PatchMerge;
  layer.out = static_cast<int>(4 * c);
  View out = view;
  out.layer = net_.add(layer, {view.layer}, {}, node.path());
  out.fixed = nullptr;
  std::vector<std::int32_t> places;
  for (std::int64_t p = 0; p < h * w; ++p)
    for (std::int64_t k = 0; k < 4 * c; ++k) places.push_back(static_cast<std::int32_t>(k * h * w + p));
  return out.with(view.shape, std::move(places), count_of(net_.shape(out.layer)));
}

/// Pixels of an image, after rows that are constant, as tokens; `added`: what is added to each.
std::optional<View> Lowering::embedded(const View& view, const Array* added) {
  const auto rows = rows_of(view);
  if (!rows) return {};
  const std::size_t width = rows->channel.size(), n = rows->place.size();
  for (std::size_t c = 0; c < width; ++c)
    if (rows->channel[c] != static_cast<std::int32_t>(c)) return {};
  // An embedding that is there already is made again with what comes on top.
  LayerId image = view.layer;
  Layer layer;
  layer.op = Op::Embed;
  const float *old_prefix = nullptr, *old_position = nullptr;
  if (net_.is_tokens(view.layer)) {
    const Network::Made& old = net_[view.layer];
    if (old.layer.op != Op::Embed) return {};
    image = old.from[0];
    layer = old.layer;
    if (layer.prefix > 0) old_prefix = old.weights.at("prefix").data();
    if (layer.grid_height > 0) old_position = old.weights.at("position").data();
  } else if (!net_.is_image(view.layer)) {
    return {};
  }
  const Shape grid = net_.shape(image);
  if (static_cast<std::int64_t>(width) != grid[0] || n > kMostPlaces / width) return {};
  const auto area = static_cast<std::size_t>(grid[1] * grid[2]),
             old_rows = static_cast<std::size_t>(layer.prefix);
  std::vector<std::int32_t> places;
  if (added != nullptr) places = broadcast_places(added->shape, view.shape);
  std::vector<float> prefix, position;
  std::size_t next = 0;
  for (std::size_t r = 0; r < n; ++r) {
    const std::int32_t at = rows->place[r];
    const bool is_patch = at >= 0 && static_cast<std::size_t>(at) >= old_rows;
    if (is_patch && static_cast<std::size_t>(at) - old_rows != next) return {};
    if (!is_patch && next > 0) return {};
    for (std::size_t c = 0; c < width; ++c) {
      const std::int32_t place = view.place(r * width + c);
      double value = 0;
      if (place < 0)
        value = static_cast<double>((*view.fixed)[static_cast<std::size_t>(-1 - place)]);
      else if (!is_patch)
        value = static_cast<double>(old_prefix[static_cast<std::size_t>(at) * width + c]);
      else if (old_position != nullptr)
        value = static_cast<double>(old_position[next * width + c]);
      if (added != nullptr) value += added->at(static_cast<std::size_t>(places[r * width + c]));
      (is_patch ? position : prefix).push_back(static_cast<float>(value));
    }
    if (is_patch) ++next;
  }
  if (next != area) return {};
  layer.prefix = static_cast<int>(n - next);
  const bool has_positions = std::any_of(position.begin(), position.end(), [](float v) { return v != 0; });
  layer.grid_height = has_positions ? static_cast<int>(grid[1]) : 0;
  layer.grid_width = has_positions ? static_cast<int>(grid[2]) : 0;
  Weights weights;
  if (!prefix.empty()) weights["prefix"] = std::move(prefix);
  if (has_positions) weights["position"] = std::move(position);
  View out;
  out.layer = net_.add(layer, {image}, std::move(weights), "embed");
  out.shape = view.shape;
  return out;
}

}  // namespace graft::nn::onnx
