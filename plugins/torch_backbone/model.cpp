#include "model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include <graft/error.h>
#include <network/bind.h>
#include <network/initial_weights.h>
#include <network/sha256.h>

using namespace graft;

namespace {

void check_digest(const std::string& path, std::string wanted) {
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Error(fmt::format("sha256: expected 64 hexadecimal digits, got '{}'", wanted));
  const std::string got = nn::sha256_of_file(path);
  if (got != wanted)
    throw Error(
        fmt::format("{}: expected SHA-256 {}, got {}: this is another file, or it was damaged; fetch it anew "
                    "or correct `sha256`",
                    path, wanted, got));
}

/// The layers that taps or concatenate name, in the words of the config.
std::vector<std::string> wanted_taps(const Params& params) {
  auto taps = params.get<std::vector<std::string>>("taps");
  if (!params.has("concatenate")) return taps;
  if (!taps.empty()) throw Error("taps, concatenate: expected one of the two, got both");
  return params.get<std::vector<std::string>>("concatenate");
}

std::vector<std::string> resolved_taps(const Params& params, const nn::Model& model) {
  std::vector<std::string> taps = wanted_taps(params);
  if (model.architecture)
    for (std::string& tap : taps) tap = nn::resolve_tap(*model.architecture, tap);
  return taps;
}

/// The layers of a described network whose values are wanted.
std::vector<std::string> outputs_of(const Params& params, const nn::Model& model) {
  const std::vector<std::string> taps = resolved_taps(params, model);
  return taps.empty() ? std::vector{model.architecture->tap} : taps;
}

/// Random weights of the layers that are needed.
std::map<std::string, Tensor> untrained_weights(const Params& params, const nn::Model& model) {
  return nn::initial_weights(nn::reduced_to(*model.architecture, outputs_of(params, model)),
                             params.get<std::uint64_t>("init_seed"));
}

/// The architecture by its name where one is given, else the one that the file's tensors fit.
nn::Architecture architecture_for(const Params& params, const nn::WeightFile& file) {
  const auto best = nn::best_fit(file);
  if (!params.has("architecture")) {
    if (best && best->fit.complete()) return best->architecture;
    throw Error(fmt::format(
        "{}: these weights fit no architecture that graft knows{}; name it with `architecture` (graft model "
        "list), or export the model as TorchScript",
        file.path().string(),
        best ? fmt::format(" (the nearest is {})", best->architecture.name) : std::string()));
  }
  const auto name = params.get<std::string>("architecture");
  // The file knows how many classes there are, the name does not.
  return best && best->architecture.name == name ? best->architecture : nn::make_architecture(name);
}

}  // namespace

std::vector<ParamSpec> model_parameters() {
  return {file("model").optional().doc(
              "Weights of a known architecture (safetensors, or a state_dict that torch.save wrote), or a "
              "TorchScript archive, [n,3,height,width] in, features out. TorchScript is code: use only files "
              "that "
              "you trust."),
          text("architecture")
              .optional()
              .doc("Network that the weights are for (graft model list); left out: the one that they fit."),
          text("sha256").optional().neutral().doc("Pins the model file: any other file is refused."),
          flag("untrained", false)
              .doc("Random weights in place of the trained ones: the baseline that shows what pretraining is "
                   "worth."),
          integer("init_seed", 1).at_least(0).doc("Seed of the random weights of `untrained`.")};
}

nn::Model open_model(const Params& params) {
  nn::Model model;
  const bool untrained = params.get<bool>("untrained");
  if (!params.has("model")) {
    if (!params.has("architecture") || !untrained)
      throw Error(
          "model: expected a file with weights, got none; or give `architecture` with `untrained: true`");
    model.name = params.get<std::string>("architecture");
    model.architecture = nn::make_architecture(model.name);
    model.weights = untrained_weights(params, model);
    return model;
  }
  model.name = params.get<std::string>("model");
  if (params.has("sha256")) check_digest(model.name, params.get<std::string>("sha256"));
  if (nn::look_into_torchscript(model.name)) {
    if (params.has("architecture"))
      throw Error(fmt::format("{}: a TorchScript archive brings its own network; leave `architecture` out",
                              model.name));
    model.torchscript = model.name;
    return model;
  }
  const auto file = nn::open_weights(model.name);
  model.architecture = architecture_for(params, *file);
  model.weights = nn::bind(*model.architecture, *file, outputs_of(params, model));
  // The file has been read all the same: it may say how many classes there are, and must fit.
  if (untrained) model.weights = untrained_weights(params, model);
  return model;
}

Normalizer normalizer_of(const Params& params, const nn::Model& model) {
  return Normalizer(params.object("normalize"),
                    model.architecture ? model.architecture->preprocessing.preset : "imagenet");
}

std::vector<ParamSpec> engine_parameters() {
  return {
      service("engine", "fused")
          .doc("fused: layers merged and laid out for speed; torch: layer by layer, the reference."),
      choice("precision", {"fp32", "bf16", "auto"}, "fp32")
          .auto_by_processor("avx512bf16", "bf16")
          .doc("Of weights and activations; bf16 is faster where the processor has it, and changes features "
               "by about a hundredth. auto: bf16 on such a processor."),
      text("device", "auto").neutral().doc("cpu, cuda, cuda:NUMBER; auto: a GPU where LibTorch sees one."),
      integer("threads_per_batch")
          .range(1, 1024)
          .unit("threads")
          .optional()
          .neutral()
          .doc("Threads that share one batch. Left out, with concurrent_batches: measured at the start of a "
               "large "
               "run, else 1; the manifest has the outcome."),
      integer("concurrent_batches")
          .range(1, 1024)
          .unit("batches")
          .optional()
          .neutral()
          .doc("Batches that are computed at the same time. Left out: as many as the threads allow.")};
}

std::unique_ptr<nn::Engine> make_engine(const StageContext& context, const nn::Model& model, int threads) {
  const Params& params = context.params;
  nn::EngineOptions options;
  options.taps = resolved_taps(params, model);
  options.batch = params.get<int>("batch");
  options.precision = params.get<std::string>("precision");
  options.device = params.get<std::string>("device");
  options.threads = threads;
  // A described network has been given random weights already.
  if (params.get<bool>("untrained") && !model.architecture)
    options.forget = params.get<std::uint64_t>("init_seed");
  options.warn = context.warn;
  return nn::engine_service<nn::EngineService>(context.service, params.get<std::string>("engine"))
      .make(model, std::move(options));
}
