#include "config/config_file.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>

#include "base/files.h"
#include "plugin/registry.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxExtends = 8;

/// Empty where it no longer exists: paths that are relative to it lead nowhere then, all others are fine.
fs::path current_folder() {
  std::error_code ignored;
  return fs::current_path(ignored);
}

std::optional<std::string> variable(const std::string& name) {
  if (const char* value = std::getenv(name.c_str())) return value;
  if (name == "GRAFT_SHARE") return share_folder().string();
  return {};
}

std::string unset_message(const std::string& name) {
  std::string text = fmt::format("environment variable {} is not set", name);
  if (name == "GRAFT_DATA")
    return text +
           "; set it to the folder that holds the data sets and weights (export GRAFT_DATA=/path/to/data)";
  return text + fmt::format("; set it, or write ${{{}:-default}}", name);
}

/// A stage that changes its plugin takes none of the parameters of the plugin before.
void drop_parameters_of_another(YamlNode& stage, const YamlNode& plugin) {
  const YamlNode* before = stage.find("plugin");
  if (before != nullptr && before->scalar != plugin.scalar)
    std::erase_if(stage.members, [](const YamlNode::Member& m) { return m.key == "with"; });
}

/// Lays `over` on `base`: maps are merged key by key, everything else is replaced; null removes a key.
void merge(YamlNode& base, YamlNode over) {
  if (base.kind != YamlNode::Kind::Map || over.kind != YamlNode::Kind::Map) {
    base = std::move(over);
    return;
  }
  if (const YamlNode* plugin = over.find("plugin")) drop_parameters_of_another(base, *plugin);
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < base.members.size(); ++i) places.emplace(base.members[i].key, i);
  std::unordered_set<std::string> removed;
  for (YamlNode::Member& m : over.members) {
    const auto place = places.find(m.key);
    if (place == places.end()) {
      base.members.push_back(std::move(m));
    } else if (m.value.kind == YamlNode::Kind::Null) {
      removed.insert(m.key);
    } else {
      YamlNode::Member& before = base.members[place->second];
      before.key_position = m.key_position;
      merge(before.value, std::move(m.value));
    }
  }
  if (!removed.empty())
    std::erase_if(base.members, [&](const YamlNode::Member& m) { return removed.contains(m.key); });
}

YamlNode::Member& member(YamlNode& map, const std::string& key, Position position) {
  for (YamlNode::Member& m : map.members)
    if (m.key == key) return m;
  YamlNode::Member m;
  m.key = key;
  m.key_position = position;
  m.value.position = position;
  map.members.push_back(std::move(m));
  return map.members.back();
}

/// Keys of a stage that can be overridden; no parameter has such a name.
bool is_stage_key(const std::string& key) {
  return key == "plugin" || key == "with" || key == "from";
}

std::vector<std::string> split(const std::string& key) {
  std::vector<std::string> parts{""};
  for (const char c : key) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

Value replace_in_texts(Value v, std::string_view what, std::string_view by) {
  if (v.is_string()) {
    std::string text = v.as_string();
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
      text.replace(at, what.size(), by);
    return text;
  }
  if (v.is_list())
    for (Value& element : v.as_list()) element = replace_in_texts(std::move(element), what, by);
  if (v.is_map())
    for (auto& [key, member] : v.as_map()) member = replace_in_texts(std::move(member), what, by);
  return v;
}

void place(YamlNode& node, int file) {
  node.position.file = file;
  for (YamlNode& item : node.items) place(item, file);
  for (YamlNode::Member& m : node.members) {
    m.key_position.file = file;
    place(m.value, file);
  }
}

}  // namespace

