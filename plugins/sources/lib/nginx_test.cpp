// What is fetched from a server that others have written: nginx, on the loopback device.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "archive_files.h"
#include "nginx.h"

namespace graft {
namespace {

using test::Nginx;
using test::TempFolder;
using testing::StageHarness;
namespace fs = std::filesystem;

std::string noise(unsigned seed, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return out;
}

std::vector<std::pair<std::string, std::string>> images(unsigned n, std::size_t bytes) {
  std::vector<std::pair<std::string, std::string>> out;
  for (unsigned i = 0; i < n; ++i)
    out.emplace_back((i % 2 == 0 ? "ants/" : "bees/") + std::to_string(i) + ".jpg",
                     // Half of it is what a server would like to compress.
                     noise(i + 1, bytes / 2) + std::string(bytes / 2 + i, 'a'));
  return out;
}

/// Key without the prefix, label, and the content, or the code of the reject.
using Row = std::vector<std::string>;

std::vector<Row> rows_of(StageHarness stage, const std::string& prefix) {
  std::vector<Row> out;
  for (Entry e; stage.as<Source>().next(e); e = Entry()) {
    EXPECT_TRUE(e.key.starts_with(prefix)) << e.key;
    Row row{e.key.substr(std::min(prefix.size(), e.key.size())),
            e.labels.empty() ? "" : stage.as<Source>().classes().at(static_cast<std::size_t>(e.labels[0])),
            ""};
    try {
      const auto bytes = std::get<Bytes>(stage.load(e));
      row[2].assign(bytes.data, bytes.data + bytes.size);
    } catch (const Reject& r) {
      row[2] = "[" + r.code() + "] " + r.what();
    }
    out.push_back(std::move(row));
  }
  std::sort(out.begin(), out.end());
  return out;
}

constexpr const char* kNoSplits = "val_fraction: 0, test_fraction: 0, backoff: 0.01";

class NginxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Nginx::program().empty()) GTEST_SKIP() << "nginx is not installed (Debian: nginx-light)";
  }
  std::string served() const { return (folder_ / "served").string(); }
  StageHarness remote_archive(const std::string& url) {
    return StageHarness("archive", "{urls: \"" + url + "\", " + kNoSplits + "}");
  }
  StageHarness local_archives(const std::string& root) {
    return StageHarness("archive", "{root: \"" + root + "\", val_fraction: 0, test_fraction: 0}");
  }
  /// The files below the folder by their URLs.
  StageHarness listed(const Nginx& nginx, const std::vector<std::pair<std::string, std::string>>& files,
                      const std::string& more = "") {
    std::string list = "url,label\n";
    for (const auto& [name, content] : files)
      list += nginx.url() + "/photos/" + name + "," + name.substr(0, name.find('/')) + "\n";
    return StageHarness("url_list", "{file: \"" + folder_.write("list.csv", list).string() + "\", " +
                                        kNoSplits + (more.empty() ? "" : ", " + more) + "}");
  }

  TempFolder folder_;
};

