#include "run/table_changes.h"

#include <cstdint>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Value description(const std::string& stages) {
  return Value::from_json(R"({"fingerprint_version":2,"stages":[)" + stages + "]}");
}

const std::vector<std::string> kIds{"pixels", "features", "table"};
const std::string kDecode = R"({"plugin":"decode","version":"1.0.0","with":{"crop":224,"resize":[256]}})";
const std::string kNet =
    R"({"plugin":"net","version":"3.0.0","with":{"model":"00112233445566778899aabbccddeeff","normalize":{"mean":0.5,"std":null}}})";
const std::string kTable = R"({"plugin":"feature_table","version":"1.0.0","with":{"dtype":"f32"}})";

std::string with(std::string text, const std::string& old, const std::string& now) {
  return text.replace(text.find(old), old.size(), now);
}

TEST(TableChanges, NamesParametersByTheStagesOfTheConfig) {
  const Value now = description(kDecode + "," + kNet + "," + kTable);
  const auto from = [&](const std::string& decode, const std::string& net, const std::string& table) {
    return differences(description(decode + "," + net + "," + table), now, kIds);
  };
  EXPECT_THAT(from(kDecode, kNet, kTable), IsEmpty());
  EXPECT_THAT(from(with(kDecode, "224", "192"), kNet, kTable), ElementsAre("pixels.crop 192 -> 224"));
  EXPECT_THAT(from(kDecode, with(kNet, "0.5", "0.4"), kTable),
              ElementsAre("features.normalize.mean 0.4 -> 0.5"));
  EXPECT_THAT(from(kDecode, with(kNet, "null", "1.5"), kTable),
              ElementsAre("features.normalize.std 1.5 -> none"));
  EXPECT_THAT(from(kDecode, with(kNet, "00112233", "fedcba98"), kTable),
              ElementsAre("features.model has other content (fedcba98 -> 00112233)"));
  EXPECT_THAT(from(with(kDecode, "1.0.0", "0.9.0"), kNet, kTable),
              ElementsAre("pixels: decode 0.9.0 -> 1.0.0"));
  EXPECT_THAT(from(kDecode, kNet, with(kTable, "f32", "f16")), ElementsAre("table.dtype f16 -> f32"));
}

TEST(TableChanges, NamesStagesThatCameAndWent) {
  const std::string augment = R"({"plugin":"augment","version":"2.1.0"})";
  const Value plain = description(kDecode + "," + kNet + "," + kTable);
  const Value augmented = description(kDecode + "," + augment + "," + kNet + "," + kTable);
  EXPECT_THAT(differences(plain, augmented, {"pixels", "more", "features", "table"}),
              ElementsAre("stage 'more' was added after pixels"));
  EXPECT_THAT(differences(augmented, plain, kIds), ElementsAre("a stage of plugin augment was removed"));
}

TEST(TableChanges, AParameterCalledVersionIsNotTheVersionOfThePlugin) {
  const auto of = [](const std::string& version, const std::string& parameter) {
    return description(R"({"plugin":"net","version":")" + version + R"(","with":{"version":)" + parameter +
                       "}}");
  };
  EXPECT_THAT(differences(of("1.0.0", "1"), of("1.1.0", "2"), {"features"}),
              ElementsAre("features: net 1.0.0 -> 1.1.0", "features.version 1 -> 2"));
}

TEST(TableChanges, AnotherFormOfFingerprintsIsToldApartFromAnotherConfig) {
  const Value now = description(kDecode);
  const Value then = Value::from_json(R"({"fingerprint_version":1,"stages":[)" + kDecode + "]}");
  EXPECT_THAT(differences(then, now, kIds),
              ElementsAre("another version of graft made it (fingerprint 1 -> 2)"));
}

class WhyNew : public ::testing::Test {
 protected:
  WhyNew() {
    now_.description = description(kDecode + "," + kNet + "," + kTable);
    now_.digest = digest(now_.description.to_json());
    now_.stage_ids = kIds;
  }
  /// A table that a complete run has used.
  void add(const Value& v, const std::string& run, const std::string& folder, std::int64_t time,
           const std::string& stage = "table") const {
    const std::filesystem::path table = folder_ / ("tables/" + digest(v.to_json()).hex());
    folder_.write(table / "table.json", v.to_json_pretty());
    TableUse use;
    use.run = run;
    use.stage = stage;
    use.folder = folder;
    use.time = time;
    write_use(table, use);
  }
  static Value cropped(const std::string& crop) {
    return description(with(kDecode, "224", crop) + "," + kNet + "," + kTable);
  }
  std::optional<std::string> why(const std::string& folder = "/runs/mine") const {
    return why_new(folder_.path(), now_, {"mine", "table", folder});
  }

