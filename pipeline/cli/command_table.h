#pragma once

#include <span>
#include <string_view>

#include <boost/program_options.hpp>

#include "commands.h"

/// \file
/// The commands and their options. Parsing, help, completion and manual pages are made from this table alone.
namespace graft::cli {

/// Options that a command takes beside those of every command.
using Options = boost::program_options::options_description (*)(Global& global);

/// A command of a command.
struct Subcommand {
  const char* name;
  const char* usage;  ///< The name and its arguments.
  const char* help;
  Command function;
  Options options = nullptr;
};

struct CommandRow {
  const char* name;
  const char* usage;  ///< The name and its arguments: words in capitals stand for values, see completion.h.
  const char* help;   ///< One line.
  const char* text;   ///< What else people want to know: a few sentences.
  Command function;   ///< Without one of `commands`; null where one must follow.
  Options options = nullptr;
  std::span<const Subcommand> commands = {};
};

std::span<const CommandRow> command_rows();
/// nullptr if there is none of that name.
const CommandRow* find_command(std::string_view name);
/// Options of every command.
boost::program_options::options_description global_options(Global& global);

/// A name and what it means: of exit codes, and of environment variables.
struct Meaning {
  const char* name;
  const char* text;
};
std::span<const Meaning> exit_codes();
std::span<const Meaning> environment_variables();

}  // namespace graft::cli
