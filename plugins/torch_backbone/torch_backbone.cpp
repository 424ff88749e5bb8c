#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <graft/plugin.h>

#include "backbone.h"
#include "pack.h"
#include "sha256.h"

namespace {

using namespace graft;

/// Runs images through a pretrained network and gives each its feature vector, f32[dim].
///
/// Batches run whole, each on one worker thread, several at once, all on one shared network. A batch is
/// always padded to `batch` images, so a row depends neither on its place nor on its neighbours. Images of
/// several sizes are allowed as far as the model takes them: each size makes a batch of its own.
///
/// Rejects: `wrong-type` (not an image), `model-input` (a size that the model does not take). Throws Error
/// when the file is no usable model or the model's output is not one row per image.
class TorchBackbone final : public BatchTransform {
 public:
  explicit TorchBackbone(const StageContext& context)
      : batch_(context.params.get<std::size_t>("batch")),
        normalizer_(context.params.object("normalize")),
        warn_(context.warn),
        backbone_(options_of(context)) {}

  void enter_worker() override { Backbone::enter_thread(); }
  std::size_t batch_size() const override { return batch_; }

  void apply(std::span<const Item> items, BatchOutput& out) const override {
    std::map<std::pair<int, int>, std::vector<std::size_t>> by_size;  // height, width
    for (std::size_t i = 0; i < items.size(); ++i) {
      try {
        const Image& image = items[i].image();
        by_size[{image.height, image.width}].push_back(i);
      } catch (const Reject& reject) {
        out.reject(i, reject.code(), reject.what());
      }
    }
    for (const auto& [size, members] : by_size) run(items, members, size.first, size.second, out);
  }

 private:
  void run(std::span<const Item> items, const std::vector<std::size_t>& members, int height, int width,
           BatchOutput& out) const {
    const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    const auto pixels = std::make_unique_for_overwrite<float[]>(batch_ * one);
    for (std::size_t i = 0; i < members.size(); ++i)
      normalizer_.pack(items[members[i]].image(), pixels.get() + i * one);
    std::fill(pixels.get() + members.size() * one, pixels.get() + batch_ * one, 0.0f);

    try {
      const Tensor rows = backbone_.run(pixels.get(), height, width);
      const auto dim = static_cast<std::size_t>(rows.shape[1]);
      for (std::size_t i = 0; i < members.size(); ++i) {
        Tensor row = Tensor::allocate(DType::F32, {rows.shape[1]});
        std::memcpy(row.data, rows.as<float>() + i * dim, dim * sizeof(float));
        out.set(members[i], std::move(row));
      }
    } catch (const UnfitInput& fault) {
      if (!told_.exchange(true)) warn_(fault.what());
      for (const std::size_t i : members) out.reject(i, "model-input", fault.what());
    }
  }

  static BackboneOptions options_of(const StageContext& context) {
    const Params& params = context.params;
    BackboneOptions options;
    options.path = params.get<std::string>("model");
    options.batch = params.get<int>("batch");
    options.pool = params.get<std::string>("pool") == "avg";
    options.untrained = params.get<bool>("untrained");
    options.init_seed = params.get<std::uint64_t>("init_seed");
    options.warn = context.warn;
    if (params.has("sha256")) check_digest(options.path, params.get<std::string>("sha256"));
    return options;
  }

  static void check_digest(const std::string& path, std::string wanted) {
    std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
      throw Error(fmt::format("sha256: expected 64 hexadecimal digits, got '{}'", wanted));
    const std::string got = sha256_of_file(path);
    if (got != wanted)
      throw Error(fmt::format(
          "{}: expected SHA-256 {}, got {}: this is another file, or it was damaged; fetch it anew "
          "or correct `sha256`",
          path, wanted, got));
  }

  std::size_t batch_;
  Normalizer normalizer_;
  std::function<void(const std::string&)> warn_;
  Backbone backbone_;
  mutable std::atomic<bool> told_{false};
};

const char* const kExample = R"(name: torch-backbone
stages:
  images: {plugin: synthetic}
  features:
    plugin: torch_backbone
    from: images
    with: {model: "${GRAFT_SHARE}/quickstart_backbone.pt"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace

GRAFT_PLUGIN(
    torch_backbone, "1.1.0", TorchBackbone,
    graft::PluginSchema::batch_transform(
        "Turns images into feature vectors with a pretrained TorchScript network.")
        .input(graft::PortType::Image, "Images of the size that the model was trained with.")
        .output("out", graft::PortType::Tensor, "f32[?]", "One feature vector per image.")
        .param(graft::file("model").required().doc("TorchScript archive, [n,3,height,width] in, features "
                                                   "out; it is code: use only files that you trust."))
        .param(graft::Normalizer::parameter())
        .param(
            graft::choice("pool", {"avg", "none"}, "avg")
                .doc("What becomes of an output [n,c,h,w]: its mean over h and w, or all of it, flattened."))
        .param(
            graft::integer("batch", 8)
                .range(1, 1024)
                .unit("images")
                .neutral()
                .doc("Images that one worker computes at once; more take more memory and are seldom faster."))
        .param(
            graft::text("sha256").optional().neutral().doc("Pins the model file: any other file is refused."))
        .param(graft::flag("untrained", false)
                   .doc("Replaces the weights by random ones: the baseline that shows what pretraining is "
                        "worth."))
        .param(graft::integer("init_seed", 1).at_least(0).doc("Seed of the random weights of `untrained`."))
        .uses_libraries("libtorch " TORCH_VERSION)
        .example(kExample))
