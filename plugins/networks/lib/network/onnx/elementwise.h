#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "movement.h"

namespace graft::nn::onnx {

/// What an operator with one operand does to each number; nothing for another operator, and where its bounds
/// (Clip) are not constant.
std::optional<std::function<double(double)>> unary_function(const Node& node,
                                                            const std::vector<Operand>& inputs);

/// What an operator with two operands does to two numbers that are real; null for another operator.
double (*binary_function(const std::string& op))(double, double);

}  // namespace graft::nn::onnx
