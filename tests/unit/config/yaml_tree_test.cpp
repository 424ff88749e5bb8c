#include "config/yaml_tree.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

struct Parsed {
  YamlNode root;
  std::string faults;
};

Parsed parse(const std::string& text) {
  Diagnostics diagnostics;
  Parsed p;
  p.root = parse_yaml(text, diagnostics.add_file("a.yaml", text), diagnostics);
  p.faults = diagnostics.render();
  return p;
}

TEST(YamlTree, RemembersWhereEverythingStands) {
  const Parsed p = parse("name: x\nstages:\n  a: {plugin: decode,\n      with: {crop: 8}}\n");
  ASSERT_EQ(p.faults, "");
  const YamlNode* a = p.root.find("stages")->find("a");
  EXPECT_EQ(a->members[0].key_position.line, 3);
  EXPECT_EQ(a->members[0].key_position.column, 7);
  const YamlNode* crop = a->find("with")->find("crop");
  EXPECT_EQ(crop->position.line, 4);
  EXPECT_EQ(crop->position.column, 20);
}

TEST(YamlTree, PlainScalarsFollowTheCoreSchemaAndQuotedOnesAreText) {
  const Parsed p =
      parse("[1, -7, 0.5, 1e3, true, False, null, ~, '1', \"true\", yes, 0x1F, 1_000, 12:30, .inf]");
  const Value v = to_value(p.root);
  EXPECT_EQ(v.to_json(),
            R"([1,-7,0.5,1000.0,true,false,null,null,"1","true","yes","0x1F","1_000","12:30",null])");
}

TEST(YamlTree, AnAliasCycleIsRefusedNotFollowed) {
  EXPECT_EQ(
      parse("a: &x [1, *x]\n").faults,
      "a.yaml:1:4: error: anchors (&name) are not allowed in a config; use `extends:` to share settings\n"
      "    a: &x [1, *x]\n"
      "       ^\n"
      "a.yaml:1:11: error: aliases (*name) are not allowed in a config; write the value out\n"
      "    a: &x [1, *x]\n"
      "              ^\n");
}

TEST(YamlTree, DuplicateKeysAreFaults) {
  EXPECT_EQ(parse("a: 1\nb: 2\na: 3\n").faults,
            "a.yaml:3:1: error: duplicate key 'a': the first one is in line 1\n    a: 3\n    ^\n");
}

TEST(YamlTree, SyntaxFaultsHaveAPlace) {
  EXPECT_EQ(parse("a: [1, 2\nb: 3\n").faults.rfind("a.yaml:2:", 0), 0u) << parse("a: [1, 2\nb: 3\n").faults;
  EXPECT_NE(parse("a: b: c\n").faults.find("error: not valid YAML"), std::string::npos);
}

TEST(YamlTree, DepthAndSizeAreLimited) {
  EXPECT_NE(parse(std::string(40, '[') + std::string(40, ']')).faults.find("nested deeper than 32 levels"),
            std::string::npos);
  EXPECT_NE(parse(std::string(5000, '[')).faults, "");
  EXPECT_NE(parse("a: " + std::string(2 << 20, 'x')).faults.find("a config may have 1 MiB"),
            std::string::npos);
}

TEST(YamlTree, ASecondDocumentIsAFault) {
  EXPECT_NE(parse("a: 1\n---\nb: 2\n").faults.find("this is a second one"), std::string::npos);
}

TEST(YamlTree, TagsAreRefused) {
  EXPECT_NE(parse("a: !!binary aGk=\n").faults.find("are not allowed in a config"), std::string::npos);
}

TEST(Diagnostics, ACaretStandsUnderItsCharacterBehindTabs) {
  Diagnostics d;
  const int file = d.add_file("f", "\tx: y\n");
  d.error({file, 1, 5}, "wrong");
  EXPECT_EQ(d.render(), "f:1:5: error: wrong\n    \tx: y\n    \t   ^\n");
}

}  // namespace
}  // namespace graft
