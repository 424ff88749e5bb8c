#include "completion.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

#include "command_info.h"
#include "commands.h"
#include "output.h"
#include "plugin/registry.h"
#include "store/job_folder.h"
#include "store/table_check.h"
#include "store/table_use.h"

namespace graft::cli {
namespace {

class Completion {
 public:
  explicit Completion(const std::vector<std::string>& words)
      : root_(program_info()), path_{&root_}, last_(words.empty() ? "" : words.back()) {
    for (std::size_t i = 0; i + 1 < words.size(); ++i) read(words[i]);
  }

  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  std::vector<std::string> lines() {
    const std::size_t equals = last_.find('=');
    if (option_ != nullptr)
      add_values(option_->value, "");
    else if (last_.starts_with("--") && equals != std::string::npos)
      add_values_of(last_.substr(0, equals + 1));
    else if (last_.starts_with('-'))
      add_options();
    else if (!command().commands.empty() && arguments_ == 0)
      for (const CommandInfo& each : command().commands) add(each.name, each.help);
    else
      add_values(argument_kind(), "");
    return std::move(lines_);
  }

 private:
  const CommandInfo& command() const { return *path_.back(); }

  void read(const std::string& word) {
    if (option_ != nullptr) {
      note(option_->name, word);
      option_ = nullptr;
    } else if (word.starts_with('-')) {
      const std::size_t equals = word.find('=');
      const OptionInfo* option = find_option(word.substr(0, equals));
      if (option == nullptr || option->value.empty()) return;
      if (equals == std::string::npos)
        option_ = option;
      else
        note(option->name, word.substr(equals + 1));
    } else if (const CommandInfo* named = find_command_named(word)) {
      path_.push_back(named);
    } else {
      ++arguments_;
    }
  }

  /// Options that say where to look.
  void note(const std::string& option, const std::string& value) {
    if (option == "--store") store_ = value;
    if (option == "--plugin-dir") plugin_dirs_.push_back(value);
  }

  const CommandInfo* find_command_named(const std::string& word) {
    if (arguments_ > 0) return nullptr;
    for (const CommandInfo& each : command().commands) {
      if (each.name != word) continue;
      if (path_.size() > 1 || word != "model") return &each;
      model_ = model_info();
      return &model_;
    }
    return nullptr;
  }

  /// Options of the command and of those that it is one of.
  std::vector<const OptionInfo*> options() const {
    std::vector<const OptionInfo*> out;
    for (auto from = path_.rbegin(); from != path_.rend(); ++from) {
      for (const OptionInfo& option : (*from)->options) out.push_back(&option);
      if ((*from)->standalone) break;
    }
    return out;
  }

  const OptionInfo* find_option(const std::string& word) const {
    for (const OptionInfo* option : options())
      if (word == option->name || (!option->letter.empty() && word == option->letter)) return option;
    return nullptr;
  }

  void add_options() {
    for (const OptionInfo* option : options()) add(option->name, option->help);
  }

  /// `before`: "--metric=".
  void add_values_of(const std::string& before) {
    if (const OptionInfo* option = find_option(before.substr(0, before.size() - 1)))
      add_values(option->value, before);
  }

  /// The word of the usage that the next argument stands for; the last may be repeated.
  std::string argument_kind() const {
    std::istringstream all(command().arguments);
    std::vector<std::string> kinds;
    for (std::string kind; all >> kind;) {
      const bool repeated = kind.find("...") != std::string::npos;
      std::erase_if(kind, [](unsigned char c) { return c == '[' || c == ']' || c == '.'; });
      kinds.push_back(kind);
      if (repeated && arguments_ >= kinds.size()) return kind;
    }
    return arguments_ < kinds.size() ? kinds[arguments_] : "";
  }

  /// Values of "PLUGIN" or of "NAME|FILE". Words in lower case stand for themselves.
  void add_values(const std::string& kinds, const std::string& before) {
    std::istringstream all(kinds);
    for (std::string kind; std::getline(all, kind, '|');) {
      if (!kind.empty() && std::islower(static_cast<unsigned char>(kind[0])) != 0)
        add(before + kind, "");
      else
        add_values_of_kind(kind, before);
    }
  }

  void add_values_of_kind(const std::string& kind, const std::string& before) {
    for (const CommandInfo* from : {path_.back(), path_.front()})
      if (const auto set = from->words.find(kind); set != from->words.end()) {
        for (const std::string& word : set->second) add(before + word, "");
        return;
      }
    if (kind == "CONFIG")
      lines_.emplace_back(":files yaml yml");
    else if (kind == "FILE")
      lines_.emplace_back(":files");
    else if (kind == "DIR" || kind == "FOLDER" || kind == "RUN")
      lines_.emplace_back(":folders");
    else if (kind == "PLUGIN")
      add_plugins(before);
    else if (kind == "METRIC")
      add_metrics(before);
    else if (kind == "TABLE")
      add_tables(before);
    else if (kind == "JOB")
      for (const std::string& name : JobFolder::names_in(store_)) add(before + name, "");
  }

  void add_plugins(const std::string& before) {
    // Only schema files are read: no code of a plugin runs when somebody presses a key.
    const Registry registry(Registry::search_path(plugin_dirs_), Registry::Undescribed::PassedOver);
    for (const auto& [name, plugin] : registry.plugins()) add(before + name, plugin.schema.summary);
  }

  void add_metrics(const std::string& before) {
    const Registry registry(Registry::search_path(plugin_dirs_), Registry::Undescribed::PassedOver);
    for (const auto& [name, plugin] : registry.plugins())
      for (const FigureSpec& figure : plugin.schema.figures) add(before + figure.name, figure.text);
  }

  void add_tables(const std::string& before) {
    for (const std::filesystem::path& folder : tables_in(store_))
      for (const TableUse& use : read_uses(folder)) add(before + use.run + "/" + use.stage, "");
  }

  void add(const std::string& word, const std::string& help) {
    if (!word.starts_with(last_)) return;
    std::string line = word + "\t" + help;
    if (std::find(lines_.begin(), lines_.end(), line) == lines_.end()) lines_.push_back(std::move(line));
  }

  CommandInfo root_, model_;
  std::vector<const CommandInfo*> path_;  ///< From the root to the command of the line.
  std::size_t arguments_ = 0;             ///< That were given to it.
  const OptionInfo* option_ = nullptr;    ///< Its value is the next word.
  std::string last_;
  std::filesystem::path store_ = Global().store;
  std::vector<std::string> plugin_dirs_;
  std::vector<std::string> lines_;
};

}  // namespace

int complete(const std::vector<std::string>& words) {
  try {
    for (const std::string& line : Completion(words).lines()) say("{}\n", line);
  } catch (const std::exception&) {
    // A broken store or plugin folder offers nothing; a message would disturb the line being typed.
  }
  return kOk;
}

}  // namespace graft::cli
