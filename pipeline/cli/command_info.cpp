#include "command_info.h"

#include <iterator>
#include <string_view>

#include <boost/program_options.hpp>

#include <graft/error.h>
#include <graft/value.h>

#include "command_table.h"
#include "helper_program.h"
#include "plugin_templates.h"

namespace graft::cli {
namespace {

namespace po = boost::program_options;

std::vector<OptionInfo> options_of(const po::options_description& options) {
  std::vector<OptionInfo> out;
  for (const auto& option : options.options()) {
    OptionInfo info;
    info.name = "--" + option->long_name();
    const std::string letter = option->canonical_display_name(po::command_line_style::allow_dash_for_short);
    if (letter.starts_with('-')) info.letter = letter;
    // "N (=1)" where there is a default.
    if (option->semantic()->max_tokens() > 0)
      info.value = option->semantic()->name().substr(0, option->semantic()->name().find(" ("));
    info.help = option->description();
    out.push_back(std::move(info));
  }
  return out;
}

/// "[TABLE...]" of "verify [TABLE...]".
std::string arguments_of(std::string_view name, std::string_view usage) {
  usage.remove_prefix(name.size());
  return std::string(usage.starts_with(' ') ? usage.substr(1) : usage);
}

CommandInfo info_of(const CommandRow& row) {
  Global ignored;
  CommandInfo info{row.name, arguments_of(row.name, row.usage), row.help, row.text, {}, {}};
  if (row.options != nullptr) info.options = options_of(row.options(ignored));
  for (const Subcommand& sub : row.commands)
    info.commands.push_back(
        {sub.name,
         arguments_of(sub.name, sub.usage),
         sub.help,
         "",
         sub.options == nullptr ? std::vector<OptionInfo>() : options_of(sub.options(ignored)),
         {}});
  return info;
}

std::string text_of(const Value& map, const char* name) {
  const Value* value = map.find(name);
  return value == nullptr ? "" : value->as_string();
}

/// What graft-model prints, see its main.cpp.
CommandInfo info_from(const Value& described) {
  CommandInfo info{text_of(described, "name"),
                   text_of(described, "arguments"),
                   text_of(described, "help"),
                   text_of(described, "text"),
                   {},
                   {}};
  if (const Value* options = described.find("options"))
    for (const Value& option : options->as_list())
      info.options.push_back(
          {"--" + text_of(option, "name"), "", text_of(option, "value"), text_of(option, "help")});
  if (const Value* words = described.find("words"))
    for (const auto& [name, list] : words->as_map())
      for (const Value& word : list.as_list()) info.words[name].push_back(word.as_string());
  if (const Value* commands = described.find("commands"))
    for (const Value& command : commands->as_list()) info.commands.push_back(info_from(command));
  return info;
}

}  // namespace

CommandInfo program_info() {
  Global ignored;
  CommandInfo root{
      "graft",
      "COMMAND [ARGUMENT]",
      "transfer learning on images",
      "A YAML config names the stages: a source of images, a pretrained network that turns every image into "
      "features, learners, and an evaluation. Features are kept in a store and are not computed twice.",
      options_of(global_options(ignored)),
      {}};
  root.words["LEVEL"] = {std::begin(kLogLevels), std::end(kLogLevels)};
  root.words["KIND"] = template_kinds();
  root.words["ENGINE"] = {std::begin(kEngines), std::end(kEngines)};
  for (const CommandRow& row : command_rows()) root.commands.push_back(info_of(row));
  CommandInfo help{"help", "[COMMAND]", "show the help of a command", "", {}, {}};
  for (const CommandInfo& command : root.commands) help.words["COMMAND"].push_back(command.name);
  root.commands.push_back(std::move(help));
  return root;
}

CommandInfo model_info() {
  CommandInfo info = info_of(*find_command("model"));
  info.standalone = true;
  const std::string answer = output_of("graft-model", {"__commands"});
  if (answer.empty()) return info;
  const CommandInfo theirs = info_from(Value::from_json(answer));
  info.text = theirs.text;
  info.options = theirs.options;
  info.commands.insert(info.commands.begin(), theirs.commands.begin(), theirs.commands.end());
  return info;
}

}  // namespace graft::cli
