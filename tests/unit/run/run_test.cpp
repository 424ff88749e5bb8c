#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>

#include <graft/csv.h>
#include <graft/error.h>
#include <graft/random.h>
#include <graft/safetensors.h>

#include "base/files.h"
#include "plugin/split.h"
#include "run/bundle_file.h"
#include "run/leaks.h"
#include "run/learning.h"
#include "run/progress.h"
#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

/// Row r is [r, r + 0.5, r + 1]; remembers the longest read.
class Staircase final : public TensorReader {
 public:
  explicit Staircase(std::int64_t rows) : shape_{rows, 3} {}
  DType dtype() const override { return DType::F32; }
  const Shape& shape() const override { return shape_; }
  void read(std::size_t first, std::size_t count, void* out) const override {
    longest = std::max(longest, count);
    auto* to = static_cast<float*>(out);
    for (std::size_t r = first; r < first + count; ++r)
      for (int d = 0; d < 3; ++d) *to++ = static_cast<float>(r) + 0.5f * static_cast<float>(d);
  }
  mutable std::size_t longest = 0;

 private:
  Shape shape_;
};

TEST(Bundle, LargeTensorsAreWrittenAndReadInBlocks) {
  const test::TempFolder folder;
  constexpr std::int64_t kRows = 1'000'000;  // 12 MB
  const auto stairs = std::make_shared<Staircase>(kRows);
  Bundle bundle;
  bundle.tensors["odd"] = Tensor::allocate(DType::U8, {3});  // what follows is not aligned
  std::memset(bundle.tensors["odd"].data, 7, 3);
  bundle.large["stairs"] = stairs;
  bundle.large["none"] = std::make_shared<Staircase>(0);
  save_bundle(folder / "m", bundle);
  EXPECT_LE(stairs->longest * 12, std::size_t{4} << 20);

  const Bundle back = load_bundle(folder / "m");
  ASSERT_EQ(back.tensors.size(), 1u);
  EXPECT_EQ(static_cast<const std::uint8_t*>(back.tensors.at("odd").data)[2], 7);
  EXPECT_EQ(back.large.at("none")->shape(), (Shape{0, 3}));
  const TensorReader& read = *back.large.at("stairs");
  EXPECT_EQ(read.dtype(), DType::F32);
  ASSERT_EQ(read.shape(), (Shape{kRows, 3}));
  std::vector<float> got(3 * 1000), want(got.size());
  for (const std::size_t first : {std::size_t{0}, std::size_t{123456}, std::size_t{kRows - 1000}}) {
    read.read(first, 1000, got.data());
    stairs->read(first, 1000, want.data());
    EXPECT_EQ(got, want);
  }
  save_bundle(folder / "again", back);  // as a calibrator does
  EXPECT_EQ(sha256_of_file(folder / "again/weights.safetensors"),
            sha256_of_file(folder / "m/weights.safetensors"));
  EXPECT_EQ(read_file(folder / "again/bundle.json"), read_file(folder / "m/bundle.json"));

  std::filesystem::resize_file(folder / "m/weights.safetensors", 1'000'000);
  try {
    read.read(kRows - 1000, 1000, got.data());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.what(), (folder / "m/weights.safetensors").string() +
                            ": ends before its tensors do: it was cut off while it was read");
  }
}

TEST(Bundle, EveryChangedBitOfEitherFileIsAnError) {
  const test::TempFolder folder;
  Bundle bundle;
  bundle.facts[kFormatFact] = kBundleFormat;
  bundle.facts["a"] = 0.1;
  bundle.facts["b"] = Value::List{"c", 12};
  bundle.tensors["w"] = tensor({2, 3}, 0.1f);
  save_bundle(folder / "", bundle);
  for (const char* name : {"bundle.json", "weights.safetensors"}) {
    const std::string good = read_file(folder / name);
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      folder.write(name, bad);
      try {
        EXPECT_EQ(load_bundle(folder / "").facts, bundle.facts) << name << " bit " << bit;
        // A space that became a tab, say, changes no fact.
        EXPECT_STREQ(name, "bundle.json") << bit;
      } catch (const Error&) {
      }
    }
    folder.write(name, good);
  }
  EXPECT_EQ(load_bundle(folder / "").facts, bundle.facts);
}

