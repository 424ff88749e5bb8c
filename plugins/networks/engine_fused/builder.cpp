#include "builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <network/cost.h>
#include <network/engine.h>
#include <network/operation.h>

#include "onednn.h"
#include "thread_count.h"

namespace graft::fused {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;

/// Plain loops, hundreds of times slower: what oneDNN falls back to for a layout it has no kernel for.
bool is_reference(const char* kernel) {
  return std::string_view(kernel).starts_with("ref");
}

struct Eltwise {
  algorithm how;
  float alpha, beta;
};

/// One after the other.
std::vector<Eltwise> eltwises_of(Activation activation) {
  constexpr float kSixth = 1.0f / 6;
  static const std::map<nn::Op, std::vector<Eltwise>> kAll = {
      {nn::Op::Relu, {{algorithm::eltwise_relu, 0, 0}}},
      {nn::Op::Relu6, {{algorithm::eltwise_clip, 0, 6}}},
      {nn::Op::Silu, {{algorithm::eltwise_swish, 1, 0}}},
      {nn::Op::Sigmoid, {{algorithm::eltwise_logistic, 0, 0}}},
      {nn::Op::Gelu, {{algorithm::eltwise_gelu_erf, 0, 0}}},
      {nn::Op::GeluTanh, {{algorithm::eltwise_gelu_tanh, 0, 0}}},
      {nn::Op::QuickGelu, {{algorithm::eltwise_swish, 1.702f, 0}}},
      // oneDNN 2.6 has no function of its own.
      {nn::Op::HardSigmoid, {{algorithm::eltwise_linear, kSixth, 0.5f}, {algorithm::eltwise_clip, 0, 1}}},
      {nn::Op::HardSwish, {{algorithm::eltwise_hardswish, kSixth, 0.5f}}},
      {nn::Op::Tanh, {{algorithm::eltwise_tanh, 0, 0}}}};
  if (!activation) return {};
  const auto found = kAll.find(*activation);
  if (found == kAll.end()) throw Error("an activation without a kernel: this is a bug in graft");
  return found->second;
}

onednn::Window window_of(const nn::Layer& layer, const Shape& image) {
  const nn::Padding padding = padding_of(layer, image);
  return {{layer.stride, layer.stride},
          {layer.kernel.height, layer.kernel.width},
          {layer.dilation - 1, layer.dilation - 1},
          {padding.top, padding.left},
          {padding.bottom, padding.right}};
}

/// F(4x4, 3x3) of Winograd's minimal filtering (Lavin and Gray 2016, arXiv:1509.09308) needs a quarter of the
/// multiplications. Below this side too much of its tiles lies outside of the image.
bool suits_winograd(const nn::Layer& layer, const Shape& out) {
  constexpr std::int64_t kSide = 12;
  return layer.kernel == nn::Extent(3) && layer.dilation == 1 && layer.stride == 1 && layer.groups == 1 &&
         layer.in >= 16 && out[1] >= kSide && out[2] >= kSide;
}

}  // namespace

Builder::Builder(PackedNetwork& network, int height, int width, Program& program, Nan nan)
    : network_(network),
      program_(program),
      height_(height),
      width_(width),
      keeps_nan_(nan == Nan::Kept),
      type_(network.bf16() && !keeps_nan_ ? Type::bf16 : Type::f32) {
  const Lowered& net = network.lowered();
  const nn::Cost cost = nn::cost_of(network.architecture(), height, width);
  std::map<std::string, Shape> shape = {{"input", {3, height, width}}};
  for (std::size_t i = 0; i < cost.layers.size(); ++i)
    shape[network.architecture().layers[i].name] = cost.layers[i].output;
  for (const std::string& layer : net.layer_of) shape_.push_back(shape.at(layer));
  for (std::size_t i = 0; i < net.steps.size(); ++i)
    for (const ValueId read : net.steps[i].reads()) last_reader_[read] = i;
  for (const ValueId output : net.outputs) last_reader_[output] = net.steps.size();
  channels_last_ = keeps_nan_ || std::any_of(net.steps.begin(), net.steps.end(),
                                             [](const Step& step) { return step.op == Step::Op::LayerNorm; });
}

void Builder::build() {
  const Dims images = dims_of(0);
  slot_[0] = add_slot(plain(images, Type::f32), Program::kInput);
  if (type_ != Type::f32) slot_in(0, plain(images, type_));
  const Lowered& net = network_.lowered();
  for (const Step& step : net.steps) try {
      add(step);
    } catch (const dnnl::error& fault) {
      throw Error(fmt::format("layer {}: oneDNN cannot run it for images of {} x {} in {} ({})",
                              step.layer.name, width_, height_, network_.bf16() ? "bf16" : "fp32",
                              fault.what()));
    }
  for (std::size_t i = 0; i < net.outputs.size(); ++i) store(i);
}

