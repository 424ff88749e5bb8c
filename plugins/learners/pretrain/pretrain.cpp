#include <fmt/format.h>
#include <torch/version.h>

#include <filesystem>
#include <memory>
#include <utility>

#include <graft/files.h>
#include <graft/plugin.h>
#include <graft/safetensors.h>

#include <augment/augmentation.h>
#include <augment/batch_mix.h>
#include <network/architecture.h>

#include <network/initial_weights.h>
#include <training/optimizer.h>
#include <training/pixels.h>
#include <training/trainable_network.h>
#include <training/trainer.h>
#include <training/training_run.h>

#include "predictor.h"

namespace {

using namespace graft;

/// Trains a network from scratch: the source model of a transfer that starts from nothing. The model is
/// the one of the epoch with the best accuracy on val (of the last epoch where there is no val); it is not
/// refit on val.
///
/// Leaves in its work folder `checkpoint.bin`, from which an interrupted or repeated run goes on to the same
/// bits, and the weights as a safetensors file (`save_weights`). All threads are used; results do not depend
/// on their number.
class Pretrain final : public Learner {
 public:
  explicit Pretrain(const StageContext& context)
      : params_(context.params),
        seed_(context.seed),
        normalizer_(params_.object("normalize"), usual_network().preprocessing.preset),
        augmentation_(params_),
        mixer_(params_),
        optimizer_(params_),
        plan_(params_, optimizer_.learning_rate) {}

  LearnerResult fit(const LearnerInput& input) override {
    if (input.tables.size() != 1)
      throw Error(fmt::format("expected one table of pixels, got {}", input.tables.size()));
    if (input.classes.size() < 2)
      throw Error(fmt::format("expected at least two classes, got {}", input.classes.size()));
    const training::TrainingPixels pixels(input.tables[0], {input.classes.size()}, normalizer_);

    Value facts = Value::Map{{"architecture", params_.get<std::string>("architecture")},
                             {"width", params_.raw("width")},
                             {"class_count", static_cast<std::int64_t>(input.classes.size())},
                             {"image_height", pixels.train.height()},
                             {"image_width", pixels.train.width()},
                             {"normalize", params_.raw("normalize")}};

    const nn::Architecture architecture = architecture_of(facts);
    training::TrainerOptions options;
    options.batch = plan_.batch;
    options.optimizer = optimizer_;
    options.label_smoothing = params_.get<double>("label_smoothing");
    options.ema = params_.get<double>("ema");
    options.seed = seed_;
    const auto network = training::trainable(architecture, nn::initial_weights(architecture, seed_));
    training::Trainer trainer(options, *network, nullptr, input.parallel.uninterrupted());
    training::TrainingRun run(plan_, seed_, input, pixels.train, pixels.val, augmentation_, mixer_, trainer,
                              identity(facts, pixels));
    run.run();

    if (params_.has("save_weights"))
      write_file_atomically(
          std::filesystem::path(input.work_folder) / params_.get<std::string>("save_weights"),
          to_safetensors(run.best()));

    auto predictor = std::make_unique<PretrainPredictor>(std::move(facts), run.best());
    LearnerResult result;
    if (input.tables[0].val->rows() > 0)
      result.val = predictor->predict({input.tables[0].val}, input.parallel);
    result.summary = summary(run.progress(), architecture);
    result.predictor = std::move(predictor);
    return result;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return std::make_unique<PretrainPredictor>(bundle.facts, bundle.tensors);
  }

 private:
  /// Throws Error for a width that the network cannot have.
  nn::Architecture usual_network() const {
    nn::Options options;
    if (params_.has("width")) options.width = params_.get<int>("width");
    return nn::make_architecture(params_.get<std::string>("architecture"), options);
  }

  static std::int64_t parameters_in(const nn::Architecture& architecture) {
    std::int64_t n = 0;
    for (const nn::Layer& layer : architecture.layers)
      for (const nn::Parameter& parameter : nn::parameters_of(layer))
        if (parameter.trainable) n += elements(parameter.shape);
    return n;
  }

