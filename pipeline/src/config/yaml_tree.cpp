#include "config/yaml_tree.h"

#include <charconv>
#include <limits>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace graft {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr std::size_t kMaxDepth = 32, kMaxValues = 50'000;

/// Thrown to leave the parser; the error has been reported.
struct Stop {};

/// Builds the tree from parser events. Working on events, not on YAML::Node, keeps the position of every key
/// and value and never follows an alias: an alias cycle overflows the stack of whoever walks it.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(int file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    put({YamlNode::Kind::Null, at(mark), {}, false, {}, {}});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    diagnostics_.error(at(mark), "aliases (*name) are not allowed in a config; write the value out");
    put({YamlNode::Kind::Null, at(mark), {}, false, {}, {}});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    YamlNode node{YamlNode::Kind::Scalar, at(mark), value, tag == "!", {}, {}};
    // yaml-cpp gives an empty plain scalar where YAML has null.
    if (!node.quoted &&
        (value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL"))
      node.kind = YamlNode::Kind::Null;
    put(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::List);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::Map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    bool has_key = false;
    bool duplicate = false;
    std::string key;
    Position key_position;
    std::unordered_map<std::string, int> lines;  ///< Of the keys, for those that come again.
  };

  Position at(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0)
      diagnostics_.error(at(mark),
                         "anchors (&name) are not allowed in a config; use `extends:` to share settings");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      diagnostics_.error(at(mark), fmt::format("tags ({}) are not allowed in a config; remove it", tag));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (stack_.size() >= kMaxDepth) {
      diagnostics_.error(at(mark), fmt::format("nested deeper than {} levels", kMaxDepth));
      throw Stop{};
    }
    Open o;
    o.node.kind = kind;
    o.node.position = at(mark);
    stack_.push_back(std::move(o));
  }

  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    put(std::move(node));
  }

  void put(YamlNode node) {
    if (++values_ > kMaxValues) {
      diagnostics_.error(node.position, fmt::format("a config may have {} keys and values", kMaxValues));
      throw Stop{};
    }
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = stack_.back();
    if (top.node.kind == YamlNode::Kind::List) {
      top.node.items.push_back(std::move(node));
    } else if (!top.has_key) {
      top.has_key = true;
      if (node.kind != YamlNode::Kind::Scalar)
        diagnostics_.error(node.position, fmt::format("a key must be a name, got a {}", node.kind_name()));
      top.key = node.scalar;
      top.key_position = node.position;
      // Where its value begins: on the line of the key, or below it.
      const auto [before, fresh] = top.lines.try_emplace(top.key, node.position.line);
      top.duplicate = !fresh;
      if (top.duplicate)
        diagnostics_.error(node.position, fmt::format("duplicate key '{}': the first one is in line {}",
                                                      top.key, before->second));
    } else {
      top.has_key = false;
      if (!top.duplicate) top.node.members.push_back({top.key, top.key_position, std::move(node)});
    }
  }

  int file_;
  Diagnostics& diagnostics_;
  std::vector<Open> stack_;
  std::size_t values_ = 0;
  YamlNode root_;
};

bool parse_integer(std::string_view s, std::int64_t& out) {
  if (!s.empty() && s.front() == '+') s.remove_prefix(1);
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
  return error == std::errc() && end == s.data() + s.size();
}

bool parse_double(std::string_view s, double& out) {
  if (s == ".inf" || s == "+.inf" || s == "-.inf") {
    out =
        s.front() == '-' ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return true;
  }
  if (s == ".nan") {
    out = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (s.empty() || s.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return false;
  if (s.front() == '+') s.remove_prefix(1);
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
  return error == std::errc() && end == s.data() + s.size();
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Member& m : members)
    if (m.key == key) return &m.value;
  return nullptr;
}

const char* YamlNode::kind_name() const {
  static constexpr const char* kNames[] = {"null", "text", "list", "map"};
  return kNames[static_cast<int>(kind)];
}

namespace {

/// What the parser could not say: it is built for programs.
std::string explained(const YAML::Exception& e, std::string_view text) {
  for (int line = 0; line < e.mark.line; ++line)
    text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
  text = text.substr(0, text.find('\n'));
  if (text.substr(0, text.find_first_not_of(" \t")).find('\t') != std::string_view::npos)
    return "tabs are not allowed here: indent with spaces";
  if (text.find(": *") != std::string_view::npos || text.find("[*") != std::string_view::npos)
    return e.msg + "; a text that begins with * needs quotes: \"*.jpg\"";
  return e.msg;
}

}  // namespace

YamlNode parse_yaml(std::string_view text, int file, Diagnostics& diagnostics) {
  if (text.size() > kMaxBytes) {
    diagnostics.error({file, 0, 0},
                      fmt::format("a config may have 1 MiB, this one has {} bytes", text.size()));
    return {};
  }
  TreeBuilder builder(file, diagnostics);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    if (parser.HandleNextDocument(builder)) {
      TreeBuilder rest(file, diagnostics);
      if (parser.HandleNextDocument(rest))
        diagnostics.error(rest.take().position, "a config is one YAML document; this is a second one");
    }
  } catch (const Stop&) {
  } catch (const YAML::Exception& e) {
    diagnostics.error({file, e.mark.line + 1, e.mark.column + 1}, "not valid YAML: " + explained(e, text));
  }
  return builder.take();
}

Value to_value(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::Null:
      return {};
    case YamlNode::Kind::List: {
      Value out = Value::list();
      for (const YamlNode& n : node.items) out.push(to_value(n));
      return out;
    }
    case YamlNode::Kind::Map: {
      Value out = Value::map();
      for (const auto& m : node.members) out.as_map().emplace_back(m.key, to_value(m.value));
      return out;
    }
    case YamlNode::Kind::Scalar:
      break;
  }
  const std::string& s = node.scalar;
  if (node.quoted) return s;
  if (s == "true" || s == "True" || s == "TRUE") return true;
  if (s == "false" || s == "False" || s == "FALSE") return false;
  std::int64_t i = 0;
  if (parse_integer(s, i)) return i;
  double d = 0;
  if (parse_double(s, d)) return d;
  return s;
}

}  // namespace graft