void Builder::add(const Step& step) {
  using Op = Step::Op;
  static const std::map<Op, void (Builder::*)(const Step&)> kAll = {
      {Op::Conv, &Builder::convolution},
      {Op::Linear, &Builder::linear},
      {Op::MaxPool, &Builder::max_pool},
      {Op::AveragePool, &Builder::average_pool},
      {Op::Add, &Builder::binary},
      {Op::Multiply, &Builder::binary},
      {Op::Activate, &Builder::activate},
      {Op::Flatten, &Builder::flatten},
      {Op::LayerNorm, &Builder::layer_norm},
      {Op::ResponseNorm, &Builder::response_norm},
      {Op::Embed, &Builder::embed},
      {Op::Attention, &Builder::attention},
      {Op::AttentionPool, &Builder::attention_pool},
      {Op::TokenMean, &Builder::token_mean},
      {Op::Concat, &Builder::concat},
      {Op::BlurPool, &Builder::blur_pool},
      {Op::Gather, &Builder::gather},
      {Op::PatchMerge, &Builder::patch_merge},
      {Op::Scale, &Builder::scale},
      {Op::WindowAttention, &Builder::window_attention}};
  (this->*kAll.at(step.op))(step);
  if (keeps_nan_ && step.activation && step.op != Op::Activate) activate_plainly(step);
}

Builder::Dims Builder::dims_of(ValueId value) const {
  const Shape& shape = shape_[value];
  if (is_tokens(value)) return {program_.images_, shape[1], 1, shape[0]};
  Dims dims{program_.images_};
  for (const std::int64_t side : shape) dims.push_back(side);
  return dims;
}

Builder::Desc Builder::plain(const Dims& dims, Type type) const {
  return {dims, type, dims.size() == 4 ? Tag::nchw : Tag::nc};
}

Builder::Desc Builder::channels_last(ValueId value, Type type) const {
  const Dims dims = dims_of(value);
  return {dims, type, dims.size() == 4 ? Tag::nhwc : Tag::nc};
}

Builder::Desc Builder::blocked(ValueId value) const {
  const Dims dims = dims_of(value);
  // Kernels for 16-bit numbers are fastest, and complete, with channels last.
  if (dims.size() != 4 || type_ == Type::bf16 || channels_last_ || is_tokens(value))
    return channels_last(value, type_);
  return {dims, type_, has_avx512() ? Tag::nChw16c : Tag::nChw8c};
}

std::size_t Builder::add_slot(const Desc& layout, std::ptrdiff_t place) {
  program_.slots_.push_back({layout, place});
  return program_.slots_.size() - 1;
}

std::size_t Builder::new_region(const Desc& layout) {
  const std::size_t now = program_.calls_.size();
  program_.regions_.push_back({layout.get_size(), now, now, 0});
  return program_.regions_.size() - 1;
}

std::size_t Builder::make_slot(ValueId value, const Desc& layout) {
  return slot_[value] = add_slot(layout, static_cast<std::ptrdiff_t>(new_region(layout)));
}

std::size_t Builder::slot_in(ValueId value, const Desc& layout) {
  const std::size_t have = slot_of(value);
  if (layout_of(have) == layout) return have;
  const std::size_t to = make_slot(value, layout);
  copy(have, to);
  return to;
}

Program::Call& Builder::call(const dnnl::primitive& kernel, const Desc& scratchpad,
                             std::vector<std::pair<int, std::size_t>> slots) {
  const std::size_t now = program_.calls_.size();
  for (const auto& [argument, slot] : slots)
    if (place_of(slot) >= 0) program_.regions_[static_cast<std::size_t>(place_of(slot))].last = now;
  program_.scratch_bytes_ = std::max(program_.scratch_bytes_, scratchpad.get_size());
  program_.calls_.push_back({kernel, scratchpad, false, std::move(slots), {}, {}});
  return program_.calls_.back();
}

