#include <training/training_run.h>

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

#include <training/checkpoint.h>

namespace graft::training {
namespace {

const std::string kBest = "best/";  // before the names of tensors of the best epoch
/// Version of the scores in a checkpoint; a run does not resume from another version. 2: val as in
/// metrics::Score.
constexpr int kVersion = 2;

std::string with_version(const std::string& identity) {
  return fmt::format("{}/{}", identity, kVersion);
}

std::string checkpoint_in(const std::string& work_folder) {
  return (std::filesystem::path(work_folder) / "checkpoint.bin").string();
}

std::optional<Bundle> checkpoint_of(const std::string& path, const std::string& identity) {
  auto saved = read_checkpoint(path);
  if (!saved || saved->facts.find("identity")->as_string() != with_version(identity)) return {};
  return saved;
}

std::map<std::string, Tensor> best_in(const Bundle& checkpoint) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, tensor] : checkpoint.tensors)
    if (name.starts_with(kBest)) out[name.substr(kBest.size())] = tensor;
  return out;
}

}  // namespace

Value TrainingProgress::to_value() const {
  return Value::Map{{"epoch", epoch},
                    {"step", step},
                    {"loss", sum.loss},
                    {"correct", static_cast<std::int64_t>(sum.correct)},
                    {"images", static_cast<std::int64_t>(sum.images)},
                    {"best_epoch", best_epoch},
                    {"best_accuracy", best.accuracy},
                    {"best_loss", best.log_loss},
                    {"finished", finished},
                    {"origin", origin},
                    {"curve", curve}};
}

TrainingProgress TrainingProgress::from(const Value& v) {
  TrainingProgress p;
  p.epoch = v.find("epoch")->as_int();
  p.step = v.find("step")->as_int();
  p.sum.loss = v.find("loss")->as_double();
  p.sum.correct = static_cast<std::size_t>(v.find("correct")->as_int());
  p.sum.images = static_cast<std::size_t>(v.find("images")->as_int());
  p.best_epoch = v.find("best_epoch")->as_int();
  p.best = {v.find("best_accuracy")->as_double(), v.find("best_loss")->as_double()};
  p.finished = v.find("finished")->as_bool();
  p.origin = *v.find("origin");
  p.curve = *v.find("curve");
  return p;
}

std::vector<ParamSpec> plan_parameters(const PlanDefaults& defaults) {
  return {integer("epochs", defaults.epochs)
              .range(static_cast<double>(defaults.least_epochs), 100000)
              .doc("Passes over train; the schedule is laid out for them."),
          integer("batch", defaults.batch).range(2, 65536).unit("images").doc("Images per step."),
          number("warmup_epochs", defaults.warmup_epochs)
              .at_least(0)
              .unit("epochs")
              .doc("The learning rate rises linearly at first; then it follows half a cosine to zero."),
          number("label_smoothing", defaults.label_smoothing)
              .range(0, 0.9)
              .doc("Fraction of the target probability that is spread over all classes."),
          integer("patience", defaults.patience)
              .range(0, 100000)
              .unit("epochs")
              .doc("Stop after this many epochs without a better one on val; 0: never.")};
}

TrainingPlan::TrainingPlan(const Params& params, double peak)
    : epochs(params.get<std::int64_t>("epochs")),
      batch(params.get<std::size_t>("batch")),
      warmup_epochs(params.get<double>("warmup_epochs")),
      learning_rate(peak),
      patience(params.get<std::int64_t>("patience")) {
  if (epochs > 0 && warmup_epochs > static_cast<double>(epochs))
    throw Error("warmup_epochs: expected at most `epochs`, the whole training");
}

std::int64_t TrainingPlan::steps(std::size_t images) const {
  const std::size_t batches = (images + batch - 2) / batch;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>((batches + accumulate - 1) / accumulate));
}

double TrainingPlan::rate(std::int64_t step, std::int64_t steps_per_epoch) const {
  const auto now = static_cast<double>(step);
  const double warm = warmup_epochs * static_cast<double>(steps_per_epoch);
  const auto total = static_cast<double>(epochs * steps_per_epoch);
  if (now < warm) return learning_rate * (now + 1) / (warm + 1);
  return learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * (now - warm) / std::max(1.0, total - warm)));
}

double TrainingPlan::temperature(std::int64_t epoch) const {
  const std::size_t last = temperatures.size() - 1;
  if (epochs < 2) return temperatures[last];
  const double place =
      static_cast<double>(last) * static_cast<double>(epoch) / static_cast<double>(epochs - 1);
  const std::size_t below = std::min(last, static_cast<std::size_t>(place));
  const double share = place - static_cast<double>(below);
  if (share == 0) return temperatures[below];
  return (1 - share) * temperatures[below] + share * temperatures[below + 1];
}

