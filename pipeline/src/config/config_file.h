#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/value.h>

#include "config/diagnostics.h"
#include "config/yaml_tree.h"

namespace graft {

/// A value that is laid over a config: an argument of --set, a point of a sweep.
struct Override {
  std::string key;  ///< "stage.key", "run.threads", "seed"; "stage.plugin", "stage.with", "stage.from".
  YamlNode value;
  Position at;         ///< Of the key; this and the value's positions are in `text`.
  std::string origin;  ///< What the text is called in messages: "--set", a file.
  std::string text;
  std::filesystem::path folder;  ///< Where relative paths in the value start.
};

/// Reads a config: the file, what it `extends`, environment variables in its texts, and `--set` overrides,
/// merged into one tree in which every value still knows the file and line it came from. Faults go to
/// `diagnostics`.
class GRAFT_API ConfigFile {
 public:
  /// `overrides`: "stage.key=value", "run.threads=4", "name=x"; values are YAML. `more` comes after them.
  /// `text`: the content of a file that is not written yet; `path` is then its name in messages, and where
  /// relative paths start.
  ConfigFile(const std::filesystem::path& path, const std::vector<std::string>& overrides,
             Diagnostics& diagnostics, const std::vector<Override>& more = {},
             const std::optional<std::string>& text = {});

  /// A config that is no file: `root`, of whose values `diagnostics` knows the places. Nothing is expanded;
  /// relative paths start in `folder`.
  ConfigFile(YamlNode root, const std::filesystem::path& folder, Diagnostics& diagnostics);

  const YamlNode& root() const { return root_; }
  /// Where relative paths in a value start: the folder of the file it stands in; the working directory for
  /// --set.
  const std::filesystem::path& folder_of(Position position) const;

 private:
  YamlNode load(const std::filesystem::path& path, Position included_from, int depth,
                const std::optional<std::string>& unwritten = {});
  void expand_environment(YamlNode& node);
  void apply_override(const std::string& assignment);
  void lay_over(const Override& override);

  Diagnostics& diagnostics_;
  std::vector<std::filesystem::path> folders_;  // by file index of diagnostics_
  std::vector<std::filesystem::path> open_;     // files being read: finds cycles of `extends`
  YamlNode root_;
};

/// "stage.key=value" as an override, its value parsed. Faults, a missing "=" among them, go to `diagnostics`;
/// nothing then.
GRAFT_API std::optional<Override> parse_assignment(const std::string& origin, const std::string& assignment,
                                                   Diagnostics& diagnostics);

/// Replaces ${NAME} and ${NAME:-default}; `$${` stands for `${`. Adds the text of every error to `faults`.
GRAFT_API std::string expand_variables(const std::string& text, std::vector<std::string>& faults);

/// A value whose texts mean themselves in a config: `${` becomes `$${`. For everything that goes into the
/// text of a config and is no text of its author: paths in arguments, values that have been expanded.
GRAFT_API Value escape_variables(Value v);
/// The value that escape_variables() was given.
GRAFT_API Value unescape_variables(Value v);

}  // namespace graft
