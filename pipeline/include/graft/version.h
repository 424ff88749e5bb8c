#pragma once

#define GRAFT_VERSION "0.1.0"

/// Raised whenever a type or a virtual function that plugins see changes. Compared before any other call.
#define GRAFT_PLUGIN_API 11
