#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <network/positions.h>
#include "ops.h"

// Sequences of tokens: how an image becomes one, and attention.

namespace graft::nn::ops {
namespace {

Shape embed_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (layer.grid_height > 0 && layer.positions == PositionRule::Torchvision && in[0][1] != in[0][2])
    throw WrongInput{"as many rows of patches as columns (torchvision's positions are for square images)",
                     in[0]};
  return {layer.prefix + in[0][1] * in[0][2], layer.out};
}

std::vector<Parameter> embed_parameters(const Layer& layer) {
  std::vector<Parameter> out;
  if (layer.prefix > 0) out.push_back({"prefix", {layer.prefix, layer.out}});
  if (layer.grid_height > 0)
    out.push_back({"position", {std::int64_t{layer.grid_height} * layer.grid_width, layer.out}});
  return out;
}

void embed_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const PlainValue& in = *with.in[0];
  const std::size_t d = at(layer.out), area = at(in.shape[1] * in.shape[2]), prefix = at(layer.prefix);
  for (std::size_t i = 0; i < prefix * d; ++i) out.data[i] = static_cast<double>(with.tensor("prefix")[i]);
  std::vector<float> position(area * d);
  if (layer.grid_height > 0)
    position =
        resized_positions(with.tensor("position"), layer.grid_height, layer.grid_width, layer.out,
                          layer.positions, static_cast<int>(in.shape[1]), static_cast<int>(in.shape[2]));
  for (std::size_t p = 0; p < area; ++p)
    for (std::size_t c = 0; c < d; ++c)
      out.data[(prefix + p) * d + c] = in.data[c * area + p] + static_cast<double>(position[p * d + c]);
}

/// LibTorch's own interpolation, as the owners call it.
void torch_positions(const Layer& layer, const std::string& x, const TorchNames& names,
                     std::vector<std::string>& lines) {
  const std::string& out = names.out;
  const int rows = layer.grid_height, columns = layer.grid_width;
  lines.push_back(fmt::format("{}_p = {}.position", out, names.self));
  lines.push_back(fmt::format("{}_h = {}.size(2)", out, x));
  lines.push_back(fmt::format("{}_w = {}.size(3)", out, x));
  lines.push_back(layer.positions == PositionRule::OpenClip
                      ? fmt::format("if {0}_h * {0}_w != {1}:", out, rows * columns)
                      : fmt::format("if {0}_h != {1} or {0}_w != {2}:", out, rows, columns));
  lines.push_back(
      fmt::format("    {0}_g = torch.permute(torch.reshape({0}_p.to(6), [1, {1}, {2}, {3}]), [0, 3, 1, 2])",
                  out, rows, columns, layer.out));
  std::string resized;
  switch (layer.positions) {
    case PositionRule::Timm:
    case PositionRule::OpenClip:
      resized = fmt::format("torch._upsample_bicubic2d_aa({0}_g, [{0}_h, {0}_w], False, None, None)", out);
      break;
    case PositionRule::HuggingFace:
      resized = fmt::format("torch.upsample_bicubic2d({0}_g, [{0}_h, {0}_w], False, None, None)", out);
      break;
    case PositionRule::Meta:
      resized = fmt::format(
          "torch.upsample_bicubic2d({0}_g, [{0}_h, {0}_w], False, ({0}_h + 0.1) / {1}.0, ({0}_w + 0.1) / "
          "{2}.0)",
          out, rows, columns);
      break;
    case PositionRule::Torchvision:
      resized = fmt::format("torch.upsample_bicubic2d({0}_g, [{0}_h, {0}_w], True, None, None)", out);
      break;
  }
  lines.push_back(
      fmt::format("    {0}_p = torch.reshape(torch.permute({1}, [0, 2, 3, 1]), [-1, {2}]).to({0}_p)", out,
                  resized, layer.out));
}

std::string embed_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const std::string &x = names.in[0], &out = names.out;
  lines.push_back(fmt::format("{}_t = torch.transpose(torch.flatten({}, 2), 1, 2)", out, x));
  if (layer.grid_height > 0) {
    torch_positions(layer, x, names, lines);
    lines.push_back(fmt::format("{0}_t = torch.add({0}_t, {0}_p)", out));
  }
  if (layer.prefix == 0) return out + "_t";
  return fmt::format("torch.cat([{0}.prefix.expand({1}.size(0), {2}, {3}), {4}_t], 1)", names.self, x,
                     layer.prefix, layer.out, out);
}

std::string embed_detail(const Layer& layer) {
  return layer.prefix > 0 ? fmt::format("after {}", layer.prefix) : "";
}

void need_heads(const Layer& layer, const Shape& in) {
  if (layer.out % layer.heads != 0)
    throw WrongInput{fmt::format("a width that {} heads divide, not {}", layer.heads, layer.out), in};
}

