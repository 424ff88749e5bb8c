#include "schema_example.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "config/planner.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

/// A file that the destructor removes.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    std::error_code error;
    path_ = fs::temp_directory_path(error) / fmt::format("graft-example-{}.yaml", ::getpid());
    if (error) throw Error("there is no folder for temporary files; set TMPDIR to one that exists");
    std::ofstream out(path_, std::ios::binary);
    out << content;
    out.close();
    if (!out)
      throw Error(
          fmt::format("cannot write {}; set TMPDIR to a folder that can be written to", path_.string()));
  }
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Errors about data and variables that exist where the example is used, not where the plugin is built.
bool is_missing_here(const std::string& text) {
  static constexpr const char* kSigns[] = {"environment variable ", "no such file", "no such folder"};
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&](const char* sign) { return text.find(sign) != std::string::npos; });
}

std::string errors_in(const Diagnostics& diagnostics, const std::string& file) {
  std::string out;
  for (const Diagnostics::Rendered& entry : diagnostics.rendered()) {
    if (entry.severity != Diagnostics::Severity::Error || is_missing_here(entry.text)) continue;
    std::string text = entry.text;
    for (std::size_t at = 0; (at = text.find(file, at)) != std::string::npos;)
      text.replace(at, file.size(), "example");
    out += text;
  }
  return out;
}

bool has_all_plugins(const ConfigFile& config, const Registry& registry) {
  const YamlNode* stages = config.root().find("stages");
  return stages != nullptr &&
         std::all_of(stages->members.begin(), stages->members.end(), [&](const auto& stage) {
           const YamlNode* plugin = stage.value.find("plugin");
           return plugin == nullptr || registry.find(plugin->scalar) != nullptr;
         });
}

}  // namespace

std::string faults_of_example(const SchemaFile& schema, const fs::path& plugin) {
  if (schema.schema.example_config.empty()) return {};
  const TemporaryFile file(schema.schema.example_config);
  std::vector<fs::path> folders = Registry::search_path({});
  folders.insert(folders.begin(), fs::absolute(plugin).parent_path());
  Registry registry(folders, Registry::Undescribed::PassedOver);
  registry.declare(plugin, schema);
  Diagnostics diagnostics;
  const ConfigFile config(file.path(), {}, diagnostics);
  if (!diagnostics.has_errors() && has_all_plugins(config, registry))
    make_plan(config, registry, diagnostics, Inspect::Nothing);  // other plugins may just be linked
  return errors_in(diagnostics, file.path().string());
}

}  // namespace graft::cli
