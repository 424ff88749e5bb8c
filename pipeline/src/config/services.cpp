#include "config/services.h"

#include <map>
#include <string>

namespace graft {

std::vector<StagePlan::Service> services_of(const StagePlan& stage, const Registry& registry) {
  std::vector<std::string> wanted = stage.schema.needs;
  for (const ParamSpec& spec : stage.schema.params)
    if (const Value* v = stage.params.value().find(spec.name);
        !spec.service.empty() && v != nullptr && v->is_string())
      wanted.push_back(spec.service + "_" + v->as_string());
  std::map<std::string, const PluginSchema*> known;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (const Registry::Plugin* found = registry.find(wanted[i]);
        found != nullptr && known.emplace(wanted[i], &found->schema).second)
      wanted.insert(wanted.end(), found->schema.needs.begin(), found->schema.needs.end());
  std::vector<StagePlan::Service> out;
  for (const auto& [name, schema] : known) out.push_back({name, schema->version, schema->libraries});
  return out;
}

void warn_of_hidden(const StagePlan& stage, const Registry& registry, Position at, Diagnostics& diagnostics) {
  std::vector<std::string> plugins{stage.schema.name};
  for (const StagePlan::Service& service : stage.services) plugins.push_back(service.plugin);
  for (const std::string& plugin : plugins)
    if (const std::string warning = registry.warning_of(plugin); !warning.empty())
      diagnostics.warning(at, warning);
}

}  // namespace graft
