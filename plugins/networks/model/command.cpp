#include "command.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <graft/params.h>

namespace graft::model {

Arguments::Arguments(const std::vector<std::string>& words, std::span<const Option> options) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.substr(0, 2) != "--") {
      positional_.push_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto option =
        std::find_if(options.begin(), options.end(), [&](const Option& o) { return name == o.name; });
    if (option != options.end() && option->value == nullptr && equals == std::string::npos) {
      options_[name];
    } else if (option != options.end() && option->value != nullptr) {
      if (equals == std::string::npos && i + 1 == words.size())
        throw UsageError{fmt::format("--{} needs a value", name)};
      options_[name] = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    } else {
      std::vector<std::string> known;
      for (const Option& o : options) known.emplace_back(o.name);
      const auto near = nearest(name, known);
      throw UsageError{
          fmt::format("no option '{}'{}", word, near ? fmt::format("; did you mean '--{}'?", *near) : "")};
    }
  }
}

const std::string& Arguments::only(const char* what) const {
  if (positional_.size() != 1)
    throw UsageError{fmt::format("expected one {}, got {}", what, positional_.size())};
  return positional_[0];
}

std::optional<std::string> Arguments::text(const std::string& name) const {
  const auto found = options_.find(name);
  if (found == options_.end()) return {};
  return found->second;
}

std::optional<int> Arguments::number(const std::string& name, int low, int high) const {
  const auto given = text(name);
  if (!given) return {};
  int value = 0;
  const auto [end, fault] = std::from_chars(given->data(), given->data() + given->size(), value);
  if (fault != std::errc() || end != given->data() + given->size() || value < low || value > high)
    throw UsageError{
        fmt::format("--{}: expected a whole number from {} to {}, got '{}'", name, low, high, *given)};
  return value;
}

}  // namespace graft::model
