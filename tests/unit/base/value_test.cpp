#include <graft/testing/error_of.h>
#include <graft/value.h>

#include <gtest/gtest.h>

namespace graft {
namespace {

using graft::testing::error_of;

std::string fault_of_json(const std::string& json) {
  return error_of([&] { Value::from_json(json); });
}

TEST(Json, WholeNumbersBeyondSixtyFourBitsStayApart) {
  EXPECT_EQ(Value::from_json("9223372036854775807"), Value(INT64_MAX));
  EXPECT_EQ(Value::from_json("-9223372036854775808"), Value(INT64_MIN));
  EXPECT_EQ(Value::from_json("9223372036854775808"), Value("9223372036854775808"));
  EXPECT_EQ(Value::from_json("18446744073709551615"), Value("18446744073709551615"));
  EXPECT_EQ(Value::from_json("18446744073709551616"), Value("18446744073709551616"));
  EXPECT_EQ(Value::from_json("-9223372036854775809"), Value("-9223372036854775809"));
  EXPECT_NE(Value::from_json("100000000000000000000000001"), Value::from_json("100000000000000000000000002"));
  EXPECT_EQ(Value::from_json("1e19"), Value(1e19));
}

TEST(Json, ANumberThatNothingHoldsIsAFaultWithItsPlace) {
  EXPECT_EQ(fault_of_json("{\"a\": 1e999}"), "not valid JSON at byte 11: the number 1e999 is too large");
  EXPECT_EQ(fault_of_json("[1, -1e999]"), "not valid JSON at byte 10: the number -1e999 is too large");
  EXPECT_EQ(Value::from_json("1e-999"), Value(0.0));
}

TEST(Json, ANameThatStandsTwiceIsAFault) {
  EXPECT_EQ(fault_of_json(R"({"a": {"b": 1, "c": 2, "b": 3}})"),
            "not valid JSON: the name 'b' stands twice in one object");
  EXPECT_EQ(Value::from_json(R"({"a": {"b": 1}, "b": 3})").as_map().size(), 2u);
}

TEST(Json, NestingIsBounded) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_EQ(fault_of_json(nested(200)), "no error");
  EXPECT_EQ(fault_of_json(nested(100'000)), "JSON nested more than 200 deep");
}

TEST(Json, BytesThatAreNoUtf8StayApart) {
  Value v = Value::map();
  v["caf\xe9"] = 1;
  v["caf\xe8"] = "\xff\n\\";
  v["caf\xc3\xa9"] = 2;
  const std::string json = v.to_json();
  EXPECT_EQ(json, "{\"caf\\\\xe9\":1,\"caf\\\\xe8\":\"\\\\xff\\n\\\\\",\"caf\xc3\xa9\":2}");
  EXPECT_EQ(Value::from_json(json).find("caf\\xe9")->as_int(), 1);
}

TEST(Json, ReadsBackWhatItWrites) {
  const std::string text = R"({"b":[1,2.5,null,true,"x"],"a":{"z":{},"y":[]}})";
  EXPECT_EQ(Value::from_json(text).to_json(), text);
  EXPECT_EQ(fault_of_json("{\"a\": \n"), "not valid JSON at byte 8");
}

}  // namespace
}  // namespace graft
