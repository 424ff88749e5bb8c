// graft: the command line. Every command is a row in command_table.cpp and a function in cmd_<name>.cpp.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include <graft/params.h>
#include <graft/text.h>
#include <graft/version.h>

#include "command_info.h"
#include "command_table.h"
#include "completion.h"
#include "manual.h"
#include "output.h"
#include "plugin/plugin_call.h"
#include "process.h"
#include "run/crash_report.h"
#include "run/progress.h"
#include "store/folder_lock.h"

namespace po = boost::program_options;
using namespace graft::cli;

namespace {

std::string options_text(const po::options_description& options) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& option : options.options()) {
    const std::string parameter = option->format_parameter();
    rows.emplace_back(option->format_name() + (parameter.empty() ? "" : " " + parameter),
                      option->description());
  }
  return explained(rows, reading_columns());
}

std::string help() {
  Global ignored;
  const std::size_t columns = reading_columns();
  std::string out =
      wrapped("graft - transfer learning on images: a YAML config in, features, models and an evaluation out",
              0, columns) +
      "\n" + wrapped("usage: graft COMMAND [ARGUMENT] [OPTIONS]", 0, columns) +
      "       graft help COMMAND\n\ncommands\n";
  std::vector<std::pair<std::string, std::string>> commands, codes;
  for (const CommandRow& row : command_rows()) commands.emplace_back(row.usage, row.help);
  for (const Meaning& code : exit_codes()) codes.emplace_back(code.name, code.text);
  out += explained(commands, columns) + "\noptions\n" + options_text(global_options(ignored));
  out += "\nexit codes\n" + explained(codes, columns);
  out += "\ntry: graft run $(graft share)/configs/quickstart.yaml\n";
  return out;
}

/// "error: " and the text to stderr, all but its first line indented: no name in it can begin a message of
/// its own. Where that cannot be written, there is nobody to be told.
void complain(const std::string& text, const std::string& more = {}) {
  const char* const begin = graft::has_colors() ? "\x1b[31merror:\x1b[0m " : "error: ";
  std::fputs((begin + graft::printable_lines(text, "  ") + "\n" + more).c_str(), stderr);
}

/// Prints the error in the command line; `why` is for --json.
int usage_error(const std::string& text, const std::string& usage, std::string& why) {
  complain(text, fmt::format("usage: graft {}\n", usage));
  why = text;
  return kUsage;
}

std::string unknown_command(const std::string& name) {
  std::vector<std::string> names;
  for (const CommandRow& r : command_rows()) names.emplace_back(r.name);
  const auto near = graft::nearest(name, names);
  return fmt::format("no command '{}'{} (commands: {})", name,
                     near ? fmt::format("; did you mean '{}'?", *near) : "", fmt::join(names, ", "));
}

/// The command of a command. Throws UsageError, with the nearest name.
const Subcommand* subcommand(const CommandRow& row, const std::string& name) {
  std::vector<std::string> names;
  for (const Subcommand& each : row.commands) {
    if (name == each.name) return &each;
    names.emplace_back(each.name);
  }
  const auto near = graft::nearest(name, names);
  throw UsageError{
      fmt::format("{}{} (commands: {})",
                  name.empty() ? "COMMAND is missing" : fmt::format("no command '{} {}'", row.name, name),
                  near ? fmt::format("; did you mean '{}'?", *near) : "", fmt::join(names, ", "))};
}

/// Whether the program graft-model has the command, not this one.
bool is_of_graft_model(const CommandRow& row, const std::string& name) {
  const auto is_named = [&](const auto& each) { return name == each.name; };
  if (std::string_view(row.name) != "model" ||
      std::any_of(row.commands.begin(), row.commands.end(), is_named))
    return false;
  const std::vector<CommandInfo> theirs = model_info().commands;
  return std::any_of(theirs.begin(), theirs.end(), is_named);
}

