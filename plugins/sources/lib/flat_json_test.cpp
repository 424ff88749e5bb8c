#include <source/flat_json.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <graft/error.h>

namespace graft::source {
namespace {

TEST(FlatObject, ReadsWhatJsonReads) {
  for (const char* line :
       {R"({"path": "a/b.jpg", "label": "ant"})", R"( {"a":1,"b":-20 , "c" : null} )",
        R"({"t": true, "f": false, "zero": 0, "text": ""})", R"({"id": 123456789012345678})"}) {
    const auto flat = flat_object(line);
    ASSERT_TRUE(flat) << line;
    EXPECT_EQ(flat->to_json(), Value::from_json(line).to_json()) << line;
  }
}

TEST(FlatObject, LeavesAllElseToTheParserOfJson) {
  const std::vector<std::string> valid{R"({"a": "\u00e9"})",
                                       R"({"a": "\n"})",
                                       R"({"a": [1]})",
                                       R"({"a": {}})",
                                       R"({"a": 1.5})",
                                       R"({"a": 1e3})",
                                       R"({})",
                                       R"([1])",
                                       R"({"a": 1234567890123456789})",
                                       R"({"a": -0})",
                                       "{\"a\": \"\xc3\xa9\"}"};
  for (const std::string& line : valid) {
    EXPECT_FALSE(flat_object(line)) << line;
    EXPECT_NO_THROW(Value::from_json(line)) << line;
  }
  const std::vector<std::string> invalid{"",
                                         "{",
                                         R"({"a": 01})",
                                         R"({"a" "b"})",
                                         R"({"a": nul})",
                                         R"({"a": 1)",
                                         R"({"a": 1}})",
                                         R"({"a": 1,})",
                                         R"({"a": "b)",
                                         R"({"a": nullx})",
                                         R"({a: 1})",
                                         R"({"a": -})",
                                         R"({"a": +1})",
                                         R"({"a": 1 2})",
                                         R"({"a":1,"a":2})",
                                         "{\"a\": \"\x01\"}",
                                         "{\"a\": \"\xff\"}"};
  for (const std::string& line : invalid) {
    EXPECT_FALSE(flat_object(line)) << line;
    EXPECT_THROW(Value::from_json(line), Error) << line;
  }
}

}  // namespace
}  // namespace graft::source
