#include "cnn.h"

#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/weight_fit.h>

namespace graft::nn::zoo {

int CnnReader::bounded(std::int64_t n, const std::string& name) const {
  constexpr std::int64_t kMost = 1 << 16;
  if (n > kMost)
    throw Error(
        fmt::format("tensor '{}{}' has an axis of {}: expected at most {}", map_.prefix(), name, n, kMost));
  return static_cast<int>(n);
}

void CnnReader::misfit(const std::string& name, const Shape& shape, const std::string& wanted) const {
  throw Error(fmt::format("tensor '{}{}' is {}: expected {}", map_.prefix(), name, to_string(shape), wanted));
}

Layer& CnnReader::conv(const std::string& name, int stride, const std::string& from) {
  const std::string tensor = (from.empty() ? name : from) + ".weight";
  const Shape shape = map_.shape(tensor, 4);
  for (const std::int64_t axis : shape) bounded(axis, tensor);
  const int in = net.last().channels, out = static_cast<int>(shape[0]);
  if (in % shape[1] != 0 || out % (in / shape[1]) != 0)
    misfit(tensor, shape, fmt::format("a convolution of {} channels", in));
  Layer& layer = net.add(name, Op::Conv, out);
  layer.groups = in / static_cast<int>(shape[1]);
  layer.kernel = {static_cast<int>(shape[2]), static_cast<int>(shape[3])};
  layer.stride = stride;
  layer.padding_rule = padding_rule_;
  if (padding_rule_ == PaddingRule::Fixed) {
    const int rows = layer.kernel.height / 2, columns = layer.kernel.width / 2;
    layer.padding = {rows, columns, rows, columns};
  }
  map_.take(name + ".weight", shape, tensor);
  const std::string bias = (from.empty() ? name : from) + ".bias";
  layer.bias = map_.has(bias);
  if (layer.bias) map_.take(name + ".bias", {out}, bias);
  return layer;
}

void CnnReader::norm(const std::string& name, const std::string& from) {
  Layer& layer = net.norm(name);
  layer.eps = eps_;
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    map_.take(name + part, {layer.out}, (from.empty() ? name : from) + part);
}

void CnnReader::conv_norm(const std::string& at, int stride) {
  conv(at + ".0", stride);
  norm(at + ".1");
}

void CnnReader::conv_norm_act(const std::string& at, int stride, Op activation) {
  conv_norm(at, stride);
  act(at + ".2", activation);
}

Layer& CnnReader::pointwise(const std::string& name) {
  const Shape shape = map_.shape(name + ".weight", 2);
  const int in = net.last().channels, out = bounded(shape[0], name + ".weight");
  if (shape[1] != in) misfit(name + ".weight", shape, fmt::format("[{},{}]", out, in));
  Layer& layer = net.add(name, Op::Conv, out);
  layer.bias = map_.has(name + ".bias");
  map_.take(name + ".weight", {out, in, 1, 1}, name + ".weight");
  if (layer.bias) map_.take(name + ".bias", {out}, name + ".bias");
  return layer;
}

void CnnReader::layer_norm(const std::string& name, double eps) {
  Layer& layer = net.simple(name, Op::LayerNorm);
  layer.eps = eps;
  for (const char* part : {".weight", ".bias"}) map_.take(name + part, {layer.out}, name + part);
}

void CnnReader::excitation(const std::string& at, const std::string& reduce, const std::string& expand,
                           Op activation, Op gate) {
  const Builder::Value in = net.last();
  net.simple(at + ".avgpool", Op::GlobalPool);
  conv(at + "." + reduce);
  act(at + ".activation", activation);
  conv(at + "." + expand);
  act(at + ".gate", gate);
  const Builder::Value scale = net.last();
  if (scale.channels != in.channels)
    misfit(at + "." + expand + ".weight", map_.shape(at + "." + expand + ".weight", 4),
           fmt::format("{} channels, of which each is scaled", in.channels));
  net.binary(at + ".mul", Op::Mul, in, scale);
}

void CnnReader::inverted_residual(const std::string& at, int stride, Op activation, Op squeezed, Op gate) {
  const Builder::Value in = net.last();
  const auto name = [&](int i) { return fmt::format("{}.block.{}", at, i); };
  const auto is_there = [&](int i) { return has(name(i) + ".0.weight") || has(name(i) + ".fc1.weight"); };
  int left = stride;
  for (int i = 0; is_there(i); ++i) {
    if (has(name(i) + ".fc1.weight")) {
      excitation(name(i), "fc1", "fc2", squeezed, gate);
      continue;
    }
    const bool strides = map_.shape(name(i) + ".0.weight", 4)[2] > 1;
    conv_norm(name(i), strides ? std::exchange(left, 1) : 1);
    if (i == 0 || is_there(i + 1)) act(name(i) + ".2", activation);
  }
  if (stride == 1 && net.last().channels == in.channels) add(at + ".add", in);
}

void CnnReader::add(const std::string& name, const Builder::Value& in) {
  const Builder::Value branch = net.last();
  if (branch.channels != in.channels)
    throw Error(
        fmt::format("the sum '{}' is of {} channels from '{}' and {} from '{}': tensors of two networks",
                    name, branch.channels, branch.name, in.channels, in.name));
  net.binary(name, Op::Add, branch, in);
}

void CnnReader::concat(const std::string& name, const std::vector<Builder::Value>& parts) {
  std::vector<std::string> from;
  int channels = 0;
  for (const Builder::Value& part : parts) {
    from.push_back(part.name);
    channels += part.channels;
  }
  net.add(name, Op::Concat, bounded(channels, name)).from = std::move(from);
}

void CnnReader::linear(const std::string& name) {
  const Shape shape = map_.shape(name + ".weight", 2);
  const std::int64_t in = net.last().channels;
  net.linear(name, static_cast<int>(shape[0])).bias = map_.has(name + ".bias");
  map_.take(name + ".weight", {shape[0], in}, name + ".weight");
  if (map_.has(name + ".bias")) map_.take(name + ".bias", {shape[0]}, name + ".bias");
}

void CnnReader::classifier(const std::string& name) {
  net.classifier(name, 0);
  if (!map_.has(name + ".weight")) return;
  linear(name);
  net.set_classes(net.last().channels);
}

namespace {

/// Arguments of timm's constructors that change what is computed, and that tensors do not show.
void check_arguments(const ModelFiles& files) {
  for (const char* name :
       {"act_layer", "aa_layer", "norm_layer", "output_stride", "pad_type", "se_layer", "block_args"})
    if (const Value* given = member(files.config, std::string("model_args.") + name))
      throw Error(
          fmt::format("config.json has `model_args.{}`: {}, which graft does not know: export the model as "
                      "TorchScript",
                      name, given->to_json()));
  for (const char* name : {"model_args.global_pool", "global_pool"})
    if (const std::string pool = word(files.config, name); !pool.empty() && pool != "avg" && pool != "fast")
      throw Error(
          fmt::format("config.json has `{}`: {}, expected avg: export the model as TorchScript", name, pool));
}

}  // namespace

std::optional<Published> read_cnn(const ModelFiles& files, TensorMap tensors, CnnBuild* build,
                                  bool may_be_listed) {
  const auto listed = may_be_listed ? best_fit(tensors.file()) : std::nullopt;
  if (listed && listed->fit.complete()) {
    check_arguments(files);
    if (preprocessing_file(files) == nullptr) return {};
  }
  Published out;
  try {
    auto built = build(files, tensors, out.notes);
    if (!built) return {};
    if (const std::string name = word(files.config, "architecture"); !name.empty()) built->name = name;
    check_arguments(files);
    out.architecture = std::move(*built);
    tensors.require_all(out.architecture.name);
    tensors.require_all_used(out.architecture.name);
  } catch (const Error&) {
    if (listed) return {};
    throw;
  }
  out.weights = TensorMap::renamed(std::move(tensors));
  return out;
}

std::string architecture_named(const ModelFiles& files) {
  std::string name = word(files.config, "architecture");
  return name.empty() ? files.weights.stem().string() : name;
}

void ignore_below(TensorMap& tensors, const std::string& beginning) {
  for (const std::string& name : tensors.unused())
    if (const std::string own = name.substr(tensors.prefix().size()); own.starts_with(beginning))
      tensors.ignore(own);
}

Preprocessing cnn_preprocessing(const ModelFiles& files, int resize, int crop, const std::string& filter,
                                std::vector<std::string>& notes) {
  Preprocessing usual;
  usual.resize = resize;
  usual.crop = crop;
  usual.filter = filter;
  if (preprocessing_file(files) == nullptr)
    notes.push_back(fmt::format(
        "guessed: images are resized to {} px ({}), of which {} are cut out, as for the published "
        "weights; another training may have had others",
        resize, filter, crop));
  return preprocessing_of(files, usual);
}

void normalise_to_half(Preprocessing& preprocessing, std::vector<std::string>& notes) {
  preprocessing.preset = "own";
  preprocessing.mean = preprocessing.deviation = {0.5, 0.5, 0.5};
  notes.push_back(
      "guessed: `transform_input` is set, as for the published weights: images are normalised to [-1,1]; for "
      "a network that was trained without, give `normalize: imagenet`");
}

}  // namespace graft::nn::zoo
