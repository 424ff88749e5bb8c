#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <graft/value.h>

#include "config/diagnostics.h"

namespace graft {

/// A YAML value that remembers where every part of it stands.
struct GRAFT_API YamlNode {
  enum class Kind { Null, Scalar, List, Map };
  struct Member;

  Kind kind = Kind::Null;
  Position position;
  std::string scalar;
  bool quoted = false;  ///< A quoted scalar is text whatever it looks like.
  std::vector<YamlNode> items;
  std::vector<Member> members;  ///< In the order of the file.

  const YamlNode* find(std::string_view key) const;
  /// "null", "text", "list" or "map".
  const char* kind_name() const;
};

struct YamlNode::Member {
  std::string key;
  Position key_position;
  YamlNode value;
};

/// Parses one document. Faults (syntax, anchors, aliases, tags, duplicate keys, more than 1 MiB, more than
/// 50,000 keys and values, depth over 32) go to `diagnostics`; the tree then holds what could be read.
GRAFT_API YamlNode parse_yaml(std::string_view text, int file, Diagnostics& diagnostics);

/// Plain scalars become booleans, integers or numbers by the YAML 1.2 core schema; the rest is text.
GRAFT_API Value to_value(const YamlNode& node);

}  // namespace graft
