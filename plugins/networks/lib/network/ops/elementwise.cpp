#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ops.h"

// A number in, a number out: activations, sums and products; and what puts channels in another order.

namespace graft::nn::ops {
namespace {

Shape same(const Layer&, const std::vector<Shape>& in) {
  return in[0];
}

template <auto F>
void each(const PlainOperands& with, PlainValue& out) {
  std::transform(with.in[0]->data.begin(), with.in[0]->data.end(), out.data.begin(), F);
}

void as_is(const PlainOperands& with, PlainValue& out) {
  out.data = with.in[0]->data;
}

double logistic(double v) {
  return 1 / (1 + std::exp(-v));
}
double silu(double v) {
  return v / (1 + std::exp(-v));
}
double hard_sigmoid(double v) {
  return std::clamp(v + 3, 0.0, 6.0) / 6;
}

Shape flat(const Layer&, const std::vector<Shape>& in) {
  return {elements(in[0])};
}

Shape add_output(const Layer&, const std::vector<Shape>& in) {
  if (in[0] != in[1]) throw WrongInput{fmt::format("two values of {}", to_string(in[0])), in[1]};
  return in[0];
}

void add_plain(const PlainOperands& with, PlainValue& out) {
  for (std::size_t i = 0; i < out.data.size(); ++i) out.data[i] = with.in[0]->data[i] + with.in[1]->data[i];
}

Shape mul_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (in[1] != Shape{in[0][0], 1, 1}) throw WrongInput{fmt::format("a scale of [{},1,1]", in[0][0]), in[1]};
  return in[0];
}

void mul_plain(const PlainOperands& with, PlainValue& out) {
  const std::size_t area = at(channel_stride(out.shape));
  for (std::size_t i = 0; i < out.data.size(); ++i)
    out.data[i] = with.in[0]->data[i] * with.in[1]->data[i / area];
}

void scale_plain(const PlainOperands& with, PlainValue& out) {
  const float* gamma = with.tensor("gamma");
  const std::size_t step = at(channel_stride(out.shape)), channels = at(with.layer.out);
  for (std::size_t i = 0; i < out.data.size(); ++i)
    out.data[i] = with.in[0]->data[i] * static_cast<double>(gamma[i / step % channels]);
}

Shape swiglu_output(const Layer& layer, const std::vector<Shape>& in) {
  if (in[0].empty() || in[0].size() > 2 || in[0].back() != 2 * std::int64_t{layer.out})
    throw WrongInput{fmt::format("tokens of {} values", 2 * std::int64_t{layer.out}), in[0]};
  Shape out = in[0];
  out.back() = layer.out;
  return out;
}

void swiglu_plain(const PlainOperands& with, PlainValue& out) {
  const std::size_t width = at(with.layer.out);
  for (std::size_t i = 0; i < out.data.size(); ++i) {
    const double* row = with.in[0]->data.data() + i / width * 2 * width;
    out.data[i] = silu(row[i % width]) * row[width + i % width];
  }
}

Shape concat_output(const Layer& layer, const std::vector<Shape>& in) {
  Shape out = in[0];
  out[0] = 0;
  for (const Shape& one : in) {
    if (one.size() == 2 || one.size() != out.size() ||
        !std::equal(one.begin() + 1, one.end(), out.begin() + 1))
      throw WrongInput{fmt::format("images of one size, or vectors (the first is {})", to_string(in[0])),
                       one};
    out[0] += one[0];
  }
  if (out[0] != layer.out) throw WrongInput{fmt::format("{} channels in all", layer.out), out};
  return out;
}

void concat_plain(const PlainOperands& with, PlainValue& out) {
  auto to = out.data.begin();
  for (const PlainValue* one : with.in) to = std::copy(one->data.begin(), one->data.end(), to);
}

Shape slice_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (layer.first + std::int64_t{layer.out} > layer.in)
    throw WrongInput{fmt::format("at least {} channels", layer.first + std::int64_t{layer.out}), in[0]};
  return {layer.out, in[0][1], in[0][2]};
}

void slice_plain(const PlainOperands& with, PlainValue& out) {
  std::copy_n(with.in[0]->data.begin() + with.layer.first * channel_stride(out.shape), out.data.size(),
              out.data.begin());
}

Shape shuffle_output(const Layer& layer, const std::vector<Shape>& in) {
  need_image(layer, in[0]);
  if (layer.in % layer.groups != 0)
    throw WrongInput{fmt::format("channels that {} groups divide, not {}", layer.groups, layer.in), in[0]};
  return in[0];
}

