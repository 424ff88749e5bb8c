#include "lowering.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::fused {
namespace {

using nn::Layer;
using nn::Op;

constexpr Op kActivations[] = {Op::Relu,     Op::Relu6,     Op::Silu,        Op::Sigmoid,   Op::Gelu,
                               Op::GeluTanh, Op::QuickGelu, Op::HardSigmoid, Op::HardSwish, Op::Tanh};

class Lowering {
 public:
  Lowering(const nn::Architecture& net, const std::map<std::string, Tensor>& weights,
           const std::vector<std::string>& outputs)
      : weights_(weights) {
    for (const Layer& layer : net.layers)
      for (const std::string& name : layer.from) ++readers_[name];
    for (const std::string& name : outputs) ++readers_[name];
    find_tokens(net);
    value_["input"] = 0;
    readers_of_.push_back(readers_["input"]);
    out_.layer_of.emplace_back("input");
    for (const Layer& layer : net.layers) add(layer);
    for (const std::string& name : outputs) out_.outputs.push_back(value_.at(name));
  }
  Lowered take() { return std::move(out_); }

 private:
  /// Which values are tokens: an image becomes them in Embed, they end where a vector is made of them. A
  /// linear layer makes a vector of what is not tokens.
  void find_tokens(const nn::Architecture& net) {
    is_tokens_["input"] = is_vector_["input"] = false;
    for (const Layer& layer : net.layers) {
      const std::string& from = layer.from.at(0);
      const bool ends = layer.op == Op::TokenMean || layer.op == Op::AttentionPool || layer.op == Op::Flatten;
      is_tokens_[layer.name] = layer.op == Op::Embed || (is_tokens_.at(from) && !ends);
      is_vector_[layer.name] =
          ends || is_vector_.at(from) || (layer.op == Op::Linear && !is_tokens_.at(from));
    }
  }

  const Tensor& shared(const Layer& layer, const char* name) const {
    const auto found = weights_.find(layer.name + "." + name);
    if (found == weights_.end()) throw Error("tensor " + layer.name + "." + name + " is missing");
    return found->second;
  }
  std::vector<float> tensor(const Layer& layer, const char* name) const {
    const Tensor& values = shared(layer, name);
    return {values.as<float>(), values.as<float>() + values.size()};
  }

  Step* maker_of(ValueId value) {
    for (Step& step : out_.steps)
      if (step.to == value) return &step;
    return nullptr;
  }
  /// The step that makes a value which nobody but the layer at hand reads, when nothing rides on it yet.
  Step* only_for_this(ValueId value) {
    Step* maker = maker_of(value);
    return maker != nullptr && readers_of_[value] == 1 && !maker->activation ? maker : nullptr;
  }

  /// The layer's value is one that is there already, which takes over the layer's readers.
  void merge(const Layer& layer, ValueId into) {
    value_[layer.name] = into;
    readers_of_[into] += readers_[layer.name] - 1;
    out_.layer_of[into] = layer.name;
  }
  Step& append(Step::Op op, const Layer& layer) {
    Step step;
    step.op = op;
    step.layer = layer;
    step.from = value_.at(layer.from.at(0));
    step.to = readers_of_.size();
    value_[layer.name] = step.to;
    readers_of_.push_back(readers_[layer.name]);
    out_.layer_of.push_back(layer.name);
    out_.steps.push_back(std::move(step));
    return out_.steps.back();
  }

