#include "run/stage_factory.h"

#include <fmt/format.h>

namespace graft {

StageContext StageFactory::context(const std::string& id, const Params& params) {
  return {id,
          params,
          plan_.seed,
          plan_.run.threads,
          [warn = warn_, id](const std::string& text) { warn(id + ": " + text); },
          [this](const std::string& plugin) -> Service& { return service(plugin); },
          {},
          {}};
}

Stage& StageFactory::get(std::size_t index) {
  std::unique_ptr<Stage>& slot = stages_.at(index);
  if (slot) return *slot;
  const StagePlan& stage = plan_.stages[index];
  try {
    StageContext made_from = context(stage.id, stage.params);
    if (!stage.inputs.empty())
      made_from.input_shape = output_shape(plan_.stages[stage.inputs[0].stage], stage.inputs[0].port);
    made_from.listed_inputs = listed_inputs_;
    slot.reset(registry_.open(stage.schema.name).create(made_from));
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", stage.label(), e.what()));
  }
  return *slot;
}

void StageFactory::inspect(std::size_t index) {
  const StagePlan& stage = plan_.stages[index];
  if (!stage.schema.inspects) return;
  try {
    const auto inspect = registry_.open(stage.schema.name).inspect;
    if (inspect == nullptr) return;
    const Inspection found = inspect(context(stage.id, stage.params));
    // Texts name the parameter, or the file that it names.
    if (!found.faults.empty()) throw Error(found.faults.front().text);
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", stage.label(), e.what()));
  }
}

Service& StageFactory::service(const std::string& plugin) {
  return open_service(registry_, services_, plugin,
                      [this](const std::string& id, const Params& params) { return context(id, params); });
}

Service& open_service(const Registry& registry, std::map<std::string, std::unique_ptr<Stage>>& made,
                      const std::string& plugin, const MakeContext& context) {
  std::unique_ptr<Stage>& slot = made[plugin];
  if (!slot) {
    if (registry.find(plugin) == nullptr)
      throw Error(fmt::format("the service '{}' is not installed: graft plugins lists what is", plugin));
    const graft_plugin_descriptor& descriptor = registry.open(plugin);
    std::vector<ParamFault> faults;
    const Params defaults(resolve(registry.find(plugin)->schema.params, Value::map(), faults));
    if (!faults.empty()) throw Error(plugin + ": a service must have a default for every parameter");
    slot.reset(descriptor.create(context(plugin, defaults)));
  }
  if (auto* service = dynamic_cast<Service*>(slot.get())) return *service;
  throw Error(plugin + ": the plugin's class is no service, as its schema declares");
}

}  // namespace graft
