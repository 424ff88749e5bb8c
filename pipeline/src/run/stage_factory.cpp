#include "run/stage_factory.h"

#include <fmt/format.h>

namespace graft {

Stage& StageFactory::get(std::size_t index) {
  std::unique_ptr<Stage>& slot = stages_.at(index);
  if (slot) return *slot;
  const StagePlan& stage = plan_.stages[index];
  try {
    const StageContext context{
        stage.id, stage.params, plan_.seed, plan_.run.threads,
        [warn = warn_, id = stage.id](const std::string& text) { warn(id + ": " + text); }};
    slot.reset(registry_.open(stage.schema.name).create(context));
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", stage.label(), e.what()));
  }
  return *slot;
}

}  // namespace graft
