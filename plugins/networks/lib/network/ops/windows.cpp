#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ops.h"

// Attention in windows of an image, and what makes smaller images between (Liu et al. 2021,
// arXiv:2103.14030).

namespace graft::nn::ops {
namespace {

Shape merge_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (layer.out != 4 * std::int64_t{layer.in})
    throw WrongInput{fmt::format("a quarter of {} channels", layer.out), in[0]};
  return {layer.out, (in[0][1] + 1) / 2, (in[0][2] + 1) / 2};
}

void merge_plain(const PlainOperands& with, PlainValue& out) {
  fill(out, [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    const std::int64_t part = c / with.layer.in;
    return with.in[0]->at(c % with.layer.in, 2 * y + part % 2, 2 * x + part / 2);
  });
}

std::string merge_torch(const Layer&, const TorchNames& names, std::vector<std::string>& lines) {
  const std::string& x = names.in[0];
  lines.push_back(fmt::format(
      "{0}_p = torch.constant_pad_nd({1}, [0, {1}.size(3) % 2, 0, {1}.size(2) % 2], 0.0)", names.out, x));
  return fmt::format(
      "torch.cat([{0}_p[:, :, ::2, ::2], {0}_p[:, :, 1::2, ::2], {0}_p[:, :, ::2, 1::2], {0}_p[:, :, 1::2, "
      "1::2]], 1)",
      names.out);
}

Shape window_attention_output(const Layer& layer, const std::vector<Shape>& in) {
  const bool timm = layer.windows == WindowRule::Timm;
  const std::size_t wanted = timm ? 3 : 2;
  if (in.size() != wanted) throw WrongInput{fmt::format("{} inputs, not {}", wanted, in.size()), in.back()};
  for (const Shape& one : in)
    if (one.size() != 3) throw WrongInput{"images", one};
  if (layer.out % layer.heads != 0)
    throw WrongInput{fmt::format("a width that {} heads divide, not {}", layer.heads, layer.out), in[0]};
  if (in[0][0] != 3 * std::int64_t{layer.out})
    throw WrongInput{fmt::format("{} channels (queries, keys and values)", 3 * std::int64_t{layer.out}),
                     in[0]};
  const auto check = [&](std::size_t axis, int window) {
    if (in[0][axis] != (in[1][axis] + window - 1) / window * window)
      throw WrongInput{fmt::format("an image that whole windows of {} x {} cover, around one of {}",
                                   layer.kernel.width, layer.kernel.height, to_string(in[1])),
                       in[0]};
    if (timm && (in[1][axis] < window || in[2][axis] / layer.size < window))
      throw WrongInput{
          fmt::format("images that are no smaller than a window of {} x {} px (timm would make a "
                      "smaller window and change its biases)",
                      layer.kernel.width, layer.kernel.height),
          in[1]};
    if (layer.shift >= window) throw WrongInput{"a shift within a window", in[0]};
  };
  check(1, layer.kernel.height);
  check(2, layer.kernel.width);
  return {layer.out, in[1][1], in[1][2]};
}

std::vector<Parameter> window_attention_parameters(const Layer& layer) {
  const std::int64_t pairs =
      (2 * std::int64_t{layer.kernel.height} - 1) * (2 * std::int64_t{layer.kernel.width} - 1);
  return {{"bias_table", {pairs, layer.heads}, true, 0.0}};
}

std::int64_t window_attention_multiply_adds(const Layer& layer, const std::vector<Shape>& in, const Shape&) {
  return elements({2, in[0][1], in[0][2], layer.kernel.height, layer.kernel.width, layer.out});
}

void window_attention_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const PlainValue& qkv = *with.in[0];
  const float* table = with.tensor("bias_table");
  const auto sides = window_sides(layer, {qkv.shape, with.in[1]->shape, with.in.back()->shape});
  const std::int64_t rows = layer.kernel.height, columns = layer.kernel.width, n = rows * columns,
                     d = layer.out, head = d / layer.heads;
  std::vector<double> score(at(n));
  for (std::int64_t top = 0; top < qkv.shape[1]; top += rows)
    for (std::int64_t left = 0; left < qkv.shape[2]; left += columns) {
      /// Row and column of a token of this window in the padded image.
      const auto place = [&](std::int64_t token) {
        return std::pair(sides[0].from[at(top + token / columns)], sides[1].from[at(left + token % columns)]);
      };
      const auto region = [&](std::int64_t token) {
        return std::pair(sides[0].region[at(top + token / columns)],
                         sides[1].region[at(left + token % columns)]);
      };
      for (std::int64_t q = 0; q < n; ++q) {
        const auto [y, x] = place(q);
        if (y >= out.shape[1] || x >= out.shape[2]) continue;
        for (std::int64_t h = 0; h < layer.heads; ++h) {
          double most = -INFINITY, sum = 0;
          for (std::int64_t k = 0; k < n; ++k) {
            const auto [v, u] = place(k);
            double product = 0;
            for (std::int64_t c = h * head; c < (h + 1) * head; ++c)
              product += qkv.at(c, y, x) * qkv.at(d + c, v, u);
            const std::int64_t pair = (q / columns - k / columns + rows - 1) * (2 * columns - 1) +
                                      q % columns - k % columns + columns - 1;
            double& s = score[at(k)];
            s = product / std::sqrt(static_cast<double>(head)) +
                static_cast<double>(table[pair * layer.heads + h]);
            if (region(q) != region(k)) s -= kOtherRegion;
            most = std::max(most, s);
          }
          for (double& s : score) sum += s = std::exp(s - most);
          for (std::int64_t c = h * head; c < (h + 1) * head; ++c) {
            double mixed = 0;
            for (std::int64_t k = 0; k < n; ++k) {
              const auto [v, u] = place(k);
              mixed += score[at(k)] / sum * qkv.at(2 * d + c, v, u);
            }
            out.data[at((c * out.shape[1] + y) * out.shape[2] + x)] = mixed;
          }
        }
      }
    }
}