  void add(const Layer& layer) {
    // Layers that become a step of one input without more.
    static const std::map<Op, Step::Op> kPlain = {
        {Op::BlurPool, Step::Op::BlurPool},   {Op::PatchMerge, Step::Op::PatchMerge},
        {Op::ChannelSlice, Step::Op::Gather}, {Op::ChannelShuffle, Step::Op::Gather},
        {Op::TokenMean, Step::Op::TokenMean}, {Op::MaxPool, Step::Op::MaxPool},
        {Op::AvgPool, Step::Op::AveragePool}, {Op::WindowAvgPool, Step::Op::AveragePool},
        {Op::Flatten, Step::Op::Flatten}};
    if (const auto plain = kPlain.find(layer.op); plain != kPlain.end()) {
      append(plain->second, layer);
      return;
    }
    switch (layer.op) {
      case Op::Conv:
      case Op::Linear:
        return product(layer);
      case Op::BatchNorm:
        return batch_norm(layer);
      case Op::Add:
        return add_residual(layer);
      case Op::Shortcut:
        return shortcut(layer);
      case Op::Mul:
        append(Step::Op::Multiply, layer).second = value_.at(layer.from.at(1));
        return;
      case Op::LayerNorm:
        return with_tensors(Step::Op::LayerNorm, layer, "weight", "bias");
      case Op::ResponseNorm:
        return with_tensors(Step::Op::ResponseNorm, layer, "weight", "bias");
      case Op::Embed:
        return with_tensors(Step::Op::Embed, layer, layer.grid_height > 0 ? "position" : nullptr,
                            layer.prefix > 0 ? "prefix" : nullptr);
      case Op::AttentionPool:
        return with_tensors(Step::Op::AttentionPool, layer, "query", nullptr);
      case Op::Attention:
        return with_shapes(append(Step::Op::Attention, layer), layer);
      case Op::WindowAttention: {
        Step& step = append(Step::Op::WindowAttention, layer);
        step.weights = SharedValues(shared(layer, "bias_table"));
        return with_shapes(step, layer);
      }
      case Op::LayerScale:
        return layer_scale(layer);
      case Op::SwiGlu:
        return swiglu(layer);
      case Op::Concat: {
        Step& step = append(Step::Op::Concat, layer);
        for (const std::string& name : layer.from) step.more.push_back(value_.at(name));
        return;
      }
      case Op::GlobalPool:
        append(Step::Op::AveragePool, layer).layer.size = 1;
        return;
      case Op::Dropout:
        return merge(layer, value_.at(layer.from.at(0)));
      default:
        return activate(layer);
    }
  }

  void with_shapes(Step& step, const Layer& layer) const {
    for (std::size_t i = 1; i < layer.from.size(); ++i) step.shapes.push_back(value_.at(layer.from[i]));
  }

  void with_tensors(Step::Op op, const Layer& layer, const char* weights, const char* bias) {
    Step& step = append(op, layer);
    if (weights != nullptr) step.weights = SharedValues(shared(layer, weights));
    if (bias != nullptr) step.bias = tensor(layer, bias);
  }

  void product(const Layer& layer) {
    const bool on_tokens = layer.op == Op::Linear && is_tokens_.at(layer.from.at(0));
    Step& step = append(layer.op == Op::Conv || on_tokens ? Step::Op::Conv : Step::Op::Linear, layer);
    step.weights = SharedValues(shared(layer, "weight"));
    step.bias = layer.bias ? tensor(layer, "bias") : std::vector<float>(static_cast<std::size_t>(layer.out));
    if (step.op == Step::Op::Linear) skip_flatten(step);
  }

  void activate(const Layer& layer) {
    if (std::find(std::begin(kActivations), std::end(kActivations), layer.op) == std::end(kActivations))
      throw Error(std::string("engine_fused has no kernel for ") + nn::to_string(layer.op));
    Step* maker = only_for_this(value_.at(layer.from.at(0)));
    const bool rides = maker != nullptr && (maker->op == Step::Op::Conv || maker->op == Step::Op::Linear ||
                                            maker->op == Step::Op::Add);
    Step& step = rides ? *maker : append(Step::Op::Activate, layer);
    step.activation = layer.op;
    if (rides) merge(layer, step.to);
  }

