// Objects of a store that others have written: OpenStack Swift, which checks every signature.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "archive_files.h"
#include "s3_requests.h"
#include "swift_s3.h"

namespace graft {
namespace {

using test::Environment;
using test::SwiftS3;
using test::TempFolder;
using ::testing::ElementsAre;
using testing::StageHarness;
using ::testing::StartsWith;

/// Key, and the content or the reject.
std::vector<std::pair<std::string, std::string>> read(StageHarness source) {
  std::vector<std::pair<std::string, std::string>> out;
  for (Entry e; source.as<Source>().next(e); e = Entry()) try {
      const auto bytes = std::get<Bytes>(source.load(e));
      out.emplace_back(e.key, std::string(bytes.data, bytes.data + bytes.size));
    } catch (const Reject& r) {
      out.emplace_back(e.key, "[" + r.code() + "] " + r.what());
    }
  return out;
}

StageHarness stage(const char* plugin, const std::string& parameters) {
  return StageHarness(plugin, "{" + parameters + ", val_fraction: 0, test_fraction: 0, retries: 0}");
}

TEST(S3, ObjectsAndArchivesOfAStoreThatChecksSignatures) {
  if (const std::string why = SwiftS3::missing(); !why.empty()) GTEST_SKIP() << why;
  std::optional<SwiftS3> started;
  for (int tries = 1; !started; ++tries) try {
      started.emplace();
    } catch (const std::runtime_error&) {  // somebody else may have taken one of the ports meanwhile
      if (tries == 3) throw;
    }
  const SwiftS3& store = *started;
  const TempFolder folder;
  std::vector<std::pair<std::string, std::string>> members;
  for (int i = 0; i < 12; ++i)
    members.emplace_back("c/" + std::to_string(i) + ".jpg",
                         std::string(200'000 + static_cast<std::size_t>(i), 'a'));
  store.put("photos");
  store.put("photos/ants/a%20%281%29.jpg", "an ant");
  for (const std::string name : {"x.tar", "x.zip"}) {
    test::write_archive(folder / "data" / name, members);
    store.put("photos/shards/" + name, test::slurp(folder / "data" / name));
  }
  test::Variables variables{{"AWS_ENDPOINT_URL", store.url()},
                            {"AWS_REGION", SwiftS3::kRegion},
                            {"AWS_ACCESS_KEY_ID", SwiftS3::kId},
                            {"AWS_SECRET_ACCESS_KEY", SwiftS3::kSecret}};
  const std::string list =
      folder.write("list.csv", "url\ns3://photos/ants/a (1).jpg\ns3://photos/none.jpg\n").string();
  const std::string from_list = "file: \"" + list + "\"";
  const std::string with_cache = from_list + ", cache: \"" + (folder / "cache").string() + "\"";
  {
    const Environment environment(variables);
    for (int i = 0; i < 2; ++i)  // the second one with If-None-Match
      EXPECT_THAT(
          read(stage("url_list", with_cache)),
          ElementsAre(std::pair("s3://photos/ants/a (1).jpg", "an ant"),
                      std::pair("s3://photos/none.jpg", "[missing] the server answers with status 404")));
    for (const std::string name : {"x.tar", "x.zip"}) {
      const std::string url = "s3://photos/shards/" + name, from_url = "urls: \"" + url + "\"";
      std::vector<std::pair<std::string, std::string>> expected = members;
      for (auto& [key, content] : expected) key.insert(0, url + "/");
      EXPECT_GT(std::get<FileRef>(stage("archive", from_url).list().at(0).payload).size, 0u)
          << "its ETag is strong";
      EXPECT_TRUE(read(stage("archive", from_url)) == expected);
    }
    // Another object in its place, between the list and the member.
    auto archive = stage("archive", "urls: \"s3://photos/shards/x.tar\"");
    Entry e;
    ASSERT_TRUE(archive.as<Source>().next(e));
    members.pop_back();
    test::write_archive(folder / "data/x.tar", members);
    store.put("photos/shards/x.tar", test::slurp(folder / "data/x.tar"));
    try {
      archive.load(e);
      ADD_FAILURE() << "another object";
    } catch (const FatalError& error) {
      EXPECT_THAT(error.what(),
                  StartsWith("s3://photos/shards/x.tar: the file was changed while it was in use"));
    }
  }
  variables["AWS_SECRET_ACCESS_KEY"] = "another";
  const Environment environment(variables);
  EXPECT_THAT(
      read(stage("url_list", from_list)).at(0).second,
      StartsWith("[unreadable] the server answers with status 403; the key in AWS_ACCESS_KEY_ID may"));
}

}  // namespace
}  // namespace graft
