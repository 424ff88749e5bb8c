#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/safetensors.h>

#include "plugin/split.h"
#include "run/bundle_file.h"
#include "run/leaks.h"
#include "run/learning.h"
#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::HasSubstr;

Tensor tensor(Shape shape, float first) {
  Tensor t = Tensor::allocate(DType::F32, std::move(shape));
  for (std::int64_t i = 0; i < t.size(); ++i) t.as<float>()[i] = first + static_cast<float>(i);
  return t;
}

TEST(Bundle, ComesBackToTheLastBit) {
  const test::TempFolder folder;
  Bundle bundle;
  bundle.facts["c"] = 0.1;
  bundle.tensors["w"] = tensor({2, 3}, 0.1f);
  bundle.tensors["empty"] = tensor({0, 3}, 0);
  bundle.tensors["b"] = tensor({3}, -7);
  save_bundle(folder / "m", bundle);
  const Bundle back = load_bundle(folder / "m");
  EXPECT_EQ(back.facts, bundle.facts);
  ASSERT_EQ(back.tensors.size(), 3u);
  EXPECT_EQ(back.tensors.at("w").shape, (Shape{2, 3}));
  EXPECT_EQ(std::memcmp(back.tensors.at("w").data, bundle.tensors.at("w").data, 24), 0);
}

TEST(Bundle, EveryTruncationAndWrongRangeIsAnError) {
  const std::string good = to_safetensors({{"a", tensor({4}, 1)}, {"b", tensor({2, 2}, 2)}});
  ASSERT_EQ(from_safetensors(good).size(), 2u);
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_THROW(from_safetensors(good.substr(0, n)), Error) << n;
  EXPECT_THROW(from_safetensors(good + "x"), Error);
  const auto with = [](const std::string& header, std::size_t data) {
    const std::uint64_t n = header.size();
    return std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(data, 'x');
  };
  // Sizes that overflow, overlap, run backwards, or do not fit their shape.
  for (
      const char* header :
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}})",
       R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
       R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})",
       R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})",
       R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})",
       R"({"a":{"dtype":"C64","shape":[2],"data_offsets":[0,16]}})",
       R"({"a":{"shape":[2],"data_offsets":[0,16]}})", R"({"a":7})", R"([])"})
    EXPECT_THROW(from_safetensors(with(header, 16)), Error) << header;
}

TEST(Csv, FieldsAreQuotedWhenTheyMustBe) {
  EXPECT_EQ(csv_field("plain name.jpg"), "plain name.jpg");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
}

TEST(Split, HashedSplitsAreStableAndAboutRight) {
  std::vector<ParamFault> faults;
  const Params params(resolve(SplitRule::parameters(),
                              Value::from_json(R"({"val_fraction": 0.25, "test_fraction": 0.1})"), faults));
  const SplitRule rule(params, {});
  std::map<Split, int> counts;
  for (int i = 0; i < 20000; ++i) ++counts[rule.hashed("image" + std::to_string(i) + ".jpg")];
  EXPECT_NEAR(counts[Split::Test], 2000, 200);
  EXPECT_NEAR(counts[Split::Val], 4500, 300);
  // Fixed for ever: a changed hash would move people's images between train and test.
  EXPECT_EQ(rule.hashed("ants/a.jpg"), SplitRule(params, {}).hashed("ants/a.jpg"));
  const SplitRule has_val(params, {Split::Train, Split::Val});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(has_val.given(std::to_string(i), Split::Train), Split::Train);
  EXPECT_EQ(rule.given("x", Split::Test), Split::Test);
}

TEST(Leaks, InputsOfEqualContentInTwoSplitsAreNamed) {
  Listing listing;
  const auto add = [&](const char* key, Split split, const char* content) {
    ListedInput& input = listing.inputs.emplace_back();
    input.key = key;
    input.split = split;
    if (content != nullptr) input.content = digest(std::string_view(content));
  };
  add("a.jpg", Split::Train, "one");
  add("copy of a.jpg", Split::Train, "one");
  add("b.jpg", Split::Test, "two");
  add("unread.jpg", Split::Test, nullptr);
  EXPECT_EQ(find_leaks(listing), "");
  add("c.jpg", Split::Test, "one");
  EXPECT_EQ(
      find_leaks(listing),
      "1 input has the content of an input of another split, 'a.jpg' (train) and 'c.jpg' (test): figures "
      "of val and test are then too good; remove the copies, or let them share a split (group, or their "
      "folder)");
  add("d.jpg", Split::Val, "two");
  EXPECT_THAT(find_leaks(listing),
              HasSubstr("2 inputs have the content of an input of another split, 'a.jpg' "
                        "(train) and 'c.jpg' (test) for one: "));
}

}  // namespace
}  // namespace graft
