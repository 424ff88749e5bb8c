#include "run/stage_factory.h"

#include <fmt/format.h>

#include "config/inspection.h"
#include "run/crash_report.h"
#include "run/isolated_stage.h"

namespace graft {

StageFactory::StageFactory(const Plan& plan, Registry& registry, std::function<void(const std::string&)> warn,
                           const std::atomic<bool>* interrupted)
    : plan_(plan),
      registry_(registry),
      warn_(std::move(warn)),
      interrupted_(interrupted),
      stages_(plan.stages.size()) {
  for (const StagePlan& stage : plan.stages) labels_.push_back(keep_for_ever(stage.label()));
}

StageFactory::~StageFactory() {
  for (auto index = order_.rbegin(); index != order_.rend(); ++index) {
    const CallScope scope(labels_[*index], "destructor");
    stages_[*index].reset();
  }
  for (auto& [plugin, service] : services_) {
    const CallScope scope(keep_for_ever(fmt::format("service '{}'", plugin)), "destructor");
    service.reset();
  }
}

StageContext StageFactory::context(const std::string& id, const Params& params) {
  return {id,
          params,
          plan_.seed,
          plan_.run.threads,
          [warn = warn_, id](const std::string& text) { warn(id + ": " + text); },
          [this](const std::string& plugin) -> Service& { return service(plugin); },
          {},
          {},
          [interrupted = interrupted_] {
            note_progress();
            return interrupted == nullptr || !*interrupted;
          }};
}

Stage& StageFactory::get(std::size_t index) {
  std::unique_ptr<Stage>& slot = stages_.at(index);
  if (slot) return *slot;
  slot = make(index);
  order_.push_back(index);
  return *slot;
}

std::unique_ptr<Stage> StageFactory::make(std::size_t index) {
  const StagePlan& stage = plan_.stages[index];
  const auto context_of_stage = [&] {
    StageContext made_from = context(stage.id, stage.params);
    if (!stage.inputs.empty())
      made_from.input_shape = output_shape(plan_.stages[stage.inputs[0].stage], stage.inputs[0].port);
    made_from.listed_inputs = listed_inputs_;
    return made_from;
  };
  if (stage.is_isolated)
    return call_plugin(labels_[index], "constructor", [&] {
      return make_isolated(stage, context_of_stage(), registry_, plan_.run, interrupted_,
                           [this] { require_same_files_(); });
    });
  watch_exit();
  const graft_plugin_descriptor& plugin =
      call_plugin(labels_[index], "loading",
                  [&]() -> const graft_plugin_descriptor& { return registry_.open(stage.schema.name); });
  watch_exit();  // again: what was loaded may have exit handlers, which would run before
  auto made = call_plugin_alone(labels_[index], "constructor",
                                [&] { return std::unique_ptr<Stage>(plugin.create(context_of_stage())); });
  if (!made) throw StageError(labels_[index], "the plugin made no stage");
  return made;
}

void StageFactory::inspect(std::size_t index) {
  const StagePlan& stage = plan_.stages[index];
  const StageContext made_from = context(stage.id, stage.params);
  const Inspection found = inspect_stage(plan_, index, registry_, made_from.warn, made_from.service);
  // Texts name the parameter, or the file that it names.
  if (!found.faults.empty()) throw StageError(labels_[index], found.faults.front().text);
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
    const char* const label = keep_for_ever(fmt::format("service '{}'", plugin));
    slot.reset(call_plugin_alone(label, "constructor",
                                 [&] { return descriptor.create(context(plugin, defaults)); }));
    if (!slot) throw Error(plugin + ": the plugin made no stage");
  }
  if (auto* service = dynamic_cast<Service*>(slot.get())) return *service;
  throw Error(plugin + ": the plugin's class is not a service, although its schema declares one");
}

}  // namespace graft
