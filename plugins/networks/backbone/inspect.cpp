#include "inspect.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <graft/error.h>
#include <network/device_name.h>
#include <network/input_size.h>
#include <network/open_model.h>
#include <network/tokens.h>
#include <network/torch_service.h>

#include "pooling.h"
#include "tap_plan.h"

using namespace graft;

namespace {

std::string shown(const std::optional<Shape>& shape) {
  return "f32" + (shape ? to_string(*shape) : std::string("[?]"));
}

/// One stage, inspected.
class Inspector {
 public:
  explicit Inspector(const StageContext& context) : context_(context), params_(context.params) {}

  Inspection inspect() {
    check_device();
    const auto net = nn::inspect_model(
        params_, [this](const nn::Architecture& architecture) { return plan(architecture).needed; },
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

  /// What is wanted of the network; a layer that it does not have is an error.
  TapPlan plan(const nn::Architecture& net) {
    TapPlan out;
    std::vector<TapError> faults;
    try {
      out = plan_taps(params_, net, &faults);
    } catch (const TapError& fault) {
      faults.push_back(fault);
    }
    for (const TapError& fault : faults)
      if (std::none_of(result_.faults.begin(), result_.faults.end(), [&](const Inspection::Fault& known) {
            return known.param == fault.param() && known.text == fault.what();
          }))
        found(fault.param(), fault.what());
    if (!faults.empty()) out.needed = {net.tap};
    return out;
  }

  void shapes(nn::Architecture net) {
    const TapPlan taps = plan(net);
    if (!result_.faults.empty()) return;
    taps.extend(net, nullptr);
    const std::optional<nn::ImageSize> size = nn::input_size_in(context_.input_shape);
    const nn::Extent usual = net.usual_size();
    const nn::ImageSize computed = size.value_or(nn::ImageSize{usual.height, usual.width});
    const nn::Architecture needed = nn::reduced_to(net, taps.taps);
    nn::Cost cost;
    try {
      cost = nn::cost_for_input(needed, computed);
    } catch (const Error& fault) {
      found("", fault.what());
      return;
    }
    const auto tokens = nn::token_layout(net, computed.height, computed.width);
    std::vector<std::optional<Shape>> rows;
    for (std::size_t i = 0; i < taps.taps.size(); ++i) {
      const auto at = static_cast<std::size_t>(needed.find(taps.taps[i]) - needed.layers.data());
      const Pooling pooling = taps.pooling[i];
      const bool whole = pooling == Pooling::None || pooling == Pooling::Flatten;
      const Shape& value = cost.layers[at].output;
      rows.push_back(whole && value.size() > 1 && !size
                         ? std::nullopt
                         : std::optional(pooled_shape(value, pooling, tokens)));
    }
    if (taps.one_row) {
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
  Inspection result_;
};

}  // namespace

Inspection inspect_backbone(const StageContext& context) {
  return Inspector(context).inspect();
}