std::optional<Override> parse_assignment(const std::string& origin, const std::string& assignment,
                                         Diagnostics& diagnostics) {
  const int file = diagnostics.add_file(origin, assignment);
  const Position whole{file, 1, 1};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    diagnostics.error(whole, "expected stage.key=value, run.key=value, name=value or seed=value");
    return {};
  }
  const std::size_t before = diagnostics.errors();
  // Parse the value padded to its column, so that errors in it point into the argument.
  YamlNode value =
      parse_yaml(std::string(equals + 1, ' ') + assignment.substr(equals + 1), file, diagnostics);
  if (diagnostics.errors() > before) return {};
  if (value.position.line == 0) value.position = {file, 1, static_cast<int>(equals) + 2};
  return Override{
      assignment.substr(0, equals), std::move(value), whole, origin, assignment, current_folder()};
}

std::string expand_variables(const std::string& text, std::vector<std::string>& faults) {
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text.compare(i, 3, "$${") == 0) {
      out += "${";
      i += 3;
    } else if (text.compare(i, 2, "${") == 0) {
      const std::size_t end = text.find('}', i);
      if (end == std::string::npos) {
        faults.push_back("'${' without '}'; write $${ for the characters themselves");
        return text;
      }
      const std::string inside = text.substr(i + 2, end - i - 2);
      const std::size_t colon = inside.find(":-");
      const std::string name = inside.substr(0, colon);
      const bool valid = !name.empty() && name.find_first_not_of(
                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs"
                                              "tuvwxyz0123456789_") == std::string::npos;
      if (!valid)
        faults.push_back(fmt::format("'{}' is not the name of an environment variable", name));
      else if (const auto value = variable(name))
        out += *value;
      else if (colon != std::string::npos)
        out += inside.substr(colon + 2);
      else
        faults.push_back(unset_message(name));
      i = end + 1;
    } else {
      out += text[i++];
    }
  }
  return out;
}

Value escape_variables(Value v) {
  return replace_in_texts(std::move(v), "${", "$${");
}

Value unescape_variables(Value v) {
  return replace_in_texts(std::move(v), "$${", "${");
}

ConfigFile::ConfigFile(const fs::path& path, const std::vector<std::string>& overrides,
                       Diagnostics& diagnostics, const std::vector<Override>& more,
                       const std::optional<std::string>& text)
    : diagnostics_(diagnostics) {
  root_ = load(path, {}, 0, text);
  for (const std::string& assignment : overrides) apply_override(assignment);
  for (const Override& override : more) lay_over(override);
  expand_environment(root_);
}

ConfigFile::ConfigFile(YamlNode root, const fs::path& folder, Diagnostics& diagnostics)
    : diagnostics_(diagnostics), folders_{folder}, root_(std::move(root)) {}

const fs::path& ConfigFile::folder_of(Position position) const {
  const auto file = static_cast<std::size_t>(std::max(position.file, 0));
  return folders_.at(std::min(file, folders_.size() - 1));
}

