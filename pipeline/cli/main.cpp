// graft: the command line. Every command is a row of the table below and a function in cmd_<name>.cpp.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include <graft/params.h>
#include <graft/version.h>

#include "commands.h"
#include "output.h"
#include "plugin/plugin_call.h"
#include "process.h"
#include "run/crash_report.h"

namespace po = boost::program_options;
using namespace graft::cli;

namespace {

struct Row {
  const char* name;
  const char* usage;
  const char* help;
  Command function;
  /// Options that it takes beside those of all.
  po::options_description (*options)(Global& global) = nullptr;
};

po::options_description run_options(Global& global) {
  po::options_description options("Options of run");
  options.add_options()("keep", po::value(&global.keep)->default_value(1)->value_name("N"),
                        "earlier complete runs to keep, as <out>.1, <out>.2, ... (default: 1)");
  return options;
}

po::options_description sweep_options(Global& global) {
  po::options_description options("Options of sweep");
  options.add_options()("grid", po::value(&global.sweep.grids)->composing()->value_name("KEY=VALUES"),
                        "try each value, with each of the other grids: \"knn.k=[1, 5, 10]\"")(
      "list",
      po::value<std::string>()->value_name("FILE")->notifier([&](const auto& s) { global.sweep.list = s; }),
      "try each entry of a YAML list of maps: - {features.model: a.pt, probe.c: 1}")(
      "metric", po::value(&global.sweep.metric)->value_name("METRIC"),
      "what is best on val: accuracy (default), balanced_accuracy or log_loss");
  return options;
}

po::options_description plan_options(Global& global) {
  po::options_description options("Options of plan");
  options.add_options()("no-sample", po::bool_switch(&global.plan.no_sample),
                        "do not measure the time on some inputs");
  return options;
}

po::options_description store_options(Global& global) {
  po::options_description options("Options of store");
  Global::Store& store = global.store_options;
  options.add_options()("repair", po::bool_switch(&store.repair),
                        "verify: drop exactly what is damaged; the next run computes it again")(
      "older-than", po::value(&store.older_than)->value_name("30d"),
      "gc: tables not used for this long (h, d, w)")(
      "max-size", po::value(&store.max_size)->value_name("10GiB"),
      "gc: the least recently used tables, until the store is below this size")(
      "unreferenced", po::bool_switch(&store.unreferenced), "gc: tables that no run's folder names any more")(
      "dry-run", po::bool_switch(&store.dry_run), "gc: print what would be removed")(
      "run", po::value(&store.run)->value_name("NAME"),
      "export: the run whose list of inputs counts (default: the last)");
  return options;
}

constexpr Row kCommands[] = {
    {"run", "run CONFIG", "run a config: features into the store, learners, evaluation", run, run_options},
    {"sweep", "sweep CONFIG", "run a config with many values of its parameters; the best by val", sweep,
     sweep_options},
    {"check", "check CONFIG", "find every fault of a config without running it", check},
    {"plan", "plan CONFIG", "show stages, shapes, rows, what is stored and what would be computed", plan,
     plan_options},
    {"plugins", "plugins", "list the plugins, and the files that were refused and why", plugins},
    {"describe", "describe PLUGIN", "show a plugin's ports and parameters, and a config that uses it",
     describe},
    {"model", "model COMMAND", "list, look at and fetch networks and their weights: graft model --help",
     model},
    {"store", "store COMMAND",
     "look after the feature store: ls | verify [TABLE...] | gc | export TABLE FILE.h5 or FILE.npy", store,
     store_options},
    {"version", "version", "show the versions of graft and of its plugin interface", version},
};

po::options_description global_options(Global& global) {
  po::options_description options("Options");
  auto path = [](std::filesystem::path& to) {
    return po::value<std::string>()->notifier([&to](const std::string& s) { to = s; });
  };
  options.add_options()("help,h", "show this help, or a command's")("version,V", "show the version")(
      "set", po::value(&global.overrides)->composing()->value_name("KEY=VALUE"),
      "override: stage.key=value, run.threads=4, name=x, seed=1")("out", path(global.out)->value_name("DIR"),
                                                                  "where results go (default: runs/<name>)")(
      "store", path(global.store)->value_name("DIR"), "the feature store (default: .graft)")(
      "plugin-dir", po::value(&global.plugin_dirs)->composing()->value_name("DIR"),
      "look for plugins here, too (also: GRAFT_PLUGIN_PATH)")("quiet,q", po::bool_switch(&global.quiet),
                                                              "print errors only")(
      "log-level", po::value(&global.log_level)->value_name("LEVEL"),
      "error, warning, info (default) or debug")("json", po::bool_switch(&global.json),
                                                 "print results and faults as JSON");
  return options;
}

std::string help() {
  Global ignored;
  std::string out =
      "graft - transfer learning on images: a YAML config in, features, models and an evaluation out\n\n"
      "usage: graft COMMAND [ARGUMENT] [OPTIONS]\n       graft help COMMAND\n\ncommands\n";
  for (const Row& row : kCommands) out += fmt::format("  {:<18} {}\n", row.usage, row.help);
  std::ostringstream options;
  options << global_options(ignored);
  out += "\n" + options.str();
  out +=
      "\nexit codes: 0 success, 1 the run failed, 2 usage or config, 3 more rejects than run.max_rejects,\n"
      "            130 or 143 interrupted: run the same command again to resume\n\n"
      "try: graft run configs/quickstart.yaml\n";
  return out;
}

/// "error: " and the text to stderr, all but its first line indented: no name in it can begin a message of
/// its own. Where that cannot be written, there is nobody to be told.
void complain(const std::string& text, const std::string& more = {}) {
  std::fputs(("error: " + graft::printable_lines(text, "  ") + "\n" + more).c_str(), stderr);
}

/// Prints the error in the command line; `why` is for --json.
int usage_error(const std::string& text, const char* usage, std::string& why) {
  complain(text, fmt::format("usage: graft {}\n", usage));
  why = text;
  return kUsage;
}

const Row* find_command(const std::string& name) {
  const auto row =
      std::find_if(std::begin(kCommands), std::end(kCommands), [&](const Row& r) { return name == r.name; });
  return row == std::end(kCommands) ? nullptr : &*row;
}

std::string unknown_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Row& r : kCommands) names.emplace_back(r.name);
  const auto near = graft::nearest(name, names);
  return fmt::format("no command '{}'{} (commands: {})", name,
                     near ? fmt::format("; did you mean '{}'?", *near) : "", fmt::join(names, ", "));
}