  /// What a checkpoint must agree with to be continued.
  std::string identity(const Value& facts, const training::TrainingPixels& pixels) const {
    Value all = params_.value();
    all["save_weights"] = nullptr;
    return digest(all.to_json() + facts.to_json() + std::to_string(seed_) + pixels.train.identity() +
                  pixels.val.identity() + TORCH_VERSION)
        .hex();
  }

  Value summary(const training::TrainingProgress& progress, const nn::Architecture& architecture) const {
    Value v = Value::Map{{"architecture", params_.get<std::string>("architecture")},
                         {"parameters", parameters_in(architecture)},
                         {"features", architecture.features},
                         {"learning_rate", optimizer_.learning_rate},
                         {"weight_decay", optimizer_.weight_decay},
                         {"epochs", progress.epoch},
                         {"best_epoch", progress.best_epoch + 1},
                         {"stopped_early", progress.epoch < plan_.epochs}};
    if (params_.has("save_weights")) v["weights"] = params_.get<std::string>("save_weights");
    v["curve"] = progress.curve;
    return v;
  }

  Params params_;
  std::uint64_t seed_;
  Normalizer normalizer_;
  augment::Augmentation augmentation_;
  augment::BatchMixer mixer_;
  training::OptimizerOptions optimizer_;
  training::TrainingPlan plan_;
};

constexpr training::PlanDefaults kUsualPlan = {
    .epochs = 30, .least_epochs = 1, .batch = 128, .warmup_epochs = 1, .label_smoothing = 0.1, .patience = 0};

/// Mirrored every second time, and moved by up to 4 px in each direction; edge pixels fill the gap.
Value::List default_operations() {
  Value shift = Value::map();
  shift["random_crop"]["padding"] = 4;
  shift["random_crop"]["padding_mode"] = "edge";
  return {"flip", shift};
}

const char* const kExample = R"(name: pretrain-example
stages:
  images: {plugin: synthetic, with: {task: source, train: 4000, val: 500}}
  pixels: {plugin: pixel_table, from: images}
  net: {plugin: pretrain, from: pixels, with: {architecture: resnet8, epochs: 10}}
  report: {plugin: evaluate, from: net}
)";

}  // namespace

GRAFT_PLUGIN(
    pretrain, "2.2.1", Pretrain,
    graft::PluginSchema::learner(
        "Trains a convolutional network from scratch and keeps its weights for a transfer.")
        .input(graft::PortType::Table, "Pixels: u8[height,width,3], one label per image.")
        .output("out", graft::PortType::Predictor, "", "The network of the epoch that was best on val.")
        .param(graft::choice("architecture", graft::nn::architecture_names(), "resnet14")
                   .doc("Which network: graft model list."))
        .param(
            graft::integer("width")
                .optional()
                .range(4, 256)
                .unit("channels")
                .doc("Channels of the first stage of a network for small images; a resnet gives 4 times as "
                     "many features, lenet 8 times. Default: 16."))
        .params_from(graft::training::plan_parameters(kUsualPlan))
        .params_from(graft::training::optimizer_parameters())
        .param(graft::number("ema", 0)
                   .range(0, 0.99999)
                   .doc("Decay of a moving average of the weights, which val and the saved network then use; "
                        "less in the first steps; 0: none."))
        .param(graft::augment::Augmentation::parameter(default_operations()))
        .params_from(graft::augment::BatchMixer::parameters())
        .param(graft::Normalizer::parameter())
        .param(graft::text("save_weights", "weights.safetensors")
                   .optional()
                   .not_in_fingerprint()
                   .doc("Where the weights go, with the classifier's, for backbone; relative to the "
                        "stage's work folder."))
        .depends_on_seed()
        .uses_libraries("libtorch " TORCH_VERSION)
        .example(kExample))
