#include <learning/bundle.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>

namespace graft::learning {
namespace {

constexpr const char* kCure = "the bundle is damaged or of another learner; train the model again";

void expect_there(bool there, const std::string& name, DType dtype, const Shape& shape) {
  if (there) return;
  throw Error(fmt::format("bundle without the tensor '{}': expected {} {}; {}", name, to_string(dtype),
                          to_string(shape), kCure));
}

void expect_form(const std::string& name, DType got, const Shape& got_shape, DType dtype,
                 const Shape& shape) {
  if (got == dtype && got_shape == shape) return;
  throw Error(fmt::format("tensor '{}' of the bundle is {} {}: expected {} {}; {}", name, to_string(got),
                          to_string(got_shape), to_string(dtype), to_string(shape), kCure));
}

void expect_finite(const std::string& name, std::span<const float> values) {
  if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) return;
  throw Error(fmt::format("tensor '{}' of the bundle has values that are not finite; {}", name, kCure));
}

const Tensor& tensor(const Bundle& bundle, const std::string& name, DType dtype, const Shape& shape) {
  const auto found = bundle.tensors.find(name);
  expect_there(found != bundle.tensors.end(), name, dtype, shape);
  const Tensor& t = found->second;
  expect_form(name, t.dtype, t.shape, dtype, shape);
  return t;
}

/// Looks at what is read.
class FiniteTensor final : public TensorReader {
 public:
  FiniteTensor(std::shared_ptr<const TensorReader> tensor, std::string name)
      : tensor_(std::move(tensor)), name_(std::move(name)) {}
  DType dtype() const override { return tensor_->dtype(); }
  const Shape& shape() const override { return tensor_->shape(); }
  void read(std::size_t first, std::size_t count, void* out) const override {
    tensor_->read(first, count, out);
    expect_finite(name_, {static_cast<const float*>(out), count * static_cast<std::size_t>(shape()[1])});
  }

 private:
  std::shared_ptr<const TensorReader> tensor_;
  std::string name_;
};

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

const Value& fact(const Bundle& bundle, std::string_view name) {
  const Value* value = bundle.facts.find(name);
  if (value == nullptr) throw Error(fmt::format("bundle without '{}'; {}", name, kCure));
  return *value;
}

std::size_t count_fact(const Bundle& bundle, std::string_view name, std::size_t low, std::size_t high) {
  const Value& value = fact(bundle, name);
  if (!value.is_int() || value.as_int() < static_cast<std::int64_t>(low) ||
      value.as_int() > static_cast<std::int64_t>(high)) {
    throw Error(fmt::format("'{}' of the bundle is {}: expected a whole number from {} to {}; {}", name,
                            value.to_json(), low, high, kCure));
  }
  return static_cast<std::size_t>(value.as_int());
}

std::size_t class_count(const Bundle& bundle, std::size_t low) {
  constexpr std::size_t kMost = 1'000'000;
  return count_fact(bundle, "classes", low, kMost);
}

std::vector<float> floats(const Bundle& bundle, const std::string& name, const Shape& shape) {
  const Tensor& t = tensor(bundle, name, DType::F32, shape);
  std::vector<float> out(t.as<float>(), t.as<float>() + t.size());
  expect_finite(name, out);
  return out;
}

std::shared_ptr<const TensorReader> large_floats(const Bundle& bundle, const std::string& name,
                                                 std::size_t rows, std::size_t dim) {
  const Shape shape = {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(dim)};
  const auto found = bundle.large.find(name);
  expect_there(found != bundle.large.end(), name, DType::F32, shape);
  expect_form(name, found->second->dtype(), found->second->shape(), DType::F32, shape);
  return std::make_shared<FiniteTensor>(found->second, name);
}

std::vector<std::int32_t> indices(const Bundle& bundle, const std::string& name, std::size_t size,
                                  std::size_t limit, const char* what) {
  const Shape shape = {static_cast<std::int64_t>(size)};
  const Tensor& t = tensor(bundle, name, DType::I64, shape);
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
        fmt::format("the table has {} features per row: expected {}, as in training; make it with the same "
                    "backbone and tap",
                    tables[0]->dim(), dim));
  }
  return *tables[0];
}

}  // namespace graft::learning
