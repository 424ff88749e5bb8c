#include "described_division.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <graft/error.h>
#include <graft/hash.h>
#include <network/architecture_value.h>
#include <network/cost.h>
#include <network/layer_blocks.h>
#include <training/frozen_part.h>
#include <training/image_scores.h>
#include <training/trainable_network.h>

namespace graft {
namespace {

constexpr int kBatch = 8;  // images that the frozen part computes at a time

nn::Layer layer_behind(const nn::Architecture& net, const std::string& name, nn::Op op, int in, int out) {
  nn::Layer layer;
  layer.name = name;
  layer.op = op;
  layer.from = {net.layers.back().name};
  layer.in = in;
  layer.out = out;
  return layer;
}

void add_head(nn::Architecture& net, std::size_t features, std::size_t outputs, double dropout) {
  const auto in = static_cast<int>(features);
  if (dropout > 0) {
    net.layers.push_back(layer_behind(net, kHeadDropout, nn::Op::Dropout, in, in));
    net.layers.back().dropout = dropout;
  }
  net.layers.push_back(layer_behind(net, kHead, nn::Op::Linear, in, static_cast<int>(outputs)));
  net.layers.back().bias = true;
  net.tap = kHead;
}

std::unique_ptr<nn::Engine> engine_for(const nn::Architecture& net,
                                       const std::map<std::string, Tensor>& weights, const std::string& tap,
                                       std::size_t batch, const Engines& engines) {
  nn::Model model;
  model.name = net.name;
  model.architecture = net;
  for (const nn::Layer& layer : net.layers)
    for (const nn::Parameter& parameter : nn::parameters_of(layer))
      model.weights[parameter.path] = weights.at(parameter.path);
  nn::EngineOptions options;
  options.taps = {tap};
  options.batch = static_cast<int>(batch);
  options.device = "cpu";
  options.warn = [](const std::string&) {};
  return engines().make(model, std::move(options));
}

std::vector<DividedNetwork::TrainedBlock> trained_in(const nn::Architecture& net,
                                                     const std::vector<nn::LayerBlock>& blocks,
                                                     const Params& params) {
  std::vector<std::string> names;
  for (const nn::LayerBlock& block : blocks) names.push_back(block.name);
  return trained_blocks(params, net.name, names,
                        [&](const std::string& name) { return nn::blocks_named(net, blocks, name); });
}

class DescribedDivision final : public DividedNetwork {
 public:
  DescribedDivision(const nn::Model& model, const std::string& features, const Params& params,
                    Engines engines, std::size_t outputs, int height, int width)
      : weights_(model.weights), engines_(std::move(engines)), outputs_(outputs) {
    net_ = nn::reduced_to(*model.architecture, {features});
    net_.blocks = model.architecture->blocks;
    const auto blocks = nn::blocks_of(net_);
    make_vector(height, width);
    divide(params, blocks);
  }

  std::unique_ptr<training::FrozenPart> frozen_part() const override {
    if (cut_ == "input") return nullptr;
    return part_up_to(cut_);
  }
  std::unique_ptr<training::FrozenPart> feature_part() const override { return part_up_to(net_.tap); }

  std::unique_ptr<training::TrainableNetwork> trainable_part(const LinearHead& head,
                                                             double dropout) const override {
    nn::Architecture net = net_;
    add_head(net, features_, outputs_, dropout);
    net.layers.erase(net.layers.begin(), net.layers.begin() + static_cast<std::ptrdiff_t>(first_));
    std::map<std::string, Tensor> weights = with_head(head.weight, head.bias);
    std::map<std::string, Tensor> used;
    for (nn::Layer& layer : net.layers) {
      std::replace(layer.from.begin(), layer.from.end(), cut_, std::string("input"));
      for (const nn::Parameter& parameter : nn::parameters_of(layer))
        used[parameter.path] = weights.at(parameter.path);
    }
    return training::trainable(std::move(net), std::move(used));
  }

  void save(const std::map<std::string, Tensor>& weights, Bundle& bundle) const override {
    nn::Architecture net = net_;
    add_head(net, features_, outputs_, 0);
    bundle.facts["network"] = nn::to_value(net);
    for (const nn::Layer& layer : net.layers)
      for (const nn::Parameter& parameter : nn::parameters_of(layer)) {
        const auto trained = weights.find(parameter.path);
        bundle.tensors[parameter.path] =
            trained != weights.end() ? trained->second : weights_.at(parameter.path);
      }
  }

  std::string identity() const override {
    std::string text = nn::to_value(net_).to_json();
    for (const auto& [path, tensor] : weights_) text += path + digest(tensor.data, tensor.bytes()).hex();
    return digest(text).hex();
  }

