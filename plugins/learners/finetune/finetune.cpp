#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <graft/hash.h>
#include <graft/plugin.h>

#include <augment/augmentation.h>
#include <augment/batch_mix.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include <learning/warnings.h>
#include <network/open_model.h>
#include <training/frozen_part.h>
#include <training/optimizer.h>
#include <training/pixels.h>
#include <training/trainable_network.h>
#include <training/trainer.h>
#include <training/training_run.h>

#include "described_division.h"
#include "divided_network.h"
#include "inspect.h"
#include "predictor.h"
#include "probe.h"
#include "unfreezing.h"

namespace {

using namespace graft;

constexpr training::OptimizerDefaults kUsualOptimizer = {
    .name = "adamw", .sgd = {1e-3, 1e-4}, .adamw = {1e-4, 0.01}};
constexpr training::PlanDefaults kUsualPlan = {
    .epochs = 10, .least_epochs = 0, .batch = 32, .warmup_epochs = 1, .label_smoothing = 0, .patience = 0};

/// The classes that a network learns: those of train. The others get no output, and the score 0.
struct Outputs {
  std::vector<std::int32_t> classes;  ///< Of each output.
  training::LabelRule rule;

  Outputs(const RowSet& train, std::size_t count, bool several) : rule{count, several} {
    std::vector<bool> seen(count);
    for (std::size_t row = 0; row < train.rows(); ++row)
      for (const std::int32_t label : train.labels(row))
        if (label >= 0 && static_cast<std::size_t>(label) < count)
          seen[static_cast<std::size_t>(label)] = true;
    for (std::size_t c = 0; c < count; ++c) {
      const bool learnt = seen[c] || several;  // that no image shows a class is an answer there
      rule.output_of.push_back(learnt ? static_cast<std::int32_t>(classes.size()) : -1);
      if (learnt) classes.push_back(static_cast<std::int32_t>(c));
    }
  }
};

/// No row of a table that has others.
class NoRows final : public RowSet {
 public:
  explicit NoRows(const RowSet& like) : like_(like) {}
  std::size_t rows() const override { return 0; }
  const Shape& shape() const override { return like_.shape(); }
  DType dtype() const override { return like_.dtype(); }
  std::string_view key(std::size_t) const override { return {}; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Val; }
  std::span<const std::int32_t> labels(std::size_t) const override { return {}; }
  void read(std::size_t, std::size_t, float*) const override {}
  void read_raw(std::size_t, std::size_t, void*) const override {}

 private:
  const RowSet& like_;
};

/// Transfers a pretrained network by training a part of it, with a new classifier, on a table of pixels.
///
/// The classifier starts from the probe's solution (`init`), so the start is a transfer without fine-tuning;
/// it counts as epoch 0 when the best epoch on val is chosen. Then all is trained again on train and val
/// together, for as many epochs (`refit`).
///
/// Leaves `checkpoint.bin` in its work folder, and one in `refit` there, from which an interrupted run goes
/// on to the same bits, and which spares a finished one. All threads are used; results do not depend on their
/// number.
class Finetune final : public Learner {
 public:
  explicit Finetune(const StageContext& context)
      : params_(context.params),
        seed_(context.seed),
        warn_(context.warn),
        engines_([service = context.service,
                  name = context.params.get<std::string>("engine")]() -> const nn::EngineService& {
          return nn::engine_service<nn::EngineService>(service, name);
        }),
        optimizer_(params_, kUsualOptimizer),
        plan_(params_, optimizer_.learning_rate),
        augmentation_(params_),
        mixer_(params_) {
    plan_.accumulate = params_.get<std::size_t>("accumulate");
    plan_.start_counts = true;
    if (params_.has("temperatures")) plan_.temperatures = params_.get<std::vector<double>>("temperatures");
    if (!std::is_sorted(plan_.temperatures.rbegin(), plan_.temperatures.rend()))
      throw Error("temperatures: expected them from high to low");
    // Without a model there can be no fit, but a bundle brings its own network.
    if (params_.has("model") || params_.has("architecture")) open();
  }