TEST_F(NginxTest, ArchivesAreThoseOfTheFolder) {
  const auto members = images(40, 300'000);
  for (const std::string compression : {"", "    gzip on; gzip_types *; gzip_min_length 1;\n"})
    for (const std::string name : {"x.tar", "x.tar.gz", "x.zip"}) {
      SCOPED_TRACE(name + compression);
      fs::remove_all(served());
      test::write_archive(folder_ / "served" / name, members);
      Nginx nginx(served(), compression);
      const auto local = rows_of(local_archives(served()), "");
      EXPECT_EQ(local.size(), 40u);
      EXPECT_TRUE(rows_of(remote_archive(nginx.url() + "/" + name), nginx.url() + "/") == local);
      std::set<std::uint64_t> connections;
      for (const auto& request : nginx.stopped_log()) {
        EXPECT_EQ(request.status, 206);
        EXPECT_EQ(request.range.substr(0, 6), "bytes=");
        connections.insert(request.connection);
      }
      EXPECT_EQ(connections.size(), 1u) << "one connection for all ranges";
    }
}

TEST_F(NginxTest, ListingAndOneMemberCostTheirHeadersAndBytes) {
  test::write_archive(folder_ / "served/x.tar", images(20, 1 << 20));
  Nginx nginx(served());
  {
    auto stage = remote_archive(nginx.url() + "/x.tar");
    EXPECT_EQ(stage.list().size(), 20u);
  }
  std::uint64_t bytes = 0;
  const auto log = nginx.stopped_log();
  for (const auto& request : log) bytes += request.body_bytes;
  EXPECT_LE(log.size(), 22u);
  EXPECT_LE(bytes, 22u << 16) << "of 20 MiB";
}

TEST_F(NginxTest, AnArchiveThatIsReplacedMeanwhileEndsTheRun) {
  test::write_archive(folder_ / "served/x.tar", images(4, 1 << 20));
  Nginx nginx(served());
  auto stage = remote_archive(nginx.url() + "/x.tar");
  Entry e;
  ASSERT_TRUE(stage.as<Source>().next(e));
  EXPECT_EQ(std::get<FileRef>(e.payload).size, fs::file_size(folder_ / "served/x.tar"))
      << "its ETag is strong";
  test::write_archive(folder_ / "served/x.tar", images(5, 1 << 20));
  try {
    stage.load(e);
    ADD_FAILURE() << "another archive";
  } catch (const FatalError& error) {
    EXPECT_EQ(std::string(error.what()),
              nginx.url() +
                  "/x.tar: the file was changed while it was in use (the server answers with status 412 to a "
                  "request for bytes 0-65535 of it); run again when it stays as it is");
  }
}

TEST_F(NginxTest, AServerWithoutRangesAndOneThatRefuses) {
  test::write_archive(folder_ / "served/whole/x.zip", images(10, 10'000));
  test::write_archive(folder_ / "served/secret/x.zip", images(10, 10'000));
  Nginx nginx(served(), "    location /whole { max_ranges 0; }\n    location /secret { deny all; }\n");
  EXPECT_TRUE(rows_of(remote_archive(nginx.url() + "/whole/x.zip"), nginx.url() + "/whole/") ==
              rows_of(local_archives(served() + "/whole"), ""));
  const auto fault = [&](const std::string& name) {
    try {
      remote_archive(nginx.url() + name);
      return std::string("ok");
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(fault("/secret/x.zip"),
            "cannot read " + nginx.url() + "/secret/x.zip: the server answers with status 403");
  EXPECT_EQ(fault("/none.zip"),
            "cannot read " + nginx.url() + "/none.zip: the server answers with status 404");
  folder_.write("served/empty.tar", "");
  EXPECT_NE(fault("/empty.tar"), "ok");
  std::map<int, int> by_status;
  for (const auto& request : nginx.stopped_log())
    if (request.path == "/whole/x.zip") ++by_status[request.status];
  EXPECT_EQ(by_status, (std::map<int, int>{{200, 2}})) << "once for the list, once for the members";
}

TEST_F(NginxTest, ListedFilesAreThoseOfTheFolder) {
  const auto files = images(30, 20'000);
  for (const auto& [name, content] : files) folder_.write("served/photos/" + name, content);
  std::vector<Row> local;
  StageHarness folder("image_folder",
                      "{root: \"" + served() + "/photos\", val_fraction: 0, test_fraction: 0}");
  for (const Entry& e : folder.list())
    local.push_back({e.key, folder.as<Source>().classes().at(static_cast<std::size_t>(e.labels.at(0))),
                     test::slurp(std::get<FileRef>(e.payload).path)});
  std::sort(local.begin(), local.end());
  EXPECT_EQ(local.size(), 30u);
  for (const std::string compression : {"", "    gzip on; gzip_types *; gzip_min_length 1;\n"}) {
    SCOPED_TRACE(compression);
    Nginx nginx(served(), compression);
    EXPECT_TRUE(rows_of(listed(nginx, files), nginx.url() + "/photos/") == local);
    std::set<std::uint64_t> connections;
    const auto log = nginx.stopped_log();
    for (const auto& request : log) {
      EXPECT_EQ(request.status, 200);
      connections.insert(request.connection);
    }
    EXPECT_EQ(log.size(), 30u);
    EXPECT_EQ(connections.size(), 1u);
  }
}

TEST_F(NginxTest, TheCacheAsksWhetherFilesHaveChanged) {
  const auto files = images(10, 5000);
  for (const auto& [name, content] : files) folder_.write("served/photos/" + name, content);
  Nginx nginx(served(), "    location /photos/ants/4.jpg { deny all; }\n");
  fs::remove(folder_ / "served/photos/bees/3.jpg");
  const std::string cache = "cache: \"" + (folder_ / "cache").string() + "\"";
  const auto first = rows_of(listed(nginx, files, cache), nginx.url() + "/photos/");
  const auto second = rows_of(listed(nginx, files, cache), nginx.url() + "/photos/");
  EXPECT_TRUE(first == second);
  std::map<std::string, std::string> contents;
  for (const Row& row : first) contents[row[0]] = row[2];
  for (const auto& [name, content] : files)
    if (name != "ants/4.jpg" && name != "bees/3.jpg") {
      EXPECT_TRUE(contents.at(name) == content) << name;
    }
  EXPECT_EQ(contents.at("ants/4.jpg"), "[unreadable] the server answers with status 403");
  EXPECT_EQ(contents.at("bees/3.jpg"), "[missing] the server answers with status 404");
  std::map<int, int> by_status;
  for (const auto& request : nginx.stopped_log()) {
    ++by_status[request.status];
    EXPECT_EQ(request.if_none_match != "-", request.status == 304);
  }
  EXPECT_EQ(by_status, (std::map<int, int>{{200, 8}, {304, 8}, {403, 2}, {404, 2}}));
}

}  // namespace
}  // namespace graft