void Builder::copy(std::size_t from, std::size_t to) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc kernel(network_.engine(), layout_of(from), network_.engine(),
                                             layout_of(to), attributes);
  call(dnnl::reorder(kernel), kernel.scratchpad_desc(), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

dnnl::primitive_attr Builder::attributes(bool residual, Activation activation) const {
  dnnl::post_ops then;
  if (residual) then.append_sum(1.0f);
  if (!keeps_nan_)
    for (const Eltwise& f : eltwises_of(activation)) onednn::append_eltwise(then, f.how, f.alpha, f.beta);
  dnnl::primitive_attr out;
  out.set_post_ops(then);
  out.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return out;
}

void Builder::convolution(const Step& step) {
  const std::size_t index = index_of(step);
  const nn::Layer& layer = step.layer;
  const memory::dim groups = layer.groups, in = layer.in, out = layer.out, rows = layer.kernel.height,
                    columns = layer.kernel.width;
  const Dims shape =
      groups > 1 ? Dims{groups, out / groups, in / groups, rows, columns} : Dims{out, in, rows, columns};
  const Tag order = groups > 1 ? Tag::goihw : Tag::oihw;
  const Desc bias({out}, Type::f32, Tag::x);
  // Tokens are a row of pixels.
  const onednn::Window window =
      window_of(layer, is_tokens(step.from) ? Shape{in, 1, shape_[step.from][0]} : shape_[step.from]);
  const auto attribute = attributes(step.residual != Step::kNone, step.activation);
  struct Kernel {
    algorithm how;
    Desc source, target;
    dnnl::convolution_forward::primitive_desc made;
  };
  const auto kernel_for = [&](algorithm how, const Desc& source,
                              const Desc& target) -> std::optional<Kernel> {
    try {
      return Kernel{how, source, target,
                    onednn::convolution(network_.engine(), how, source, Desc(shape, type_, Tag::any), bias,
                                        target, window, attribute)};
    } catch (const dnnl::error&) {
      return {};  // no such kernel
    }
  };

  const Dims from = dims_of(step.from), to_dims = dims_of(step.to);
  std::optional<Kernel> chosen;
  // oneDNN's choice depends on the number of threads, and results on the choice: it is that of one thread.
  {
    const ThreadCount one(1);
    // Its transforms make NaN of infinity where the sums have none.
    if (type_ == Type::f32 && !keeps_nan_ && suits_winograd(layer, shape_[step.to]))
      chosen = kernel_for(algorithm::convolution_winograd, blocked(step.from), blocked(step.to));
    // Images are planes, few channels would waste most of a block; and large kernels are faster with channels
    // last, by more than it costs to bring the values there.
    std::vector<std::pair<Desc, Desc>> layouts{{blocked(step.from), blocked(step.to)},
                                               {plain(from, type_), blocked(step.to)}};
    if (step.from == 0) std::swap(layouts[0], layouts[1]);
    if (step.from != 0 && layer.kernel != nn::Extent(1) && layer.groups == 1 && has_avx512())
      layouts.insert(layouts.begin(), {Desc(from, type_, Tag::nhwc), Desc(to_dims, type_, Tag::nhwc)});
    // Groups of few channels have kernels for few layouts.
    layouts.emplace_back(Desc(from, type_, Tag::nhwc), Desc(to_dims, type_, Tag::nhwc));
    layouts.emplace_back(plain(from, type_), plain(to_dims, type_));
    for (const auto& [source, target] : layouts) {
      if (chosen && !is_reference(chosen->made.impl_info_str())) break;
      if (auto next = kernel_for(algorithm::convolution_direct, source, target)) chosen = next;
    }
  }
  if (!chosen) throw Error(fmt::format("oneDNN has no convolution for layer {}", layer.name));
  const auto shared_out =
      program_.threads_ == 1 ? chosen : kernel_for(chosen->how, chosen->source, chosen->target);
  const bool one_thread =
      !shared_out || std::string_view(shared_out->made.impl_info_str()) != chosen->made.impl_info_str();
  const auto& kernel = one_thread ? chosen->made : shared_out->made;

  const std::size_t source = slot_in(step.from, kernel.src_desc());
  std::size_t to;
  if (step.residual != Step::kNone) {
    const std::size_t other = slot_of(step.residual);
    const auto shared = std::count_if(slot_.begin(), slot_.end(), [&](const auto& known) {
      return place_of(known.second) == place_of(other);
    });
    const bool in_place = layout_of(other) == kernel.dst_desc() && ends_here(step.residual, index) &&
                          place_of(other) >= 0 && place_of(other) != place_of(source) && shared == 1;
    if (in_place) {
      to = slot_[step.to] = view(other, kernel.dst_desc());
      slot_.erase(step.residual);  // gone: nobody reads it any more
    } else {
      to = make_slot(step.to, kernel.dst_desc());
      copy(other, to);
    }
  } else {
    to = make_slot(step.to, kernel.dst_desc());
  }
  const ThreadCount made_for(one_thread ? 1 : program_.threads_);
  Program::Call& made = call(dnnl::convolution_forward(kernel), kernel.scratchpad_desc(),
                             {{DNNL_ARG_SRC, source}, {DNNL_ARG_DST, to}});
  made.one_thread = one_thread;
  made.constants = {
      {DNNL_ARG_WEIGHTS, network_.weights(index, {shape, Type::f32, order}, kernel.weights_desc())},
      {DNNL_ARG_BIAS, network_.bias(index)}};
}

void Builder::linear(const Step& step) {
  // Several threads would share the sums, and their number change the last bits.
  const ThreadCount one(1);
  const std::size_t index = index_of(step);
  const Dims from = dims_of(step.from);
  Dims shape = from;
  shape[0] = step.layer.out;
  if (onednn::type_of(layout_of(slot_of(step.from))) != type_) slot_in(step.from, plain(from, type_));
  const Desc source = layout_of(slot_of(step.from));
  const auto kernel = onednn::inner_product(
      network_.engine(), source, Desc(shape, type_, Tag::any), Desc({step.layer.out}, Type::f32, Tag::x),
      plain(dims_of(step.to), type_), attributes(false, step.activation));
  const std::size_t in = slot_in(step.from, kernel.src_desc());
  const std::size_t to = make_slot(step.to, kernel.dst_desc());
  Program::Call& made = call(dnnl::inner_product_forward(kernel), kernel.scratchpad_desc(),
                             {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}});
  made.one_thread = true;
  const Desc plain_weights(shape, Type::f32, shape.size() == 4 ? Tag::oihw : Tag::oi);
  made.constants = {{DNNL_ARG_WEIGHTS, network_.weights(index, plain_weights, kernel.weights_desc())},
                    {DNNL_ARG_BIAS, network_.bias(index)}};
}

