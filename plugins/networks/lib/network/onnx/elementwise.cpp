#include "elementwise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn::onnx {
namespace {

double sigmoid_of(double x) {
  return 1 / (1 + std::exp(-x));
}
double tanh_gelu_of(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}
double erf_gelu_of(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}
double softplus_of(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

/// Operators without attributes.
const std::map<std::string, double (*)(double)> kPlain = {
    {"Relu", [](double x) { return x > 0 ? x : 0; }},
    {"Sigmoid", sigmoid_of},
    {"Tanh", [](double x) { return std::tanh(x); }},
    {"Erf", [](double x) { return std::erf(x); }},
    {"Exp", [](double x) { return std::exp(x); }},
    {"Log", [](double x) { return std::log(x); }},
    {"Sqrt", [](double x) { return std::sqrt(x); }},
    {"Neg", [](double x) { return -x; }},
    {"Abs", [](double x) { return std::fabs(x); }},
    {"Reciprocal", [](double x) { return 1 / x; }},
    {"Floor", [](double x) { return std::floor(x); }},
    {"Ceil", [](double x) { return std::ceil(x); }},
    {"Sin", [](double x) { return std::sin(x); }},
    {"Cos", [](double x) { return std::cos(x); }},
    {"Softplus", softplus_of},
    {"Softsign", [](double x) { return x / (1 + std::fabs(x)); }},
    {"Mish", [](double x) { return x * std::tanh(softplus_of(x)); }},
    {"HardSwish", [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }},
};

std::optional<std::function<double(double)>> clip(const Node& node, const std::vector<Operand>& inputs) {
  double low = node.real("min", -std::numeric_limits<double>::infinity()),
         high = node.real("max", std::numeric_limits<double>::infinity());
  for (const std::size_t i : {1U, 2U}) {
    if (!node.has_input(i) || i >= inputs.size()) continue;
    const Array* bound = inputs[i].constant;
    if (bound == nullptr) return {};
    if (bound->size() != 1) throw Error(fmt::format("{} has a bound of several values", node.title()));
    (i == 1 ? low : high) = bound->at(0);
  }
  return [low, high](double x) { return std::min(std::max(x, low), high); };
}

}  // namespace

std::optional<std::function<double(double)>> unary_function(const Node& node,
                                                            const std::vector<Operand>& inputs) {
  if (const auto found = kPlain.find(node.op); found != kPlain.end()) return found->second;
  if (node.op == "Clip") return clip(node, inputs);
  if (node.op == "HardSigmoid") {
    const double alpha = node.real("alpha", 0.2), beta = node.real("beta", 0.5);
    return [=](double x) { return std::clamp(alpha * x + beta, 0.0, 1.0); };
  }
  if (node.op == "LeakyRelu") {
    const double alpha = node.real("alpha", 0.01);
    return [=](double x) { return x < 0 ? alpha * x : x; };
  }
  if (node.op == "Elu") {
    const double alpha = node.real("alpha", 1);
    return [=](double x) { return x < 0 ? alpha * std::expm1(x) : x; };
  }
  if (node.op == "Gelu") return node.text("approximate", "none") == "tanh" ? tanh_gelu_of : erf_gelu_of;
  if (node.op == "FastGelu" && !node.has_input(1)) return tanh_gelu_of;
  if (node.op == "QuickGelu" || node.op == "Swish") {
    const double alpha = node.real("alpha", node.op == "Swish" ? 1 : 1.702);
    return [=](double x) { return x * sigmoid_of(alpha * x); };
  }
  return {};
}

double (*binary_function(const std::string& op))(double, double) {
  static const std::map<std::string, double (*)(double, double)> kAll = {
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Pow", [](double a, double b) { return std::pow(a, b); }},
      {"Min", [](double a, double b) { return std::min(a, b); }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
  };
  const auto found = kAll.find(op);
  return found == kAll.end() ? nullptr : found->second;
}

}  // namespace graft::nn::onnx
