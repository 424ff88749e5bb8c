#include "scripted_division.h"

#include <fmt/format.h>
#include <torch/script.h>

#include <algorithm>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/text.h>
#include <learning/bundle.h>
#include <network/engine_check.h>
#include <training/frozen_part.h>
#include <training/image_scores.h>
#include <training/tensors.h>
#include <training/trainable_network.h>

#include <libtorch/model_file.h>
#include <libtorch/network_module.h>
#include <libtorch/program.h>
#include "described_division.h"
#include "script_module.h"

namespace graft {
namespace {

using torch::jit::Module;

constexpr int kScriptBatch = 8;
const std::string kBackbone = "backbone.";

class ScriptNetwork final : public training::TrainableNetwork {
 public:
  ScriptNetwork(const Module& backbone, LinearHead head, double dropout)
      : backbone_(backbone), head_(std::move(head)), dropout_(dropout) {}

  Module training(bool) const override { return script_with_head(backbone_, head_, dropout_ > 0); }
  Module inference() const override { return script_with_head(backbone_, head_, false); }
  std::vector<nn::Layer> dropouts() const override {
    if (dropout_ == 0) return {};
    nn::Layer layer;
    layer.name = kHeadDropout;
    layer.op = nn::Op::Dropout;
    layer.out = static_cast<int>(head_.weight.shape[1]);
    layer.dropout = dropout_;
    return {layer};
  }

 private:
  Module backbone_;
  LinearHead head_;
  double dropout_;
};

class ScriptedDivision final : public DividedNetwork {
 public:
  ScriptedDivision(std::string path, const Params& params, std::optional<std::uint64_t> forget,
                   std::size_t outputs, int height, int width)
      : path_(std::move(path)), forget_(forget), outputs_(outputs), sha256_(sha256_of_file(path_)) {
    Module backbone = fresh();
    std::vector<std::pair<std::string, std::size_t>> dimensions;
    for (const auto& [name, value] : training::parameters_of(backbone))
      dimensions.emplace_back(name, static_cast<std::size_t>(value.dim()));
    const std::vector<PathBlock> blocks = blocks_of_paths(dimensions);
    std::vector<std::string> names;
    for (const PathBlock& block : blocks) names.push_back(block.name);
    trained_ =
        trained_blocks(params, path_, names, [&](const std::string& name) { return named(names, name); });
    for (TrainedBlock& trained : trained_)
      for (const std::string& p : blocks[blocks.size() - trained.distance].paths)
        trained.paths.push_back(kBackbone + p);
    check(params, blocks.size());
    look_at_features(backbone, height, width);
    require_independence(height, width);
  }

  std::unique_ptr<training::FrozenPart> frozen_part() const override {
    return only_head() ? feature_part() : nullptr;
  }
  std::unique_ptr<training::FrozenPart> feature_part() const override {
    return std::make_unique<training::FrozenPart>(script_engine(script_features(fresh()), kScriptBatch),
                                                  kScriptBatch);
  }

  std::unique_ptr<training::TrainableNetwork> trainable_part(const LinearHead& head,
                                                             double dropout) const override {
    if (!only_head()) return std::make_unique<ScriptNetwork>(fresh(), head, dropout);
    return head_alone(head, dropout);
  }

  void save(const std::map<std::string, Tensor>& weights, Bundle& bundle) const override {
    Value file = Value::Map{{"sha256", sha256_}};
    if (forget_) file["init_seed"] = *forget_;
    bundle.facts["torchscript"] = std::move(file);
    const auto keep = [&](const std::string& path) { bundle.tensors[path] = weights.at(path); };
    keep(std::string(kHead) + ".weight");
    keep(std::string(kHead) + ".bias");
    for (const TrainedBlock& block : trained_)
      for (const std::string& path : block.paths) keep(path);
  }

  std::string identity() const override { return sha256_ + (forget_ ? std::to_string(*forget_) : ""); }

