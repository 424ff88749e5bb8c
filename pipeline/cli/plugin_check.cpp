#include "plugin_check.h"

#include <fmt/format.h>

#include "plugin/schema_check.h"
#include "schema_example.h"
#include "schema_trial.h"

namespace graft::cli {
namespace {

/// If a constructor takes longer, its schema is not judged by it.
constexpr std::chrono::seconds kTrialLimit{20};

}  // namespace

std::string faults_of_plugin(const SchemaFile& schema, const std::filesystem::path& plugin) {
  std::string out;
  for (const SchemaMistake& mistake : schema_mistakes(schema.schema))
    out += fmt::format("error: plugin {}: {}; {}\n", schema.schema.name, mistake.what, mistake.cure);
  if (!out.empty()) return out;
  if (const std::string fault = faults_of_class(schema, plugin, kTrialLimit); !fault.empty())
    return fmt::format("error: plugin {}: {}\n", schema.schema.name, fault);
  if (const std::string example = faults_of_example(schema, plugin); !example.empty())
    out = fmt::format(
        "error: plugin {}: its example does not pass graft check; correct the argument of .example()\n{}",
        schema.schema.name, example);
  return out;
}

}  // namespace graft::cli