  /// What is folded into weights may overflow where the layers one after the other do not.
  static void check_finite(const Step& step, std::size_t channel, std::size_t each, const Layer& folded) {
    const float* const first = step.weights.data() + channel * each;
    const bool finite = std::isfinite(step.bias[channel]) &&
                        std::all_of(first, first + each, [](float v) { return std::isfinite(v); });
    if (finite) return;
    throw Error(
        fmt::format("layer {}: channel {} is not finite once it is folded into the weights of {}: the "
                    "model's file is damaged, or its training diverged; use another checkpoint",
                    folded.name, channel, step.layer.name));
  }

  /// gamma (x - mean) / sqrt(var + eps) + beta, as scale and shift of each channel.
  void batch_norm(const Layer& layer) {
    const std::vector<float> gamma = tensor(layer, "weight"), beta = tensor(layer, "bias"),
                             mean = tensor(layer, "running_mean"), variance = tensor(layer, "running_var");
    const ValueId in = value_.at(layer.from.at(0));
    Step* const maker = folds_into_maker(layer);
    Step& step = maker != nullptr ? *maker : pointwise(layer);
    const std::size_t channels = gamma.size(), each = step.weights.size() / channels;
    float* const weights = step.weights.own();
    for (std::size_t c = 0; c < channels; ++c) {
      const double scale = gamma[c] / std::sqrt(static_cast<double>(variance[c]) + layer.eps);
      for (std::size_t i = 0; i < each; ++i)
        weights[c * each + i] = static_cast<float>(weights[c * each + i] * scale);
      step.bias[c] = static_cast<float>((static_cast<double>(step.bias[c]) - mean[c]) * scale + beta[c]);
      check_finite(step, c, each, layer);
    }
    if (maker != nullptr) merge(layer, in);
  }

  /// The product just before, where a factor or a shift of each channel can be folded into it; else null.
  Step* folds_into_maker(const Layer& layer) {
    Step* maker = only_for_this(value_.at(layer.from.at(0)));
    const bool folds =
        maker != nullptr && maker->residual == Step::kNone &&
        (maker->op == Step::Op::Conv || (maker->op == Step::Op::Linear && layer.op == Op::LayerScale));
    return folds ? maker : nullptr;
  }

  void layer_scale(const Layer& layer) {
    Step* const maker = folds_into_maker(layer);
    if (maker == nullptr && is_vector_.at(layer.from.at(0))) {
      append(Step::Op::Scale, layer).weights = SharedValues(shared(layer, "gamma"));
      return;
    }
    const std::vector<float> gamma = tensor(layer, "gamma");
    const ValueId in = value_.at(layer.from.at(0));
    Step& step = maker != nullptr ? *maker : pointwise(layer);
    const std::size_t each = step.weights.size() / gamma.size();
    float* const weights = step.weights.own();
    for (std::size_t c = 0; c < gamma.size(); ++c) {
      for (std::size_t i = 0; i < each; ++i) weights[c * each + i] *= gamma[c];
      step.bias[c] *= gamma[c];
      check_finite(step, c, each, layer);
    }
    if (maker != nullptr) merge(layer, in);
  }

  /// The linear layer before it becomes two, a half of its rows each; where others read its value, the halves
  /// are picked from that.
  void swiglu(const Layer& layer) {
    const ValueId in = value_.at(layer.from.at(0));
    const auto width = static_cast<std::size_t>(layer.out);
    Step both;
    if (Step* maker = only_for_this(in); maker != nullptr && maker->residual == Step::kNone &&
                                         (maker->op == Step::Op::Conv || maker->op == Step::Op::Linear)) {
      both = std::move(*maker);
      out_.steps.erase(out_.steps.begin() + (maker - out_.steps.data()));
    } else {
      both.op = is_tokens_.at(layer.from.at(0)) ? Step::Op::Conv : Step::Op::Linear;
      both.layer.in = 2 * layer.out;
      both.from = in;
      both.weights = SharedValues(4 * width * width, 0.0f);
      for (std::size_t i = 0; i < 2 * width; ++i) both.weights.own()[i * 2 * width + i] = 1;
      both.bias.assign(2 * width, 0.0f);
    }
    const auto half = [&](std::size_t which, Activation activation) {
      Step step = both;
      step.layer.out = layer.out;
      const std::size_t weights = both.weights.size() / 2;
      step.weights = both.weights.part(which * weights, weights);
      const auto biases = static_cast<std::ptrdiff_t>(both.bias.size() / 2);
      const auto first = both.bias.begin() + static_cast<std::ptrdiff_t>(which) * biases;
      step.bias.assign(first, first + biases);
      step.activation = activation;
      step.to = readers_of_.size();
      readers_of_.push_back(1);
      out_.layer_of.push_back(layer.name);
      out_.steps.push_back(std::move(step));
      return out_.steps.back().to;
    };
    const ValueId gate = half(0, Op::Silu), value = half(1, {});
    Step& product = append(Step::Op::Multiply, layer);
    product.from = gate;
    product.second = value;
  }

