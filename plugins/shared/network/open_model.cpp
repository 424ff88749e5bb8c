#include "open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>

#include "bind.h"
#include "initial_weights.h"

namespace graft::nn {
namespace {

void check_digest(const std::string& path, std::string wanted) {
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Error(fmt::format("sha256: expected 64 hexadecimal digits, got '{}'", wanted));
  const std::string got = sha256_of_file(path);
  if (got != wanted)
    throw Error(
        fmt::format("{}: expected SHA-256 {}, got {}: this is another file, or it was damaged; fetch it anew "
                    "or correct `sha256`",
                    path, wanted, got));
}

/// Random weights of the layers that are needed.
std::map<std::string, Tensor> untrained_weights(const Params& params, const Architecture& architecture,
                                                const Outputs& outputs) {
  return initial_weights(reduced_to(architecture, outputs(architecture)),
                         params.get<std::uint64_t>("init_seed"));
}

/// The architecture by its name where one is given, else the one that the file's tensors fit.
Architecture architecture_for(const Params& params, const WeightFile& file) {
  const auto best = best_fit(file);
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
  return best && best->architecture.name == name ? best->architecture : make_architecture(name);
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

void check_pinned(const Params& params) {
  if (params.has("model") && params.has("sha256"))
    check_digest(params.get<std::string>("model"), params.get<std::string>("sha256"));
}

Model open_model(const Params& params, const Outputs& outputs) {
  Model model;
  const bool untrained = params.get<bool>("untrained");
  if (!params.has("model")) {
    if (!params.has("architecture") || !untrained)
      throw Error(
          "model: expected a file with weights, got none; or give `architecture` with `untrained: true`");
    model.name = params.get<std::string>("architecture");
    model.architecture = make_architecture(model.name);
    model.weights = untrained_weights(params, *model.architecture, outputs);
    return model;
  }
  model.name = params.get<std::string>("model");
  check_pinned(params);
  if (look_into_torchscript(model.name)) {
    if (params.has("architecture"))
      throw Error(fmt::format("{}: a TorchScript archive brings its own network; leave `architecture` out",
                              model.name));
    model.torchscript = model.name;
    return model;
  }
  const auto file = open_weights(model.name);
  model.architecture = architecture_for(params, *file);
  model.weights = nn::bind(*model.architecture, *file, outputs(*model.architecture));
  // The file has been read all the same: it may say how many classes there are, and must fit.
  if (untrained) model.weights = untrained_weights(params, *model.architecture, outputs);
  return model;
}

std::string preset_of(const Model& model) {
  return model.architecture ? model.architecture->preprocessing.preset : "imagenet";
}

Normalizer normalizer_of(const Params& params, const Model& model) {
  return Normalizer(params.object("normalize"), preset_of(model));
}

}  // namespace graft::nn
