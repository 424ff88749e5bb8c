#include "checked_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/random.h>

namespace graft::fused {
namespace {

constexpr int kImages = 2;  // not one: a model may squeeze that away

/// The largest difference of the first images' values, and the largest value.
std::pair<double, double> difference(const Tensor& got, const Tensor& wanted) {
  const std::int64_t n = wanted.size() / kImages;
  if (got.size() / got.shape[0] != n) return {INFINITY, 1};
  double off = 0, scale = 0;
  const std::int64_t both = std::min<std::int64_t>(got.shape[0], kImages) * n;
  for (std::int64_t i = 0; i < both; ++i) {
    const double v = wanted.as<float>()[i];
    scale = std::max(scale, std::fabs(v));
    off = std::max(off, std::fabs(v - static_cast<double>(got.as<float>()[i])));
  }
  return {off, scale};
}

}  // namespace

CheckedEngine::CheckedEngine(std::unique_ptr<nn::Engine> fast, Make reference, Make instead,
                             nn::EngineOptions options, std::string name)
    : fast_(std::move(fast)),
      make_reference_(std::move(reference)),
      make_instead_(std::move(instead)),
      options_(std::move(options)),
      name_(std::move(name)) {}

void CheckedEngine::enter_thread() const {
  fast_->enter_thread();
}

bool CheckedEngine::agrees(int height, int width) const {
  std::vector<float> noise(static_cast<std::size_t>(std::max(options_.batch, kImages)) * 3 *
                           static_cast<std::size_t>(height) * static_cast<std::size_t>(width));
  Random random(1);
  for (float& v : noise) v = static_cast<float>(random.uniform(-2.0, 2.0));
  if (!reference_) reference_ = make_reference_(kImages);
  reference_->enter_thread();
  const std::vector<Tensor> wanted = reference_->run(noise.data(), height, width);
  std::vector<Tensor> got;
  try {
    got = fast_->run(noise.data(), height, width);
  } catch (const nn::UnfitInput& fault) {
    options_.warn(
        fmt::format("{}: merged layers fail where the model works ({}); LibTorch's optimiser is used, "
                    "which is slower",
                    name_, fault.what()));
    return false;
  }
  const double allowed = options_.precision == "bf16" ? 5e-2 : 1e-3;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto [off, scale] = difference(got.at(i), wanted[i]);
    if (off <= allowed * scale || !std::isfinite(scale)) continue;
    options_.warn(
        fmt::format("{}: merged layers are off by {:.1e} of {:.1e} for {} x {} images; LibTorch's "
                    "optimiser is used, which is slower",
                    name_, off, scale, width, height));
    return false;
  }
  return true;
}

std::vector<Tensor> CheckedEngine::run(const float* images, int height, int width) const {
  const nn::Engine* chosen = fast_.get();
  {
    const std::lock_guard lock(mutex_);
    auto known = use_fast_.find({height, width});
    if (known == use_fast_.end())
      known = use_fast_.emplace(std::pair(height, width), agrees(height, width)).first;
    if (!known->second) {
      if (!instead_) instead_ = make_instead_(options_.batch);
      chosen = instead_.get();
    }
  }
  if (chosen != fast_.get()) chosen->enter_thread();
  return chosen->run(images, height, width);
}

}  // namespace graft::fused
