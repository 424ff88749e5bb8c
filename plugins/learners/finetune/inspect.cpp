#include "inspect.h"

#include <string>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <network/input_size.h>
#include <network/layer_blocks.h>
#include <network/open_model.h>

#include "unfreezing.h"

namespace graft {

Inspection inspect_finetune(const StageContext& context) {
  Inspection result;
  const auto net = nn::inspect_model(
      context.params, [](const nn::Architecture& architecture) { return std::vector{architecture.tap}; },
      context.warn, result.faults);
  if (!net) return result;
  const nn::Architecture backbone = nn::reduced_to(*net, {net->tap});
  try {
    if (const auto size = nn::input_size_in(context.input_shape)) nn::cost_for_input(backbone, *size);
  } catch (const Error& fault) {
    result.faults.push_back({"", fault.what()});
  }
  try {
    const std::vector<nn::LayerBlock> blocks = nn::blocks_of(backbone);
    unfreezing_from(context.params, backbone.name, blocks.size(),
                    [&](const std::string& name) { return nn::blocks_named(backbone, blocks, name); });
  } catch (const Error& fault) {
    std::string text = fault.what();
    if (text.starts_with("unfreeze.")) text.erase(0, std::string_view("unfreeze.").size());
    result.faults.push_back({"unfreeze", std::move(text)});
  }
  return result;
}

}  // namespace graft