YamlNode ConfigFile::load(const fs::path& path, Position included_from, int depth,
                          const std::optional<std::string>& unwritten) {
  std::error_code ignored;
  const fs::path absolute = fs::weakly_canonical(path, ignored);
  std::string text;
  try {
    if (!unwritten && fs::is_directory(absolute))
      throw Error(fmt::format("expected a config file, got a folder: {}", path.string()));
    text = unwritten ? *unwritten : read_file(path);
  } catch (const Error& e) {
    if (depth == 0) {
      folders_.push_back(current_folder());
      included_from = {diagnostics_.add_file(path.string(), ""), 0, 0};
    }
    diagnostics_.error(included_from, e.what());
    return {};
  }
  const int file = diagnostics_.add_file(path.string(), text);
  folders_.push_back(absolute.parent_path());
  YamlNode node = parse_yaml(text, file, diagnostics_);
  if (node.kind == YamlNode::Kind::Null && !diagnostics_.has_errors())
    diagnostics_.error({file, 0, 0}, "the config is empty; it needs at least `name:` and `stages:`");
  if (node.kind != YamlNode::Kind::Map) {
    if (node.kind != YamlNode::Kind::Null)
      diagnostics_.error(node.position,
                         fmt::format("expected a map with name and stages, got a {}", node.kind_name()));
    return {};
  }
  const YamlNode* extends = node.find("extends");
  if (extends == nullptr) return node;

  const Position at = extends->position;
  std::vector<std::string> faults;
  const std::string base_name = expand_variables(extends->scalar, faults);
  for (const std::string& fault : faults) diagnostics_.error(at, fault);
  if (extends->kind != YamlNode::Kind::Scalar)
    diagnostics_.error(at, "`extends` takes the path of one config");
  // Of half a config, nothing more can be said that holds of the whole.
  if (!faults.empty() || extends->kind != YamlNode::Kind::Scalar) return {};
  const fs::path base_path = fs::path(base_name).is_absolute()
                                 ? fs::path(base_name)
                                 : (path.parent_path() / base_name).lexically_normal();
  open_.push_back(absolute);
  const bool cycle =
      std::find(open_.begin(), open_.end(), fs::weakly_canonical(base_path, ignored)) != open_.end();
  if (cycle || depth >= kMaxExtends) {
    diagnostics_.error(at, cycle ? "this config extends itself"
                                 : fmt::format("more than {} levels of extends", kMaxExtends));
    open_.pop_back();
    return {};
  }
  YamlNode base = load(base_path, at, depth + 1);
  open_.pop_back();
  if (base.kind != YamlNode::Kind::Map) return {};
  std::erase_if(node.members, [](const YamlNode::Member& m) { return m.key == "extends"; });
  merge(base, std::move(node));
  return base;
}

void ConfigFile::expand_environment(YamlNode& node) {
  for (YamlNode& item : node.items) expand_environment(item);
  for (YamlNode::Member& m : node.members) expand_environment(m.value);
  if (node.kind != YamlNode::Kind::Scalar || node.scalar.find("${") == std::string::npos) return;
  std::vector<std::string> faults;
  node.scalar = expand_variables(node.scalar, faults);
  node.quoted = false;  // in a flow map it had to be quoted; "${CROP}" may still be a number
  for (const std::string& fault : faults) diagnostics_.error(node.position, fault);
}

void ConfigFile::apply_override(const std::string& assignment) {
  folders_.push_back(current_folder());  // of the text that parse_assignment shows
  if (const auto override = parse_assignment("--set", assignment, diagnostics_)) lay_over(*override);
}

void ConfigFile::lay_over(const Override& override) {
  const int file = diagnostics_.add_file(override.origin, override.text);
  folders_.push_back(override.folder);
  const Position whole{file, override.at.line, override.at.column};
  YamlNode value = override.value;
  place(value, file);
  const std::vector<std::string> parts = split(override.key);
  if (root_.kind != YamlNode::Kind::Map) return;
  YamlNode* node = &root_;
  std::size_t next = 0;
  if (parts[0] != "run" && parts.size() > 1) {
    YamlNode* stages = &member(root_, "stages", whole).value;
    std::vector<std::string> ids;
    for (const auto& m : stages->members) ids.push_back(m.key);
    if (std::find(ids.begin(), ids.end(), parts[0]) == ids.end()) {
      diagnostics_.error(whole, fmt::format("no stage '{}'{} (stages: {})", parts[0],
                                            suggestion(parts[0], ids), fmt::join(ids, ", ")));
      return;
    }
    node = &member(*stages, parts[0], whole).value;
    next = 1;
    if (parts.size() != 2 || !is_stage_key(parts[1]))
      node = &member(*node, "with", whole).value;
    else if (parts[1] == "plugin")
      drop_parameters_of_another(*node, value);
  }
  for (; next < parts.size(); ++next) {
    if (node->kind != YamlNode::Kind::Map) {
      node->kind = YamlNode::Kind::Map;
      node->members.clear();
    }
    YamlNode::Member& m = member(*node, parts[next], whole);
    m.key_position = whole;
    node = &m.value;
  }
  *node = std::move(value);
}

}  // namespace graft
