#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/operation.h>

#include "elementwise.h"
#include "lowering.h"

namespace graft::nn::onnx {
namespace {

constexpr std::size_t kMostScores = std::size_t{1} << 26;

/// The factor of a value that is scaled, and nothing else.
std::optional<double> factor_of(const View& view) {
  if (!view.samples) return 1;
  const auto known = known_function(*view.samples);
  return known && !known->op && known->offset == 0 ? std::optional(known->factor) : std::nullopt;
}

/// Matrices of a value: how many, and their sides.
struct Matrices {
  std::size_t count = 0, rows = 0, columns = 0;
};

Matrices matrices_of(const Shape& shape) {
  if (shape.size() < 2) return {};
  Matrices out{1, static_cast<std::size_t>(shape[shape.size() - 2]), static_cast<std::size_t>(shape.back())};
  for (std::size_t i = 0; i + 2 < shape.size(); ++i) out.count *= static_cast<std::size_t>(shape[i]);
  return out;
}

/// Queries, keys or values: by matrix and row the place, by matrix and column the channel.
struct Part {
  std::vector<std::int32_t> place, channel;
};

}  // namespace

/// Products of queries and keys, or the sums of values by them.
void Lowering::scores(const Node& node) {
  const GraphEntry& left = entry(node, 0);
  if (left.kind == GraphEntry::Kind::Scores) return attention(node, *left.scores, view(node, 1));
  const View &query = view(node, 0), &key = view(node, 1);
  const Matrices q = matrices_of(query.shape), k = matrices_of(key.shape);
  if (q.count == 0 || q.count != k.count || q.columns != k.rows || query.fixed || key.fixed)
    node.fail(fmt::format("multiplies {} by {}: only products of queries and keys are possible",
                          to_string(query.shape), to_string(key.shape)));
  need_few(node, query.size() + key.size());
  Scores made{query, key, 1, {}, false};
  const auto a = factor_of(query), b = factor_of(key);
  if (!a) made.query = resolved(node, query);
  if (!b) made.key = resolved(node, key);
  made.scale = a.value_or(1) * b.value_or(1);
  if (a) made.query.samples = nullptr;
  if (b) made.key.samples = nullptr;
  Shape shape = query.shape;
  shape.back() = static_cast<std::int64_t>(k.columns);
  entries_.insert_or_assign(node.outputs.at(0), GraphEntry(std::move(made), std::move(shape)));
}

/// A factor of scores, and constants that are added; false: not of scores.
bool Lowering::score_arithmetic(const Node& node) {
  for (const std::size_t i : {0U, 1U}) {
    const GraphEntry& one = entry(node, i);
    if (one.kind != GraphEntry::Kind::Scores) continue;
    const Array* other = constant(node, 1 - i);
    if (other == nullptr || !other->is_float || one.scores->normalised)
      node.fail(
          "changes the weights of an attention by what is not constant: no operation of graft does that");
    Scores made = *one.scores;
    const bool scales = node.op == "Mul" || (node.op == "Div" && i == 0),
               adds = node.op == "Add" || (node.op == "Sub" && i == 0);
    if (scales && other->size() == 1) {
      const double factor = node.op == "Mul" ? other->at(0) : 1 / other->at(0);
      made.scale *= factor;
      for (float& v : made.bias) v = static_cast<float>(static_cast<double>(v) * factor);
    } else if (adds && broadcast(one.scores_shape, other->shape) == one.scores_shape) {
      const std::size_t count = count_of(one.scores_shape);
      if (count > kMostScores)
        node.fail(fmt::format("adds to {} weights: at most {} are possible", count, kMostScores));
      made.bias.resize(count);
      const auto places = broadcast_places(other->shape, one.scores_shape);
      for (std::size_t k = 0; k < count; ++k) {
        const auto value = static_cast<float>(other->at(static_cast<std::size_t>(places[k])));
        made.bias[k] += node.op == "Add" ? value : -value;
      }
    } else {
      node.fail("changes the weights of an attention in a way that no operation of graft does");
    }
    entries_.insert_or_assign(node.outputs.at(0), GraphEntry(std::move(made), one.scores_shape));
    return true;
  }
  return false;
}

/// Other leading axes of scores, or nothing done to them.
bool Lowering::score_shape(const Node& node) {
  if (!node.has_input(0) || entry(node, 0).kind != GraphEntry::Kind::Scores) return false;
  const GraphEntry& one = entry(node, 0);
  const bool is_cast = node.op == "Cast" && is_real_type(node.integer("to", 0));
  if (is_cast || node.op == "Identity") {
    entries_.insert_or_assign(node.outputs.at(0), GraphEntry(one));
    return true;
  }
  if (!is_movement(node.op)) return false;
  const Movement how = movement_of(node, graph_.opset, operands(node));
  const Matrices before = matrices_of(one.scores_shape);
  GraphEntry out = one;
  if (how.outputs.size() != 1 || !how.outputs[0].from.empty())
    node.fail("moves the weights of an attention about: no operation of graft does that");
  out.scores_shape = how.outputs[0].shape;
  const Matrices after = matrices_of(out.scores_shape);
  if (after.rows != before.rows || after.columns != before.columns)
    node.fail("takes the weights of an attention apart: no operation of graft does that");
  entries_.insert_or_assign(node.outputs.at(0), std::move(out));
  return true;
}

void Lowering::softmax(const Node& node) {
  const GraphEntry& one = entry(node, 0);
  if (one.kind == GraphEntry::Kind::Error) throw Error(one.error);
  if (one.kind != GraphEntry::Kind::Scores)
    node.fail("is of values that are not products of queries and keys");
  const std::size_t axis =
      axis_of(node, node.integer("axis", graph_.opset < 13 ? 1 : -1), one.scores_shape.size());
  if (axis + 1 != one.scores_shape.size() || one.scores->normalised)
    node.fail("is not over the keys of an attention: no operation of graft does that");
  Scores made = *one.scores;
  made.normalised = true;
  entries_.insert_or_assign(node.outputs.at(0), GraphEntry(std::move(made), one.scores_shape));
}

namespace {

/// The part of an attention in a layer's value; `columns_first`: [.., channels, rows], as keys are.
std::optional<Part> part_of(const Network& net, const View& view, bool columns_first) {
  const Matrices m = matrices_of(view.shape);
  const std::size_t rows = columns_first ? m.columns : m.rows, width = columns_first ? m.rows : m.columns;
  const bool is_image = net.is_image(view.layer);
  const auto places = static_cast<std::int32_t>(net.places(view.layer)), channels = net.channels(view.layer);
  Part out;
  out.place.resize(m.count * rows);
  out.channel.resize(m.count * width);
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < width; ++c) {
        const std::int32_t at =
            view.place(columns_first ? (b * width + c) * rows + r : (b * rows + r) * width + c);
        if (at < 0) return {};
        const std::int32_t place = is_image ? at % places : at / channels,
                           channel = is_image ? at / places : at % channels;
        if (c == 0) out.place[b * rows + r] = place;
        if (r == 0) out.channel[b * width + c] = channel;
        if (out.place[b * rows + r] != place || out.channel[b * width + c] != channel) return {};
      }
  return out;
}

}  // namespace