  const test::TempFolder folder_;
  Fingerprint now_;
};

TEST_F(WhyNew, TheMostSimilarTableOfTheRunsNameExplainsANewOne) {
  EXPECT_EQ(why(), std::nullopt);
  folder_.write("tables/00000000000000000000000000000000/table.json", "{not json");
  add(description(R"({"plugin":"other","version":"1"})"), "mine", "/runs/a", 9);
  EXPECT_EQ(why(), std::nullopt) << "no stage of it is here";
  add(description(with(with(kDecode, "224", "160"), "256", "170") + "," + with(kNet, "0.5", "0.1") + "," +
                  with(with(kTable, "f32", "f16"), "1.0.0", "0.1.0")),
      "mine", "/runs/a", 8);
  EXPECT_EQ(why(),
            "pixels.crop 160 -> 224, pixels.resize [170] -> [256], features.normalize.mean 0.1 -> 0.5, "
            "table: feature_table 0.1.0 -> 1.0.0 and 1 more (since the run in /runs/a)");
  add(cropped("192"), "mine", "/runs/b", 5);
  EXPECT_EQ(why(), "pixels.crop 192 -> 224 (since the run in /runs/b)");
  add(cropped("208"), "mine", "/runs/c", 4);
  EXPECT_EQ(why(), "pixels.crop 192 -> 224 (since the run in /runs/b)")
      << "the newer of two that are as near";
  add(cropped("208"), "mine", "/runs/c", 6);
  EXPECT_EQ(why(), "pixels.crop 208 -> 224 (since the run in /runs/c)");
}

TEST_F(WhyNew, TheLastRunInTheFolderComesBeforeMoreSimilarOnes) {
  add(cropped("192"), "mine", "/runs/b", 9);
  add(description(with(with(kDecode, "224", "160"), "256", "170") + "," + kNet + "," + kTable), "mine",
      "/runs/mine", 2);
  EXPECT_EQ(why(), "pixels.crop 160 -> 224, pixels.resize [170] -> [256] (since the run in /runs/mine)");
  add(cropped("96"), "mine", "/runs/mine", 3);
  EXPECT_EQ(why(), "pixels.crop 96 -> 224 (since the run in /runs/mine)") << "the last one";
}

TEST_F(WhyNew, TablesOfOtherRunsExplainNothing) {
  add(cropped("192"), "other", "/runs/other", 9);
  add(cropped("160"), "mine", "/runs/mine", 9, "another_table");
  folder_.write("tables/" + digest(cropped("128").to_json()).hex() + "/table.json", cropped("128").to_json());
  EXPECT_EQ(why(), std::nullopt);
  add(now_.description, "mine", "/runs/mine", 1);
  EXPECT_EQ(why(), std::nullopt) << "its own";
}

TEST_F(WhyNew, WhatIsNoDescriptionIsSkipped) {
  now_.description = description(kDecode);
  now_.digest = digest(now_.description.to_json());
  for (const std::string content : {"7", "[]", "{}", R"({"stages":3})", R"({"stages":{"plugin":"decode"}})",
                                    R"({"stages":[1,null,"decode",[],{}]})", R"({"stages":[{"plugin":4}]})"})
    add(Value::from_json(content), "mine", "/runs/mine", 1);
  const std::string name = "tables/0000000000000000000000000000000";
  folder_.write(name + "1/table.json", "");
  folder_.write(name + "2/table.json", "{not json");
  std::filesystem::create_directories(folder_ / (name + "4"));
  for (const char* table : {"1", "2", "4"}) {
    TableUse use;
    use.run = "mine";
    use.stage = "table";
    use.folder = "/runs/mine";
    use.time = 5;
    write_use(folder_ / (name + table), use);
  }
  EXPECT_EQ(why(), std::nullopt);
}

}  // namespace
}  // namespace graft
