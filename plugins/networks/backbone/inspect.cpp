#include "inspect.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <network/device_name.h>
#include <network/image_size.h>
#include <network/open_model.h>
#include <network/torch_service.h>

#include "pooling.h"

using namespace graft;

namespace {

/// The shape of a layer's output for one image after pooling; nothing if that depends on an unknown size.
std::optional<Shape> pooled_shape(const Shape& shape, Pooling pooling, bool size_known) {
  if (shape.size() != 3) return shape;
  if (pooling != Pooling::None && pooling != Pooling::Flatten) return Shape{shape[0]};
  if (!size_known) return {};
  return pooling == Pooling::None ? shape : Shape{elements(shape)};
}

std::string shown(const std::optional<Shape>& shape) {
  return "f32" + (shape ? to_string(*shape) : std::string("[?]"));
}

/// One stage, inspected.
class Inspector {
 public:
  explicit Inspector(const StageContext& context) : context_(context), params_(context.params) {}

  Inspection inspect() {
    check_device();
    list_ = params_.has("concatenate") ? "concatenate" : "taps";
    names_ = params_.get<std::vector<std::string>>(list_);
    if (params_.has("concatenate") && !params_.get<std::vector<std::string>>("taps").empty())
      found("concatenate", "expected one of taps and concatenate, got both");
    const auto net = nn::inspect_model(
        params_, [this](const nn::Architecture& architecture) { return outputs(architecture); },
        context_.warn, result_.faults);
    if (net && result_.faults.empty()) shapes(*net);
    return std::move(result_);
  }

 private:
  void found(const std::string& param, std::string text) {
    result_.faults.push_back({param, std::move(text)});
  }

  void check_device() {
    const auto device = params_.get<std::string>("device");
    try {
      nn::check_device_name(device);
      if (device == "auto" || device == "cpu") return;
      // Loading LibTorch takes a second: only in a run, and only if a GPU is named. LibTorch decides.
      if (context_.service)
        nn::engine_service<nn::TorchService>(context_.service, "torch").require_device(device);
      else
        nn::require_gpu_files(device);
    } catch (const Error& fault) {
      found("device", fault.what());
    }
  }

  /// The wanted layers; a layer that the network does not have is an error.
  std::vector<std::string> outputs(const nn::Architecture& net) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < names_.size(); ++i) try {
        out.push_back(nn::resolve_tap(net, names_[i]));
      } catch (const Error& fault) {
        found(fmt::format("{}.{}", list_, i), fault.what());
      }
    return out.empty() ? std::vector{net.tap} : out;
  }

  void shapes(const nn::Architecture& net) {
    const std::vector<std::string> layers = outputs(net);
    if (!result_.faults.empty()) return;
    const std::optional<nn::ImageSize> size = nn::image_size_in(context_.input_shape);
    const int usual = net.preprocessing.crop;
    const nn::Architecture needed = nn::reduced_to(net, layers);
    nn::Cost cost;
    try {
      cost = nn::cost_for_input(needed, size.value_or(nn::ImageSize{usual, usual}));
    } catch (const Error& fault) {
      found("", fault.what());
      return;
    }
    const Pooling pooling = pooling_from(params_.get<std::string>("pool"));
    std::vector<std::optional<Shape>> rows;
    for (const std::string& name : layers) {
      const auto at = static_cast<std::size_t>(needed.find(name) - needed.layers.data());
      rows.push_back(pooled_shape(cost.layers[at].output, pooling, size.has_value()));
    }
    if (params_.has("concatenate")) {
      std::int64_t all = 0;
      for (const auto& row : rows) all += row ? elements(*row) : 0;
      const bool known =
          std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.has_value(); });
      rows = {known ? std::optional<Shape>(Shape{all}) : std::nullopt};
    }
    for (const auto& row : rows) result_.output_shapes.push_back(shown(row));
  }

  const StageContext& context_;
  const Params& params_;
  std::string list_;                ///< The parameter that names layers.
  std::vector<std::string> names_;  ///< In the words of the config.
  Inspection result_;
};

}  // namespace

Inspection inspect_backbone(const StageContext& context) {
  return Inspector(context).inspect();
}
