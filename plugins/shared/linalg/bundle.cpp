#include "linalg/bundle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

namespace graft::linalg {
namespace {

constexpr const char* kCure = "the bundle is damaged or of another learner; train the model again";

const Tensor& tensor(const Bundle& bundle, const std::string& name, DType dtype, const Shape& shape) {
  const auto found = bundle.tensors.find(name);
  if (found == bundle.tensors.end()) {
    throw Error(fmt::format("bundle without the tensor '{}': expected {} {}; {}", name, to_string(dtype),
                            to_string(shape), kCure));
  }
  const Tensor& t = found->second;
  if (t.dtype != dtype || t.shape != shape) {
    throw Error(fmt::format("tensor '{}' of the bundle is {} {}: expected {} {}; {}", name,
                            to_string(t.dtype), to_string(t.shape), to_string(dtype), to_string(shape),
                            kCure));
  }
  return t;
}

}  // namespace

Tensor tensor_of(std::span<const float> values, Shape shape) {
  Tensor t = Tensor::allocate(DType::F32, std::move(shape));
  std::copy(values.begin(), values.end(), t.as<float>());
  return t;
}

Tensor tensor_of(std::span<const std::int32_t> values, Shape shape) {
  Tensor t = Tensor::allocate(DType::I64, std::move(shape));
  std::copy(values.begin(), values.end(), t.as<std::int64_t>());
  return t;
}

const Value& fact(const Bundle& bundle, const std::string& name) {
  const Value* value = bundle.facts.find(name);
  if (value == nullptr) throw Error(fmt::format("bundle without '{}'; {}", name, kCure));
  return *value;
}

std::size_t count_fact(const Bundle& bundle, const std::string& name, std::size_t low) {
  const Value& value = fact(bundle, name);
  if (!value.is_int() || value.as_int() < static_cast<std::int64_t>(low)) {
    throw Error(fmt::format("'{}' of the bundle is {}: expected a whole number of at least {}; {}", name,
                            value.to_json(), low, kCure));
  }
  return static_cast<std::size_t>(value.as_int());
}

std::vector<float> floats(const Bundle& bundle, const std::string& name, const Shape& shape) {
  const Tensor& t = tensor(bundle, name, DType::F32, shape);
  std::vector<float> out(t.as<float>(), t.as<float>() + t.size());
  if (!std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); })) {
    throw Error(fmt::format("tensor '{}' of the bundle has values that are not finite; {}", name, kCure));
  }
  return out;
}

std::vector<std::int32_t> indices(const Bundle& bundle, const std::string& name, std::size_t size,
                                  std::size_t limit, const char* what) {
  const Tensor& t = tensor(bundle, name, DType::I64, {static_cast<std::int64_t>(size)});
  std::vector<std::int32_t> out;
  out.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::int64_t value = t.as<std::int64_t>()[i];
    if (value < 0 || value >= static_cast<std::int64_t>(limit)) {
      throw Error(fmt::format("tensor '{}' of the bundle has {} {}: expected 0 to {}; {}", name, what, value,
                              static_cast<std::int64_t>(limit) - 1, kCure));
    }
    out.push_back(static_cast<std::int32_t>(value));
  }
  return out;
}

std::vector<std::int32_t> class_indices(const Bundle& bundle, const std::string& name, std::size_t size,
                                        std::size_t classes) {
  return indices(bundle, name, size, classes, "class");
}

const RowSet& only_table(const std::vector<const RowSet*>& tables, std::size_t dim) {
  if (tables.size() != 1) {
    throw Error(fmt::format("got {} tables: expected the one kind of table that the model was trained on",
                            tables.size()));
  }
  if (tables[0]->dim() != dim) {
    throw Error(
        fmt::format("the table has {} features a row: expected {}, as in training; make it with the same "
                    "backbone and tap",
                    tables[0]->dim(), dim));
  }
  return *tables[0];
}

}  // namespace graft::linalg
