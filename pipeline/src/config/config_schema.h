#pragma once

#include <graft/value.h>

#include "plugin/registry.h"

namespace graft {

/// The JSON Schema (draft-07) of a config, made from the declarations that configs are checked by: the keys
/// of the framework, and for every installed stage the parameters under `with`, with types, ranges, defaults
/// and documentation. For editors. A config that `graft check` accepts is valid by it; what depends on files
/// or on other stages is left to `graft check`. Values may hold ${NAME}, so every scalar may be a text with
/// one.
GRAFT_API Value config_schema(const Registry& registry);

/// The schema of one map of parameters, as it stands under `with`.
GRAFT_API Value parameters_schema(const std::vector<ParamSpec>& specs);

}  // namespace graft
