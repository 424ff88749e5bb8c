#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "config/config_file.h"
#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// A plan in the making, with what its parts were read from, so that every error names its place. The steps
/// of make_plan work on it one after the other; each reports all errors that it finds and leaves out what is
/// wrong.
struct PlanDraft {
  /// Beside each of plan.stages.
  struct Stage {
    const YamlNode* node;
    Position key_position;
    Position from_position;
    bool usable = false;  ///< The plugin is known.
    bool sound = false;   ///< So are the parameters, without an error.
    bool connected = true;
  };

  PlanDraft(const ConfigFile& config, const Registry& registry, Diagnostics& diagnostics);

  /// Adds an error to the diagnostics, unless the value at that place could not even be read: that was
  /// reported already.
  void error(Position at, std::string text);
  void unknown_keys(const YamlNode& map, const std::vector<std::string>& allowed, const char* what);
  /// The parameters that a map gives, checked and with their defaults; errors are at the place of each value,
  /// or at `fallback` where the map is not in the file.
  Params resolve_at(const std::vector<ParamSpec>& specs, const YamlNode& node, Position fallback);

  const ConfigFile& config;
  const Registry& registry;
  Diagnostics& diagnostics;
  Plan plan;
  std::vector<Stage> stages;
  /// Of plan.stages by id, until order_stages() moves them.
  std::map<std::string, std::size_t> index;

 private:
  const std::vector<Position> unread_;  ///< Values that could not be read: an alias, an unset variable.
  std::vector<Position> warned_;        ///< Of parameters, which may be resolved more than once.
};

// The steps, in their order.

/// Reads name, seed, the run block and every stage with its parameters.
void parse_config(PlanDraft& draft);
/// Resolves `from`, and checks that the types of ports agree.
void link_stages(PlanDraft& draft);
/// Sorts the stages topologically, by position in the file where there is a choice, and finds the source of
/// each. False where they form a cycle.
bool order_stages(PlanDraft& draft);
/// Fills in parameters whose default is derived from downstream stages (ParamSpec::default_from_downstream).
void inherit_parameters(PlanDraft& draft);
/// Asks the plugins for errors in the files that parameters name, and for the shapes of their outputs.
void inspect_stages(PlanDraft& draft);
/// Finds stages whose output nothing uses, tables that cannot be aligned, and items of another type that come
/// past a stage that is not for their split.
void check_use(PlanDraft& draft);
/// Checks that the items in flight suffice for the batches, and the memory for the items.
void check_credits(PlanDraft& draft);

}  // namespace graft