void Builder::max_pool(const Step& step) {
  if (keeps_nan_) {
    const std::size_t from = slot_in(step.from, plain(dims_of(step.from), type_));
    const std::size_t planes = make_slot(step.to, plain(dims_of(step.to), type_));
    return plainly(step.layer, step.layer.op, from, planes, program_.images_, shape_[step.from],
                   shape_[step.to]);
  }
  const std::size_t in = slot_in(step.from, blocked(step.from));
  const std::size_t to = make_slot(step.to, blocked(step.to));
  const auto kernel = onednn::pooling(network_.engine(), algorithm::pooling_max, layout_of(in), layout_of(to),
                                      window_of(step.layer, shape_[step.from]), attributes(false, {}));
  call(dnnl::pooling_forward(kernel), kernel.scratchpad_desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}});
}

void Builder::average_pool(const Step& step) {
  const nn::Layer& layer = step.layer;
  const Shape& from = shape_[step.from];
  onednn::Window window;
  bool counts = false;
  if (layer.op == nn::Op::WindowAvgPool) {
    window = window_of(layer, from);
    counts = layer.count_padding;
    // Zeros that are there only to complete the last windows never count.
    if (counts && padding_of(layer, from) != layer.padding) return average_by_loops(step);
  } else {
    const memory::dim size = layer.size, height = from[1], width = from[2];
    if (height == size && width == size) {
      slot_[step.to] = slot_of(step.from);
      return;
    }
    if (height % size != 0 || width % size != 0) return average_by_loops(step);
    window.strides = window.kernel = {height / size, width / size};
    window.gaps = window.before = window.after = {0, 0};
  }
  const std::size_t in = slot_in(step.from, blocked(step.from));
  const std::size_t to = make_slot(step.to, blocked(step.to));
  const auto kernel = onednn::pooling(
      network_.engine(),
      counts ? algorithm::pooling_avg_include_padding : algorithm::pooling_avg_exclude_padding, layout_of(in),
      layout_of(to), window, attributes(false, {}));
  call(dnnl::pooling_forward(kernel), kernel.scratchpad_desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}});
}

