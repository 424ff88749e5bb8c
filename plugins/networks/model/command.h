#pragma once

#include <cstdio>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/printable.h>

namespace graft::model {

constexpr int kOk = 0, kFailed = 1, kUsage = 2;

/// Raised for a wrong command line: printed with the command's usage, exit 2.
struct UsageError {
  std::string text;
};

/// To stdout, and to stderr; names cannot control the terminal. Throw std::system_error.
template <typename... T>
void say(fmt::format_string<T...> format, T&&... arguments) {
  print_text(stdout, fmt::format(format, std::forward<T>(arguments)...));
}
template <typename... T>
void print_error(fmt::format_string<T...> format, T&&... arguments) {
  print_text(stderr, fmt::format(format, std::forward<T>(arguments)...));
}

struct Option {
  const char* name;
  const char* value;  ///< What follows it: "N"; nullptr: nothing.
  const char* help;
};

/// A command's words and options. Options may stand anywhere: `--name value`, `--name=value`, or a bare flag.
class Arguments {
 public:
  /// Throws UsageError for an option that is not in the list (with the nearest), and for one without its
  /// value.
  Arguments(const std::vector<std::string>& words, std::span<const Option> options);

  const std::vector<std::string>& positional() const { return positional_; }
  /// The one word that a command takes. Throws UsageError.
  const std::string& only(const char* what) const;
  bool has(const std::string& name) const { return options_.count(name) != 0; }
  std::optional<std::string> text(const std::string& name) const;
  /// Throws UsageError for what is no whole number of the range.
  std::optional<int> number(const std::string& name, int low, int high) const;

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::string> options_;
};

// One file each: check.cpp, list.cpp, summary.cpp, fetch.cpp.
int check(const Arguments& arguments);
int list(const Arguments& arguments);
int summary(const Arguments& arguments);
int fetch(const Arguments& arguments);

}  // namespace graft::model
