#include <training/optimizer.h>

#include <fmt/format.h>
#include <torch/script.h>

#include <cmath>
#include <utility>

namespace graft::training {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;

bool decays(const at::Tensor& parameter) {
  return parameter.dim() > 1;
}

NamedTensors zeros_like(const NamedTensors& parameters, const std::string& kind) {
  NamedTensors out;
  const std::string prefix = kind + "/";
  for (const auto& [name, value] : parameters)
    out.emplace_back(prefix + name, at::zeros_like(value.detach()));
  return out;
}

class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, const NamedTensors& parameters, std::vector<ParameterPace> paces)
      : options_(options),
        parameters_(parameters),
        paces_(std::move(paces)),
        velocity_(zeros_like(parameters, "velocity")) {}

  void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t) override {
    const at::NoGradGuard no_grad;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (!gradients[p].defined()) continue;
      const at::Tensor& value = parameters_[p].second;
      const at::Tensor& velocity = velocity_[p].second;
      const at::Tensor gradient =
          decays(value) ? gradients[p].add(value, options_.weight_decay) : gradients[p];
      velocity.mul_(options_.momentum).add_(gradient);
      value.sub_(gradient.add(velocity, options_.momentum), learning_rate * paces_[p].rate);
    }
  }

  NamedTensors state() const override { return velocity_; }

 private:
  OptimizerOptions options_;
  NamedTensors parameters_;
  std::vector<ParameterPace> paces_;
  NamedTensors velocity_;
};

class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerOptions& options, const NamedTensors& parameters, std::vector<ParameterPace> paces)
      : options_(options),
        parameters_(parameters),
        paces_(std::move(paces)),
        mean_(zeros_like(parameters, "mean")),
        square_(zeros_like(parameters, "square")) {}

  void update(const std::vector<at::Tensor>& gradients, double learning_rate, std::int64_t step) override {
    const at::NoGradGuard no_grad;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (!gradients[p].defined()) continue;
      const auto t = static_cast<double>(step - paces_[p].first_step);
      const double correction1 = 1 - std::pow(kBeta1, t), correction2 = 1 - std::pow(kBeta2, t);
      const double rate = learning_rate * paces_[p].rate;
      const at::Tensor& value = parameters_[p].second;
      const at::Tensor& mean = mean_[p].second;
      const at::Tensor& square = square_[p].second;
      if (decays(value)) value.mul_(1 - rate * options_.weight_decay);
      mean.mul_(kBeta1).add_(gradients[p], 1 - kBeta1);
      square.mul_(kBeta2).addcmul_(gradients[p], gradients[p], 1 - kBeta2);
      value.addcdiv_(mean, square.sqrt().div_(std::sqrt(correction2)).add_(kEps), -rate / correction1);
    }
  }

  NamedTensors state() const override {
    NamedTensors out = mean_;
    out.insert(out.end(), square_.begin(), square_.end());
    return out;
  }

 private:
  OptimizerOptions options_;
  NamedTensors parameters_;
  std::vector<ParameterPace> paces_;
  NamedTensors mean_, square_;
};

}  // namespace

std::vector<ParamSpec> optimizer_parameters(const OptimizerDefaults& defaults) {
  const auto usual = [&](double OptimizerDefaults::Numbers::*number) {
    return fmt::format("default: {} for sgd, {} for adamw.", defaults.sgd.*number, defaults.adamw.*number);
  };
  return {choice("optimizer", {"sgd", "adamw"}, defaults.name)
              .doc("Gradient descent with Nesterov momentum, or AdamW (betas 0.9 and 0.999)."),
          number("learning_rate")
              .optional()
              .range(1e-8, 100)
              .doc("Peak learning rate; " + usual(&OptimizerDefaults::Numbers::learning_rate)),
          number("momentum", 0.9).range(0, 0.9999).doc("Of sgd; adamw has none."),
          number("weight_decay")
              .optional()
              .range(0, 1)
              .doc("On convolutions and linear layers, not on biases and batch-norm: L2 in the gradient of "
                   "sgd, decoupled from it in adamw; " +
                   usual(&OptimizerDefaults::Numbers::weight_decay))};
}

OptimizerOptions::OptimizerOptions(const Params& params, const OptimizerDefaults& defaults)
    : name(params.get<std::string>("optimizer")), momentum(params.get<double>("momentum")) {
  const auto& usual = name == "adamw" ? defaults.adamw : defaults.sgd;
  const auto value = [&](const char* parameter, double left_out) {
    return params.has(parameter) ? params.get<double>(parameter) : left_out;
  };
  learning_rate = value("learning_rate", usual.learning_rate);
  weight_decay = value("weight_decay", usual.weight_decay);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, const NamedTensors& parameters,
                                          const std::vector<ParameterPace>& paces) {
  auto all = paces.empty() ? std::vector<ParameterPace>(parameters.size()) : paces;
  if (options.name == "adamw") return std::make_unique<AdamW>(options, parameters, std::move(all));
  return std::make_unique<Sgd>(options, parameters, std::move(all));
}

double clip_gradients(const std::vector<at::Tensor>& gradients, double most) {
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (const at::Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    const double norm = gradient.to(at::kDouble).norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (norm > most)
    for (const at::Tensor& gradient : gradients)
      if (gradient.defined()) gradient.mul_(most / norm);
  return norm;
}

}  // namespace graft::training
