#include <training/trainable_network.h>

#include <utility>

#include <libtorch/network_module.h>

namespace graft::training {
namespace {

class DescribedNetwork final : public TrainableNetwork {
 public:
  DescribedNetwork(nn::Architecture architecture, std::map<std::string, Tensor> weights)
      : architecture_(std::move(architecture)), weights_(std::move(weights)) {}

  torch::jit::Module training(bool bf16) const override {
    return filled(libtorch::make_training_module(architecture_, bf16));
  }
  torch::jit::Module inference() const override {
    torch::jit::Module module = filled(libtorch::make_module(architecture_));
    module.eval();
    return module;
  }
  std::vector<nn::Layer> dropouts() const override {
    std::vector<nn::Layer> out;
    for (const nn::Layer& layer : architecture_.layers)
      if (layer.op == nn::Op::Dropout && layer.dropout > 0) out.push_back(layer);
    return out;
  }

 private:
  torch::jit::Module filled(const torch::jit::Module& module) const {
    libtorch::set_tensors(module, weights_);
    return module;
  }

  nn::Architecture architecture_;
  std::map<std::string, Tensor> weights_;
};

}  // namespace

std::unique_ptr<TrainableNetwork> trainable(nn::Architecture architecture,
                                            std::map<std::string, Tensor> weights) {
  return std::make_unique<DescribedNetwork>(std::move(architecture), std::move(weights));
}

}  // namespace graft::training
