#include "run/table_changes.h"

#include <chrono>

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
              ElementsAre("stage 'more' was added behind pixels"));
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

TEST(TableChanges, TheMostSimilarTableExplainsANewOne) {
  const test::TempFolder folder;
  Fingerprint now;
  now.description = description(kDecode + "," + kNet + "," + kTable);
  now.digest = digest(now.description.to_json());
  now.stage_ids = kIds;
  EXPECT_EQ(why_new(folder.path(), now), std::nullopt);
  const auto add = [&](const Value& v) {
    folder.write("tables/" + digest(v.to_json()).hex() + "/table.json", v.to_json_pretty());
  };
  folder.write("tables/00000000000000000000000000000000/table.json", "{not json");
  add(description(R"({"plugin":"other","version":"1"})"));
  EXPECT_EQ(why_new(folder.path(), now), std::nullopt);
  add(description(with(with(kDecode, "224", "160"), "256", "170") + "," + with(kNet, "0.5", "0.1") + "," +
                  with(with(kTable, "f32", "f16"), "1.0.0", "0.1.0")));
  EXPECT_EQ(why_new(folder.path(), now),
            "pixels.crop 160 -> 224, pixels.resize [170] -> [256], features.normalize.mean 0.1 -> 0.5, "
            "table: feature_table 0.1.0 -> 1.0.0 and 1 more");
  add(description(with(kDecode, "224", "192") + "," + kNet + "," + kTable));
  EXPECT_EQ(why_new(folder.path(), now), "pixels.crop 192 -> 224");
  const Value near = description(with(kDecode, "224", "208") + "," + kNet + "," + kTable);
  add(near);
  const auto json = folder / ("tables/" + digest(near.to_json()).hex() + "/table.json");
  std::filesystem::last_write_time(json, std::filesystem::last_write_time(json) - std::chrono::hours(1));
  EXPECT_EQ(why_new(folder.path(), now), "pixels.crop 192 -> 224") << "the newer of two that are as near";
  std::filesystem::last_write_time(json, std::filesystem::last_write_time(json) + std::chrono::hours(2));
  EXPECT_EQ(why_new(folder.path(), now), "pixels.crop 208 -> 224");
}

TEST(TableChanges, WhatIsNoDescriptionIsSkipped) {
  const test::TempFolder folder;
  Fingerprint now;
  now.description = description(kDecode);
  now.digest = digest(now.description.to_json());
  now.stage_ids = {"pixels"};
  for (const std::string content : {"7", "[]", "{}", R"({"stages":3})", R"({"stages":{"plugin":"decode"}})",
                                    R"({"stages":[1,null,"decode",[],{}]})", R"({"stages":[{"plugin":4}]})"})
    folder.write("tables/" + digest(Value::from_json(content).to_json()).hex() + "/table.json", content);
  const std::string name = "tables/0000000000000000000000000000000";
  folder.write(name + "1/table.json", "");
  folder.write(name + "2/table.json", "{not json");
  folder.write(name + "3/table.json", description(with(kDecode, "224", "192")).to_json());  // another one's
  std::filesystem::create_directories(folder / (name + "4"));
  EXPECT_EQ(why_new(folder.path(), now), std::nullopt);
}

}  // namespace
}  // namespace graft
