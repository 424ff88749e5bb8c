#include "graft_program.h"

#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/subprocess.h>

namespace graft::model {
namespace {

namespace fs = std::filesystem;

/// Beside this program in a build folder, else where the installation has it.
fs::path graft_program() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {here / "graft", here / "../../bin/graft"})
    if (fs::is_regular_file(place, error)) return place;
  throw Error(
      fmt::format("expected the program graft in {}, found none: it reads the config", here.string()));
}

}  // namespace

Value ask_graft(const std::vector<std::string>& words) {
  std::vector<std::string> command{graft_program().string()};
  command.insert(command.end(), words.begin(), words.end());
  const ProgramEnd end = run_to_end(command, ErrorOutput::Shared);
  if (end.exit_code != 0) {
    std::string why;
    try {
      const Value document = Value::from_json(end.out);
      if (const Value* error = document.find("error")) why = error->as_string();
    } catch (const Error&) {
      why = "it printed no document";
    }
    throw Error(fmt::format("graft {} failed: {}", words.empty() ? "" : words[0], why));
  }
  return Value::from_json(end.out);
}

}  // namespace graft::model