  static Inspection inspect(const StageContext& context) { return inspect_finetune(context); }

  LearnerResult fit(const LearnerInput& input) override {
    if (input.tables.size() != 1)
      throw Error(fmt::format("expected one table of pixels, got {}", input.tables.size()));
    // With several labels, one class may be told apart from none.
    if (input.classes.size() < 2 && !input.multi_label)
      throw Error(fmt::format("expected at least two classes, got {}", input.classes.size()));
    if (!model_) open();
    const TrainingTable& table = input.tables[0];
    training::TrainingPlan plan = plan_;
    if (input.multi_label || params_.get<std::string>("best_by") == "loss")
      plan.best_by = metrics::Criterion::LogLoss;
    Fitted chosen = fit(table, input, plan, {});
    LearnerResult result;
    result.summary = std::move(chosen.summary);
    if (table.val->rows() > 0) result.val = chosen.predictor->predict({table.val}, input.parallel);
    if (chosen.val_images == 0 || !params_.get<bool>("refit")) {
      result.predictor = std::move(chosen.predictor);
      return result;
    }

    const NoRows nothing(*table.val);
    const TrainingTable all{table.stage, table.train_val, &nothing, table.train_val};
    plan.stop_after = chosen.best_epoch;
    LearnerInput again{{all}, input.classes, input.parallel, input.work_folder + "/refit", input.multi_label};
    std::filesystem::create_directories(again.work_folder);
    Fitted refit = fit(all, again, plan, chosen.c);
    result.summary["refit"]["train_images"] = *refit.summary.find("train_images");
    result.summary["refit"]["curve"] = *refit.summary.find("curve");
    result.predictor = std::move(refit.predictor);
    return result;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return std::make_unique<FinetunePredictor>(bundle, engines_, model_ ? model_->torchscript : "");
  }

 private:
  struct Fitted {
    std::unique_ptr<FinetunePredictor> predictor;
    Value summary;
    std::size_t val_images = 0;
    std::int64_t best_epoch = 0;  ///< Epochs trained until then.
    std::optional<double> c;      ///< Of the probe that it began with.
  };

  /// One training, or what is left of one. `c`: of the probe, where it has been chosen already.
  Fitted fit(const TrainingTable& table, const LearnerInput& input, const training::TrainingPlan& plan,
             std::optional<double> c) const {
    const bool refit = plan.stop_after.has_value();
    const Outputs outputs(*table.train, input.classes.size(), input.multi_label);
    const training::TrainingPixels pixels(table, outputs.rule, *normalizer_);
    if (!refit) check_classes(pixels, outputs, table, input);
    const auto network = divide(*model_, params_, engines_, warn_, outputs.classes.size(),
                                pixels.train.height(), pixels.train.width());
    const std::string identity = identity_of(*network, outputs, pixels, plan, c);
    std::optional<training::FinishedTraining> done = training::finished_training(input.work_folder, identity);
    if (!done) done = train(input, *network, outputs, pixels, plan, identity, c);

    Bundle bundle;
    network->save(done->best, bundle);
    bundle.facts["class_count"] = static_cast<std::int64_t>(input.classes.size());
    bundle.facts["outputs"] = Value::List(outputs.classes.begin(), outputs.classes.end());
    bundle.facts["multi_label"] = input.multi_label;
    bundle.facts["image_height"] = pixels.train.height();
    bundle.facts["image_width"] = pixels.train.width();
    bundle.facts["normalize"] = nn::resolved_normalization(params_, *model_);
    bundle.facts["preset"] = nn::preset_of(*model_);
    Fitted out;
    out.predictor = std::make_unique<FinetunePredictor>(std::move(bundle), engines_, model_->torchscript);
    out.summary = summary(*network, done->progress, pixels);
    out.val_images = pixels.val.size();
    out.best_epoch = done->progress.best_epoch + 1;
    if (const Value* probe = done->progress.origin.find("probe"))
      if (const Value* chosen = probe->find("c")) out.c = chosen->as_double();
    return out;
  }

