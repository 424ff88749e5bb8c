#include "pooling.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <graft/error.h>

namespace {

/// Whether [n,d] is pooled over n: a network that is not described keeps it, unless its class token is
/// wanted.
bool are_tokens(const graft::Shape& shape, Pooling pooling,
                const std::optional<graft::nn::TokenLayout>& tokens) {
  if (shape.size() != 2 || pooling == Pooling::Flatten) return false;
  return tokens.has_value() || pooling == Pooling::Class || pooling == Pooling::ClassAverage;
}

/// The mean, maximum or generalised mean of `count` values, `step` apart.
float pooled_values(const float* value, std::int64_t count, std::int64_t step, Pooling pooling,
                    double gem_power) {
  double v = pooling == Pooling::Maximum ? value[0] : 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = value[i * step];
    if (pooling == Pooling::Maximum)
      v = std::max(v, x);
    else
      v += pooling == Pooling::Average ? x : std::pow(std::max(x, 1e-6), gem_power);
  }
  if (pooling != Pooling::Maximum) v /= static_cast<double>(count);
  if (pooling == Pooling::GeM) v = std::pow(v, 1.0 / gem_power);
  return static_cast<float>(v);
}

}  // namespace

Pooling pooling_from(std::string_view name) {
  if (name == "avg") return Pooling::Average;
  if (name == "max") return Pooling::Maximum;
  if (name == "gem") return Pooling::GeM;
  if (name == "flatten") return Pooling::Flatten;
  if (name == "none") return Pooling::None;
  if (name == "cls") return Pooling::Class;
  if (name == "cls_avg") return Pooling::ClassAverage;
  throw graft::Error("expected a pooling (cls, avg, cls_avg, max, gem, flatten, none), got '" +
                     std::string(name) + "'");
}

graft::Shape pooled_shape(const graft::Shape& shape, Pooling pooling,
                          const std::optional<graft::nn::TokenLayout>& tokens) {
  if (shape.size() == 3 && pooling != Pooling::Flatten)
    return pooling == Pooling::None ? shape : graft::Shape{shape[0]};
  if (!are_tokens(shape, pooling, tokens))
    return pooling == Pooling::None ? shape : graft::Shape{graft::elements(shape)};
  const std::int64_t d = shape[1];
  if (pooling == Pooling::None) return tokens ? graft::Shape{tokens->rows, tokens->columns, d} : shape;
  return {pooling == Pooling::ClassAverage ? 2 * d : d};
}

graft::Tensor pooled(const float* value, const graft::Shape& shape, Pooling pooling, double gem_power,
                     const std::optional<graft::nn::TokenLayout>& tokens) {
  graft::Tensor out = graft::Tensor::allocate(graft::DType::F32, pooled_shape(shape, pooling, tokens));
  float* const to = out.as<float>();
  const bool is_image = shape.size() == 3;
  if (pooling == Pooling::Flatten || (is_image && pooling == Pooling::None) ||
      (!is_image && !are_tokens(shape, pooling, tokens))) {
    std::copy_n(value, graft::elements(shape), to);
    return out;
  }
  if (is_image) {
    const std::int64_t area = shape[1] * shape[2];
    for (std::int64_t c = 0; c < shape[0]; ++c)
      to[c] = pooled_values(value + c * area, area, 1, pooling, gem_power);
    return out;
  }
  // Without a layout, of a network that is not described: the class token is the first.
  const std::int64_t d = shape[1];
  const bool has_class = pooling == Pooling::ClassAverage || pooling == Pooling::Class;
  const std::int64_t prefix = tokens ? tokens->prefix : has_class ? 1 : 0;
  const float* const patches = value + prefix * d;
  if (pooling == Pooling::None) {
    std::copy_n(patches, out.size(), to);
    return out;
  }
  if (has_class) std::copy_n(value, d, to);
  if (pooling == Pooling::Class) return out;
  float* const mean = has_class ? to + d : to;
  for (std::int64_t c = 0; c < d; ++c)
    mean[c] =
        pooled_values(patches + c, shape[0] - prefix, d, has_class ? Pooling::Average : pooling, gem_power);
  return out;
}

void normalise_length(const graft::Tensor& vector) {
  double sum = 0;
  for (std::int64_t i = 0; i < vector.size(); ++i)
    sum += static_cast<double>(vector.as<float>()[i]) * static_cast<double>(vector.as<float>()[i]);
  if (sum == 0) return;
  const double scale = 1.0 / std::sqrt(sum);
  for (std::int64_t i = 0; i < vector.size(); ++i)
    vector.as<float>()[i] = static_cast<float>(vector.as<float>()[i] * scale);
}