  /// A convolution that gives each channel as it is.
  Step& pointwise(const Layer& layer) {
    Layer conv = layer;
    conv.op = Op::Conv;
    conv.in = conv.out = conv.groups = layer.out;
    conv.kernel = conv.stride = 1;
    conv.padding = {};
    conv.padding_rule = nn::PaddingRule::Fixed;
    Step& step = append(Step::Op::Conv, conv);
    step.weights = SharedValues(static_cast<std::size_t>(layer.out), 1.0f);
    step.bias.assign(static_cast<std::size_t>(layer.out), 0.0f);
    return step;
  }

  /// Every stride-th pixel, and zeros for the channels that are missing: a convolution with ones and zeros.
  void shortcut(const Layer& layer) {
    Layer conv = layer;
    conv.op = Op::Conv;
    conv.kernel = conv.groups = 1;
    Step& step = append(Step::Op::Conv, conv);
    const auto in = static_cast<std::size_t>(layer.in), out = static_cast<std::size_t>(layer.out);
    step.weights = SharedValues(in * out, 0.0f);
    step.bias.assign(out, 0.0f);
    const std::size_t before = (out - in) / 2;
    for (std::size_t c = 0; c < in; ++c) step.weights.own()[(before + c) * in + c] = 1.0f;
  }

  /// The sum rides on the later of the two convolutions; the other operand is there by then.
  void add_residual(const Layer& layer) {
    const ValueId a = value_.at(layer.from.at(0)), b = value_.at(layer.from.at(1));
    const ValueId last = std::max(a, b), other = std::min(a, b);
    Step* maker = only_for_this(last);
    if (maker != nullptr && maker->op == Step::Op::Conv && maker->residual == Step::kNone && a != b) {
      maker->residual = other;
      merge(layer, last);
    } else {
      append(Step::Op::Add, layer).second = b;
    }
  }

  /// A matrix takes the values of an image as they lie; not those of tokens, which have the channels last.
  void skip_flatten(Step& step) {
    Step* flatten = maker_of(step.from);
    if (flatten == nullptr || flatten->op != Step::Op::Flatten || readers_of_[step.from] != 1 ||
        is_tokens_.at(flatten->layer.from.at(0)))
      return;
    step.from = flatten->from;
    const auto at = flatten - out_.steps.data();
    out_.steps.erase(out_.steps.begin() + at);
  }

  const std::map<std::string, Tensor>& weights_;
  std::map<std::string, int> readers_;                 // of a layer
  std::map<std::string, bool> is_tokens_, is_vector_;  // by layer
  std::map<std::string, ValueId> value_;               // by layer
  std::vector<int> readers_of_;                        // of a value
  Lowered out_;
};

}  // namespace

std::vector<ValueId> Step::reads() const {
  std::vector<ValueId> all = more;
  for (const ValueId value : {from, second, residual})
    if (value != kNone) all.push_back(value);
  return all;
}

Lowered lower(const nn::Architecture& architecture, const std::map<std::string, Tensor>& weights,
              const std::vector<std::string>& outputs) {
  return Lowering(nn::reduced_to(architecture, outputs), weights, outputs).take();
}

}  // namespace graft::fused
