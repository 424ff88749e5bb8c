#include "optimizer.h"

#include <torch/script.h>

#include <cmath>

namespace graft {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;

bool decays(const at::Tensor& parameter) {
  return parameter.dim() > 1;
}

NamedTensors zeros_like(const NamedTensors& parameters, const std::string& kind) {
  NamedTensors out;
  for (const auto& [name, value] : parameters)
    out.emplace_back(kind + "/" + name, at::zeros_like(value.detach()));
  return out;
}

class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, const NamedTensors& parameters)
      : options_(options), parameters_(parameters), velocity_(zeros_like(parameters, "velocity")) {}

  void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t) override {
    const at::NoGradGuard no_grad;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const at::Tensor& value = parameters_[p].second;
      const at::Tensor& velocity = velocity_[p].second;
      const at::Tensor gradient =
          decays(value) ? gradients[p].add(value, options_.weight_decay) : gradients[p];
      velocity.mul_(options_.momentum).add_(gradient);
      value.sub_(gradient.add(velocity, options_.momentum), learning_rate);
    }
  }

  NamedTensors state() const override { return velocity_; }

 private:
  OptimizerOptions options_;
  NamedTensors parameters_, velocity_;
};

class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerOptions& options, const NamedTensors& parameters)
      : options_(options),
        parameters_(parameters),
        mean_(zeros_like(parameters, "mean")),
        square_(zeros_like(parameters, "square")) {}

  void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t step) override {
    const at::NoGradGuard no_grad;
    const auto t = static_cast<double>(step);
    const double correction1 = 1 - std::pow(kBeta1, t), correction2 = 1 - std::pow(kBeta2, t);
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const at::Tensor& value = parameters_[p].second;
      const at::Tensor& mean = mean_[p].second;
      const at::Tensor& square = square_[p].second;
      if (decays(value)) value.mul_(1 - learning_rate * options_.weight_decay);
      mean.mul_(kBeta1).add_(gradients[p], 1 - kBeta1);
      square.mul_(kBeta2).addcmul_(gradients[p], gradients[p], 1 - kBeta2);
      value.addcdiv_(mean, square.sqrt().div_(std::sqrt(correction2)).add_(kEps),
                     -learning_rate / correction1);
    }
  }

  NamedTensors state() const override {
    NamedTensors out = mean_;
    out.insert(out.end(), square_.begin(), square_.end());
    return out;
  }

 private:
  OptimizerOptions options_;
  NamedTensors parameters_, mean_, square_;
};

}  // namespace

std::vector<ParamSpec> optimizer_parameters() {
  return {
      choice("optimizer", {"sgd", "adamw"}, "sgd")
          .doc("Gradient descent with Nesterov momentum, or AdamW (betas 0.9 and 0.999)."),
      number("learning_rate")
          .optional()
          .range(1e-8, 100)
          .doc("At the end of the warm-up; left out: 0.1 for sgd, 0.001 for adamw."),
      number("momentum", 0.9).range(0, 0.9999).doc("Of sgd; adamw has none."),
      number("weight_decay")
          .optional()
          .range(0, 1)
          .doc("On convolutions and linear layers, not on biases and batch-norm: L2 in the gradient of sgd, "
               "decoupled from it in adamw; left out: 0.0005 for sgd, 0.05 for adamw.")};
}

OptimizerOptions::OptimizerOptions(const Params& params)
    : name(params.get<std::string>("optimizer")), momentum(params.get<double>("momentum")) {
  const bool adamw = name == "adamw";
  const auto value = [&](const char* parameter, double usual) {
    return params.has(parameter) ? params.get<double>(parameter) : usual;
  };
  learning_rate = value("learning_rate", adamw ? 0.001 : 0.1);
  weight_decay = value("weight_decay", adamw ? 0.05 : 5e-4);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, const NamedTensors& parameters) {
  if (options.name == "adamw") return std::make_unique<AdamW>(options, parameters);
  return std::make_unique<Sgd>(options, parameters);
}

}  // namespace graft
