#include <fmt/format.h>

#include "commands.h"
#include "output.h"
#include "plugin/plugin_file.h"
#include "plugin/registry.h"
#include "plugin_check.h"

namespace graft::cli {
namespace {

/// What authors ask before they hand a plugin on: whether every graft of this version takes it.
int check_files(const std::vector<std::string>& files) {
  int code = kOk;
  for (const std::string& file : files) {
    Refusal why;
    why.path = file;
    const auto schema = Examination(file).finish(why);
    std::string faults;
    if (!schema || !schema_file_agrees(file, *schema, why)) {
      faults = fmt::format("refused: {}\n  wanted  {}\n  got     {}\n  cure    {}\n", file, why.wanted,
                           why.got, why.cure);
    } else {
      faults = faults_of_plugin(*schema, file);
    }
    if (faults.empty())
      say("{}: {} {} ({}) is sound\n", printable(file), schema->schema.name, schema->schema.version,
          to_string(schema->schema.kind));
    else
      print_error("{}", faults);
    if (!faults.empty()) code = kFailed;
  }
  return code;
}

}  // namespace

int plugins(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  if (!global.plugins.check.empty()) return check_files(global.plugins.check);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  if (global.json) {
    Value out = Value::map();
    out["plugins"] = Value::list();
    for (const auto& [name, p] : registry.plugins()) {
      Value v = Value::map();
      v["name"] = name;
      v["version"] = p.schema.version;
      v["kind"] = to_string(p.schema.kind);
      v["summary"] = p.schema.summary;
      v["path"] = p.path.string();
      v["hides"] = Value::list();
      for (const auto& hidden : p.hides) v["hides"].push(hidden.string());
      out["plugins"].push(std::move(v));
    }
    out["rejected"] = Value::list();
    for (const auto& r : registry.rejected()) {
      Value v = Value::map();
      v["path"] = r.path.string();
      v["wanted"] = r.wanted;
      v["got"] = r.got;
      v["cure"] = r.cure;
      out["rejected"].push(std::move(v));
    }
    out["folders"] = Value::list();
    for (const auto& folder : registry.folders()) out["folders"].push(folder.string());
    print_document(out);
    return kOk;
  }
  std::size_t width = 6;
  for (const auto& [name, p] : registry.plugins()) width = std::max(width, name.size());
  for (const auto& [name, p] : registry.plugins())
    say("{:<{}}  {:<7} {:<15}  {}\n", name, width, p.schema.version, to_string(p.schema.kind),
        p.schema.summary);
  if (registry.plugins().empty()) say("no plugins found\n");
  if (registry.plugins().empty() || global.plugins.verbose) {
    say("searched, in this order (--plugin-dir, GRAFT_PLUGIN_PATH, those of graft):\n");
    for (const auto& folder : registry.folders()) say("  {}\n", printable(folder.string()));
  }
  for (const auto& [name, p] : registry.plugins())
    for (const auto& hidden : p.hides)
      say("hidden: {}\n  by      {}, which comes first in the search order\n", printable(hidden.string()),
          printable(p.path.string()));
  for (const auto& r : registry.rejected())
    say("refused: {}\n  wanted  {}\n  got     {}\n  cure    {}\n", printable(r.path.string()), r.wanted,
        r.got, r.cure);
  return kOk;
}

}  // namespace graft::cli
