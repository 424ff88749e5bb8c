#include "loss.h"

#include <span>
#include <vector>

namespace graft::training {
namespace {

constexpr std::int64_t kNone = -100;  // the label that at::cross_entropy_loss ignores

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

metrics::ScoreSum score_of(const at::Tensor& logits, const at::Tensor& targets) {
  const bool several = targets.scalar_type() != at::kLong;
  const at::Tensor z = logits.to(at::kDouble);
  const at::Tensor probabilities = (several ? z.sigmoid() : z.softmax(1)).to(at::kFloat).contiguous();
  const at::Tensor is = several ? targets.gt(0.5).contiguous() : targets.contiguous();
  const auto outputs = static_cast<std::size_t>(logits.size(1));
  std::vector<float> scores(outputs + (several ? 0 : 1));  // after them, the class without an output
  std::vector<std::int32_t> labels;
  metrics::ScoreSum sum;
  for (std::size_t i = 0; i < static_cast<std::size_t>(logits.size(0)); ++i) {
    std::copy_n(probabilities.data_ptr<float>() + i * outputs, outputs, scores.begin());
    labels.clear();
    if (several) {
      for (std::size_t c = 0; c < outputs; ++c)
        if (is.data_ptr<bool>()[i * outputs + c]) labels.push_back(static_cast<std::int32_t>(c));
    } else {
      const std::int64_t label = is.data_ptr<std::int64_t>()[i];
      labels.push_back(static_cast<std::int32_t>(label == kNone ? std::int64_t(outputs) : label));
    }
    sum.add(scores, labels, metrics::label_mode(several));
  }
  return sum;
}

std::size_t hits(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor right = targets.scalar_type() == at::kLong ? logits.argmax(1).eq(targets)
                                                              : logits.ge(0).eq(targets.gt(0.5)).all(1);
  return static_cast<std::size_t>(right.sum().item<std::int64_t>());
}

}  // namespace graft::training