/// Places of pixels along one side as they lie in the windows, and their regions; as window_sides.
void torch_side(const Layer& layer, const TorchNames& names, const char* name, int axis, int window,
                std::vector<std::string>& lines) {
  const auto add = [&](const std::string& line) { lines.push_back(line); };
  const std::string all = fmt::format("{}_{}n", names.out, name), at = fmt::format("{}_{}", names.out, name),
                    shift = fmt::format("{}_{}s", names.out, name),
                    own = fmt::format("{}.size({})", names.in[1], axis);
  add(fmt::format("{} = {}.size({})", all, names.in[0], axis));
  const bool timm = layer.windows == WindowRule::Timm;
  add(fmt::format("{} = {} if {} > {} else 0", shift, layer.windows == WindowRule::Grid ? 0 : layer.shift,
                  timm ? fmt::format("{}.size({}) // {}", names.in[2], axis, layer.size) : all, window));
  add(fmt::format("{}p = torch.arange({}, device={}.device)", at, all, names.in[0]));
  if (layer.windows == WindowRule::Grid)
    add(fmt::format(
        "{0}m = torch.add(torch.mul(torch.remainder({0}p, {1}), {2} // {1}), torch.div({0}p, {1}, "
        "rounding_mode=\"floor\"))",
        at, window, all));
  else if (timm)
    add(fmt::format("{0}m = torch.where({0}p < {1}, torch.remainder(torch.add({0}p, {2}), {1}), {0}p)", at,
                    own, shift));
  else
    add(fmt::format("{0}m = torch.remainder(torch.add({0}p, {1}), {2})", at, shift, all));
  add(
      fmt::format("{0}r = torch.add(({0}p >= {1} - {2}).to(3), ({0}p >= {1} - {3}).to(3)) if {3} > 0 else "
                  "torch.mul({0}p, 0)",
                  at, all, window, shift));
}