Shape attention_output(const Layer& layer, const std::vector<Shape>& in) {
  need_heads(layer, in[0]);
  if (in[0].size() != 2 || in[0][1] != 3 * std::int64_t{layer.out})
    throw WrongInput{
        fmt::format("tokens of {} values (queries, keys and values)", 3 * std::int64_t{layer.out}), in[0]};
  if (!layer.rope_periods.empty() && 4 * layer.rope_periods.size() != at(layer.out / layer.heads))
    throw WrongInput{fmt::format("heads of {} values for its periods", 4 * layer.rope_periods.size()), in[0]};
  if (!layer.rope_periods.empty() &&
      (in.size() != 2 || in[1].size() != 3 || layer.prefix + in[1][1] * in[1][2] != in[0][0]))
    throw WrongInput{"the patches of its tokens as a second input", in.back()};
  return {in[0][0], layer.out};
}

std::int64_t attention_multiply_adds(const Layer& layer, const std::vector<Shape>& in, const Shape&) {
  return elements({2, in[0][0], in[0][0], layer.out});
}

/// Turns the pairs (c, c + head / 2) of queries or keys of patches, by angles that grow with their place.
void turn(std::vector<double>& qkv, const Layer& layer, std::int64_t rows, std::int64_t columns) {
  const std::size_t d = at(layer.out), head = d / at(layer.heads), half = head / 2,
                    quarter = layer.rope_periods.size();
  const double full = 2 * std::acos(-1.0);
  for (std::int64_t place = 0; place < rows * columns; ++place) {
    const std::int64_t row = place / columns, column = place % columns;
    const double y = 2 * (static_cast<double>(row) + 0.5) / static_cast<double>(rows) - 1;
    const double x = 2 * (static_cast<double>(column) + 0.5) / static_cast<double>(columns) - 1;
    double* token = qkv.data() + (at(layer.prefix) + at(place)) * 3 * d;
    for (std::size_t first = 0; first < 2 * d; first += head)  // queries, then keys
      for (std::size_t j = 0; j < half; ++j) {
        const double angle =
            full * (j < quarter ? y / layer.rope_periods[j] : x / layer.rope_periods[j - quarter]);
        double &a = token[first + j], &b = token[first + half + j];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = turned;
      }
  }
}

/// softmax(q k / sqrt(head)) v of one query; `k` and `v`: of the first token, `step` from one to the next.
void attend(const double* q, const double* k, const double* v, std::size_t tokens, std::size_t step,
            std::size_t head, double* out) {
  std::vector<double> score(tokens);
  double most = -INFINITY, sum = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t c = 0; c < head; ++c) score[t] += q[c] * k[t * step + c];
    score[t] /= std::sqrt(static_cast<double>(head));
    most = std::max(most, score[t]);
  }
  for (double& s : score) sum += s = std::exp(s - most);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t c = 0; c < head; ++c) out[c] += score[t] / sum * v[t * step + c];
}

void attention_plain(const PlainOperands& with, PlainValue& out) {
  const Layer& layer = with.layer;
  const std::size_t n = at(out.shape[0]), d = at(layer.out), head = d / at(layer.heads);
  std::vector<double> qkv = with.in[0]->data;
  if (!layer.rope_periods.empty()) turn(qkv, layer, with.in[1]->shape[1], with.in[1]->shape[2]);
  for (std::size_t t = 0; t < n; ++t)
    for (std::size_t h = 0; h < d; h += head)
      attend(qkv.data() + t * 3 * d + h, qkv.data() + d + h, qkv.data() + 2 * d + h, n, 3 * d, head,
             out.data.data() + t * d + h);
}

/// Cosines and sines of the grid, [patches, head]; then queries and keys of patches turned.
void torch_turn(const Layer& layer, const TorchNames& names, int head, std::vector<std::string>& lines) {
  const std::string& out = names.out;
  const std::string& grid = names.in[1];
  const auto add = [&](const std::string& line) { lines.push_back(line); };
  add(fmt::format("{}_r = torch.tensor([{:.17e}]).to({})", out, fmt::join(layer.rope_periods, ", "),
                  names.in[0]));
  const auto coordinates = [&](const char* name, int axis) {
    add(
        fmt::format("{0}_{1} = torch.sub(torch.mul(torch.div(torch.add(torch.arange({2}.size({3})), 0.5), "
                    "{2}.size({3})), 2.0), 1.0).to({4})",
                    out, name, grid, axis, names.in[0]));
  };
  coordinates("y", 2);
  coordinates("x", 3);
  add(fmt::format("{0}_y = torch.div(torch.reshape({0}_y, [-1, 1, 1]), {0}_r)", out));
  add(fmt::format("{0}_x = torch.div(torch.reshape({0}_x, [1, -1, 1]), {0}_r)", out));
  add(fmt::format("{0}_e = [{1}.size(2), {1}.size(3), {2}]", out, grid, head / 4));
  add(
      fmt::format("{0}_a = torch.reshape(torch.mul(torch.cat([{0}_y.expand({0}_e), {0}_x.expand({0}_e), "
                  "{0}_y.expand({0}_e), {0}_x.expand({0}_e)], -1), 6.283185307179586), [-1, {1}])",
                  out, head));
  for (const char* which : {"q", "k"}) {
    add(fmt::format("{0}_{1}p = {0}_{1}[:, :, {2}:]", out, which, layer.prefix));
    add(fmt::format("{0}_{1}r = torch.cat([torch.neg({0}_{1}p[:, :, :, {2}:]), {0}_{1}p[:, :, :, :{2}]], -1)",
                    out, which, head / 2));
    add(
        fmt::format("{0}_{1} = torch.cat([{0}_{1}[:, :, :{2}], torch.add(torch.mul({0}_{1}p, "
                    "torch.cos({0}_a)), torch.mul({0}_{1}r, torch.sin({0}_a)))], 2)",
                    out, which, layer.prefix));
  }
}

