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
  std::string filter = "bilinear";  ///< Antialiased, as in Pillow: "bilinear" or "bicubic".
  bool squash = false;              ///< To resize x resize, whatever the shape of the image.
  /// The name of the next three: "imagenet", "tf", "half" or "clip"; "own": none.
  std::string preset = "imagenet";
  double scale = 255;
  std::array<double, 3> mean = {0.485, 0.456, 0.406}, deviation = {0.229, 0.224, 0.225};
};

/// Every network that is known by its name, family by family.
const std::vector<std::string>& network_names();

/// Of the published weights of a network; null for an unknown name.
const Preprocessing* find(std::string_view network);

/// Reads it from a file of weights: the wing that knows networks implements it, as a service, so that the
/// wing of pixels links no network.
class WeightFileService {
 public:
  virtual ~WeightFileService() = default;
  /// Of the network whose weights are in the file; nothing for a TorchScript archive, which does not contain
  /// it. Throws Error for a file that cannot be read, and for weights that fit no known network.
  virtual std::optional<Preprocessing> preprocessing_of(const std::string& file) const = 0;
};

/// By the name of a network, or by the path of its weights, for which the service `weight_files` is asked.
///
/// A stage does not declare the service (PluginSchema::may_need), because its version would then be part of
/// the fingerprint: what it answers depends on the file, whose digest is part of it, and on the networks
/// above.
std::optional<Preprocessing> of_network(const std::string& network, bool is_path,
                                        const StageContext& context);

}  // namespace graft::preprocessing