 private:
  /// The last value becomes a vector: [c,h,w] is averaged over height and width.
  void make_vector(int height, int width) {
    Shape shape;
    try {
      shape = nn::cost_of(net_, height, width).layers.back().output;
    } catch (const Error& fault) {
      throw Error(fmt::format("the model does not take images of {} x {}: {}", width, height, fault.what()));
    }
    features_ = static_cast<std::size_t>(shape[0]);
    net_.tap = net_.layers.back().name;
    if (shape.size() != 3) return;
    const int channels = static_cast<int>(shape[0]);
    for (const auto& [name, op] :
         {std::pair{"head_pool", nn::Op::GlobalPool}, {"head_flatten", nn::Op::Flatten}})
      net_.layers.push_back(layer_behind(net_, name, op, channels, channels));
    net_.tap = net_.layers.back().name;
  }

  void divide(const Params& params, const std::vector<nn::LayerBlock>& blocks) {
    trained_ = trained_in(net_, blocks, params);
    first_ = net_.layers.size();
    cut_ = net_.tap;
    for (TrainedBlock& trained : trained_) {
      const nn::LayerBlock& block = blocks[blocks.size() - trained.distance];
      for (std::size_t i = block.first; i < block.last; ++i)
        for (const nn::Parameter& parameter : nn::parameters_of(net_.layers[i]))
          if (parameter.trainable) trained.paths.push_back(parameter.path);
      if (block.first >= first_) continue;
      first_ = block.first;
      cut_ = *nn::value_before(net_, first_);
    }
  }

  std::map<std::string, Tensor> with_head(const Tensor& weight, const Tensor& bias) const {
    std::map<std::string, Tensor> out = weights_;
    out[std::string(kHead) + ".weight"] = weight;
    out[std::string(kHead) + ".bias"] = bias;
    return out;
  }

  std::unique_ptr<training::FrozenPart> part_up_to(const std::string& layer) const {
    return std::make_unique<training::FrozenPart>(
        engine_for(nn::reduced_to(net_, {layer}), weights_, layer, kBatch, engines_), kBatch);
  }

  nn::Architecture net_;  ///< Up to the features, which are its tap.
  std::map<std::string, Tensor> weights_;
  Engines engines_;
  std::size_t outputs_;
  std::size_t first_ = 0;  ///< Layer of the trainable part.
  std::string cut_;        ///< The value that it starts from.
};

}  // namespace

const char* const kHead = "head";
const char* const kHeadDropout = "head_dropout";

std::unique_ptr<DividedNetwork> divide_described(const nn::Model& model, const std::string& features,
                                                 const Params& params, const Engines& engines,
                                                 std::size_t outputs, int height, int width) {
  return std::make_unique<DescribedDivision>(model, features, params, engines, outputs, height, width);
}

LoadedNetwork load_described(const Bundle& bundle, const Engines& engines) {
  LoadedNetwork out;
  out.architecture = nn::architecture_from(*bundle.facts.find("network"));
  for (const nn::Layer& layer : out.architecture->layers)
    for (const nn::Parameter& parameter : nn::parameters_of(layer)) {
      const auto found = bundle.tensors.find(parameter.path);
      if (found == bundle.tensors.end()) throw Error(fmt::format("tensor {} is missing", parameter.path));
      const Tensor& tensor = found->second;
      if (tensor.dtype != DType::F32 || tensor.shape != parameter.shape)
        throw Error(fmt::format("tensor {}: expected f32{}, got {}{}", parameter.path,
                                to_string(parameter.shape), to_string(tensor.dtype),
                                to_string(tensor.shape)));
    }
  out.engine = engine_for(*out.architecture, bundle.tensors, out.architecture->tap, training::kScoredTogether,
                          engines);
  return out;
}

void check_blocks(const nn::Architecture& network, const Params& params) {
  const nn::Architecture backbone = nn::reduced_to(network, {network.tap});
  trained_in(backbone, nn::blocks_of(backbone), params);
}

std::vector<DividedNetwork::TrainedBlock> trained_blocks(
    const Params& params, const std::string& backbone, const std::vector<std::string>& blocks,
    const std::function<std::vector<std::size_t>(const std::string&)>& named) {
  const Unfreezing unfreezing = unfreezing_from(params, backbone, blocks.size(), named);
  std::vector<DividedNetwork::TrainedBlock> out;
  for (const std::size_t block : unfreezing.blocks)
    out.push_back({blocks[block], blocks.size() - block, unfreezing.first_epoch(block), {}});
  return out;
}

}  // namespace graft