/// Queries, keys and values as one value of 3 x width channels: as they are where one linear layer makes them
/// so, else by a linear layer that is joined from theirs. `channels`: of each, head by head.
LayerId Lowering::joined(const Node& node, const std::array<LayerId, 3>& layers,
                         const std::array<std::vector<std::int32_t>, 3>& channels, double factor) {
  const auto width = static_cast<std::int32_t>(channels[0].size());
  bool as_is = layers[0] == layers[1] && layers[0] == layers[2] && std::fabs(factor - 1) < 1e-6 &&
               net_.channels(layers[0]) == 3 * width;
  for (std::size_t part = 0; as_is && part < 3; ++part)
    for (std::int32_t c = 0; as_is && c < width; ++c)
      as_is = channels[part][static_cast<std::size_t>(c)] == static_cast<std::int32_t>(part) * width + c;
  if (as_is) return layers[0];
  const auto linear = [&](LayerId id) {
    if (id == kImage) return false;
    const Layer& layer = net_[id].layer;
    return layer.op == Op::Linear || (layer.op == Op::Conv && layer.kernel == 1 && layer.stride == 1 &&
                                      layer.groups == 1 && layer.padding == Padding{});
  };
  for (const LayerId id : layers)
    if (!linear(id) || net_[id].from != net_[layers[0]].from || net_[id].layer.op != net_[layers[0]].layer.op)
      node.fail(
          "is of an attention whose queries, keys and values are not made by linear layers of one value "
          "(their norms or rotations are not known in a graph): no operation of graft does that");
  Layer layer = net_[layers[0]].layer;
  const auto in = static_cast<std::size_t>(layer.in);
  std::vector<float> weight, bias;
  layer.bias = true;
  layer.out = 3 * width;
  for (std::size_t part = 0; part < 3; ++part) {
    const Network::Made& from = net_[layers[part]];
    const double scale = part == 0 ? factor : 1;
    for (const std::int32_t c : channels[part]) {
      const auto at = static_cast<std::size_t>(c);
      for (std::size_t i = 0; i < in; ++i)
        weight.push_back(
            static_cast<float>(scale * static_cast<double>(from.weights.at("weight")[at * in + i])));
      bias.push_back(from.layer.bias
                         ? static_cast<float>(scale * static_cast<double>(from.weights.at("bias")[at]))
                         : 0.0F);
    }
  }
  return net_.add(layer, net_[layers[0]].from, {{"weight", std::move(weight)}, {"bias", std::move(bias)}},
                  net_[layers[0]].name);
}

