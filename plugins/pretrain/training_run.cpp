#include "training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include "checkpoint.h"

namespace graft {
namespace {

const std::string kBest = "best/";  // before the names of tensors of the best epoch

}  // namespace

Value TrainingProgress::to_value() const {
  Value v = Value::map();
  v["epoch"] = epoch;
  v["step"] = step;
  v["loss"] = sum.loss;
  v["correct"] = static_cast<std::int64_t>(sum.correct);
  v["images"] = static_cast<std::int64_t>(sum.images);
  v["best_epoch"] = best_epoch;
  v["best_accuracy"] = best_accuracy;
  v["best_loss"] = best_loss;
  v["finished"] = finished;
  v["curve"] = curve;
  return v;
}

TrainingProgress TrainingProgress::from(const Value& v) {
  TrainingProgress p;
  p.epoch = v.find("epoch")->as_int();
  p.step = v.find("step")->as_int();
  p.sum.loss = v.find("loss")->as_double();
  p.sum.correct = static_cast<std::size_t>(v.find("correct")->as_int());
  p.sum.images = static_cast<std::size_t>(v.find("images")->as_int());
  p.best_epoch = v.find("best_epoch")->as_int();
  p.best_accuracy = v.find("best_accuracy")->as_double();
  p.best_loss = v.find("best_loss")->as_double();
  p.finished = v.find("finished")->as_bool();
  p.curve = *v.find("curve");
  return p;
}

TrainingRun::TrainingRun(const Params& params, std::uint64_t seed, const LearnerInput& input,
                         const Pixels& train, const Pixels& val, const augment::Augmentation& augmentation,
                         Trainer& trainer, std::string identity)
    : params_(params),
      seed_(seed),
      input_(input),
      train_(train),
      val_(val),
      augmentation_(augmentation),
      mixer_(params),
      trainer_(trainer),
      identity_(std::move(identity)),
      file_((std::filesystem::path(input.work_folder) / "checkpoint.bin").string()),
      batch_(params.get<std::size_t>("batch")),
      epochs_(params.get<std::int64_t>("epochs")),
      // One image that is left over waits for another epoch: batch-norm needs company.
      steps_(std::max<std::int64_t>(1, static_cast<std::int64_t>((train.size() + batch_ - 2) / batch_))),
      peak_(OptimizerOptions(params).learning_rate) {}

void TrainingRun::resume() {
  const auto saved = read_checkpoint(file_);
  if (!saved || saved->facts.find("identity")->as_string() != identity_) return;
  progress_ = TrainingProgress::from(*saved->facts.find("progress"));
  trainer_.restore(saved->tensors);
  for (const auto& [name, tensor] : saved->tensors)
    if (name.starts_with(kBest)) best_[name.substr(kBest.size())] = tensor;
}

void TrainingRun::run() {
  resume();
  const std::int64_t patience = params_.get<std::int64_t>("patience");
  while (!progress_.finished) {
    train_epoch();
    finish_epoch();
    const bool stopped = patience > 0 && progress_.epoch - 1 - progress_.best_epoch >= patience;
    progress_.finished = stopped || progress_.epoch == epochs_;
    save();
  }
}

void TrainingRun::train_epoch() {
  const auto epoch = static_cast<std::uint32_t>(progress_.epoch);
  std::vector<std::uint32_t> order(train_.size());
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed_, "order", epoch);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);

  while (progress_.step < steps_) {
    if (input_.interrupted) {
      save();
      throw Error("interrupted");
    }
    const std::size_t first = static_cast<std::size_t>(progress_.step) * batch_;
    const std::size_t images = std::min(batch_, train_.size() - first);
    const Score score =
        trainer_.step(train_, {std::span(order).subspan(first, images), augmentation_,
                               mixer_.draw(images, train_.height(), train_.width(), seed_, epoch,
                                           static_cast<std::uint64_t>(progress_.step)),
                               epoch, progress_.epoch * steps_ + progress_.step, learning_rate()});
    if (!std::isfinite(score.loss))
      throw Error(fmt::format(
          "the loss is no longer a number after {} epochs and {} steps: learning_rate is too high",
          progress_.epoch, progress_.step));
    progress_.sum = {progress_.sum.loss + score.loss, progress_.sum.correct + score.correct,
                     progress_.sum.images + score.images};
    ++progress_.step;
  }
}

/// Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, arXiv:1608.03983).
double TrainingRun::learning_rate() const {
  const double now = static_cast<double>(progress_.epoch * steps_ + progress_.step);
  const double warm = params_.get<double>("warmup_epochs") * static_cast<double>(steps_);
  const double total = static_cast<double>(epochs_ * steps_);
  if (now < warm) return peak_ * (now + 1) / (warm + 1);
  return peak_ * 0.5 * (1 + std::cos(std::numbers::pi * (now - warm) / std::max(1.0, total - warm)));
}

void TrainingRun::finish_epoch() {
  Value point = Value::map();
  point["epoch"] = progress_.epoch + 1;
  point["train_loss"] = progress_.sum.loss / static_cast<double>(progress_.sum.images);
  point["train_accuracy"] =
      static_cast<double>(progress_.sum.correct) / static_cast<double>(progress_.sum.images);
  bool better = true;
  if (val_.size() > 0) {
    const Score score = trainer_.evaluate(val_);
    const double loss = score.loss / static_cast<double>(score.images);
    const double accuracy = static_cast<double>(score.correct) / static_cast<double>(score.images);
    point["val_loss"] = loss;
    point["val_accuracy"] = accuracy;
    better = accuracy > progress_.best_accuracy ||
             (accuracy == progress_.best_accuracy && loss < progress_.best_loss);
    if (better) {
      progress_.best_accuracy = accuracy;
      progress_.best_loss = loss;
    }
  }
  if (better) {
    progress_.best_epoch = progress_.epoch;
    best_ = trainer_.weights();
  }
  progress_.curve.push(std::move(point));
  ++progress_.epoch;
  progress_.step = 0;
  progress_.sum = {};
}

void TrainingRun::save() const {
  Bundle state;
  state.facts["identity"] = identity_;
  state.facts["progress"] = progress_.to_value();
  state.tensors = trainer_.state();
  for (const auto& [name, tensor] : best_) state.tensors[kBest + name] = tensor;
  write_checkpoint(file_, state);
}

}  // namespace graft
