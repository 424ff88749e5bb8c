#pragma once

/// \file
/// All that a plugin includes. The smallest plugin:
///
///     #include <graft/plugin.h>
///
///     /// Keeps only the red channel.
///     class Red final : public graft::Transform {
///      public:
///       explicit Red(const graft::StageContext&) {}
///       graft::Payload apply(const graft::Item& item) const override { ... }
///     };
///
///     GRAFT_PLUGIN(red, "1.0.0", Red,
///                  graft::PluginSchema::transform("Keeps only the red channel.")
///                      .input(graft::PortType::Image, "Any image.")
///                      .output("out", graft::PortType::Image, "u8[?,?,3]", "The same size."))

#include <cstdint>

#include <graft/catalog.h>
#include <graft/error.h>
#include <graft/export.h>
#include <graft/figure.h>
#include <graft/item.h>
#include <graft/learner.h>
#include <graft/params.h>
#include <graft/random.h>
#include <graft/run_record.h>
#include <graft/schema.h>
#include <graft/stage.h>
#include <graft/version.h>

#define GRAFT_TEXT_(x) #x
#define GRAFT_TEXT(x) GRAFT_TEXT_(x)
#if defined(__SANITIZE_ADDRESS__)
#define GRAFT_ABI_SANITIZER " asan"
#elif defined(__SANITIZE_THREAD__)
#define GRAFT_ABI_SANITIZER " tsan"
#else
#define GRAFT_ABI_SANITIZER ""
#endif
#ifdef _GLIBCXX_DEBUG
#define GRAFT_ABI_DEBUG " debug-stl"
#else
#define GRAFT_ABI_DEBUG ""
#endif
/// What must agree between graft and a plugin for C++ types to cross the border: the C++ ABI and the standard
/// library. The version of the ABI that a compiler counts (GCC's -fabi-version) is not in it: what changed
/// since GCC 3.4 are corner cases that no type here has, so that GCC and clang agree (tests/install has one
/// plugin built by clang, tests/data/abi.txt the layouts).
#define GRAFT_ABI_TAG \
  "c++20 itanium libstdc++-cxx11-" GRAFT_TEXT(_GLIBCXX_USE_CXX11_ABI) GRAFT_ABI_SANITIZER GRAFT_ABI_DEBUG

extern "C" {

/// What a plugin exports. The first three fields never change their place and type and are compared before
/// anything else is touched.
struct graft_plugin_descriptor {
  std::uint32_t struct_size;
  std::uint32_t api_version;  ///< GRAFT_PLUGIN_API of the headers that the plugin was built with.
  const char* abi_tag;        ///< GRAFT_ABI_TAG of the compiler that built it.
  const char* name;
  const char* version;
  graft::PluginSchema (*schema)();
  graft::Stage* (*create)(const graft::StageContext& context);
  graft::Inspection (*inspect)(const graft::StageContext& context);  ///< nullptr: the class has none.
};

/// The one symbol that a plugin exports.
using graft_plugin_function = const graft_plugin_descriptor*();
}

namespace graft::detail {

/// Class::inspect, or nullptr where there is none.
template <typename Class>
constexpr auto inspect_of() -> Inspection (*)(const StageContext&) {
  if constexpr (requires(const StageContext& c) { Inspection(Class::inspect(c)); })
    return [](const StageContext& context) { return Inspection(Class::inspect(context)); };
  else
    return nullptr;
}

}  // namespace graft::detail

#define GRAFT_PLUGIN(id, plugin_version, Class, ...)                                               \
  extern "C" __attribute__((visibility("default"))) const graft_plugin_descriptor* graft_plugin(); \
  extern "C" const graft_plugin_descriptor* graft_plugin() {                                       \
    static const graft_plugin_descriptor descriptor = {                                            \
        sizeof(graft_plugin_descriptor),                                                           \
        GRAFT_PLUGIN_API,                                                                          \
        GRAFT_ABI_TAG,                                                                             \
        #id,                                                                                       \
        plugin_version,                                                                            \
        [] {                                                                                       \
          graft::PluginSchema schema = __VA_ARGS__;                                                \
          schema.name = #id;                                                                       \
          schema.version = plugin_version;                                                         \
          schema.inspects = graft::detail::inspect_of<Class>() != nullptr;                         \
          return schema;                                                                           \
        },                                                                                         \
        [](const graft::StageContext& context) -> graft::Stage* { return new Class(context); },    \
        graft::detail::inspect_of<Class>()};                                                       \
    return &descriptor;                                                                            \
  }
