#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <graft/plugin.h>

#include <network/engine_check.h>
#include <network/normalizer.h>
#include "batch_plan.h"
#include "inspect.h"
#include "model.h"
#include "network_facts.h"
#include "pooling.h"
#include "row_check.h"

namespace {

using namespace graft;

/// Runs images through a pretrained network and gives each the value of its last layer but the classifier, or
/// of the layers that `taps` names, a port each.
///
/// Batches run whole, several at once, all on one shared network. A batch is always padded to `batch` images,
/// so a row depends neither on its place nor on its neighbours. Images of several sizes are allowed as far as
/// the model takes them: each size makes a batch of its own.
///
/// Some rows are computed twice (RowCheck); one that differs ends the run.
///
/// Rejects: `wrong-type` (not an image), `model-input` (a size that the model does not take). Throws Error
/// when the file is not a usable model or the model's output is not one row per image.
class Backbone final : public BatchTransform {
 public:
  explicit Backbone(const StageContext& context)
      : batch_(context.params.get<std::size_t>("batch")),
        gem_power_(context.params.get<double>("gem_power")),
        unit_length_(context.params.get<bool>("l2")),
        warn_(context.warn),
        opened_(open_model(context.params)),
        model_(opened_.model),
        normalizer_(nn::normalizer_of(context.params, model_)),
        check_(context.seed, nn::Tolerance::of(context.params.get<std::string>("precision")).wrong,
               cure_for(context.params.get<std::string>("engine"))),
        planned_(plan_batches(context, usual_side(model_),
                              [&](int threads) { return make_engine(context, opened_, threads); })) {
    model_.weights.clear();  // the engine has its own, in a layout of its own
    if (!model_.guesses.empty())
      warn_(fmt::format(
          "{0}: what its files do not give was guessed, and owners of such weights differ: `graft "
          "model check {0}` names it",
          model_.name));
  }

  static Inspection inspect(const StageContext& context) { return inspect_backbone(context); }
  void enter_worker() override { planned_.engine->enter_thread(); }
  std::size_t batch_size() const override { return batch_; }
  std::size_t concurrency() const override {
    return static_cast<std::size_t>(planned_.plan.concurrent_batches);
  }
  Value facts() const override {
    Value facts = planned_.plan.facts;
    const std::string file = std::filesystem::path(model_.name).filename().string();
    const nn::Architecture* const network =
        model_.architecture ? &*model_.architecture : planned_.engine->described();
    if (network != nullptr && height_ > 0) {
      try {
        facts["network"] = network_facts(*network, height_, width_);
      } catch (const Error&) {  // images that are large enough for the layers that are used, not for all
      }
    } else if (const auto modules = planned_.engine->modules(); !modules.empty()) {
      facts["network"] = network_facts(file, modules);
    }
    if (!model_.architecture && facts.find("network") != nullptr) facts["network"]["name"] = file;
    facts["checked"] = check_.facts();
    if (!model_.findings.empty()) {
      facts["model"] = Value::list();
      for (const nn::Finding& finding : model_.findings) {
        facts["model"].push(
            Value::Map{{"what", finding.what}, {"value", finding.value}, {"from", finding.from}});
      }
    }
    return facts;
  }

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
    tell_size(height, width);
    const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    const auto pixels = std::make_unique_for_overwrite<float[]>(batch_ * one);
    for (std::size_t i = 0; i < members.size(); ++i)
      normalizer_.pack(items[members[i]].image(), pixels.get() + i * one);
    std::fill(pixels.get() + members.size() * one, pixels.get() + batch_ * one, 0.0f);
    try {
      const std::vector<std::vector<Tensor>> rows =
          rows_of(planned_.engine->run(pixels.get(), height, width), members.size(), height, width);
      check(items, members, height, width, pixels.get(), rows);
      for (std::size_t i = 0; i < members.size(); ++i)
        for (std::size_t port = 0; port < rows[i].size(); ++port) out.set(members[i], rows[i][port], port);
    } catch (const nn::UnfitInput& fault) {
      if (!told_.exchange(true)) warn_(fault.what());
      for (const std::size_t i : members) out.reject(i, "model-input", fault.what());
    }
  }