TEST(Bundle, EveryTruncationAndWrongRangeIsAnError) {
  const test::TempFolder folder;
  folder.write("bundle.json", "{}");
  const auto load = [&](const std::string& weights) {
    folder.write("weights.safetensors", weights);
    return load_bundle(folder / "");
  };
  const std::string good = to_safetensors({{"a", tensor({4}, 1)}, {"b", tensor({2, 2}, 2)}});
  ASSERT_EQ(load(good).tensors.size(), 2u);
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_THROW(load(good.substr(0, n)), Error) << n;
  EXPECT_THROW(load(good + "x"), Error);
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
    EXPECT_THROW(load(with(header, 16)), Error) << header;
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
    ListedInput& input = listing.add(key, split, {});
    if (content != nullptr) input.content = digest(std::string_view(content));
  };
  add("a.jpg", Split::Train, "one");
  add("copy of a.jpg", Split::Train, "one");
  add("b.jpg", Split::Test, "two");
  add("unread.jpg", Split::Test, nullptr);
  EXPECT_EQ(find_leaks(listing, first_of_content(listing)), "");
  add("c.jpg", Split::Test, "one");
  EXPECT_EQ(
      find_leaks(listing, first_of_content(listing)),
      "1 input has the content of an input of another split, 'a.jpg' (train) and 'c.jpg' (test): val and "
      "test scores will be too optimistic; remove the copies, or let them share a split (group, or their "
      "folder)");
  add("d.jpg", Split::Val, "two");
  EXPECT_THAT(find_leaks(listing, first_of_content(listing)),
              HasSubstr("2 inputs have the content of an input of another split, for example 'a.jpg' "
                        "(train) and 'c.jpg' (test): "));
}

TEST(Contradictions, InputsOfEqualContentInTwoClassesAreNamed) {
  Listing listing;
  listing.classes = {"a", "b"};
  const auto add = [&](const char* key, const std::vector<std::int32_t>& labels, const char* content) {
    ListedInput& input = listing.add(key, Split::Train, labels);
    if (content != nullptr) input.content = digest(std::string_view(content));
  };
  add("unlabelled/0.png", {}, "zero");
  add("a/0.png", {0}, "zero");
  add("a/copy of 0.png", {0}, "zero");
  add("a/1.png", {0}, "one");
  add("b/unread.png", {1}, nullptr);
  add("unlabelled/1.png", {}, "one");
  add("b/rejected.png", {1}, "zero");
  listing.inputs.back().reject = listing.keep({});
  EXPECT_EQ(find_contradictions(listing, first_of_content(listing)), "");
  add("b/0.png", {1}, "zero");
  EXPECT_EQ(
      find_contradictions(listing, first_of_content(listing)),
      "1 input has the same content as an input of another class, for example 'a/0.png' (a) and "
      "'b/0.png' (b): at most one of two is labelled correctly; correct the labels, or remove the copies");
  add("b/1.png", {1}, "one");
  add("b/also 1.png", {1}, "one");
  EXPECT_THAT(find_contradictions(listing, first_of_content(listing)),
              HasSubstr("3 inputs have the same content as an input of another class, for example 'a/0.png' "
                        "(a) and 'b/0.png' (b): "));
}

TEST(Contradictions, SeveralLabelsAreEqualInAnyOrder) {
  Listing listing;
  listing.classes = {"a", "b", "c"};
  const auto add = [&](const char* key, const std::vector<std::int32_t>& labels) {
    ListedInput& input = listing.add(key, Split::Train, labels);
    input.content = digest(std::string_view("one"));
  };
  add("0.png", {0, 2});
  add("1.png", {2, 0});
  EXPECT_EQ(find_contradictions(listing, first_of_content(listing)), "");
  add("2.png", {0});
  add("3.png", {0, 1});
  EXPECT_EQ(
      find_contradictions(listing, first_of_content(listing)),
      "2 inputs have the same content as an input with other labels, for example '0.png' (a;c) and "
      "'2.png' (a): at most one of two is labelled correctly; correct the labels, or remove the copies");
}

