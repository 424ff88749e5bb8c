#include "config/plan_draft.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <graft/text.h>

#include "config/given_values.h"

namespace graft {

PlanDraft::PlanDraft(const ConfigFile& config_file, const Registry& plugins, Diagnostics& found)
    : config(config_file), registry(plugins), diagnostics(found), unread_(found.error_places()) {}

void PlanDraft::error(Position at, std::string text) {
  if (std::find(unread_.begin(), unread_.end(), at) == unread_.end()) diagnostics.error(at, std::move(text));
}

void PlanDraft::unknown_keys(const YamlNode& map, const std::vector<std::string>& allowed, const char* what) {
  for (const auto& m : map.members)
    if (std::find(allowed.begin(), allowed.end(), m.key) == allowed.end())
      error(m.key_position, fmt::format("unknown {} '{}'{} (allowed: {})", what, m.key,
                                        suggestion(m.key, allowed), fmt::join(allowed, ", ")));
}

Params PlanDraft::resolve_at(const std::vector<ParamSpec>& specs, const YamlNode& node, Position fallback) {
  std::vector<ParamFault> faults, warnings;
  Value resolved = resolve(specs, given_values(specs, node, config), faults, &warnings);
  const auto place = [&](const ParamFault& fault) {
    return place_of(node, fault.path, fault.at_key, node.position.line > 0 ? node.position : fallback);
  };
  for (const ParamFault& warning : warnings)
    if (const Position at = place(warning); std::find(warned_.begin(), warned_.end(), at) == warned_.end()) {
      warned_.push_back(at);
      diagnostics.warning(at, warning.text);
    }
  for (const ParamFault& fault : faults) {
    const Position at = place(fault);
    const bool name_it = !fault.at_key && !fault.path.empty();
    error(at, name_it ? fmt::format("{}: {}", fmt::join(fault.path, "."), fault.text) : fault.text);
  }
  return Params(std::move(resolved));
}

}  // namespace graft