  /// The first `count` images of a batch: the row of each for every port.
  std::vector<std::vector<Tensor>> rows_of(const std::vector<Tensor>& values, std::size_t count, int height,
                                           int width) const {
    std::optional<nn::TokenLayout> tokens;
    if (model_.architecture) tokens = nn::token_layout(*model_.architecture, height, width);
    std::vector<std::vector<Tensor>> out(count);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t v = 0; v < values.size(); ++v) {
        const Tensor& value = values[v];
        const Shape shape(value.shape.begin() + 1, value.shape.end());
        out[i].push_back(pooled(value.as<float>() + static_cast<std::int64_t>(i) * elements(shape), shape,
                                opened_.taps.pooling[v], gem_power_, tokens));
      }
      if (opened_.taps.one_row) out[i] = {joined(out[i])};
      if (unit_length_)
        for (const Tensor& row : out[i]) normalise_length(row);
    }
    return out;
  }

  /// `pixels`: of the members, one after the other.
  void check(std::span<const Item> items, const std::vector<std::size_t>& members, int height, int width,
             const float* pixels, const std::vector<std::vector<Tensor>>& rows) const {
    const std::vector<std::size_t> chosen = check_.choose(items, members, height, width);
    if (chosen.empty()) return;
    const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    std::vector<float> images;
    for (const std::size_t i : chosen) images.insert(images.end(), pixels + i * one, pixels + (i + 1) * one);
    const auto count = static_cast<int>(chosen.size());
    std::vector<Tensor> values = planned_.engine->run_plainly(images.data(), count, height, width);
    std::vector<std::vector<Tensor>> again;
    if (!values.empty()) {
      again = rows_of(values, chosen.size(), height, width);
    } else {  // an engine with only one path: beside copies of itself
      for (std::size_t c = 0; c < chosen.size(); ++c) {
        std::vector<float> copies;
        for (std::size_t i = 0; i < batch_; ++i)
          copies.insert(copies.end(), images.data() + c * one, images.data() + (c + 1) * one);
        again.push_back(
            rows_of(planned_.engine->run(copies.data(), height, width), batch_, height, width).back());
      }
    }
    check_.compare(items, members, chosen, rows, again);
  }

  static std::string cure_for(const std::string& engine) {
    return engine == "torch"
               ? "export the model again after model.eval(), or compare what it gives on another machine"
               : "resume with `engine: torch`, which stores its rows in another table, and report the "
                 "network";
  }

  static std::optional<int> usual_side(const nn::Model& model) {
    if (!model.architecture) return {};
    const nn::Extent size = model.architecture->usual_size();
    return size.height == size.width ? std::optional(size.height) : std::nullopt;
  }

  /// One after the other; of patches by their place, the values at each place.
  static Tensor joined(const std::vector<Tensor>& parts) {
    std::int64_t size = 0;
    for (const Tensor& part : parts) size += part.size();
    const Shape& place = parts[0].shape;
    const bool same = std::all_of(parts.begin(), parts.end(), [&](const Tensor& part) {
      return part.shape == place && part.shape.size() == 3;
    });
    if (same) {
      Tensor out = Tensor::allocate(DType::F32,
                                    {place[0], place[1], place[2] * static_cast<std::int64_t>(parts.size())});
      float* to = out.as<float>();
      for (std::int64_t at = 0; at < place[0] * place[1]; ++at)
        for (const Tensor& part : parts) to = std::copy_n(part.as<float>() + at * place[2], place[2], to);
      return out;
    }
    Tensor out = Tensor::allocate(DType::F32, {size});
    float* to = out.as<float>();
    for (const Tensor& part : parts) to = std::copy_n(part.as<float>(), part.size(), to);
    return out;
  }

  /// A network sees best what it was trained to see.
  void tell_size(int height, int width) const {
    if (size_told_.exchange(true)) return;
    height_ = height;
    width_ = width;
    if (!model_.architecture) return;
    const nn::Preprocessing& trained = model_.architecture->preprocessing;
    if (height != trained.crop || width != trained.crop)
      warn_(
          fmt::format("{} was trained on images of {} x {}, got {} x {}; decode: {{resize: {}, crop: {}, "
                      "filter: {}}} makes those",
                      model_.architecture->name, trained.crop, trained.crop, width, height, trained.resize,
                      trained.crop, trained.filter));
  }

  const std::size_t batch_;
  const double gem_power_;
  const bool unit_length_;
  const std::function<void(const std::string&)> warn_;
  OpenedModel opened_;
  nn::Model& model_;
  const Normalizer normalizer_;
  mutable RowCheck check_;
  const PlannedEngine planned_;
  mutable std::atomic<bool> told_{false}, size_told_{false};
  mutable std::atomic<int> height_{0}, width_{0};  // of the first images
};

const char* const kExample = R"(name: backbone
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace

GRAFT_PLUGIN(
    backbone, "3.0.0", Backbone,
    graft::PluginSchema::batch_transform("Turns images into feature vectors with a pretrained network.")
        .formerly("torch_backbone")
        .input(graft::PortType::Image, "Images of the size that the model was trained with.")
        .output("{taps}", graft::PortType::Tensor, "f32[?]", "One feature vector per image.")
        .params_from(graft::nn::model_parameters())
        .param(graft::Normalizer::parameter())
        .param(graft::list("taps", graft::text(""))
                   .or_scalar()
                   .not_in_fingerprint()
                   .doc("Layers or blocks whose values are wanted, for example `layer2`; each is an output, "
                        "`from: features.layer2`. Default: the features before the classifier, or what a "
                        "TorchScript model returns."))
        .param(graft::list("concatenate", graft::text(""))
                   .items(2, 64)
                   .optional()
                   .doc("Layers whose pooled values are concatenated to one vector; instead of taps."))
        .param(graft::integer("last_blocks")
                   .range(1, 64)
                   .unit("blocks")
                   .optional()
                   .added_later()
                   .doc("The last blocks of a vision transformer, each through its last norm, pooled and "
                        "concatenated to one vector, as DINOv2's linear evaluation does; instead of taps. "
                        "`pool` is then cls_avg by default: the class token of each, then the mean of the "
                        "patches of the last."))
        .param(graft::choice("pool", {"cls", "avg", "cls_avg", "attention", "max", "gem", "flatten", "none"})
                   .optional()
                   .default_was("avg")
                   .doc("Pooling of an image [c,h,w] or of tokens: the class token; the mean over places or "
                        "patches (class and register tokens left out); both; the network's own attention "
                        "pool; the maximum or generalised mean; flattened to a vector; or none: an image as "
                        "it is, patches by their place, [rows,columns,d]. Default: the network's own for its "
                        "features, avg for taps."))
        .param(graft::number("gem_power", 4).range(0.1, 100).doc("Exponent of the generalised mean."))
        .param(graft::flag("l2", false).doc("Scale every vector to length 1."))
        .param(graft::integer("batch", 8)
                   .range(1, 1024)
                   .unit("images")
                   .not_in_fingerprint()
                   .doc("Images that are computed at once; more take more memory and are seldom faster."))
        .params_from(engine_parameters())
        .may_need("engine_torch")
        .example(kExample))