void print_help_of(const Row& row, Global& global) {
  say("usage: graft {} [OPTIONS]\n\n{}\n\n", row.usage, row.help);
  std::ostringstream text;
  if (row.options != nullptr) text << row.options(global) << "\n";
  text << global_options(global);
  say("{}", text.str());
}

/// graft help, graft help COMMAND.
int show_help(Global& global, const std::vector<std::string>& words, std::string& why) {
  static constexpr const char* kUsageOfHelp = "help [COMMAND]";
  if (words.size() > 1)
    return usage_error(fmt::format("one COMMAND expected, got {}", words.size()), kUsageOfHelp, why);
  if (words.empty()) {
    say("{}", help());
    return kOk;
  }
  if (words[0] == "model") {
    std::string model = "model", option = "--help";
    char* argv[] = {model.data(), option.data(), nullptr};
    return start_model(argv);
  }
  const Row* row = find_command(words[0]);
  if (row == nullptr) return usage_error(unknown_command(words[0]), kUsageOfHelp, why);
  print_help_of(*row, global);
  return kOk;
}

/// The given option that belongs to another command; nothing if there is none.
std::optional<std::string> misplaced_option(const Row& row, const po::variables_map& values, Global& global) {
  for (const Row& other : kCommands) {
    if (other.options == nullptr || &other == &row) continue;
    const po::options_description theirs = other.options(global);
    for (const auto& option : theirs.options())
      if (const auto& given = values[option->long_name()]; !given.empty() && !given.defaulted())
        return fmt::format("--{} is an option of graft {}", option->long_name(), other.name);
  }
  return {};
}

int start(Global& global, const std::vector<std::string>& words, const char*& usage, std::string& why) {
  po::options_description hidden;
  hidden.add_options()("positional", po::value<std::vector<std::string>>());
  po::options_description all;
  all.add(global_options(global)).add(hidden);
  for (const Row& row : kCommands)
    if (row.options != nullptr) all.add(row.options(global));
  po::positional_options_description positional;
  positional.add("positional", -1);
  po::variables_map values;
  po::store(po::command_line_parser(words).options(all).positional(positional).run(), values);
  po::notify(values);

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
  if (command == "help") return show_help(global, arguments, why);
  const Row* row = find_command(command);
  if (row == nullptr) return usage_error(unknown_command(command), usage, why);
  usage = row->usage;
  if (asks_for_help) {
    print_help_of(*row, global);
    return kOk;
  }
  if (const auto misplaced = misplaced_option(*row, values, global))
    return usage_error(*misplaced, usage, why);
  if (global.json) begin_document();
  return row->function(global, arguments);
}

int run_command(Global& global, const std::vector<std::string>& words, std::string& why) {
  const char* usage = "COMMAND [ARGUMENT] [OPTIONS]; graft --help lists the commands";
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
  // This command parses its own options.
  if (argc > 1 && std::string_view(argv[1]) == "model") return start_model(argv + 1);
  graft::install_crash_report();
  graft::watch_exit();
  Global global;
  for (int i = 0; i < argc; ++i) global.program += (i ? " " : "") + std::string(argv[i]);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"-v"}) words = {"version"};
  std::string why;
  const int exit_code = run_command(global, words, why);
  // After an error in the command line, this option has not been read.
  if (exit_code != kOk && std::find(words.begin(), words.end(), "--json") != words.end()) begin_document();
  return finish_output(exit_code, why);
}