TEST(Contradictions, ANegativeContradictsAnInputOfAClass) {
  Listing listing;
  listing.classes = {"a", "b"};
  const auto add = [&](const char* key, const std::vector<std::int32_t>& labels, bool negative) {
    ListedInput& input = listing.add(key, Split::Train, labels, negative);
    input.content = digest(std::string_view("one"));
  };
  add("unlabelled.png", {}, false);
  add("none.png", {}, true);
  add("none, too.png", {}, true);
  EXPECT_EQ(find_contradictions(listing, first_of_content(listing)), "");
  add("b.png", {1}, false);
  EXPECT_EQ(
      find_contradictions(listing, first_of_content(listing)),
      "1 input has the same content as an input with other labels, for example 'none.png' (none of the "
      "classes) and 'b.png' (b): at most one of two is labelled correctly; correct the labels, or remove the "
      "copies");
}

enum class Labelling { Class, None, Unlabelled };
/// n inputs of a split.
void add_inputs(Listing& listing, Split split, Labelling labelling, int n) {
  for (int i = 0; i < n; ++i) {
    const std::vector<std::int32_t> labels(labelling == Labelling::Class ? 1 : 0, 0);
    listing.add("", split, labels, labelling == Labelling::None);
  }
}

TEST(Unlabelled, InputsAreCountedBySplit) {
  Listing listing;
  listing.classes = {"a"};
  for (const Split split : {Split::Train, Split::Val, Split::Test})
    add_inputs(listing, split, Labelling::Class, 10);
  EXPECT_THAT(find_unlabelled(listing), IsEmpty());
  add_inputs(listing, Split::Test, Labelling::Unlabelled, 1);
  EXPECT_THAT(find_unlabelled(listing), ElementsAre("1 of 11 test inputs has no label: scores leave it out"));
  add_inputs(listing, Split::Test, Labelling::Unlabelled, 3);
  listing.inputs.back().reject = listing.keep({});
  EXPECT_THAT(find_unlabelled(listing),
              ElementsAre("3 of 13 test inputs have no label: scores leave them out"));
  add_inputs(listing, Split::Train, Labelling::Unlabelled, 5);
  EXPECT_THAT(find_unlabelled(listing), ElementsAre("5 of 15 train and 3 of 13 test inputs have no label: "
                                                    "learners and scores leave them out"));
  add_inputs(listing, Split::Val, Labelling::Unlabelled, 2);
  EXPECT_THAT(find_unlabelled(listing),
              ElementsAre("5 of 15 train, 2 of 12 val and 3 of 13 test inputs have no label: learners and "
                          "scores leave them out"));
  listing.classes.clear();  // nothing is learnt from it
  EXPECT_THAT(find_unlabelled(listing), IsEmpty());
}

TEST(Unlabelled, TrainAloneConcernsLearnersAlone) {
  Listing listing;
  listing.classes = {"a"};
  add_inputs(listing, Split::Train, Labelling::Class, 1);
  add_inputs(listing, Split::Train, Labelling::Unlabelled, 2);
  EXPECT_THAT(find_unlabelled(listing),
              ElementsAre("2 of 3 train inputs have no label: learners leave them out"));
}

TEST(Unlabelled, NegativesAreLabelledWhereTrainOrValHasSome) {
  Listing listing;
  listing.classes = {"a"};
  add_inputs(listing, Split::Train, Labelling::Class, 2);
  add_inputs(listing, Split::Test, Labelling::Class, 2);
  add_inputs(listing, Split::Test, Labelling::None, 2);
  EXPECT_FALSE(is_multi_label(listing));
  EXPECT_THAT(
      find_unlabelled(listing),
      ElementsAre("2 of 4 test inputs show none of the classes, but no train or val input does: scores "
                  "leave them out"));
  add_inputs(listing, Split::Val, Labelling::None, 1);
  EXPECT_TRUE(is_multi_label(listing));
  EXPECT_THAT(find_unlabelled(listing), IsEmpty());
}

TEST(TextWithin, ADiskThatDoesNotAnswerIsNotWaitedFor) {
  EXPECT_EQ(text_within(std::chrono::minutes(1), [] { return std::string("saved\n"); }), "saved\n");
  auto answer = std::make_shared<std::promise<void>>();
  EXPECT_EQ(text_within(std::chrono::milliseconds(1),
                        [answer] {
                          answer->get_future().wait();
                          return std::string("saved\n");
                        }),
            "the disk does not answer: what was not saved before is lost\n");
  answer->set_value();
}

}  // namespace
}  // namespace graft
