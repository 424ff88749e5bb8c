#include "pooling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include <graft/error.h>

Pooling pooling_from(std::string_view name) {
  if (name == "avg") return Pooling::Average;
  if (name == "max") return Pooling::Maximum;
  if (name == "gem") return Pooling::GeM;
  if (name == "flatten") return Pooling::Flatten;
  if (name == "none") return Pooling::None;
  throw graft::Error("expected a pooling (avg, max, gem, flatten, none), got '" + std::string(name) + "'");
}

graft::Tensor pooled(const float* value, const graft::Shape& shape, Pooling pooling, double gem_power) {
  const std::int64_t n = graft::elements(shape);
  if (shape.size() != 3 || pooling == Pooling::None || pooling == Pooling::Flatten) {
    graft::Tensor out =
        graft::Tensor::allocate(graft::DType::F32, pooling == Pooling::None ? shape : graft::Shape{n});
    std::memcpy(out.data, value, out.bytes());
    return out;
  }
  graft::Tensor out = graft::Tensor::allocate(graft::DType::F32, {shape[0]});
  const std::int64_t area = shape[1] * shape[2];
  for (std::int64_t c = 0; c < shape[0]; ++c, value += area) {
    double v = pooling == Pooling::Maximum ? value[0] : 0.0;
    for (std::int64_t i = 0; i < area; ++i) {
      const double x = value[i];
      if (pooling == Pooling::Maximum)
        v = std::max(v, x);
      else
        v += pooling == Pooling::Average ? x : std::pow(std::max(x, 1e-6), gem_power);
    }
    if (pooling != Pooling::Maximum) v /= static_cast<double>(area);
    if (pooling == Pooling::GeM) v = std::pow(v, 1.0 / gem_power);
    out.as<float>()[c] = static_cast<float>(v);
  }
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