TrainingRun::TrainingRun(TrainingPlan plan, std::uint64_t seed, const LearnerInput& input,
                         const Pixels& train, const Pixels& val, const augment::Augmentation& augmentation,
                         const augment::BatchMixer& mixer, Trainer& trainer, std::string identity,
                         Value origin)
    : plan_(std::move(plan)),
      seed_(seed),
      input_(input),
      train_(train),
      val_(val),
      augmentation_(augmentation),
      mixer_(mixer),
      trainer_(trainer),
      identity_(std::move(identity)),
      file_(checkpoint_in(input.work_folder)),
      steps_(plan_.steps(train.size())) {
  progress_.origin = std::move(origin);
}

void TrainingRun::resume() {
  const auto saved = checkpoint_of(file_, identity_);
  if (!saved) return;
  progress_ = TrainingProgress::from(*saved->facts.find("progress"));
  trainer_.restore(saved->tensors);
  best_ = best_in(*saved);
}

void TrainingRun::run() {
  resume();
  if (progress_.epoch == 0 && progress_.step == 0) start();
  while (!progress_.finished) {
    train_epoch();
    finish_epoch();
    const bool stopped = plan_.patience > 0 && progress_.epoch - 1 - progress_.best_epoch >= plan_.patience;
    progress_.finished = stopped || progress_.epoch == plan_.last();
    save();
  }
}

void TrainingRun::start() {
  if (!plan_.start_counts || !best_.empty()) return;
  Value point = Value::map();
  point["epoch"] = 0;
  judge(-1, std::move(point));
  progress_.finished = plan_.last() == 0;
  save();
}

TrainingStep TrainingRun::next_step(std::span<const std::uint32_t> order) const {
  const auto epoch = static_cast<std::uint32_t>(progress_.epoch);
  const std::int64_t number = progress_.epoch * steps_ + progress_.step;
  TrainingStep step{
      {}, augmentation_, epoch, number, plan_.rate(number, steps_), plan_.temperature(progress_.epoch)};
  for (std::size_t b = 0; b < plan_.accumulate; ++b) {
    const std::size_t batch = static_cast<std::size_t>(progress_.step) * plan_.accumulate + b;
    const std::size_t first = batch * plan_.batch;
    if (first >= order.size()) break;
    const std::size_t images = std::min(plan_.batch, order.size() - first);
    if (images == 1 && batch > 0) break;  // it waits for another epoch
    step.batches.push_back({order.subspan(first, images),
                            mixer_.draw(images, train_.height(), train_.width(), seed_, epoch, batch)});
  }
  return step;
}

void TrainingRun::train_epoch() {
  std::vector<std::uint32_t> order(train_.size());
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed_, "order", static_cast<std::uint32_t>(progress_.epoch));
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);

  while (progress_.step < steps_) {
    if (input_.parallel.interrupted()) {
      save();
      throw Interrupted();
    }
    const StepSum sum = trainer_.step(train_, next_step(order));
    if (!std::isfinite(sum.loss))
      throw Error(fmt::format(
          "the loss is no longer a number after {} epochs and {} steps: learning_rate is too high",
          progress_.epoch, progress_.step));
    progress_.sum += sum;
    ++progress_.step;
  }
}

void TrainingRun::finish_epoch() {
  Value point = Value::Map{{"epoch", progress_.epoch + 1},
                           {"train_loss", progress_.sum.loss / static_cast<double>(progress_.sum.images)},
                           {"train_accuracy", static_cast<double>(progress_.sum.correct) /
                                                  static_cast<double>(progress_.sum.images)}};
  judge(progress_.epoch, std::move(point));
  input_.report_step("epoch", static_cast<std::size_t>(progress_.epoch + 1),
                     static_cast<std::size_t>(plan_.last()), progress_.curve.as_list().back());
  ++progress_.epoch;
  progress_.step = 0;
  progress_.sum = {};
}

/// Measures the present weights on val, keeps them when they are the best, and puts `point` into the curve.
void TrainingRun::judge(std::int64_t epoch, Value point) {
  bool better = true;
  if (val_.size() > 0) {
    const metrics::Score score = trainer_.evaluate(val_);
    point["val_accuracy"] = score.accuracy;
    point["val_log_loss"] = score.log_loss;
    if (!std::isfinite(score.log_loss))
      throw Error(fmt::format(
          "the loss is no longer a number after {} epochs, on val: learning_rate is too high", epoch + 1));
    better = best_.empty() || metrics::better(score, progress_.best, plan_.best_by);
    if (better) progress_.best = score;
  }
  if (better) {
    progress_.best_epoch = epoch;
    best_ = trainer_.weights();
  }
  progress_.curve.push(std::move(point));
}

void TrainingRun::save() const {
  Bundle state;
  state.facts["identity"] = with_version(identity_);
  state.facts["progress"] = progress_.to_value();
  state.tensors = trainer_.state();
  for (const auto& [name, tensor] : best_) state.tensors[kBest + name] = tensor;
  write_checkpoint(file_, state);
}

std::optional<FinishedTraining> finished_training(const std::string& work_folder,
                                                  const std::string& identity) {
  const auto saved = checkpoint_of(checkpoint_in(work_folder), identity);
  if (!saved) return {};
  auto progress = TrainingProgress::from(*saved->facts.find("progress"));
  if (!progress.finished) return {};
  return FinishedTraining{std::move(progress), best_in(*saved)};
}

}  // namespace graft::training
