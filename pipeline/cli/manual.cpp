#include "manual.h"

#include <cctype>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <span>
#include <sstream>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/version.h>

#include "command_info.h"
#include "command_table.h"
#include "output.h"

namespace graft::cli {
namespace {

/// Text as roff takes it: every character stands for itself.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  return out;
}

std::string bold(const std::string& text) {
  return "\\fB" + roff(text) + "\\fR";
}

/// The values in the arguments of a command are in italics: "[TABLE...]", "TABLE FILE".
std::string values(const std::string& arguments) {
  std::istringstream words(arguments);
  std::string out;
  for (std::string word; words >> word;) {
    const std::size_t first = word.find_first_not_of('['), end = word.find_first_of("].", first);
    const std::string rest = end == std::string::npos ? "" : word.substr(end);
    out += " " + word.substr(0, first) + "\\fI" + roff(word.substr(first, end - first)) + "\\fR" + roff(rest);
  }
  return out;
}

class Page {
 public:
  Page(const std::string& name, const std::string& date, const std::string& help) {
    std::string title = name;
    for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    text_ = fmt::format(".TH {} 1 {} \"graft {}\" \"Graft\"\n", roff(title), date, GRAFT_VERSION);
    section("NAME");
    add_wrapped(roff(name) + " \\- " + roff(help));
  }
  void section(const std::string& title) { text_ += ".SH " + title + "\n"; }
  void paragraph(const std::string& text) { add_wrapped(roff(text)); }
  /// What it is about, as roff, and its explanation.
  void item(const std::string& head, const std::string& text) {
    line(".TP\n" + head);
    paragraph(text);
  }
  void line(const std::string& text) { text_ += text + "\n"; }
  const std::string& text() const { return text_; }

 private:
  void add_wrapped(const std::string& text) {
    std::istringstream lines(wrapped(text, 0, 76));
    // Without the mark, a dot at the beginning would make a request of the line.
    for (std::string each; std::getline(lines, each);) line((each.starts_with('.') ? "\\&" : "") + each);
  }

  std::string text_;
};

void add_options(Page& page, const std::vector<OptionInfo>& options) {
  for (const OptionInfo& option : options)
    page.item((option.letter.empty() ? "" : bold(option.letter) + ", ") + bold(option.name) +
                  (option.value.empty() ? "" : " \\fI" + roff(option.value) + "\\fR"),
              option.help);
}

void add_meanings(Page& page, const char* title, std::span<const Meaning> meanings) {
  page.section(title);
  for (const Meaning& meaning : meanings) page.item(bold(meaning.name), meaning.text);
}

void add_synopsis(Page& page, const std::string& line, const CommandInfo& command) {
  page.section("SYNOPSIS");
  const bool root = line == command.name;
  if (command.commands.empty() || root) {
    page.line(bold(line) + values(command.arguments) + " [\\fIOPTIONS\\fR]");
    return;
  }
  for (const CommandInfo& each : command.commands) {
    if (&each != &command.commands.front()) page.line(".br");
    page.line(bold(line + " " + each.name) + values(each.arguments) + " [\\fIOPTIONS\\fR]");
  }
}

void add_commands(Page& page, const std::string& line, const CommandInfo& command) {
  if (command.commands.empty()) return;
  page.section("COMMANDS");
  for (const CommandInfo& each : command.commands) {
    page.item(bold(line + " " + each.name) + values(each.arguments), each.help);
    if (each.options.empty() || line == command.name) continue;  // they have pages of their own
    page.line(".RS");
    add_options(page, each.options);
    page.line(".RE");
  }
}

void add_references(Page& page, const CommandInfo& root, const CommandInfo& command) {
  page.section("SEE ALSO");
  std::vector<std::string> others;
  if (&command != &root) others.emplace_back("graft");
  for (const CommandInfo& each : root.commands)
    if (each.name != command.name && each.name != "help") others.push_back("graft-" + each.name);
  for (const std::string& other : others)
    page.line(bold(other) + "(1)" + (&other == &others.back() ? "" : ","));
}

std::string page_of(const CommandInfo& root, const CommandInfo& command, const std::string& date) {
  const bool is_root = &command == &root;
  const std::string name = is_root ? "graft" : "graft-" + command.name;
  const std::string line = is_root ? "graft" : "graft " + command.name;
  Page page(name, date, command.help);
  add_synopsis(page, line, command);
  page.section("DESCRIPTION");
  page.paragraph(command.text);
  add_commands(page, line, command);
  if (!command.options.empty()) {
    page.section("OPTIONS");
    add_options(page, command.options);
  }
  if (!is_root && !command.standalone) {
    page.section("OPTIONS OF EVERY COMMAND");
    add_options(page, root.options);
  }
  add_meanings(page, "EXIT STATUS", exit_codes());
  if (is_root) add_meanings(page, "ENVIRONMENT", environment_variables());
  add_references(page, root, command);
  return page.text();
}

std::string date_of_pages() {
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  const std::time_t time = fixed == nullptr ? std::time(nullptr) : std::strtoll(fixed, nullptr, 10);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(time));
}

}  // namespace

int write_manual(const std::vector<std::string>& arguments) {
  const std::filesystem::path folder = only_argument(arguments, "FOLDER");
  CommandInfo root = program_info();
  for (CommandInfo& command : root.commands) {
    if (command.name != "model") continue;
    command = model_info();
    if (command.commands.size() == find_command("model")->commands.size())
      throw Error("the program graft-model does not describe its commands");
  }
  std::filesystem::create_directories(folder);
  const std::string date = date_of_pages();
  write_file_atomically(folder / "graft.1", page_of(root, root, date));
  for (const CommandInfo& command : root.commands)
    if (command.name != "help")
      write_file_atomically(folder / ("graft-" + command.name + ".1"), page_of(root, command, date));
  return kOk;
}

}  // namespace graft::cli
