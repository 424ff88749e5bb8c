#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "http_server.h"
#include "range_server.h"
#include "s3_requests.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::Environment;
using test::headers_of;
using test::HttpServer;
using test::is_signed;
using test::TempFolder;
using test::Variables;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StageHarness;
using ::testing::StartsWith;

class UrlListTest : public ::testing::Test {
 protected:
  StageHarness open(const std::string& list, const std::string& more = "", const char* name = "list.csv") {
    return StageHarness("url_list", "{file: \"" + folder_.write(name, list).string() +
                                        "\", val_fraction: 0, test_fraction: 0" +
                                        (more.find("backoff") == std::string::npos ? ", backoff: 0.01" : "") +
                                        (more.empty() ? "" : ", " + more) + "}");
  }
  std::string fault(const std::string& list, const std::string& more = "") {
    try {
      open(list, more);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  }
  /// What the first URL gives: its bytes, or the code and the text of the reject.
  std::string loaded(const std::string& url, const std::string& more = "") {
    auto stage = open("url\n" + url + "\n", more);
    const std::vector<Entry> entries = stage.list();
    try {
      const Payload payload = stage.as<Source>().load(entries.at(0));
      const auto& bytes = std::get<Bytes>(payload);
      return {reinterpret_cast<const char*>(bytes.data), bytes.size};
    } catch (const Reject& e) {
      return e.code() + ": " + e.what();
    }
  }
  TempFolder folder_;
};

TEST_F(UrlListTest, ReadsColumns) {
  auto stage =
      open("label,url,split\nant,http://a/1.jpg,train\nbee,\"https://a/2.jpg?x=1,2\",test\n,http://a/3,\n");
  EXPECT_EQ(stage.as<Source>().count(), 3u);
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("ant", "bee"));
  const auto entries = stage.list();
  EXPECT_EQ(entries[1].key, "https://a/2.jpg?x=1,2");
  EXPECT_EQ(entries[1].split, Split::Test);
  EXPECT_THAT(entries[1].labels, ElementsAre(1));
  EXPECT_THAT(entries[2].labels, ElementsAre());
  EXPECT_FALSE(entries[0].content) << "its bytes decide";
  auto named = open("u\tc\nhttp://a/1\tx\n", "url: u, label: c, content: url", "list.tsv").list();
  EXPECT_EQ(named[0].content, digest("url http://a/1"));
}

TEST_F(UrlListTest, ErrorsOfTheListAreNamedByLine) {
  const std::string file = (folder_ / "list.csv").string();
  EXPECT_EQ(fault("url\nhttp://a/1\nftp://a/2\n"),
            file + ":3: expected a URL that begins with http://, https:// or s3://, got 'ftp://a/2'");
  EXPECT_EQ(
      fault("url\nfile:///etc/passwd\n"),
      file + ":2: expected a URL that begins with http://, https:// or s3://, got 'file:///etc/passwd'");
  for (const char* url : {"http://a/b c", "http://a:99999/", "http:///", "http://a/\x01"})
    EXPECT_THAT(fault(std::string("url\n") + url + "\n"),
                HasSubstr(":2: expected a URL as a browser shows it, with %20 for a space ("))
        << url;
  EXPECT_THAT(fault("url\nhttps://me:secret@a/1\n"),
              HasSubstr(":2: a user or a password in a URL would be in every result"));
  EXPECT_EQ(fault("path\nx\n"), file + ":1: expected a column 'url', got path");
  EXPECT_EQ(fault("url,split\nhttp://a/1,later\n"), file + ":2: expected train, val or test, got 'later'");
  EXPECT_THAT(fault("url,label\nhttp://a/1\n"),
              HasSubstr(":2: expected 2 fields, as the header has, got 1; "));
  EXPECT_THAT(fault(""), StartsWith("expected a header with the names of the columns in "));
  EXPECT_THAT(fault("url\nhttp://a/1\nhttp://a/1\n"), HasSubstr("http://a/1"));
}