void shuffle_plain(const PlainOperands& with, PlainValue& out) {
  const std::int64_t area = channel_stride(out.shape), groups = with.layer.groups,
                     each = with.layer.in / groups;
  for (std::int64_t c = 0; c < with.layer.in; ++c)
    std::copy_n(with.in[0]->data.begin() + c * area, area,
                out.data.begin() + (c % each * groups + c / each) * area);
}

std::string shuffle_torch(const Layer& layer, const TorchNames& names, std::vector<std::string>&) {
  return fmt::format(
      "torch.reshape(torch.transpose(torch.reshape({0}, [{0}.size(0), {1}, {2}, {0}.size(2), {0}.size(3)]), "
      "1, 2), [{0}.size(0), {3}, {0}.size(2), {0}.size(3)])",
      names.in[0], layer.groups, layer.in / layer.groups, layer.in);
}

}  // namespace

const std::vector<Operation>& elementwise() {
  static const std::vector<Operation> kRows = {
      {Op::Relu, "Relu", 1, same, each<[](double v) { return std::max(v, 0.0); }>, call<"torch.relu({x})">},
      {Op::Relu6, "Relu6", 1, same, each<[](double v) { return std::clamp(v, 0.0, 6.0); }>,
       [](const Layer&, const TorchNames& names, std::vector<std::string>&) {
         return fmt::format("torch.{}({}, 0.0, 6.0)", names.bf16 ? "clamp" : "hardtanh", names.in[0]);
       }},
      {Op::Silu, "Silu", 1, same, each<silu>, call<"torch.silu({x})">},
      {Op::Sigmoid, "Sigmoid", 1, same, each<logistic>, call<"torch.sigmoid({x})">},
      {Op::Gelu, "Gelu", 1, same, each<[](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); }>,
       call<"torch.gelu({x})">},
      {Op::GeluTanh, "GeluTanh", 1, same, each<[](double v) {
         return 0.5 * v * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v)));
       }>,
       call<"torch.gelu({x}, approximate=\"tanh\")">},
      {Op::QuickGelu, "QuickGelu", 1, same, each<[](double v) { return v * logistic(1.702 * v); }>,
       call<"torch.mul({x}, torch.sigmoid(torch.mul({x}, 1.702)))">},
      {Op::HardSigmoid, "HardSigmoid", 1, same, each<hard_sigmoid>, call<"torch.hardsigmoid({x})">},
      {Op::HardSwish, "HardSwish", 1, same, each<[](double v) { return v * hard_sigmoid(v); }>,
       call<"torch.hardswish({x})">},
      {Op::Tanh, "Tanh", 1, same, each<[](double v) { return std::tanh(v); }>, call<"torch.tanh({x})">},
      {Op::Add, "Add", 2, add_output, add_plain, call<"torch.add({x}, {y})">},
      {Op::Mul, "Mul", 2, mul_output, mul_plain, call<"torch.mul({x}, {y})">},
      {Op::LayerScale, "LayerScale", 1, same_channels, scale_plain,
       call<"torch.mul({x}, torch.reshape({self}.gamma, [-1, 1, 1]) if {x}.dim() == 4 else {self}.gamma)">,
       [](const Layer& layer) {
         return std::vector<Parameter>{{"gamma", {layer.out}, true, 1.0}};
       }},
      {Op::SwiGlu, "SwiGlu", 1, swiglu_output, swiglu_plain,
       call<"torch.mul(torch.silu(torch.narrow({x}, -1, 0, {out})), torch.narrow({x}, -1, {out}, {out}))">},
      {Op::Concat, "Concat", Operation::kAny, concat_output, concat_plain,
       [](const Layer&, const TorchNames& names, std::vector<std::string>&) {
         return fmt::format("torch.cat([{}], 1)", fmt::join(names.in, ", "));
       }},
      {Op::ChannelSlice, "ChannelSlice", 1, slice_output, slice_plain,
       call<"torch.narrow({x}, 1, {first}, {out})">, nullptr, nullptr,
       [](const Layer& l) { return fmt::format("{} to {}", l.first, l.first + std::int64_t{l.out} - 1); }},
      {Op::ChannelShuffle, "ChannelShuffle", 1, shuffle_output, shuffle_plain, shuffle_torch, nullptr,
       nullptr, [](const Layer& layer) { return fmt::format("{} groups", layer.groups); }},
      {Op::Flatten, "Flatten", 1, flat, as_is, call<"torch.flatten({x}, 1)">},
      {Op::Dropout, "Dropout", 1, same, as_is, call<"torch.mul({x}, {self}.mask)">, nullptr, nullptr,
       [](const Layer& layer) { return fmt::format("{}", layer.dropout); }},
  };
  return kRows;
}

}  // namespace graft::nn::ops
