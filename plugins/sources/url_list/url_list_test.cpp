#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "http_server.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::HttpServer;
using test::TempFolder;
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
            file + ":3: expected a URL that begins with http:// or https://, got 'ftp://a/2'");
  EXPECT_EQ(fault("url\nfile:///etc/passwd\n"),
            file + ":2: expected a URL that begins with http:// or https://, got 'file:///etc/passwd'");
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