void Lowering::attention(const Node& node, const Scores& scores, const View& given) {
  if (!scores.normalised)
    node.fail("sums values by weights without a Softmax: no operation of graft does that");
  const View value = resolved(node, given);
  const Matrices q = matrices_of(scores.query.shape), v = matrices_of(value.shape);
  if (v.count != q.count || v.rows != matrices_of(scores.key.shape).columns || v.columns != q.columns ||
      value.fixed)
    node.fail(fmt::format("sums values {} by weights of queries {}", to_string(value.shape),
                          to_string(scores.query.shape)));
  if (net_.is_tokens(value.layer)) return token_attention(node, scores, value);
  if (net_.is_image(value.layer)) return window_attention(node, scores, value);
  node.fail("is an attention over a vector");
}

/// Every token with every token.
void Lowering::token_attention(const Node& node, const Scores& scores, const View& value) {
  const Matrices m = matrices_of(scores.query.shape);
  const auto q = part_of(net_, scores.query, false), k = part_of(net_, scores.key, true),
             v = part_of(net_, value, false);
  const auto refuse = [&](const char* text) {
    node.fail(std::string("is of an attention ") + text + ": no operation of graft does that");
  };
  if (!q || !k || !v) refuse("whose heads mix tokens and channels");
  const auto tokens = static_cast<std::size_t>(net_.places(value.layer));
  if (!scores.bias.empty() &&
      std::any_of(scores.bias.begin(), scores.bias.end(), [](float b) { return b != 0; }))
    refuse("with a bias or a mask");
  if (m.rows != tokens || v->place.size() != m.count * tokens || !net_.is_tokens(scores.query.layer) ||
      !net_.is_tokens(scores.key.layer) || net_.places(scores.query.layer) != net_.places(value.layer))
    refuse("in which some tokens do not take part");
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t t = 0; t < tokens; ++t) {
      const auto token = static_cast<std::int32_t>(t);
      if (q->place[b * tokens + t] != token || k->place[b * tokens + t] != token ||
          v->place[b * tokens + t] != token)
        refuse("whose tokens are in another order");
    }
  const double head = static_cast<double>(m.columns);
  Layer layer;
  layer.op = Op::Attention;
  layer.heads = static_cast<int>(m.count);
  layer.out = static_cast<int>(m.count * m.columns);
  const LayerId from = joined(node, {scores.query.layer, scores.key.layer, value.layer},
                              {q->channel, k->channel, v->channel}, scores.scale * std::sqrt(head));
  View out;
  out.layer = net_.add(layer, {from}, {}, node.path());
  std::vector<std::int32_t> places;
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t c = 0; c < m.columns; ++c)
        places.push_back(static_cast<std::int32_t>(t * m.count * m.columns + b * m.columns + c));
  Shape shape = scores.query.shape;
  give(node, out.with(std::move(shape), std::move(places), count_of(net_.shape(out.layer))));
}