std::string attention_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const int head = layer.out / layer.heads;
  const std::string &x = names.in[0], &out = names.out;
  lines.push_back(fmt::format(
      "{0}_s = torch.permute(torch.reshape({1}, [{1}.size(0), {1}.size(1), 3, {2}, {3}]), [2, 0, 3, 1, 4])",
      out, x, layer.heads, head));
  lines.push_back(fmt::format("{0}_q = {0}_s[0]", out));
  lines.push_back(fmt::format("{0}_k = {0}_s[1]", out));
  if (!layer.rope_periods.empty()) torch_turn(layer, names, head, lines);
  lines.push_back(fmt::format(
      "{0}_m = torch.softmax(torch.matmul(torch.mul({0}_q, {1}), torch.transpose({0}_k, -2, -1)), -1)", out,
      1 / std::sqrt(static_cast<double>(head))));
  return fmt::format(
      "torch.reshape(torch.transpose(torch.matmul({0}_m, {0}_s[2]), 1, 2), [{1}.size(0), {1}.size(1), {2}])",
      out, x, layer.out);
}

std::string heads_detail(const Layer& layer) {
  return fmt::format("{} heads", layer.heads);
}

Shape pool_output(const Layer& layer, const std::vector<Shape>& in) {
  need_heads(layer, in[0]);
  if (in[0].size() != 2 || in[0][1] != 2 * std::int64_t{layer.out})
    throw WrongInput{fmt::format("tokens of {} values (keys and values)", 2 * std::int64_t{layer.out}),
                     in[0]};
  return {layer.out};
}

std::vector<Parameter> pool_parameters(const Layer& layer) {
  return {{"query", {layer.out}}};
}

std::int64_t pool_multiply_adds(const Layer& layer, const std::vector<Shape>& in, const Shape&) {
  return elements({2, in[0][0], layer.out});
}

void pool_plain(const PlainOperands& with, PlainValue& out) {
  const std::size_t d = at(with.layer.out), head = d / at(with.layer.heads);
  const std::vector<double> query(with.tensor("query"), with.tensor("query") + d);
  const double* kv = with.in[0]->data.data();
  for (std::size_t h = 0; h < d; h += head)
    attend(query.data() + h, kv + h, kv + d + h, at(with.in[0]->shape[0]), 2 * d, head, out.data.data() + h);
}

std::string pool_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>& lines) {
  const int head = layer.out / layer.heads;
  const std::string &x = names.in[0], &out = names.out;
  lines.push_back(fmt::format(
      "{0}_s = torch.permute(torch.reshape({1}, [{1}.size(0), {1}.size(1), 2, {2}, {3}]), [2, 0, 3, 1, 4])",
      out, x, layer.heads, head));
  lines.push_back(fmt::format(
      "{0}_m = torch.softmax(torch.matmul(torch.mul(torch.reshape({1}.query, [1, {2}, 1, {3}]), {4}), "
      "torch.transpose({0}_s[0], -2, -1)), -1)",
      out, names.self, layer.heads, head, 1 / std::sqrt(static_cast<double>(head))));
  return fmt::format("torch.reshape(torch.matmul({0}_m, {0}_s[1]), [-1, {1}])", out, layer.out);
}

}  // namespace

const std::vector<Operation>& tokens() {
  static const std::vector<Operation> kRows = {
      {Op::Embed, "Embed", 1, embed_output, embed_plain, embed_torch, embed_parameters, nullptr,
       embed_detail},
      {Op::Attention, "Attention", Operation::kAny, attention_output, attention_plain, attention_torch,
       nullptr, attention_multiply_adds, heads_detail},
      {Op::AttentionPool, "AttentionPool", 1, pool_output, pool_plain, pool_torch, pool_parameters,
       pool_multiply_adds, heads_detail},
  };
  return kRows;
}

}  // namespace graft::nn::ops
