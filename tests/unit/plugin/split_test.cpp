#include "plugin/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/testing/error_of.h>

namespace graft {
namespace {

using graft::testing::error_of;

Params with_group(const std::string& pattern) {
  Value given = Value::map();
  given["group"] = pattern;
  std::vector<ParamFault> faults;
  return Params(resolve(SplitRule::parameters(), given, faults));
}

std::string group(const std::string& pattern, const std::string& key) {
  return SplitRule(with_group(pattern), {}).group_of(key);
}

std::string fault_of_pattern(const std::string& pattern) {
  return error_of([&] { SplitRule(with_group(pattern), {}); });
}

TEST(Group, IsTheFirstParenthesisOrAllThatIsFoundOrTheKey) {
  EXPECT_EQ(group("^(patient[0-9]+)_", "patient7_3.jpg"), "patient7");
  EXPECT_EQ(group("_s[0-9]+", "a_s12_b.jpg"), "_s12");
  EXPECT_EQ(group("(a)|(b)", "xb"), "b");
  EXPECT_EQ(group("(cat|catfish)", "catfish"), "cat");
  EXPECT_EQ(group("x(y*)z", "xz"), "");
  EXPECT_EQ(group("^none", "a.jpg"), "a.jpg");
  EXPECT_EQ(group("[[:digit:]]{2}\\b", "v12.jpg"), "12");
}

TEST(Group, AnExpressionOverALongKeyTakesNoStack) {
  const std::string key = std::string(5'000'000, 'a') + "_1.jpg";
  EXPECT_EQ(group("^(.*)_", key).size(), 5'000'000u);
  EXPECT_EQ(group("(a|aa)*$", std::string(200'000, 'a') + "b").size(), 0u);
}

TEST(Group, ACharacterIsOneOfUtf8AndAByteWhereTheKeyIsNone) {
  EXPECT_EQ(group("^(.)", "\xc3\xa4rger"), "\xc3\xa4");
  EXPECT_EQ(group("^([\xc3\xa4\xc3\xb6]+)", "\xc3\xb6\xc3\xa4x"), "\xc3\xb6\xc3\xa4");
  EXPECT_EQ(group("^(.*)_", "caf\xe9_1.jpg"), "caf\xe9");
}

TEST(Group, WhatNeedsBacktrackingIsRefusedWithACure) {
  EXPECT_EQ(fault_of_pattern("(a)\\1"),
            "group: '(a)\\1' is not a regular expression (back-references, '\\1', are not supported; "
            "write the text out, or group by less of the key)");
  for (const char* around : {"(?=", "(?!", "(?<=", "(?<!"})
    EXPECT_THAT(fault_of_pattern(around + std::string("a)b")),
                ::testing::HasSubstr("are not supported; put what is to be compared into parentheses"))
        << around;
  EXPECT_THAT(fault_of_pattern("[("), ::testing::StartsWith("group: '[(' is not a regular expression ("));
  EXPECT_THAT(fault_of_pattern("((a{1000}){1000}){1000}"),
              ::testing::StartsWith("group: '((a{1000}){1000}){1000}' is not "));
}

TEST(Group, OnlyPluginsWithTheParametersOfSourcesAreLookedAt) {
  Value given = Value::map();
  given["group"] = "[(";
  EXPECT_TRUE(SplitRule::fault_of_group(SplitRule::parameters(), given));
  EXPECT_FALSE(SplitRule::fault_of_group({text("group").optional()}, given));
  given["group"] = "^(a)";
  EXPECT_FALSE(SplitRule::fault_of_group(SplitRule::parameters(), given));
}

}  // namespace
}  // namespace graft