TEST_F(UrlListTest, FetchesFiles) {
  const std::string body("\0\xff binary\r\n\r\n", 13);
  const HttpServer server([&](const std::string& path) {
    if (path == "/moved")
      return std::string("HTTP/1.1 302 Found\r\nLocation: /a.jpg\r\nContent-Length: 0\r\n\r\n");
    if (path == "/out")
      return std::string("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    if (path == "/round")
      return std::string("HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n");
    return path == "/a.jpg" ? HttpServer::ok(body) : HttpServer::error(404);
  });
  EXPECT_EQ(loaded(server.url() + "/a.jpg"), body);
  EXPECT_EQ(loaded(server.url() + "/moved"), body);
  EXPECT_EQ(loaded(server.url() + "/b.jpg"), "missing: the server answers with status 404");
  EXPECT_THAT(loaded(server.url() + "/out"), StartsWith("unreadable: ")) << "nothing but http and https";
  EXPECT_THAT(loaded(server.url() + "/round"), StartsWith("unreadable: Maximum (5) redirects followed"));
  EXPECT_EQ(loaded(server.url() + "/a.jpg", "max_bytes: 12"),
            "too-large: the file is longer than max_bytes, 12");
}

TEST_F(UrlListTest, TriesAgainWhatMayPass) {
  std::atomic<int> calls{0};
  const HttpServer server([&](const std::string& path) {
    const int n = ++calls;
    if (path == "/busy") return n < 3 ? HttpServer::error(503) : HttpServer::ok("at last");
    if (path == "/cut") return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    return HttpServer::error(403);
  });
  EXPECT_EQ(loaded(server.url() + "/busy"), "at last");
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_EQ(loaded(server.url() + "/busy", "retries: 1"),
            "unreadable: the server answers with status 503 (tried 2 times)");
  calls = 0;
  EXPECT_EQ(loaded(server.url() + "/forbidden"), "unreadable: the server answers with status 403");
  EXPECT_EQ(calls, 1) << "it would not pass";
  EXPECT_THAT(loaded(server.url() + "/cut", "retries: 1"),
              ::testing::AllOf(StartsWith("unreadable: "), HasSubstr("(tried 2 times)")))
      << "half a file is none";
}

TEST_F(UrlListTest, WaitsAsLongAsTheServerAsks) {
  using Clock = std::chrono::steady_clock;
  std::mutex mutex;
  std::vector<Clock::time_point> times;
  const HttpServer server([&](const std::string& path) {
    const std::lock_guard lock(mutex);
    times.push_back(Clock::now());
    if (path == "/tomorrow")
      return std::string("HTTP/1.1 429 Busy\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n");
    if (times.size() == 1)
      return std::string("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    return HttpServer::ok("now");
  });
  EXPECT_EQ(loaded(server.url() + "/soon"), "now");
  {
    const std::lock_guard lock(mutex);
    ASSERT_EQ(times.size(), 2u);
    EXPECT_GE(times[1] - times[0], std::chrono::milliseconds(990)) << "backoff alone is 10 ms";
  }
  EXPECT_EQ(
      loaded(server.url() + "/tomorrow"),
      "unreadable: the server answers with status 429; the next attempt, 86400 s later, would be beyond "
      "time_limit, 600 s");
  EXPECT_EQ(server.calls(), 3);
}

TEST_F(UrlListTest, WaitsEndWithTheTimeLimit) {
  const HttpServer busy(HttpServer::error(503));
  EXPECT_EQ(loaded(busy.url() + "/a.jpg", "backoff: 60, time_limit: 20"),
            "unreadable: the server answers with status 503; the next attempt, 60 s later, would be beyond "
            "time_limit, 20 s");
  // A server that says nothing, long before `timeout`.
  std::promise<void> over;
  const HttpServer silent([released = over.get_future().share()](const std::string&) {
    released.wait();
    return std::string();
  });
  EXPECT_EQ(loaded(silent.url() + "/a.jpg", "timeout: 3600, time_limit: 0.5"),
            "unreadable: not complete within time_limit, 0.5 s");
  over.set_value();
}

TEST_F(UrlListTest, ObjectsOfS3AreSigned) {
  std::mutex mutex;
  std::string last_path, last_head;
  const HttpServer server([&](const std::string& path, const std::string& head) {
    const std::lock_guard lock(mutex);
    last_path = path;
    last_head = head;
    if (path.starts_with("/other-region/"))
      return std::string(
          "HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\nLocation: http://127.0.0.1:1/x\r\n"
          "Content-Length: 3\r\n\r\nxml");
    if (path == "/photos/gone.jpg") return HttpServer::error(404);
    return is_signed(path, head, "AKID", "a/secret+key", "eu-central-1") ? HttpServer::ok("image")
                                                                         : HttpServer::error(403);
  });
  Variables variables{{"AWS_ENDPOINT_URL", server.url() + "/"},
                      {"AWS_REGION", "eu-central-1"},
                      {"AWS_ACCESS_KEY_ID", "AKID"},
                      {"AWS_SECRET_ACCESS_KEY", "a/secret+key"}};
  {
    const Environment environment(variables);
    for (const auto& [key, path] : std::map<std::string, std::string>{
             {"a.jpg", "/photos/a.jpg"},
             {"class a/image (1).jpg", "/photos/class%20a/image%20%281%29.jpg"},
             {"\xc3\xa4/x+y=z~_-.jpg", "/photos/%C3%A4/x%2By%3Dz~_-.jpg"},
             {"a/../b//c?d#e%41.jpg", "/photos/a/../b//c%3Fd%23e%2541.jpg"}}) {
      EXPECT_EQ(loaded("s3://photos/" + key), "image") << key;
      const std::lock_guard lock(mutex);
      EXPECT_EQ(last_path, path);
    }
    EXPECT_EQ(loaded("s3://photos/gone.jpg"), "missing: the server answers with status 404");
    EXPECT_EQ(loaded("s3://other-region/a.jpg"),
              "unreadable: the server answers with status 301; the bucket is in the region eu-west-1: set "
              "AWS_REGION")
        << "a signed request goes to one host alone";
  }
  variables["AWS_SESSION_TOKEN"] = "of a session";
  {
    const Environment environment(variables);
    EXPECT_EQ(loaded("s3://photos/a.jpg"), "image");
    const std::lock_guard lock(mutex);
    EXPECT_EQ(headers_of(last_head)["x-amz-security-token"], "of a session");
    EXPECT_THAT(headers_of(last_head)["authorization"], HasSubstr("x-amz-security-token"));
  }
  variables["AWS_SECRET_ACCESS_KEY"] = "another";
  {
    const Environment environment(variables);
    EXPECT_EQ(loaded("s3://photos/a.jpg"),
              "unreadable: the server answers with status 403; the key in AWS_ACCESS_KEY_ID may not read it, "
              "has another "
              "secret, or there is no such object");
  }
}

TEST_F(UrlListTest, PublicObjectsOfS3NeedNoKey) {
  const HttpServer server([&](const std::string& path, const std::string& head) {
    if (headers_of(head).contains("authorization")) return HttpServer::error(400);
    return path == "/public/a.jpg" ? HttpServer::ok("image") : HttpServer::error(403);
  });
  const Environment environment(Variables{{"AWS_ENDPOINT_URL_S3", server.url()}});
  EXPECT_EQ(loaded("s3://public/a.jpg"), "image");
  EXPECT_EQ(loaded("s3://private/a.jpg"),
            "unreadable: the server answers with status 403; the object is not public, or there is none: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}

TEST_F(UrlListTest, WrongSettingsOfS3AreErrorsBeforeAnythingIsFetched) {
  const std::string list = "url\ns3://photos/a.jpg\n", file = (folder_ / "list.csv").string();
  {
    const Environment environment(Variables{{"AWS_ACCESS_KEY_ID", "x"}});
    EXPECT_EQ(fault(list),
              "expected both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither, got only "
              "AWS_ACCESS_KEY_ID");
  }
  {
    const Environment environment(Variables{{"AWS_REGION", "eu central"}});
    EXPECT_EQ(
        fault(list),
        "AWS_REGION: expected small letters, digits and hyphens, such as eu-central-1, got 'eu central'");
  }
  {
    const Environment environment(Variables{{"AWS_ENDPOINT_URL", "file:///etc"}});
    EXPECT_THAT(fault(list), StartsWith("AWS_ENDPOINT_URL: expected a URL that begins with http://"));
  }
  const Environment environment(Variables{});
  EXPECT_EQ(fault("url\ns3://P/a\n"), file +
                                          ":2: expected s3://BUCKET/KEY with a bucket of 3 to 63 small "
                                          "letters, digits, dots and hyphens, got "
                                          "'s3://P/a'");
  EXPECT_EQ(fault("url\ns3://photos/\n"),
            file + ":2: expected s3://BUCKET/KEY with a key of 1 to 1024 bytes, got 's3://photos/'");
  EXPECT_EQ(fault(list), "ok");
}

class UrlCacheTest : public UrlListTest {
 protected:
  std::string with_cache(const std::string& more = "") {
    return "cache: \"" + (folder_ / "cache").string() + "\"" + (more.empty() ? "" : ", " + more);
  }
  std::vector<std::filesystem::path> kept() {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "cache"))
      if (entry.is_regular_file() && entry.path().filename() != "lock") out.push_back(entry.path());
    return out;
  }
};

TEST_F(UrlCacheTest, AsksWhetherAFileHasChanged) {
  std::atomic<int> whole{0};
  std::string content = "first", tag = "\"1\"";
  std::mutex mutex;
  const HttpServer server([&](const std::string&, const std::string& head) {
    const std::lock_guard lock(mutex);
    if (headers_of(head)["if-none-match"] == tag)
      return std::string("HTTP/1.1 304 Same\r\nETag: " + tag + "\r\n\r\n");
    ++whole;
    return "HTTP/1.1 200 OK\r\nETag: " + tag + "\r\nContent-Length: " + std::to_string(content.size()) +
           "\r\n\r\n" + content;
  });
  EXPECT_EQ(loaded(server.url() + "/a", with_cache()), "first");
  EXPECT_EQ(loaded(server.url() + "/a", with_cache()), "first");
  EXPECT_EQ(whole, 1);
  {
    const std::lock_guard lock(mutex);
    content = "second";
    tag = "\"2\"";
  }
  EXPECT_EQ(loaded(server.url() + "/a", with_cache()), "second");
  EXPECT_EQ(whole, 2);
  EXPECT_EQ(kept().size(), 1u);
  const int calls = server.calls();
  EXPECT_EQ(loaded(server.url() + "/a", with_cache("content: url")), "second");
  EXPECT_EQ(server.calls(), calls) << "a URL that stands for its content needs no server";
}

TEST_F(UrlCacheTest, DamageIsFetchedAgain) {
  const HttpServer server(HttpServer::ok("the content of the file"));
  const std::string url = server.url() + "/a";
  EXPECT_EQ(loaded(url, with_cache("content: url")), "the content of the file");
  ASSERT_EQ(kept().size(), 1u);
  const std::string good = test::slurp(kept()[0]);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    std::ofstream(kept()[0], std::ios::binary) << bad;
    const int calls = server.calls();
    ASSERT_EQ(loaded(url, with_cache("content: url")), "the content of the file") << at;
    ASSERT_EQ(server.calls(), calls + 1) << at;
  }
  std::ofstream(kept()[0], std::ios::binary)
      << good.substr(0, good.size() / 2);  // as a power cut may leave it
  EXPECT_EQ(loaded(url, with_cache("content: url")), "the content of the file");
}

TEST_F(UrlCacheTest, StaysBelowItsSize) {
  const HttpServer server(HttpServer::ok(std::string(40'000, 'x')));
  std::filesystem::create_directories(folder_ / "cache" / "holiday");
  folder_.write("cache/holiday/photo.jpg", std::string(3 << 20, 'p'));
  std::string list = "url\n";
  for (int i = 0; i < 60; ++i) list += server.url() + "/" + std::to_string(i) + "\n";
  {
    auto stage = open(list, with_cache("cache_bytes: 1048576, content: url"));
    for (const Entry& entry : stage.list()) stage.as<Source>().load(entry);
  }
  std::uintmax_t sum = 0;
  std::size_t own = 0;
  for (const auto& path : kept())
    if (path.filename() != "photo.jpg") {
      sum += std::filesystem::file_size(path);
      ++own;
    }
  EXPECT_LE(sum, (1u << 20) + (1u << 16) + 50'000);
  EXPECT_GE(own, 20u);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "cache" / "holiday" / "photo.jpg"))
      << "what is not of the cache stays";
  const int calls = server.calls();
  EXPECT_EQ(loaded(server.url() + "/59", with_cache("cache_bytes: 1048576, content: url")).size(), 40'000u);
  EXPECT_EQ(server.calls(), calls) << "the newest are kept";
}

TEST_F(UrlListTest, AServerThatIsNotThereIsAReject) {
  std::string gone;
  {
    const HttpServer server(HttpServer::ok(""));
    gone = server.url();
  }
  EXPECT_THAT(loaded(gone + "/a.jpg", "retries: 0"), StartsWith("unreadable: "));
}

}  // namespace
}  // namespace graft
