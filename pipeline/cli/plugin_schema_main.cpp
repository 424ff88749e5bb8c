// graft-plugin-schema PLUGIN.so OUT.json: checks the schema that a plugin declares and writes it. Run by
// graft_add_plugin after the plugin is linked, so that graft can check and describe configs without loading
// it; a mistake in the schema fails the build.

#include <chrono>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include <graft/files.h>

#include "base/library_environment.h"
#include "plugin/plugin_file.h"
#include "plugin_check.h"

namespace {

/// A machine is busy during a build, and a library may be large.
constexpr std::chrono::minutes kLimit{2};

int fail(const char* out, const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::error_code ignored;
  std::filesystem::remove(out, ignored);  // a file of an earlier build would hide the error
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: graft-plugin-schema PLUGIN.so OUT.json\n", stderr);
    return 2;
  }
  try {
    graft::set_library_environment();
    graft::Refusal why;
    const auto schema = graft::Examination(argv[1]).finish(why, kLimit);
    if (!schema) return fail(argv[2], fmt::format("error: {}\n", why.message()));
    if (const std::string faults = graft::cli::faults_of_plugin(*schema, argv[1]); !faults.empty())
      return fail(argv[2], faults);
    graft::write_file_atomically(argv[2], graft::to_json(*schema));
    return 0;
  } catch (const std::exception& e) {
    return fail(argv[2], fmt::format("error: {}\n", e.what()));
  }
}