void print_help_of(const CommandRow& row, const Subcommand* sub, Global& global) {
  const std::size_t columns = reading_columns();
  const auto usage = [&](const std::string& of) {
    return wrapped(fmt::format("usage: graft {} [OPTIONS]", of), 0, columns);
  };
  std::string text;
  if (sub != nullptr) {
    text = usage(fmt::format("{} {}", row.name, sub->usage)) + "\n" + wrapped(sub->help, 0, columns);
    if (sub->options != nullptr) text += "\noptions of this command\n" + options_text(sub->options(global));
  } else {
    text = usage(row.usage) + "\n" + wrapped(row.help, 0, columns) + "\n" + wrapped(row.text, 0, columns);
    std::vector<std::pair<std::string, std::string>> commands;
    for (const Subcommand& each : row.commands) commands.emplace_back(each.usage, each.help);
    if (!commands.empty())
      text += "\ncommands\n" + explained(commands, columns) + "\n" +
              wrapped(fmt::format("graft {} COMMAND --help shows the options of one", row.name), 0, columns);
    if (row.options != nullptr) text += "\noptions of this command\n" + options_text(row.options(global));
  }
  say("{}\noptions of every command\n{}", text, options_text(global_options(global)));
}

/// graft help, graft help COMMAND.
int show_help(Global& global, const std::vector<std::string>& words, std::string& why) {
  static constexpr const char* kUsageOfHelp = "help [COMMAND]";
  if (words.size() > 2 ||
      (words.size() == 2 && find_command(words[0]) != nullptr && find_command(words[0])->commands.empty()))
    return usage_error(fmt::format("one COMMAND expected, got {}", words.size()), kUsageOfHelp, why);
  if (words.empty()) {
    say("{}", help());
    return kOk;
  }
  if (words == std::vector<std::string>{"model"}) return help_of_model();
  const CommandRow* row = find_command(words[0]);
  if (row == nullptr) return usage_error(unknown_command(words[0]), kUsageOfHelp, why);
  const Subcommand* sub = nullptr;
  if (words.size() > 1) sub = subcommand(*row, words[1]);
  print_help_of(*row, sub, global);
  return kOk;
}

/// Every command with options of its own: its name, and the options.
std::vector<std::pair<std::string, Options>> commands_with_options() {
  std::vector<std::pair<std::string, Options>> out;
  for (const CommandRow& row : command_rows()) {
    if (row.options != nullptr) out.emplace_back(row.name, row.options);
    for (const Subcommand& sub : row.commands)
      if (sub.options != nullptr) out.emplace_back(fmt::format("{} {}", row.name, sub.name), sub.options);
  }
  return out;
}

/// Adds the options that no other command has added: two commands may share one, with its place in Global.
void add_new_options(const po::options_description& options, po::options_description& to) {
  for (const auto& option : options.options())
    if (to.find_nothrow(option->long_name(), false) == nullptr) to.add(option);
}

/// The given option that belongs to another command than those of `own`; nothing if there is none.
std::optional<std::string> misplaced_option(const std::vector<Options>& own, const po::variables_map& values,
                                            Global& global) {
  po::options_description ours;
  for (const Options options : own)
    if (options != nullptr) add_new_options(options(global), ours);
  std::string misplaced;
  std::vector<std::string> commands;  // that have it
  for (const auto& [name, options] : commands_with_options()) {
    const po::options_description theirs = options(global);
    for (const auto& option : theirs.options()) {
      const std::string& word = option->long_name();
      if (ours.find_nothrow(word, false) != nullptr || (!misplaced.empty() && word != misplaced)) continue;
      if (const auto& given = values[word]; given.empty() || given.defaulted()) continue;
      misplaced = word;
      commands.push_back(name);
    }
  }
  if (misplaced.empty()) return {};
  return fmt::format("--{} is an option of graft {}", misplaced, graft::joined(commands, 20));
}

