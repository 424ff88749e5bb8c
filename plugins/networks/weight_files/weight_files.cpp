#include <optional>
#include <string>

#include <graft/plugin.h>
#include <network/published.h>
#include <network/weight_file.h>
#include <network/weight_fit.h>
#include <preprocessing/preprocessing.h>

namespace {

using namespace graft;

/// The service `weight_files`: what other wings need to know of a file of weights.
class WeightFiles final : public Service, public preprocessing::WeightFileService {
 public:
  explicit WeightFiles(const StageContext&) {}

  std::optional<preprocessing::Preprocessing> preprocessing_of(const std::string& model,
                                                               preprocessing::Rules rules) const override {
    nn::ModelFiles files = nn::find_model_files(model);
    files.rules = rules;
    if (nn::inspect_torchscript(files.weights)) return {};
    // How images are prepared does not depend on the number of heads, which may be unknown here.
    if (const auto published = nn::open_published(files, 0)) return published->architecture.preprocessing;
    const auto best = nn::best_fit(*nn::open_weights(files));
    if (best && best->fit.complete()) return best->architecture.preprocessing;
    throw Error(model + ": these weights fit no architecture that graft knows" +
                (best ? " (the nearest is " + best->architecture.name + ")" : "") +
                "; name it with `network` (graft model list), or give resize, crop and filter");
  }
};

}  // namespace

GRAFT_PLUGIN(weight_files, "1.0.0", WeightFiles,
             graft::PluginSchema::service("Finds out which network a file of weights is for, and how images "
                                          "are prepared for it."))