std::string window_attention_torch(const Layer& layer, const TorchNames& names,
                                   std::vector<std::string>& lines) {
  const std::string &x = names.in[0], &out = names.out;
  const int rows = layer.kernel.height, columns = layer.kernel.width, head = layer.out / layer.heads;
  const auto add = [&](const std::string& line) { lines.push_back(line); };
  torch_side(layer, names, "y", 2, rows, lines);
  torch_side(layer, names, "x", 3, columns, lines);
  // [images windows, places, channels]
  const auto windows = [&](const std::string& value, const std::string& channels, const std::string& images) {
    return fmt::format(
        "torch.reshape(torch.permute(torch.reshape({0}, [{1}, {2}, {3}_yn // {4}, {4}, {3}_xn // {5}, {5}]), "
        "[0, 2, 4, 3, 5, 1]), [-1, {6}, {2}])",
        value, images, channels, out, rows, columns, rows * columns);
  };
  add(fmt::format("{0}_i = torch.index_select(torch.index_select({1}, 2, {0}_ym), 3, {0}_xm)", out, x));
  add(fmt::format("{}_w = {}", out, windows(out + "_i", std::to_string(3 * layer.out), x + ".size(0)")));
  add(fmt::format("{0}_s = torch.permute(torch.reshape({0}_w, [-1, {1}, 3, {2}, {3}]), [2, 0, 3, 1, 4])", out,
                  rows * columns, layer.heads, head));
  // A row of the table for each pair of places.
  add(fmt::format("{0}_t = torch.arange({1}, device={2}.device)", out, rows * columns, x));
  add(fmt::format("{0}_ty = torch.div({0}_t, {1}, rounding_mode=\"floor\")", out, columns));
  add(fmt::format("{0}_tx = torch.remainder({0}_t, {1})", out, columns));
  add(
      fmt::format("{0}_p = torch.add(torch.mul(torch.add(torch.sub(torch.unsqueeze({0}_ty, 1), "
                  "torch.unsqueeze({0}_ty, 0)), {1}), {2}), torch.add(torch.sub(torch.unsqueeze({0}_tx, 1), "
                  "torch.unsqueeze({0}_tx, 0)), {3}))",
                  out, rows - 1, 2 * columns - 1, columns - 1));
  add(
      fmt::format("{0}_b = torch.permute(torch.reshape(torch.index_select({1}.bias_table, 0, "
                  "torch.reshape({0}_p, [-1])), [{2}, {2}, {3}]), [2, 0, 1])",
                  out, names.self, rows * columns, layer.heads));
  add(fmt::format("{0}_r = torch.add(torch.mul(torch.unsqueeze({0}_yr, 1), 3), torch.unsqueeze({0}_xr, 0))",
                  out));
  add(fmt::format("{0}_g = torch.squeeze({1}, 2)", out, windows(out + "_r", "1", "1")));
  add(fmt::format(
      "{0}_m = torch.mul((torch.unsqueeze({0}_g, 1) != torch.unsqueeze({0}_g, 2)).to({1}), -{2}.0)", out, x,
      kOtherRegion));
  // [images, windows, heads, places, places]: one mask per window, one bias per head.
  add(fmt::format(
      "{0}_a = torch.add(torch.matmul(torch.mul({0}_s[0], {1}), torch.transpose({0}_s[1], -2, -1)), {0}_b)",
      out, 1 / std::sqrt(static_cast<double>(head))));
  add(
      fmt::format("{0}_a = torch.add(torch.reshape({0}_a, [{1}.size(0), -1, {2}, {3}, {3}]), "
                  "torch.unsqueeze(torch.unsqueeze({0}_m, 1), 0))",
                  out, x, layer.heads, rows * columns));
  add(fmt::format(
      "{0}_a = torch.matmul(torch.softmax(torch.reshape({0}_a, [-1, {1}, {2}, {2}]), -1), {0}_s[2])", out,
      layer.heads, rows * columns));
  add(fmt::format(
      "{0}_o = torch.reshape(torch.permute(torch.reshape({0}_a, [{1}.size(0), {0}_yn // {2}, {0}_xn "
      "// {3}, {4}, {2}, {3}, {5}]), [0, 3, 6, 1, 4, 2, 5]), [{1}.size(0), {6}, {0}_yn, {0}_xn])",
      out, x, rows, columns, layer.heads, head, layer.out));
  return fmt::format(
      "torch.index_select(torch.index_select({0}_o, 2, torch.argsort({0}_ym))[:, :, :{1}.size(2)], 3, "
      "torch.argsort({0}_xm))[:, :, :, :{1}.size(3)]",
      out, names.in[1]);
}

std::string window_attention_detail(const Layer& layer) {
  return fmt::format("{} heads, {}x{}{}", layer.heads, layer.kernel.height, layer.kernel.width,
                     layer.shift > 0 ? fmt::format(", shifted by {}", layer.shift) : "");
}

}  // namespace

const std::vector<Operation>& windows() {
  static const std::vector<Operation> kRows = {
      {Op::PatchMerge, "PatchMerge", 1, merge_output, merge_plain, merge_torch},
      {Op::WindowAttention, "WindowAttention", Operation::kAny, window_attention_output,
       window_attention_plain, window_attention_torch, window_attention_parameters,
       window_attention_multiply_adds, window_attention_detail},
  };
  return kRows;
}

}  // namespace graft::nn::ops

namespace graft::nn {

std::array<WindowSide, 2> window_sides(const Layer& layer, const std::vector<Shape>& in) {
  const bool timm = layer.windows == WindowRule::Timm;
  const auto along = [&](std::size_t axis, std::int64_t window) {
    const std::int64_t all = in[0][axis], own = in[1][axis], decides = timm ? in[2][axis] / layer.size : all;
    const std::int64_t shift = decides > window && layer.windows != WindowRule::Grid ? layer.shift : 0;
    WindowSide side;
    for (std::int64_t i = 0; i < all; ++i) {
      if (layer.windows == WindowRule::Grid)
        side.from.push_back(i % window * (all / window) + i / window);
      else if (timm)
        side.from.push_back(i < own ? (i + shift) % own : i);
      else
        side.from.push_back((i + shift) % all);
      side.region.push_back(shift == 0 ? 0 : (i >= all - window) + (i >= all - shift));
    }
    return side;
  };
  return {along(1, layer.kernel.height), along(2, layer.kernel.width)};
}

}  // namespace graft::nn
