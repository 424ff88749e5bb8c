#include <network/engine_check.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <graft/random.h>

namespace graft::nn {
namespace {

/// Images of noise, repeated in larger batches. There are five, so that a mix-up of positions that are a
/// power of two apart, as blocks are, shows a wrong image.
constexpr int kDistinct = 5;

bool same_rows(const Tensor& a, const Tensor& b) {
  return !a.shape.empty() && !b.shape.empty() &&
         Shape(a.shape.begin() + 1, a.shape.end()) == Shape(b.shape.begin() + 1, b.shape.end());
}

}  // namespace

Tolerance Tolerance::of(const std::string& precision) {
  return precision == "bf16" ? Tolerance{5e-2, 1.5e-1} : Tolerance{1e-4, 1e-3};
}

double largest_difference(const Tensor& got, std::int64_t i, const Tensor& wanted, std::int64_t j) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!same_rows(got, wanted) || i >= got.shape[0] || j >= wanted.shape[0]) return kInfinity;
  const std::int64_t n = wanted.size() / wanted.shape[0];
  const float* a = got.as<float>() + i * n;
  const float* b = wanted.as<float>() + j * n;
  double off = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    if (a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k]))) continue;
    const double d = std::fabs(static_cast<double>(a[k]) - static_cast<double>(b[k]));
    off = std::max(off, std::isnan(d) ? kInfinity : d);
  }
  return off;
}

double largest_value(const Tensor& tensor) {
  double most = 0;
  for (std::int64_t k = 0; k < tensor.size(); ++k)
    if (const double v = std::fabs(static_cast<double>(tensor.as<float>()[k])); std::isfinite(v))
      most = std::max(most, v);
  return most;
}

EngineCheck::EngineCheck(const RunImages& alone, int batch, int height, int width, bool thorough)
    : batch_(batch),
      size_(3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width)),
      thorough_(thorough) {
  const int distinct = thorough ? std::clamp(batch, 3, kDistinct) : 2;
  images_.resize(static_cast<std::size_t>(distinct + (thorough ? 1 : 0)) * size_);
  Random random(1);
  const auto end = images_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(distinct) * size_);
  for (auto at = images_.begin(); at != end; ++at) *at = static_cast<float>(random.uniform(-2.0, 2.0));
  for (std::size_t first = 0; first < images_.size(); first += size_) {
    wanted_.push_back(alone(images_.data() + first, 1));
    scale_.resize(wanted_.front().size());
    for (std::size_t output = 0; output < scale_.size(); ++output)
      scale_[output] = std::max(scale_[output], largest_value(wanted_.back().at(output)));
  }
}

/// `places`: the image at each position of the batch.
std::optional<std::string> EngineCheck::compare(const RunImages& run, const std::vector<int>& places,
                                                double allowed) const {
  std::vector<float> batch(places.size() * size_);
  for (std::size_t i = 0; i < places.size(); ++i)
    std::copy_n(images_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(places[i]) * size_),
                size_, batch.begin() + static_cast<std::ptrdiff_t>(i * size_));
  const std::vector<Tensor> got = run(batch.data(), static_cast<int>(places.size()));
  if (got.size() != scale_.size())
    return fmt::format("a batch of {} has {} outputs instead of {}", places.size(), got.size(),
                       scale_.size());
  for (std::size_t output = 0; output < got.size(); ++output)
    for (std::size_t i = 0; i < places.size(); ++i) {
      const double off = largest_difference(got[output], static_cast<std::int64_t>(i),
                                            wanted_[static_cast<std::size_t>(places[i])][output], 0);
      if (off > allowed * scale_[output])
        return fmt::format("image {} of a batch of {} is off by {:.1e} of {:.1e}", i + 1, places.size(), off,
                           scale_[output]);
    }
  return {};
}

std::optional<std::string> EngineCheck::difference(const RunImages& run, const RunImages& plain,
                                                   double allowed) const {
  const int distinct = static_cast<int>(wanted_.size()) - (thorough_ ? 1 : 0);
  const auto in_turns = [&](int count, int images) {
    std::vector<int> places(static_cast<std::size_t>(count), distinct);  // zeros
    for (int i = 0; i < images; ++i) places[static_cast<std::size_t>(i)] = i % distinct;
    return places;
  };
  std::vector<int> counts{batch_};
  for (const int count : {1, 2, 3})
    if (thorough_ && count != batch_) counts.push_back(count);
  for (const int count : counts) {
    try {
      if (auto found = compare(run, in_turns(count, count), allowed)) return found;
    } catch (const std::exception& fault) {
      if (count == batch_) throw;
      if (takes(plain, count)) return fmt::format("a batch of {} fails: {}", count, fault.what());
    }
  }
  if (thorough_ && batch_ > 1) return compare(run, in_turns(batch_, (batch_ + 1) / 2), allowed);
  return {};
}

bool EngineCheck::takes(const RunImages& run, int count) const {
  try {
    const std::vector<float> images(static_cast<std::size_t>(count) * size_);
    run(images.data(), count);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::optional<std::string> EngineCheck::dependence(const RunImages& alone, const RunImages& plain,
                                                   int together, double allowed) const {
  static const char* const kCure =
      "in training mode; call model.eval() before torch.jit.trace or torch.jit.script, and export it again";
  if (const auto found = compare(alone, {0}, allowed))
    return fmt::format(
        "the features of an image change from call to call ({}): dropout is active, it was probably exported "
        "{}",
        *found, kCure);
  // Each image is at a new position, beside another one.
  std::vector<int> places;
  for (int i = 0; i < std::max(2, together); ++i) places.push_back(1 - i % 2);
  if (together == 1 && !takes(plain, 2)) return {};  // a model that takes one image at a time, and no more
  if (const auto found = compare(plain, places, allowed))
    return fmt::format(
        "the features of an image depend on its neighbours in the batch ({}): it was probably traced {}",
        *found, kCure);
  return {};
}

}  // namespace graft::nn
