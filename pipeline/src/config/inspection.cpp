#include "config/inspection.h"

#include <dlfcn.h>

#include <exception>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/inspector.h>

#include "config/given_values.h"
#include "config/plan_draft.h"
#include "plugin/plugin_call.h"

namespace graft {
namespace {

using InspectFunction = Inspection (*)(const StageContext&);

/// The `inspect` of a plugin: from the inspector beside it where there is one, else from itself.
InspectFunction inspect_of(const std::string& plugin, const Registry& registry) {
  std::filesystem::path file = registry.find(plugin)->path;
  file.replace_extension(".inspect");
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return registry.open(plugin).inspect;
  void* handle = ::dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Error(fmt::format("{} cannot be loaded: {}", file.string(), ::dlerror()));
  auto* entry = reinterpret_cast<graft_inspector_function*>(::dlsym(handle, "graft_inspector"));
  const graft_inspector_descriptor* inspector = entry == nullptr ? nullptr : entry();
  if (inspector == nullptr || inspector->api_version != GRAFT_PLUGIN_API ||
      std::string_view(inspector->abi_tag) != GRAFT_ABI_TAG)
    throw Error(fmt::format("{} was not built for this version of graft; rebuild the plugin", file.string()));
  return inspector->inspect;
}

/// The input of a stage. The schema of a collector does not contain the extents of its rows.
std::string input_shape(const Plan& plan, const StagePlan::Input& input) {
  const StagePlan& from = plan.stages[input.stage];
  return from.is(StageKind::Collector) ? table_shape(plan, input.stage) : output_shape(from, input.port);
}

}  // namespace

std::string table_shape(const Plan& plan, std::size_t collector) {
  const StagePlan& stage = plan.stages[collector];
  const StagePlan::Input& input = stage.inputs.at(0);
  const std::string shape = output_shape(plan.stages[input.stage], input.port);
  const std::string own = output_shape(stage, 0), type = own.substr(0, own.find('['));
  const std::size_t open = shape.find('[');
  return type.empty() || type == "?" || open == std::string::npos ? shape : type + shape.substr(open);
}

Inspection inspect_stage(const Plan& plan, std::size_t index, const Registry& registry,
                         const std::function<void(const std::string&)>& note,
                         const std::function<Service&(const std::string&)>& service) {
  const StagePlan& stage = plan.stages[index];
  Inspection result;
  if (!stage.schema.inspects) return result;
  std::string fault;
  try {
    StageContext context{stage.id, stage.params, plan.seed, plan.run.threads, note, service, {}, {}};
    if (!stage.inputs.empty()) context.input_shape = input_shape(plan, stage.inputs[0]);
    result = call_plugin(keep_for_ever(stage.label()), "inspect", [&] {
      const InspectFunction inspect = inspect_of(stage.schema.name, registry);
      if (inspect == nullptr) throw Error("the plugin's schema declares an `inspect` that it does not have");
      return inspect(context);
    });
    if (!result.output_shapes.empty() && result.output_shapes.size() != stage.schema.outputs.size())
      throw Error(fmt::format("its `inspect` gives {} shapes for {} outputs", result.output_shapes.size(),
                              stage.schema.outputs.size()));
    return result;
  } catch (const StageError& e) {
    fault = e.text();
  } catch (const std::exception& e) {
    fault = e.what();
  }
  result.output_shapes.clear();
  result.faults.push_back({"", fmt::format("'{}' ({}): {}", stage.id, stage.schema.name, fault)});
  return result;
}

void inspect_stages(PlanDraft& draft) {
  static const YamlNode kNone;
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    if (!draft.stages[i].sound) continue;
    const Position stage = draft.stages[i].key_position;
    const YamlNode* given = draft.stages[i].node->find("with");
    const YamlNode& with = given == nullptr ? kNone : *given;
    Inspection found = inspect_stage(draft.plan, i, draft.registry, [&](const std::string& text) {
      draft.diagnostics.note(stage, draft.plan.stages[i].id + ": " + text);
    });
    const Position fallback = with.position.line > 0 ? with.position : stage;
    for (const Inspection::Fault& fault : found.faults) {
      const std::vector<std::string> parts = parts_of(fault.param);
      const std::string name = fault.param.empty() ? "" : parts.front() + ": ";
      draft.error(fault.param.empty() ? stage : place_of(with, parts, false, fallback), name + fault.text);
    }
    draft.plan.stages[i].inspected_shapes = std::move(found.output_shapes);
  }
}

}  // namespace graft