 private:
  /// The model with the weights that it starts from.
  Module fresh() const {
    Module module = libtorch::load_torchscript(path_);
    if (forget_) libtorch::forget(module, *forget_);
    return module;
  }

  static std::vector<std::size_t> named(const std::vector<std::string>& names, const std::string& name) {
    std::vector<std::size_t> found;
    for (std::size_t b = 0; b < names.size(); ++b)
      if (names[b] == name || names[b].starts_with(name + ".")) found.push_back(b);
    if (found.empty()) {
      throw Error(fmt::format("the model has no block '{}'{} (blocks: {})", name, suggestion(name, names),
                              fmt::join(names, ", ")));
    }
    return found;
  }

  void check(const Params& params, std::size_t blocks) const {
    const std::string how = params.raw("unfreeze").as_map().at(0).first;
    if (how == "head") return;
    if (blocks == 0)
      throw Error(fmt::format(
          "{}: the model has no parameters that could be trained: it was frozen before it was saved; use "
          "`unfreeze: head`, or export it without torch.jit.freeze",
          path_));
    if (params.get<std::string>("batch_norm") == "train")
      throw Error(fmt::format(
          "batch_norm: train: {} holds operations that graft cannot describe, and its batch-norm layers keep "
          "their statistics; use `frozen`",
          path_));
  }

  /// How many there are, and whether gradients go back through them.
  void look_at_features(const Module& backbone, int height, int width) {
    const libtorch::Program program(script_features(backbone));
    for (const auto& [name, value] : training::parameters_of(backbone)) value.requires_grad_(!only_head());
    libtorch::use_one_thread();
    at::Tensor value;
    try {
      value = program.run(at::zeros({2, 3, height, width})).toTensor();
    } catch (const std::exception& fault) {
      throw Error(fmt::format("the model does not take images of {} x {}: {}{}", width, height,
                              libtorch::reason(fault), libtorch::cure_for_type(backbone)));
    }
    if (!value.is_floating_point()) throw Error(fmt::format("{}: {}", path_, libtorch::not_features(value)));
    if (value.dim() != 2 || value.size(0) != 2 || value.size(1) < 1)
      throw Error(fmt::format("{}: expected one row of values per image, got {} for 2 images", path_,
                              to_string(Shape(value.sizes().begin(), value.sizes().end()))));
    if (!only_head() && !value.requires_grad())
      throw Error(
          fmt::format("{}: no gradient reaches the model's parameters: its forward switches them off; use "
                      "`unfreeze: head`",
                      path_));
    features_ = static_cast<std::size_t>(value.size(1));
  }

  /// A file that was exported in training mode would be trained and scored without a warning: the features of
  /// an image depend on the others of the batch, or on chance.
  void require_independence(int height, int width) const {
    const Module features = script_features(fresh());
    // Never one image at a time: a model may squeeze that axis.
    const auto two = script_engine(features, 2), several = script_engine(features, kScriptBatch);
    const std::size_t size = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    const nn::RunImages alone = [&](const float* image, int) {
      std::vector<float> copies(image, image + size);
      copies.insert(copies.end(), image, image + size);
      std::vector<Tensor> values = two->run(copies.data(), height, width);
      values[0].shape[0] = 1;
      return values;
    };
    const nn::RunImages plain = [&](const float* images, int) { return several->run(images, height, width); };
    std::optional<std::string> why;
    try {
      const nn::EngineCheck check(alone, kScriptBatch, height, width, false);
      why = check.dependence(alone, plain, kScriptBatch, nn::Tolerance::of("fp32").wrong);
    } catch (const nn::UnfitInput& fault) {
      throw Error(fmt::format("{}: {}", path_, fault.what()));
    }
    if (why) throw Error(fmt::format("{}: {}", path_, *why));
  }