/// Pixels of windows with each other.
void Lowering::window_attention(const Node& node, const Scores& scores, const View& value) {
  const Matrices m = matrices_of(scores.query.shape);
  const auto q = part_of(net_, scores.query, false), k = part_of(net_, scores.key, true),
             v = part_of(net_, value, false);
  const auto refuse = [&](const char* text) {
    node.fail(std::string("is of an attention ") + text + ": no operation of graft does that");
  };
  if (!q || !k || !v) refuse("whose heads mix pixels and channels");
  if (m.count * m.rows > kMostScores / m.rows) refuse("over more pixels than can be followed");
  if (scores.query.layer == kImage || scores.key.layer == kImage || value.layer == kImage)
    refuse("of the image itself");
  if (q->place != k->place || q->place != v->place)
    refuse("in which queries, keys and values are of different pixels");
  const Shape own = net_.shape(value.layer);
  const auto pixels = static_cast<std::size_t>(own[1] * own[2]);
  if (pixels % m.rows != 0 || m.count % (pixels / m.rows) != 0)
    refuse("in which some pixels do not take part");
  const std::size_t windows = pixels / m.rows, heads = m.count / windows;
  const auto columns_all = static_cast<std::int32_t>(own[2]);
  // Heads within windows; each window of the same channels.
  std::array<std::vector<std::int32_t>, 3> channels;
  const std::array<const Part*, 3> parts = {&*q, &*k, &*v};
  for (std::size_t part = 0; part < 3; ++part) {
    const auto& all = parts[part]->channel;
    channels[part].assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(heads * m.columns));
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i] != channels[part][i % channels[part].size()])
        refuse("whose windows have different channels");
  }
  // The first window tells its sides and the shift; every place is then compared.
  const std::int32_t first = q->place[0];
  std::size_t width = 1;
  while (width < m.rows && q->place[width] / columns_all == first / columns_all) ++width;
  Layer layer;
  layer.op = Op::WindowAttention;
  layer.heads = static_cast<int>(heads);
  layer.out = static_cast<int>(heads * m.columns);
  layer.kernel = {static_cast<int>(m.rows / width), static_cast<int>(width)};
  layer.shift = std::max(first / columns_all, first % columns_all);
  layer.windows = width > 1 && q->place[1] - first > 1 ? WindowRule::Grid : WindowRule::Torchvision;
  if (m.rows % width != 0 || own[1] % layer.kernel.height != 0 || own[2] % layer.kernel.width != 0)
    refuse("whose windows do not cover the image");
  const LayerId from = joined(node, {scores.query.layer, scores.key.layer, value.layer}, channels,
                              scores.scale * std::sqrt(static_cast<double>(m.columns)));
  const LayerId before = net_[from].from.at(0);
  const std::array<WindowSide, 2> sides = window_sides(layer, {net_.shape(from), net_.shape(before)});
  const std::size_t along = static_cast<std::size_t>(own[2]) / width, height = m.rows / width;
  const auto at = [&](std::size_t window, std::size_t row) {
    return std::pair(window / along * height + row / width, window % along * width + row % width);
  };
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t r = 0; r < m.rows; ++r) {
      const auto [y, x] = at(b / heads, r);
      if (q->place[b * m.rows + r] != sides[0].from[y] * columns_all + sides[1].from[x])
        refuse("over pixels that are not windows of an image");
    }
  const std::size_t pairs = (2 * height - 1) * (2 * width - 1), n = m.rows;
  std::vector<float> table(pairs * heads);
  std::vector<bool> known(pairs * heads);
  const auto bias = [&](std::size_t b, std::size_t r, std::size_t c) {
    return scores.bias.empty() ? 0.0 : static_cast<double>(scores.bias[(b * n + r) * n + c]);
  };
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < n; ++c) {
        const auto [y, x] = at(b / heads, r);
        const auto [w, u] = at(b / heads, c);
        const bool other =
            sides[0].region[y] != sides[0].region[w] || sides[1].region[x] != sides[1].region[u];
        const std::size_t pair =
            ((r / width + height - 1 - c / width) * (2 * width - 1) + r % width + width - 1 - c % width) *
                heads +
            b % heads;
        const double wanted = bias(b, r, c) + (other ? kOtherRegion : 0);
        if (!known[pair]) {
          if (other) continue;
          table[pair] = static_cast<float>(wanted);
          known[pair] = true;
        }
        // A sum with the mask keeps fewer digits of the bias.
        if (std::fabs(static_cast<double>(table[pair]) - wanted) > (other ? 2e-5 : 0))
          refuse("with a bias that is not one per pair of places, or with another mask");
      }
  View out;
  out.layer = net_.add(layer, {from, before}, {{"bias_table", std::move(table)}}, node.path());
  std::vector<std::int32_t> places;
  for (std::size_t b = 0; b < m.count; ++b)
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < m.columns; ++c)
        places.push_back(static_cast<std::int32_t>((b % heads * m.columns + c) * pixels) +
                         q->place[b * n + r]);
  give(node, out.with(scores.query.shape, std::move(places), count_of(net_.shape(out.layer))));
}

}  // namespace graft::nn::onnx
