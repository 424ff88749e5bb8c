#pragma once

#include <string>
#include <vector>

#include <graft/schema.h>

namespace graft {

/// A declaration that is wrong for every config.
struct SchemaMistake {
  std::string what;  ///< "parameter 'n': the default: 500 is out of range: expected from 1 to 10".
  std::string cure;  ///< What the author of the plugin should do.
};

/// Every error of a schema, as the plugin declares it: before Registry fills in the installed services.
/// graft-plugin-schema fails the build if there are any; Registry refuses a plugin that has one.
GRAFT_API std::vector<SchemaMistake> schema_mistakes(const PluginSchema& schema);

}  // namespace graft