  void open() {
    model_ = nn::open_model(params_, [](const nn::Architecture& net) { return std::vector{net.tap}; });
    normalizer_ = nn::normalizer_of(params_, *model_);
    // A block that is not there shows before the images are read; in a TorchScript file, after.
    if (model_->architecture) check_blocks(*model_->architecture, params_);
  }

  void check_classes(const training::TrainingPixels& pixels, const Outputs& outputs,
                     const TrainingTable& table, const LearnerInput& input) const {
    if (!input.multi_label)
      learning::require_classes(table.stage, outputs.classes.size(), input.classes.size(),
                                metrics::LabelMode::Single);
    std::vector<std::int32_t> present;
    for (std::size_t i = 0; i < pixels.train.size(); ++i)
      for (const std::int32_t output : pixels.train.labels(i))
        present.push_back(outputs.classes[static_cast<std::size_t>(output)]);
    learning::warn_absent_classes(present, input.classes, warn_,
                                  input.multi_label ? "the score of such a class has nothing to go by"
                                                    : "the score of such a class is 0");
    if (pixels.val.size() == 0)
      learning::warn_no_val_rows(table.stage, "choose an epoch on", "taking the last one", "", warn_);
  }

  /// No image ever changes: what is in front of the trained layers need be computed once only.
  bool images_stay() const {
    return params_.raw("operations").as_list().empty() && params_.get<double>("mixup") == 0 &&
           params_.get<double>("cutmix") == 0;
  }

  training::FinishedTraining train(const LearnerInput& input, const DividedNetwork& network,
                                   const Outputs& outputs, const training::TrainingPixels& pixels,
                                   const training::TrainingPlan& plan, const std::string& identity,
                                   std::optional<double> c) const {
    const std::size_t cache = learning::cache_bytes(params_);
    const auto before = network.frozen_part();
    if (before) {
      const auto keep = [&](const training::Pixels& of) {
        before->keep(of, cache - std::min(cache, before->kept_bytes()), input.parallel);
      };
      if (images_stay()) keep(pixels.train);
      keep(pixels.val);
    }
    Value origin = Value::map();
    const LinearHead head = first_head(input, network, before.get(), outputs, pixels, c, origin);

    training::TrainerOptions options;
    options.optimizer = optimizer_;
    options.groups = groups(network, plan.steps(pixels.train.size()));
    options.train_statistics = params_.get<std::string>("batch_norm") == "train";
    options.several_labels = input.multi_label;
    options.batch = plan.batch;
    options.part = options.train_statistics ? 32 : 8;  // statistics want more images than threads do
    options.label_smoothing = params_.get<double>("label_smoothing");
    if (params_.has("clip")) options.clip = params_.get<double>("clip");
    options.bf16 = params_.get<std::string>("precision") == "bf16";
    options.seed = seed_;
    const auto trained = network.trainable_part(head, params_.get<double>("dropout"));
    training::Trainer trainer(options, *trained, before.get(), input.parallel.uninterrupted());
    origin["trainable_parameters"] = trainer.trainable_parameters();
    training::TrainingRun run(plan, seed_, input, pixels.train, pixels.val, augmentation_, mixer_, trainer,
                              identity, std::move(origin));
    run.run();
    return {run.progress(), run.best()};
  }

