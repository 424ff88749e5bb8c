#include "store/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include <graft/error.h>
#include <graft/testing/error_of.h>

namespace graft {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Variables of launchers, set for a test and taken back.
class Launcher {
 public:
  explicit Launcher(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT",
          "JOB_COMPLETION_INDEX", "GRAFT_TASKS", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK",
          "PMIX_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID", "SLURM_NTASKS"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
      names_.emplace_back(name);
    }
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Launcher() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

TEST(Slots, EveryCountDividesAllSlotsWithoutRemainder) {
  for (const std::uint32_t count : {1u, 2u, 3u, 7u, 37u, 256u, 999u, 1000u, 65535u, 65536u}) {
    SlotSet all;
    std::size_t sum = 0, least = kSlots, most = 0;
    for (std::uint32_t i = 0; i<count; i += count> 1000 ? 97 : 1) {
      const std::size_t n = WorkShard{i, count}.slots().count();
      least = std::min(least, n);
      most = std::max(most, n);
    }
    EXPECT_LE(most - least, 1u) << count;
    if (count > 1000) continue;
    for (std::uint32_t i = 0; i < count; ++i) {
      const SlotSet part = WorkShard{i, count}.slots();
      EXPECT_TRUE((all & part).none());
      all |= part;
      sum += part.count();
    }
    EXPECT_TRUE(all.all()) << count;
    EXPECT_EQ(sum, kSlots);
  }
}

TEST(Slots, OfAKeyAreTheSameOnEveryMachine) {
  EXPECT_EQ(slot_of("train/ants/1.jpg"), hash64("train/ants/1.jpg") >> 48);
  std::map<Slot, int> found;
  for (int i = 0; i < 100000; ++i) ++found[slot_of("images/" + std::to_string(i) + ".jpg")];
  EXPECT_GT(found.size(), 50000u) << "about 65536 (1 - 1/e^1.5)";
}

TEST(Slots, MembersOfAnArchiveAndFramesOfAVideoStayTogether) {
  EXPECT_EQ(unit_of("a.tar/x/1.jpg", "/data/shards/a.tar"), "a.tar");
  EXPECT_EQ(unit_of("more/a.tar/x/1.jpg", "/data/shards/more/a.tar"), "more/a.tar");
  EXPECT_EQ(unit_of("clips/b.mp4#000012", "/data/clips/b.mp4"), "clips/b.mp4");
  EXPECT_EQ(unit_of("clips/b.mp4#000012", "clips/b.mp4"), "clips/b.mp4");
  EXPECT_EQ(unit_of("a.tar/1.jpg", "/data/bba.tar"), "a.tar/1.jpg") << "half a component is no beginning";
  EXPECT_EQ(unit_of("row 7", "/data/features.h5"), "row 7");
}

TEST(Slots, AreReadFromIndexAndCount) {
  EXPECT_EQ(WorkShard::parse("3/37"), (WorkShard{3, 37}));
  EXPECT_EQ(WorkShard::parse("0/1"), (WorkShard{0, 1}));
  const auto error = [](const char* text) { return testing::error_of([&] { WorkShard::parse(text); }); };
  EXPECT_EQ(error("37/37"), "expected an index from 0 to 36 for 37 shards, got 37 (37/37)");
  EXPECT_EQ(error("1/0"), "expected 1 to 65536 shards, got 0 (1/0)");
  EXPECT_EQ(error("0/65537"), "expected 1 to 65536 shards, got 65537 (0/65537)");
  for (const char* text : {"", "3", "/", "3/", "/4", "-1/4", "1/4/2", "a/b", "1 / 4", "99999999999/4"})
    EXPECT_EQ(error(text), "expected INDEX/COUNT such as 0/8, or auto, got '" + std::string(text) + "'");
}

TEST(Slots, AreFoundInTheEnvironmentOfLaunchers) {
  const auto found = [](const std::map<std::string, std::string>& variables) {
    const Launcher launcher(variables);
    return WorkShard::from_environment();
  };
  const auto error = [&](const std::map<std::string, std::string>& variables) {
    return testing::error_of([&] { found(variables); });
  };
  const std::map<std::string, std::string> array{
      {"SLURM_ARRAY_TASK_ID", "5"},    {"SLURM_ARRAY_TASK_MIN", "2"}, {"SLURM_ARRAY_TASK_MAX", "9"},
      {"SLURM_ARRAY_TASK_COUNT", "8"}, {"SLURM_PROCID", "0"},         {"SLURM_NTASKS", "1"}};
  EXPECT_EQ(found(array), (WorkShard{3, 8})) << "an array counts, not the step in it";
  EXPECT_EQ(found({{"JOB_COMPLETION_INDEX", "2"}, {"GRAFT_TASKS", "40"}}), (WorkShard{2, 40}));
  EXPECT_EQ(found({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"PMIX_RANK", "1"}}),
            (WorkShard{1, 4}));
  EXPECT_EQ(found({{"PMIX_RANK", "1"}, {"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "1"}}), (WorkShard{1, 4}));
  EXPECT_EQ(found({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}), (WorkShard{0, 2}));
  EXPECT_EQ(found({{"SLURM_PROCID", "7"}, {"SLURM_NTASKS", "8"}}), (WorkShard{7, 8}));
  // Some of the shards again, as graft launch submits them.
  EXPECT_EQ(found({{"SLURM_ARRAY_TASK_ID", "12"},
                   {"SLURM_ARRAY_TASK_MIN", "3"},
                   {"SLURM_ARRAY_TASK_MAX", "12"},
                   {"SLURM_ARRAY_TASK_COUNT", "2"},
                   {"GRAFT_TASKS", "37"}}),
            (WorkShard{12, 37}));

  EXPECT_THAT(error({}), StartsWith("auto: no launcher has set SLURM_ARRAY_TASK_ID, "));
  auto gaps = array;
  gaps["SLURM_ARRAY_TASK_COUNT"] = "4";
  EXPECT_THAT(error(gaps), HasSubstr("the array has gaps or steps"));
  EXPECT_THAT(error({{"JOB_COMPLETION_INDEX", "2"}}),
              StartsWith("JOB_COMPLETION_INDEX is set, but GRAFT_TASKS is not"));
  EXPECT_EQ(error({{"PMI_RANK", "two"}, {"PMI_SIZE", "2"}}), "PMI_RANK: expected a whole number, got 'two'");
  EXPECT_EQ(error({{"SLURM_PROCID", "8"}, {"SLURM_NTASKS", "8"}}),
            "expected an index from 0 to 7 for 8 shards, got 8 (SLURM_PROCID=8, SLURM_NTASKS=8)");
}

TEST(Slots, HalvesAreDisjointAndTogetherEverything) {
  SlotSet slots = WorkShard{3, 37}.slots() | WorkShard{9, 37}.slots();
  while (slots.count() > 1) {
    const SlotSet upper = upper_half(slots);
    EXPECT_GE(upper.count(), slots.count() / 3);
    EXPECT_LE(upper.count(), slots.count() / 2 + 1);
    EXPECT_EQ(upper & slots, upper);
    slots &= ~upper;
  }
  EXPECT_EQ(upper_half(slots).count(), 0u) << "a single slot stays where it is";
  SlotSet apart;
  for (std::size_t slot = 0; slot < kSlots; slot += 100) apart.set(slot);
  EXPECT_NEAR(static_cast<double>(upper_half(apart).count()), static_cast<double>(apart.count()) / 2, 1);
}

TEST(Slots, AreWrittenAsRanges) {
  const SlotSet slots = WorkShard{1, 4}.slots() | WorkShard{3, 4}.slots();
  EXPECT_EQ(to_value(slots).to_json(), "[[16384,32767],[49152,65535]]");
  EXPECT_EQ(slots_from(to_value(slots)), slots);
  EXPECT_EQ(slots_from(to_value(SlotSet())), SlotSet());
  for (const char* text : {"[[3,2]]", "[[0,65536]]", "[[-1,2]]", "[[1]]"})
    EXPECT_EQ(testing::error_of([&] { slots_from(Value::from_json(text)); }), "no range of slots") << text;
}

}  // namespace
}  // namespace graft
