#include "plugin/known_faults.h"

#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include <graft/value_path.h>

namespace graft {
namespace {

/// Removes and returns the first number of "1.10.0"; 0 if there is none.
int take_number(std::string_view& version) {
  int number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  const auto dot = version.find('.');
  version.remove_prefix(dot == std::string_view::npos ? version.size() : dot + 1);
  return number;
}

}  // namespace

bool is_version_below(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const int x = take_number(a), y = take_number(b);
    if (x != y) return x < y;
  }
  return false;
}

std::vector<std::string> known_faults(const Value& description, const Registry& registry) {
  std::vector<std::string> out;
  const auto look = [&](const std::string& name, const std::string& version) {
    const Registry::Plugin* plugin = registry.find(name);
    if (plugin == nullptr || version.empty()) return;
    for (const KnownFault& fault : plugin->schema.known_faults)
      if (is_version_below(version, fault.before))
        out.push_back(fmt::format("{} {}, corrected in {}: {}", plugin->schema.name, version, fault.before,
                                  fault.text));
  };
  for (const Value& stage : list_at(description, {"stages"})) {
    look(text_at(stage, {"plugin"}), text_at(stage, {"version"}));
    for (const auto& [name, versions] : map_at(stage, {"services"})) {
      const std::string text = text_at(versions, {});  // "1.0.0 libtorch 1.13.1"
      look(name, text.substr(0, text.find(' ')));
    }
  }
  return out;
}

}  // namespace graft
