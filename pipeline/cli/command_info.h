#pragma once

#include <map>
#include <string>
#include <vector>

namespace graft::cli {

struct OptionInfo {
  std::string name;    ///< "--json".
  std::string letter;  ///< "-q", or empty.
  std::string value;   ///< What follows it: "DIR"; empty: nothing.
  std::string help;
};

/// A command as data, for completion and manual pages; the command line itself is the root.
struct CommandInfo {
  std::string name;
  std::string arguments;  ///< "CONFIG", "[TABLE...]", "TABLE FILE".
  std::string help, text;
  std::vector<OptionInfo> options;
  std::vector<CommandInfo> commands;
  /// What a word in capitals may stand for, where that is a fixed set.
  std::map<std::string, std::vector<std::string>> words = {};
  bool standalone = false;  ///< Options of the root are not options of this command.
};

/// The command line of graft, all but what is below `graft model`.
CommandInfo program_info();
/// `graft model`, which the program graft-model describes; without commands if that is not installed.
CommandInfo model_info();

}  // namespace graft::cli
