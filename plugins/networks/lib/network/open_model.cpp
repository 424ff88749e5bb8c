#include <network/open_model.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/text.h>

#include <network/bind.h>
#include <network/initial_weights.h>
#include <network/published.h>

namespace graft::nn {
namespace {

/// An error and its parameter.
class ParamError : public Error {
 public:
  ParamError(std::string param, const std::string& text) : Error(text), param_(std::move(param)) {}
  const std::string& param() const { return param_; }

 private:
  std::string param_;
};

void check_digest(const std::string& path, const std::string& given) {
  const std::string wanted = lower_case(given);
  if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw ParamError("sha256", fmt::format("sha256: expected 64 hexadecimal digits, got '{}'", wanted));
  const std::string got = sha256_of_file(path);
  if (got != wanted)
    throw ParamError(
        "sha256",
        fmt::format(
            "{}: expected SHA-256 {}, got {}: this is another file, or it was damaged; fetch it again "
            "or correct `sha256`",
            path, wanted, got));
}

/// Random weights of the layers that are needed.
std::map<std::string, Tensor> untrained_weights(const Params& params, const Architecture& architecture,
                                                const Outputs& outputs) {
  return initial_weights(reduced_to(architecture, outputs(architecture)),
                         params.get<std::uint64_t>("init_seed"));
}

Architecture named_architecture(const Params& params) {
  try {
    return make_architecture(params.get<std::string>("architecture"));
  } catch (const Error& fault) {
    throw ParamError("architecture", fault.what());
  }
}

/// The architecture by its name where one is given, else the one that the file's tensors fit. Throws Error if
/// it is unknown, or if the file has other modules and `architecture` does not confirm that they do not
/// matter.
Architecture architecture_for(const Params& params, const WeightFile& file) {
  const auto best = best_fit(file);
  if (params.has("architecture")) {
    const auto name = params.get<std::string>("architecture");
    // The file determines the number of classes, the name does not.
    return best && best->architecture.name == name ? best->architecture : named_architecture(params);
  }
  const std::string path = file.path().string();
  if (!best) throw Error(fmt::format("{}: {}", path, nearest_family(file)));
  const std::string& name = best->architecture.name;
  if (!best->fit.complete()) try {
      check_fit(best->architecture, file, {best->architecture.tap});
    } catch (const Error& fault) {
      if (other_channels(best->architecture, best->fit)) throw;
      throw Error(
          fmt::format("{}\n  these weights fit no architecture that graft knows; {} is the closest: name "
                      "another one with `architecture` (graft model list), or export the model "
                      "as TorchScript",
                      fault.what(), name));
    }
  if (!best->fit.strangers.empty()) {
    std::vector<std::string> names;
    for (const TensorInfo& t : best->fit.strangers)
      if (names.size() < 3) names.push_back(t.name);
    throw Error(
        fmt::format("{}: has all tensors of {}, and {} more that {} does not have ({}{}): if its features do "
                    "not need them, write `architecture: {}`; otherwise export the model as TorchScript",
                    path, name, best->fit.strangers.size(), name, fmt::join(names, ", "),
                    best->fit.strangers.size() > names.size() ? ", ..." : "", name));
  }
  return best->architecture;
}

/// The file with the weights and the architecture that it is for, or a TorchScript file.
struct OpenedFile {
  std::unique_ptr<WeightFile> file;  ///< Null: TorchScript, or no file at all.
  std::optional<Architecture> architecture;
  std::vector<Finding> findings = {};
  std::vector<std::string> notes = {};  ///< Of a published model: what was guessed and what is not used.
};

/// Headers alone are read, and the digest where one is given. Throws ParamError, and Error for the model.
OpenedFile open_file(const Params& params) {
  OpenedFile out;
  if (!params.has("model")) {
    if (!params.has("architecture") || !params.get<bool>("untrained"))
      throw ParamError(
          "model",
          "model: expected a file with weights, got none; or give `architecture` with `untrained: true`");
    out.architecture = named_architecture(params);
    return out;
  }
  ModelFiles files = find_model_files(params.get<std::string>("model"));
  if (params.has("rules")) files.rules = preprocessing::rules_from(params.get<std::string>("rules"));
  const std::string path = files.weights.string();
  if (params.has("sha256")) check_digest(path, params.get<std::string>("sha256"));
  if (inspect_torchscript(path)) {
    if (params.has("architecture"))
      throw ParamError(
          "architecture",
          fmt::format("{}: a TorchScript archive contains its own network; leave `architecture` out", path));
    return out;
  }
  const auto heads = params.has("heads") ? std::optional<int>(params.get<int>("heads")) : std::nullopt;
  if (auto published = open_published(files, heads)) {
    if (params.has("architecture"))
      throw ParamError("architecture",
                       fmt::format("{}: the files say what network it is ({}); leave `architecture` out",
                                   files.path.string(), published->architecture.name));
    const auto& layers = published->architecture.layers;
    if (heads && std::none_of(layers.begin(), layers.end(),
                              [](const Layer& layer) { return layer.op == Op::Attention; }))
      throw ParamError("heads", fmt::format("{}: {} has no attention; leave `heads` out", files.path.string(),
                                            published->architecture.name));
    const auto& found = published->findings;
    if (params.has("rules") &&
        std::none_of(found.begin(), found.end(), [](const Finding& one) { return one.what == "rules"; }))
      throw ParamError("rules", fmt::format("{}: the owners of {} do not disagree; leave `rules` out",
                                            files.path.string(), published->architecture.name));
    out.file = std::move(published->weights);
    out.architecture = std::move(published->architecture);
    out.findings = std::move(published->findings);
    out.notes = std::move(published->notes);
    return out;
  }
  for (const char* param : {"rules", "heads"})
    if (params.has(param))
      throw ParamError(param,
                       fmt::format("{}: `{}` is for published transformers, which these weights are not "
                                   "(graft model check); leave it out",
                                   path, param));
  out.file = open_weights(files);
  out.architecture = architecture_for(params, *out.file);
  return out;
}

}  // namespace

std::vector<ParamSpec> model_parameters() {
  return {
      file("model")
          .or_folder(preprocessing::model_folder_files())
          .optional()
          .doc("Weights of a known architecture, or of a published vision transformer or ConvNeXt "
               "(safetensors, or a state_dict that torch.save wrote), or the folder in which it was "
               "published, or an ONNX model, or a TorchScript archive, [n,3,height,width] in, features out. "
               "TorchScript is code: use only files that you trust."),
      text("architecture")
          .optional()
          .doc("Network that the weights are for (graft model list); default: the one that they fit."),
      choice("rules", preprocessing::rules_names())
          .optional()
          .added_later()
          .doc("Whose rules count where the owners of the same published weights disagree: LayerNorm's eps, "
               "GELU, positions at another image size, pooling, preprocessing. Default: who published the "
               "files."),
      integer("heads").range(1, 4096).optional().added_later().doc(
          "Attention heads of a published transformer whose files do not give them (graft model check)."),
      text("sha256").optional().not_in_fingerprint().doc(
          "Pins the model file, or the weights in the folder: any other file is refused."),
      flag("untrained", false)
          .doc("Random weights in place of the trained ones: the baseline that shows what pretraining is "
               "worth."),
      integer("init_seed", 1).at_least(0).doc("Seed of the random weights of `untrained`.")};
}

Model open_model(const Params& params, const Outputs& outputs) {
  Model model;
  OpenedFile opened = open_file(params);
  model.name = params.get<std::string>(params.has("model") ? "model" : "architecture");
  model.architecture = std::move(opened.architecture);
  model.findings = std::move(opened.findings);
  std::copy_if(opened.notes.begin(), opened.notes.end(), std::back_inserter(model.guesses),
               [](const std::string& note) { return note.starts_with(kGuessed); });
  if (!model.architecture) {
    model.torchscript = model.name;
    return model;
  }
  // The file is read anyway: it may determine the number of classes, and must fit.
  if (opened.file) model.weights = nn::bind(*model.architecture, *opened.file, outputs(*model.architecture));
  if (params.get<bool>("untrained")) model.weights = untrained_weights(params, *model.architecture, outputs);
  return model;
}

std::optional<Architecture> inspect_model(const Params& params, const Outputs& outputs,
                                          const std::function<void(const std::string&)>& note,
                                          std::vector<Inspection::Fault>& faults) {
  const auto found = [&](const std::string& param, std::string text) {
    // The place names the parameter already.
    if (text.starts_with(param + ": ")) text.erase(0, param.size() + 2);
    faults.push_back({param, std::move(text)});
  };
  try {
    const OpenedFile opened = open_file(params);
    if (!opened.file || !opened.architecture) return opened.architecture;
    const Architecture& net = *opened.architecture;
    const std::vector<std::string> wanted = outputs(net);
    const Fit how = fit(net, *opened.file, wanted);
    const auto best = how.complete() ? std::nullopt : best_fit(*opened.file);
    try {
      check_fit(net, *opened.file, wanted);
    } catch (const Error& fault) {
      const bool is_another = params.has("architecture") && best && best->architecture.name != net.name;
      found(is_another ? "architecture" : "model", fault.what());
      return {};
    }
    for (const std::string& text : opened.notes)
      note(fmt::format("{} as {}: {}", params.get<std::string>("model"), net.name, text));
    if (const std::string text = taken(net, *opened.file, how); !text.empty())
      note(fmt::format("{}: {}", opened.file->path().string(), text));
    return opened.architecture;
  } catch (const ParamError& fault) {
    found(fault.param(), fault.what());
  } catch (const Error& fault) {
    found("model", fault.what());
  }
  return {};
}

std::string preset_of(const Model& model) {
  return model.architecture ? model.architecture->preprocessing.preset : "imagenet";
}

Value resolved_normalization(const Params& params, const Model& model) {
  return Normalizer::resolved(params.object("normalize"),
                              model.architecture ? model.architecture->preprocessing : Preprocessing());
}

Normalizer normalizer_of(const Params& params, const Model& model) {
  return Normalizer(params.object("normalize"),
                    model.architecture ? model.architecture->preprocessing : Preprocessing());
}

}  // namespace graft::nn
