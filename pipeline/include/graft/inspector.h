#pragma once

/// \file
/// For a plugin that links a library which is slow to load (LibTorch: a second): its `inspect` in a separate
/// shared object, which links less, so that `graft check` and `graft plan` stay fast.
///
///     // inspector.cpp
///     #include <graft/inspector.h>
///     #include "inspect.h"
///     GRAFT_INSPECTOR(inspect_mine)
///
/// `graft_add_plugin(mine ... INSPECTOR inspector.cpp inspect.cpp)` builds it as mine.inspect beside mine.so.
/// The stage's class has an `inspect`, too, which calls the same function.

#include <graft/plugin.h>

extern "C" {

/// The symbol of an inspector; the first two fields are compared before the third is called.
struct graft_inspector_descriptor {
  std::uint32_t api_version;  ///< GRAFT_PLUGIN_API
  const char* abi_tag;        ///< GRAFT_ABI_TAG
  graft::Inspection (*inspect)(const graft::StageContext& context);
};

/// The one symbol of an inspector.
using graft_inspector_function = const graft_inspector_descriptor*();
}

#define GRAFT_INSPECTOR(function)                                                                        \
  extern "C" __attribute__((visibility("default"))) const graft_inspector_descriptor* graft_inspector(); \
  extern "C" const graft_inspector_descriptor* graft_inspector() {                                       \
    static const graft_inspector_descriptor descriptor = {GRAFT_PLUGIN_API, GRAFT_ABI_TAG, &(function)}; \
    return &descriptor;                                                                                  \
  }