  LinearHead first_head(const LearnerInput& input, const DividedNetwork& network,
                        training::FrozenPart* before, const Outputs& outputs,
                        const training::TrainingPixels& pixels, std::optional<double> c,
                        Value& origin) const {
    if (params_.get<std::string>("init") == "random")
      return random_head(outputs.classes.size(), network.features(), seed_);
    // What is in front of the classifier alone are the features.
    const bool shared = network.only_head() && before != nullptr;
    const auto own = shared ? nullptr : network.feature_part();
    training::FrozenPart& part = shared ? *before : *own;
    const auto rows_of = [&](const training::Pixels& of) {
      ProbeRows rows;
      rows.dim = network.features();
      rows.features = part.values(of, input.parallel);
      for (std::size_t i = 0; i < of.size(); ++i) rows.labels.push_back(of.labels(i));
      return rows;
    };
    ProbeOptions options;
    options.c = c ? std::vector{*c} : learning::ascending(params_.get<std::vector<double>>("probe_c"));
    options.mode = metrics::label_mode(input.multi_label);
    options.warn = warn_;
    Probe probe = fit_probe(rows_of(pixels.train), rows_of(pixels.val), outputs.classes.size(), options,
                            input.parallel);
    origin["probe"] = std::move(probe.summary);
    return probe.head;
  }

  double rate_of(const DividedNetwork::TrainedBlock& block) const {
    return params_.get<double>("backbone_rate") *
           std::pow(params_.get<double>("decay"), static_cast<double>(block.distance) - 1);
  }

  std::vector<training::ParameterGroup> groups(const DividedNetwork& network, std::int64_t steps) const {
    const std::string head = kHead;
    std::vector<training::ParameterGroup> out = {{{head + ".weight", head + ".bias"}, 1, 0}};
    for (const auto& block : network.trained())
      out.push_back({block.paths, rate_of(block), block.first_epoch * steps});
    return out;
  }

  /// What a checkpoint must agree with to be continued.
  std::string identity_of(const DividedNetwork& network, const Outputs& outputs,
                          const training::TrainingPixels& pixels, const training::TrainingPlan& plan,
                          std::optional<double> c) const {
    Value all = params_.value();
    for (const char* other : {"model", "sha256", "cache", "refit"}) all[other] = nullptr;
    if (plan.stop_after) {
      all["stop_after"] = *plan.stop_after;
      all["c"] = c ? Value(*c) : Value();
    }
    return digest(all.to_json() + network.identity() + std::to_string(outputs.classes.size()) +
                  (outputs.rule.several ? " several " : " ") + std::to_string(seed_) +
                  pixels.train.identity() + pixels.val.identity() + TORCH_VERSION)
        .hex();
  }

  Value summary(const DividedNetwork& network, const training::TrainingProgress& progress,
                const training::TrainingPixels& pixels) const {
    Value v = Value::Map{{"epochs", progress.epoch},
                         {"best_epoch", progress.best_epoch + 1},
                         {"chosen_on", pixels.val.size() > 0 ? "val" : "nothing"},
                         {"stopped_early", progress.epoch < plan_.epochs},
                         {"train_images", static_cast<std::int64_t>(pixels.train.size())},
                         {"val_images", static_cast<std::int64_t>(pixels.val.size())},
                         {"features", static_cast<std::int64_t>(network.features())},
                         {"learning_rate", optimizer_.learning_rate},
                         {"weight_decay", optimizer_.weight_decay},
                         {"trained", Value::list()}};
    for (const auto& block : network.trained()) {
      Value one =
          Value::Map{{"block", block.name}, {"learning_rate", optimizer_.learning_rate * rate_of(block)}};
      if (block.first_epoch > 0) one["from_epoch"] = block.first_epoch + 1;
      v["trained"].push(std::move(one));
    }
    for (const auto& [name, value] : progress.origin.as_map()) v[name] = value;
    v["curve"] = progress.curve;
    return v;
  }

  Params params_;
  std::uint64_t seed_;
  learning::Warn warn_;
  Engines engines_;
  training::OptimizerOptions optimizer_;
  training::TrainingPlan plan_;
  augment::Augmentation augmentation_;
  augment::BatchMixer mixer_;
  std::optional<nn::Model> model_;
  std::optional<Normalizer> normalizer_;
};

/// Mirrored every second time, and a part of the image at its size. Cut too small, it shows another thing.
Value::List usual_operations() {
  Value part = Value::map();
  part["random_resized_crop"]["size"] = nullptr;
  part["random_resized_crop"]["scale"] = Value::List{0.35, 1.0};
  return {"flip", part};
}

Value::List usual_c() {
  return {1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0};
}

const char* const kExample = R"(name: finetune-example
stages:
  images: {plugin: synthetic}
  pixels: {plugin: pixel_table, from: images}
  tuned:
    plugin: finetune
    from: pixels
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors", unfreeze: {last: 1}}
  report: {plugin: evaluate, from: tuned}
)";

}  // namespace

