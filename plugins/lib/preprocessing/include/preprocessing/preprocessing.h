#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <graft/stage.h>

namespace graft::preprocessing {

/// What a network was trained on: resize the shorter side, cut out the centre, then (x / scale - mean) / std
/// for each of red, green and blue. Where a network is changed here, the versions of `decode` and `resize`
/// must be raised: they know it by its name alone.
struct Preprocessing {
  int resize = 256, crop = 224;     ///< Pixels.
  std::string filter = "bilinear";  ///< Antialiased, as in Pillow: "box", "bilinear", "bicubic", "lanczos".
  bool squash = false;              ///< To resize x resize, whatever the shape of the image.
  /// The crop begins at floor((n - crop) / 2) as at Hugging Face, not at torchvision's half to even: one
  /// pixel apart for a remainder of 3 modulo 4.
  bool floor_crop = false;
  bool tensors = false;  ///< Resized as torchvision resizes tensors, not as Pillow resizes images.
  /// The name of the next three: "imagenet" or "tf"; "own": none.
  std::string preset = "imagenet";
  double scale = 255;
  std::array<double, 3> mean = {0.485, 0.456, 0.406}, deviation = {0.229, 0.224, 0.225};
};

/// For people: "shorter side to 256 px (bilinear), crop 224 px, normalize: imagenet".
std::string to_string(const Preprocessing& preprocessing);

/// Every network that is known by its name, family by family.
const std::vector<std::string>& network_names();

/// Of the published weights of a network; null for an unknown name.
const Preprocessing* find(std::string_view network);

/// Whose rules count where the owners of the same weights disagree (positions at another image size, the
/// GELU, LayerNorm's eps, pooling, preprocessing): those of who published the files, or of one by name.
enum class Rules { OfFiles, Original, Timm, HuggingFace };

/// The names of the last three, as a parameter has them: "original", "timm", "hf".
const std::vector<std::string>& rules_names();
/// Throws Error for another name.
Rules rules_from(std::string_view name);

/// Patterns of the names of the files in the folder of a published model that say what it computes and how
/// images are prepared for it (ParamSpec::or_folder).
const std::vector<std::string>& model_folder_files();

/// Reads it from a model's files: the wing that knows networks implements it, as a service, so that the
/// wing of pixels links no network.
class WeightFileService {
 public:
  virtual ~WeightFileService() = default;
  /// Of the network whose weights are in the file or folder; nothing for a TorchScript archive, which does
  /// not contain it. Throws Error for files that cannot be read, and for weights that fit no known network.
  virtual std::optional<Preprocessing> preprocessing_of(const std::string& model, Rules rules) const = 0;
};

/// By the name of a network, or by the path of its weights, for which the service `weight_files` is asked;
/// `rules` are for the latter.
///
/// A stage does not declare the service (PluginSchema::may_need), because its version would then be part of
/// the fingerprint: what it answers depends on the file, whose digest is part of it, and on the networks
/// above.
std::optional<Preprocessing> of_network(const std::string& network, bool is_path, Rules rules,
                                        const StageContext& context);

}  // namespace graft::preprocessing
