// A plugin that is wrong in the way that the name of its file says: registry_test.cpp copies it to
// wrong_static_crash.so, for example, and expects that to be refused. As well.so it is correct. Built a
// second time without the symbol that plugins export.

#include <dlfcn.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <graft/plugin.h>

#include "flush_denormals.h"

#ifdef WRONG_SYMBOL
#define NAME graft_plug
#else
#define NAME graft_plugin
#endif
extern "C" __attribute__((visibility("default"))) const graft_plugin_descriptor* NAME();

namespace {

class Nothing final : public graft::Transform {
 public:
  explicit Nothing(const graft::StageContext&) {}
  graft::Payload apply(const graft::Item& item) const override { return item.payload; }
};

/// The name of this file, without its folder and ".so".
const std::string& own_name() {
  static const std::string kName = [] {
    Dl_info info{};
    ::dladdr(reinterpret_cast<void*>(&NAME), &info);
    return std::filesystem::path(info.dli_fname).stem().string();
  }();
  return kName;
}

bool is_wrong(const char* what) {
  return own_name() == std::string("wrong_") + what;
}

graft::PluginSchema schema() {
  if (is_wrong("schema_throws")) throw 7;
  if (is_wrong("schema_crashes")) std::raise(SIGSEGV);
  auto s = graft::PluginSchema::transform("Does nothing.")
               .input(graft::PortType::Image, "Any image.")
               .output("out", graft::PortType::Image, "u8[?,?,3]", "The same.");
  if (is_wrong("default")) s.param(graft::integer("n", 500).range(1, 10).doc("Too much."));
  if (is_wrong("huge_schema")) s.param(graft::integer("n", 5).doc(std::string(8 << 20, 'x')));
  if (is_wrong("example_yaml")) s.example("this: is: not: yaml");
  if (is_wrong("example_key"))
    s.example(
        "name: x\nstages:\n  a: {plugin: synthetic, with: {sise: 3}}\n  b: {plugin: wrong_example_key, from: "
        "a}\n"
        "  t: {plugin: pixel_table, from: b}\n");
  if (own_name() == "example_elsewhere")
    s.example(
        "name: x\nstages:\n  a: {plugin: image_folder, with: {root: \"${NOWHERE}/x\"}}\n"
        "  b: {plugin: example_elsewhere, from: a}\n  t: {plugin: pixel_table, from: b}\n");
  s.name = is_wrong("schema_name") ? "of_another" : own_name();
  s.version = "1.0.0";
  return s;
}

const graft_plugin_descriptor* make_descriptor() {
  static graft_plugin_descriptor d = {
      sizeof(graft_plugin_descriptor),
      GRAFT_PLUGIN_API,
      GRAFT_ABI_TAG,
      own_name().c_str(),
      "1.0.0",
      schema,
      [](const graft::StageContext& c) -> graft::Stage* { return new Nothing(c); },
      nullptr};
  static const std::string kLongName(1 << 12, 'x');
  if (is_wrong("size")) d.struct_size = 8;
  if (is_wrong("api")) d.api_version = 99;
  if (is_wrong("former_api")) d.api_version = GRAFT_PLUGIN_API - 1;
  if (is_wrong("abi")) d.abi_tag = "c++98 of another planet";
  if (is_wrong("null_abi")) d.abi_tag = nullptr;
  if (is_wrong("name")) d.name = "another_name";
  if (is_wrong("null_name")) d.name = nullptr;
  if (is_wrong("long_name")) d.name = kLongName.c_str();
  if (is_wrong("wild_name")) d.name = reinterpret_cast<const char*>(16);  // NOLINT(performance-no-int-to-ptr)
  if (is_wrong("null_version")) d.version = nullptr;
  if (is_wrong("null_schema")) d.schema = nullptr;
  if (is_wrong("null_create")) d.create = nullptr;
  return is_wrong("null_descriptor") ? nullptr : &d;
}

/// What some do when they are loaded.
struct AtLoad {
  AtLoad() {
    if (is_wrong("static_throw")) throw std::runtime_error("no such device");
    if (is_wrong("static_throw_int")) throw 7;
    if (is_wrong("static_locale")) std::setlocale(LC_ALL, "C.UTF-8");
    if (is_wrong("static_folder") && ::chdir("/") != 0) std::abort();
    if (is_wrong("static_fast_math")) graft::test::flush_denormals();
    if (is_wrong("static_exit")) std::exit(0);
    if (is_wrong("static_underscore_exit")) ::_exit(0);
    if (is_wrong("static_abort")) std::abort();
    if (is_wrong("static_crash")) std::raise(SIGSEGV);
    while (is_wrong("static_hang")) ::pause();
  }
} at_load;

}  // namespace

extern "C" const graft_plugin_descriptor* NAME() {
  return make_descriptor();
}
