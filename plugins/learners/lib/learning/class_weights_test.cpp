#include <learning/class_weights.h>

#include <gmock/gmock.h>

#include <graft/error.h>

#include <learning/testing/fixtures.h>

namespace graft::learning {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ClassWeights from(const std::string& json) {
  std::vector<ParamFault> faults;
  Value given = Value::map();
  if (!json.empty()) given["class_weights"] = Value::from_json(json);
  const Value resolved = resolve({ClassWeights::parameter()}, given, faults);
  EXPECT_THAT(faults, IsEmpty());
  return ClassWeights(Params(resolved));
}

const std::vector<std::string> kClasses = {"ants", "bees", "cats", "dogs"};
const std::vector<std::int32_t> kFitted = {0, 1, 3};

TEST(ClassWeights, AreThoseOfScikitLearn) {
  // compute_class_weight("balanced", classes=[0, 1, 3], y=[0, 0, 0, 0, 1, 3]); the same for y == c.
  Sequential sequential;
  const MemoryRows table(std::vector<float>(6), 1, {0, 0, 0, 0, 1, 3});
  const FeatureRows rows(table, 4, 0, sequential);
  const auto balanced = from("\"balanced\"");
  EXPECT_THAT(balanced.values(kClasses, kFitted, rows, false).of_class, ElementsAre(0.5F, 2.0F, 2.0F));
  const auto each = balanced.values(kClasses, kFitted, rows, true);
  EXPECT_THAT(each.of_class, ElementsAre(0.75F, 3.0F, 3.0F));
  EXPECT_THAT(each.of_rest, ElementsAre(1.5F, 0.6F, 0.6F));
}

TEST(ClassWeights, RowsThatShowNoneOfTheClassesAreOfTheRest) {
  Sequential sequential;
  const SeveralLabelRows table(std::vector<float>(6), 1, {{0}, {}, {0, 1}, {1}, {}, {0}});
  const FeatureRows rows(table, 2, 0, sequential, metrics::LabelMode::Multi);
  const std::vector<std::int32_t> fitted = {0, 1};
  const auto each = from("\"balanced\"").values({"ants", "bees"}, fitted, rows, true);
  EXPECT_THAT(each.of_class, ElementsAre(1.0F, 1.5F));  // 6 / (2 x 3), 6 / (2 x 2)
  EXPECT_THAT(each.of_rest, ElementsAre(1.0F, 0.75F));
}

TEST(ClassWeights, AreAsGivenByName) {
  Sequential sequential;
  const MemoryRows table(std::vector<float>(3), 1, {0, 1, 3});
  const FeatureRows rows(table, 4, 0, sequential);
  const auto given = from(R"({"by_class": {"dogs": 2.5, "cats": 7}})");
  EXPECT_THAT(given.values(kClasses, kFitted, rows, false).of_class, ElementsAre(1.0F, 1.0F, 2.5F));
  EXPECT_THAT(given.values(kClasses, kFitted, rows, true).of_rest, ElementsAre(1.0F, 1.0F, 1.0F));
  for (const char* none : {"", "\"none\"", "null", R"({"by_class": {}})"}) {
    EXPECT_TRUE(from(none).none()) << none;
    EXPECT_THAT(from(none).values(kClasses, kFitted, rows, true).of_class, IsEmpty());
  }
}

TEST(ClassWeights, RefusesANameThatIsNoClass) {
  Sequential sequential;
  const MemoryRows table(std::vector<float>(3), 1, {0, 1, 3});
  const FeatureRows rows(table, 4, 0, sequential);
  try {
    from(R"({"by_class": {"bee": 2}})").values(kClasses, kFitted, rows, false);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "class_weights: there is no class 'bee'; did you mean 'bees'?");
  }
}

}  // namespace
}  // namespace graft::learning