GRAFT_PLUGIN(
    finetune, "1.1.2", Finetune,
    graft::PluginSchema::learner("Trains a part of a pretrained network, with a new classifier, on pixels.")
        .input(graft::PortType::Table, "Pixels: u8[height,width,3].")
        .output("out", graft::PortType::Predictor, "",
                "The network after as many epochs as were best on val; the probe's, where none was better.")
        .params_from(graft::nn::model_parameters())
        .param(graft::Normalizer::parameter())
        .param(graft::unfreeze_parameter())
        .param(
            graft::choice("batch_norm", {"frozen", "train"}, "frozen")
                .doc("Statistics of the batch-norm layers that are trained: as they are, or of each batch."))
        .param(
            graft::choice("init", {"probe", "random"}, "probe")
                .doc("The new classifier at the start: logistic regression on the features, or small random "
                     "weights."))
        .param(graft::list("probe_c", graft::number("c").range(1e-9, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list(usual_c())
                   .doc("Weights of the data against the penalty 0.5 |W|^2 for `init: probe`, as in "
                        "linear_probe; the best on val is taken."))
        .params_from(graft::training::plan_parameters(kUsualPlan))
        .param(graft::choice("best_by", {"accuracy", "loss"}, "loss")
                   .doc("What on val makes an epoch the best: accuracy, ties go to the lower loss; or loss "
                        "alone, as always where images have several labels."))
        .param(graft::flag("refit", true)
                   .doc("Train once more on train and val together, for as many epochs as were best on val."))
        .params_from(graft::training::optimizer_parameters(kUsualOptimizer))
        .param(
            graft::number("backbone_rate", 0.3)
                .range(0, 100)
                .doc("Learning rate of the block next to the classifier, as a factor of learning_rate, which "
                     "is the classifier's."))
        .param(
            graft::number("decay", 0.8)
                .range(0, 1)
                .doc("Factor from each block to the one before it: block k from the classifier learns with "
                     "learning_rate * backbone_rate * decay^(k-1)."))
        .param(graft::integer("accumulate", 1)
                   .range(1, 4096)
                   .unit("batches")
                   .doc("Batches whose gradients are added up for one step."))
        .param(graft::number("clip").range(1e-6, 1e6).optional().doc(
            "Maximum norm of a step's gradient; default: no limit."))
        .param(
            graft::number("dropout", 0).range(0, 0.95).doc("Dropout of the features before the classifier."))
        .param(
            graft::list("temperatures", graft::number("temperature").range(1e-3, 1e3))
                .items(1, 1000)
                .optional()
                .doc("High to low: logits are divided by them in the loss, the first in the first epoch, the "
                     "last in the last one, linearly between; default: 1."))
        .param(graft::augment::Augmentation::parameter(usual_operations()))
        .params_from(graft::augment::BatchMixer::parameters())
        .param(
            graft::choice("precision", {"fp32", "bf16"}, "fp32")
                .doc("Of products in the layers that are trained, in training; weights, val and predictions "
                     "stay fp32."))
        .param(graft::service("engine", "fused")
                   .doc("Engine of the layers before those, and of predictions; see backbone."))
        .param(graft::learning::cache_parameter(
            "What the frozen layers give is kept up to this size where it stays the same: of val, "
            "and of train without operations, mixup and cutmix."))
        .depends_on_seed()
        .uses_libraries("libtorch " TORCH_VERSION)
        .may_need("engine_torch")
        .example(kExample))