int start(Global& global, const std::vector<std::string>& words, std::string& usage, std::string& why) {
  po::options_description hidden;
  hidden.add_options()("positional", po::value<std::vector<std::string>>());
  po::options_description all;
  all.add(global_options(global)).add(hidden);
  for (const auto& [name, options] : commands_with_options()) add_new_options(options(global), all);
  po::positional_options_description positional;
  positional.add("positional", -1);
  po::variables_map values;
  po::store(po::command_line_parser(words).options(all).positional(positional).run(), values);
  po::notify(values);
  global.store_given = values.count("store") != 0;

  std::vector<std::string> arguments;
  if (values.count("positional") != 0) arguments = values["positional"].as<std::vector<std::string>>();
  const bool asks_for_help = values.count("help") != 0;
  if (arguments.empty() && values.count("version") != 0) arguments = {"version"};
  if (arguments.empty()) {
    graft::print_text(asks_for_help ? stdout : stderr, help());
    why = "COMMAND is missing";
    return asks_for_help ? kOk : kUsage;
  }
  const std::string command = arguments[0];
  arguments.erase(arguments.begin());
  if (command == "__manual") return write_manual(arguments);
  if (command == "help") return show_help(global, arguments, why);
  const CommandRow* row = find_command(command);
  if (row == nullptr) return usage_error(unknown_command(command), usage, why);
  usage = row->usage;
  const Subcommand* sub = nullptr;
  if (!row->commands.empty() && !(arguments.empty() && (asks_for_help || row->function != nullptr))) {
    const std::string name = arguments.empty() ? "" : arguments[0];
    if (is_of_graft_model(*row, name))
      throw UsageError{"this command has its own options, which come after it: graft model list --json"};
    sub = subcommand(*row, name);
    arguments.erase(arguments.begin());
    usage = fmt::format("{} {}", row->name, sub->usage);
  }
  if (asks_for_help) {
    print_help_of(*row, sub, global);
    return kOk;
  }
  if (const auto misplaced =
          misplaced_option({row->options, sub == nullptr ? nullptr : sub->options}, values, global))
    return usage_error(*misplaced, usage, why);
  if (global.json) begin_document();
  return (sub == nullptr ? row->function : sub->function)(global, arguments);
}

int run_command(Global& global, const std::vector<std::string>& words, std::string& why) {
  std::string usage = "COMMAND [ARGUMENT] [OPTIONS]; graft --help lists the commands";
  try {
    return start(global, words, usage, why);
  } catch (const UsageError& e) {
    return usage_error(e.text, usage, why);
  } catch (const po::error& e) {
    return usage_error(e.what(), usage, why);
  } catch (const std::system_error& e) {
    if (std::ferror(stdout) != 0) return note_output_error(e.code().value()), kFailed;
    why = e.what();
  } catch (const std::bad_alloc&) {
    why = graft::out_of_memory(graft::MemoryUse::Other);
  } catch (const std::exception& e) {
    why = e.what();
  }
  complain(why);
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  if (const std::string fault = prepare_process(); !fault.empty()) {
    complain(fault);
    return kFailed;
  }
  // What is not one of the commands below, graft-model parses by itself.
  if (argc > 1 && std::string_view(argv[1]) == "model") {
    const std::string_view name = argc > 2 ? argv[2] : "";
    const auto own = find_command("model")->commands;
    if (name == "--help" || name == "-h") return finish_output(help_of_model(), "");
    if (std::none_of(own.begin(), own.end(), [&](const Subcommand& each) { return name == each.name; }))
      return start_model(argv + 1);
  }
  graft::install_crash_report();
  graft::watch_exit();
  graft::FolderLock::on_wait([](const std::string& text) { print_error("{}\n", text); });
  Global global;
  for (int i = 0; i < argc; ++i) global.program += (i ? " " : "") + std::string(argv[i]);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"-v"}) words = {"version"};
  // What is being typed is no command line yet.
  if (!words.empty() && words[0] == "__complete")
    return finish_output(complete({words.begin() + 1, words.end()}), "");
  std::string why;
  const int exit_code = run_command(global, words, why);
  // After an error in the command line, this option has not been read.
  if (exit_code != kOk && std::find(words.begin(), words.end(), "--json") != words.end()) begin_document();
  return finish_output(exit_code, why);
}