  std::unique_ptr<training::TrainableNetwork> head_alone(const LinearHead& head, double dropout) const {
    nn::Architecture net;
    net.name = "classifier";
    std::string from = "input";
    const auto add = [&](const char* name, nn::Op op, std::size_t out) -> nn::Layer& {
      nn::Layer layer;
      layer.name = name;
      layer.op = op;
      layer.from = {from};
      layer.in = static_cast<int>(features_);
      layer.out = static_cast<int>(out);
      from = name;
      net.layers.push_back(std::move(layer));
      return net.layers.back();
    };
    if (dropout > 0) add(kHeadDropout, nn::Op::Dropout, features_).dropout = dropout;
    add(kHead, nn::Op::Linear, outputs_).bias = true;
    return training::trainable(std::move(net), {{std::string(kHead) + ".weight", head.weight},
                                                {std::string(kHead) + ".bias", head.bias}});
  }

  std::string path_;
  std::optional<std::uint64_t> forget_;
  std::size_t outputs_;
  std::string sha256_;
};

/// Up to the first part that is a number, else the first part.
std::string block_of(const std::string& path) {
  const auto is_number = [](const std::string& part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
  };
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t to = std::min(path.find('.', from), path.size());
    if (is_number(path.substr(from, to - from))) return path.substr(0, to);
    from = to + 1;
  }
  return path.substr(0, path.find('.'));
}

}  // namespace

std::unique_ptr<DividedNetwork> divide_script(const std::string& path, const Params& params,
                                              std::optional<std::uint64_t> forget, std::size_t outputs,
                                              int height, int width) {
  return std::make_unique<ScriptedDivision>(path, params, forget, outputs, height, width);
}

LoadedNetwork load_script(const Bundle& bundle, const std::string& path) {
  const Value& file = *bundle.facts.find("torchscript");
  const Value *wanted = file.find("sha256"), *seed = file.find("init_seed");
  if (wanted == nullptr)
    throw Error("the bundle does not say which TorchScript file it belongs to: it was damaged");
  if (path.empty())
    throw Error(
        fmt::format("the model was trained on a TorchScript file of SHA-256 {}, and `model` names none: name "
                    "the file of then; its code is not in the bundle",
                    wanted->as_string()));
  const std::string got = sha256_of_file(path);
  if (got != wanted->as_string())
    throw Error(fmt::format(
        "{}: the model was trained on a TorchScript file of SHA-256 {}, and this one has {}: put the file of "
        "then back; its code is not in the bundle",
        path, wanted->as_string(), got));
  Module backbone = libtorch::load_torchscript(path);
  if (seed != nullptr) libtorch::forget(backbone, static_cast<std::uint64_t>(seed->as_int()));
  const auto tensor = [&](const char* name) {
    const auto found = bundle.tensors.find(std::string(kHead) + name);
    if (found == bundle.tensors.end()) throw Error(fmt::format("tensor {}{} is missing", kHead, name));
    return found->second;
  };
  Module whole = script_with_head(backbone, {tensor(".weight"), tensor(".bias")}, false);
  libtorch::set_tensors(whole, bundle.tensors);
  LoadedNetwork out;
  out.engine = script_engine(whole, static_cast<int>(training::kScoredTogether));
  return out;
}

std::vector<PathBlock> blocks_of_paths(const std::vector<std::pair<std::string, std::size_t>>& dimensions) {
  struct Seen {
    PathBlock block;
    bool has_matrix = false;
  };
  std::vector<Seen> seen;
  for (const auto& [path, dimension] : dimensions) {
    const std::string name = block_of(path);
    if (seen.empty() || seen.back().block.name != name) seen.push_back({{name, {}}, false});
    seen.back().block.paths.push_back(path);
    seen.back().has_matrix = seen.back().has_matrix || dimension > 1;
  }
  std::vector<PathBlock> out;
  for (Seen& s : seen) {
    if (!s.has_matrix && !out.empty())
      out.back().paths.insert(out.back().paths.end(), s.block.paths.begin(), s.block.paths.end());
    else
      out.push_back(std::move(s.block));
  }
  return out;
}

}  // namespace graft
