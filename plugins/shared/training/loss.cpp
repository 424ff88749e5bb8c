#include "loss.h"

namespace graft {
namespace {

constexpr std::int64_t kNone = -100;          // what at::cross_entropy_loss leaves out
constexpr double kWorst = 36.04365338911715;  // -log(2^-52)

}  // namespace

at::Tensor targets_of(const Pixels& pixels, std::span<const std::uint32_t> which, std::int64_t outputs,
                      bool several) {
  const auto n = static_cast<std::int64_t>(which.size());
  if (!several) {
    at::Tensor out = at::empty({n}, at::kLong);
    for (std::size_t i = 0; i < which.size(); ++i) {
      const std::int64_t label = pixels.labels(which[i]).front();
      out.data_ptr<std::int64_t>()[i] = label < 0 ? kNone : label;
    }
    return out;
  }
  at::Tensor out = at::zeros({n, outputs});
  for (std::size_t i = 0; i < which.size(); ++i)
    for (const std::int32_t label : pixels.labels(which[i]))
      out.data_ptr<float>()[static_cast<std::int64_t>(i) * outputs + label] = 1;
  return out;
}

at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& targets, const LossOptions& options) {
  const at::Tensor z = options.temperature == 1 ? logits : logits / options.temperature;
  const double s = options.label_smoothing;
  if (targets.scalar_type() == at::kLong)
    return at::cross_entropy_loss(z, targets, {}, at::Reduction::Sum, kNone, s);
  return at::binary_cross_entropy_with_logits(z, s == 0 ? targets : targets * (1 - s) + s / 2, {}, {},
                                              at::Reduction::Sum);
}

double log_loss(const at::Tensor& logits, const at::Tensor& targets) {
  const auto loss = loss_of(logits, targets).item<double>();
  if (targets.scalar_type() != at::kLong) return loss;
  return loss + kWorst * static_cast<double>(targets.eq(kNone).sum().item<std::int64_t>());
}

std::size_t hits(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor right = targets.scalar_type() == at::kLong ? logits.argmax(1).eq(targets)
                                                              : logits.gt(0).eq(targets.gt(0.5)).all(1);
  return static_cast<std::size_t>(right.sum().item<std::int64_t>());
}

}  // namespace graft