/// Windows of unequal sizes, [floor(i h / size), ceil((i + 1) h / size)), or of unequal divisors: no kernel
/// has them.
void Builder::average_by_loops(const Step& step) {
  const std::size_t in = slot_in(step.from, plain(dims_of(step.from), Type::f32));
  const std::size_t to = make_slot(step.to, plain(dims_of(step.to), Type::f32));
  const Shape &from = shape_[step.from], &result = shape_[step.to];
  const std::int64_t planes = program_.images_ * from[0], height = from[1], width = from[2];
  call({}, Desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}}).plain =
      [=, rows = averaged_along(step.layer, from, result, 1),
       columns = averaged_along(step.layer, from, result, 2)](const std::vector<memory>& slots) {
        const auto* at = static_cast<const float*>(slots[in].get_data_handle());
        auto* out = static_cast<float*>(slots[to].get_data_handle());
        for (std::int64_t plane = 0; plane < planes; ++plane, at += height * width)
          for (const nn::AveragedRun& row : rows)
            for (const nn::AveragedRun& column : columns) {
              double sum = 0;
              for (std::int64_t v = row.first; v < row.last; ++v)
                for (std::int64_t u = column.first; u < column.last; ++u) sum += at[v * width + u];
              *out++ = static_cast<float>(sum / static_cast<double>(row.divisor * column.divisor));
            }
      };
}

void Builder::binary(const Step& step) {
  const std::size_t a = slot_in(step.from, blocked(step.from));
  const std::size_t b = slot_in(step.second, blocked(step.second));
  const std::size_t to = make_slot(step.to, blocked(step.to));
  const algorithm how = step.op == Step::Op::Add ? algorithm::binary_add : algorithm::binary_mul;
  const auto kernel = onednn::binary(network_.engine(), how, layout_of(a), layout_of(b), layout_of(to),
                                     attributes(false, step.activation));
  call(dnnl::binary(kernel), kernel.scratchpad_desc(),
       {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, to}});
}

void Builder::plainly(const nn::Layer& layer, nn::Op how, std::size_t from, std::size_t to,
                      std::int64_t values, const Shape& in, const Shape& out) {
  call({}, Desc(), {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, to}}).plain = [=](const std::vector<memory>& slots) {
    const auto* source = static_cast<const float*>(slots[from].get_data_handle());
    auto* target = static_cast<float*>(slots[to].get_data_handle());
    for (std::int64_t i = 0; i < values; ++i) {
      const nn::PlainValue operand{in, {source, source + elements(in)}};
      nn::PlainValue result{out, std::vector<double>(static_cast<std::size_t>(elements(out)))};
      nn::operation(how).plain({layer, {&operand}, {}}, result);
      source += elements(in);
      target = std::transform(result.data.begin(), result.data.end(), target,
                              [](double v) { return static_cast<float>(v); });
    }
  };
}

void Builder::activate_plainly(const Step& step) {
  const std::size_t from = slot_of(step.to), to = make_slot(step.to, layout_of(from));
  const Shape one{elements(shape_[step.to])};  // of each value alone: their order does not matter
  plainly(step.layer, *step.activation, from, to, program_.images_, one, one);
}

void Builder::activate(const Step& step) {
  if (keeps_nan_) {
    slot_[step.to] = slot_of(step.from);
    return activate_plainly(step);
  }
  const std::size_t in = slot_of(step.from);
  const std::size_t to = make_slot(step.to, layout_of(in));
  std::size_t from = in;
  for (const Eltwise& f : eltwises_of(step.activation)) {
    const auto kernel =
        onednn::eltwise(network_.engine(), f.how, layout_of(in), f.alpha, f.beta, attributes(false, {}));
    call(dnnl::eltwise_forward(kernel), kernel.scratchpad_desc(), {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, to}});
    from = to;
  }
}

void Builder::flatten(const Step& step) {
  const Dims from = dims_of(step.from);
  std::size_t in = slot_of(step.from);
  if (from.size() == 4) {
    // An image channel by channel, tokens one after the other.
    const Desc order = is_tokens(step.from) ? channels_last(step.from, type_) : plain(from, type_);
    const std::size_t other = add_slot(order, static_cast<std::ptrdiff_t>(new_region(order)));
    copy(in, other);
    in = other;
  }
  slot_[step.to] = view(in, plain(dims_of(step.to), type_));
}

void Builder::store(std::size_t output) {
  const ValueId value = network_.lowered().outputs[output];
  // Tokens lie as the caller wants them: those of one image after those of another.
  const Desc layout = is_tokens(value) ? channels_last(value, Type::f32) : plain(dims_of(value), Type::f32);
  copy(slot_of(value), add_slot(layout, Program::kOutput - static_cast<std::ptrdiff_t>(output)));
  Shape shape = shape_[value];
  shape.insert(shape.begin(), program_.images_);
  program_.output_shapes_.push_back(std::move(shape));
}

}  // namespace graft::fused
