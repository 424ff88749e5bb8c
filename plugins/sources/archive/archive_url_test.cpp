// Archives that are read over HTTP and from S3, by ranges.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "archive_files.h"
#include "loaded_text.h"
#include "range_server.h"
#include "s3_requests.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::HttpServer;
using test::loaded_text;
using test::RangeServer;
using test::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::StageHarness;

using Members = std::vector<std::pair<std::string, std::string>>;
constexpr std::uint64_t kBlock = 64 << 10;

std::string noise(unsigned seed, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return out;
}

Members images(unsigned n, std::size_t bytes) {
  Members out;
  for (unsigned i = 0; i < n; ++i)
    out.emplace_back((i % 2 == 0 ? "ants/" : "bees/") + std::to_string(i) + ".jpg", noise(i + 1, bytes + i));
  return out;
}

class ArchiveUrl : public ::testing::Test {
 protected:
  /// Puts an archive onto the server, and gives its bytes.
  std::string serve(const std::string& name, const Members& members, const std::string& tag = "\"1\"") {
    test::write_archive(folder_ / name, members);
    std::string bytes = test::slurp(folder_ / name);
    server_.put("/" + name, {bytes, tag});
    return bytes;
  }
  StageHarness open(const std::string& urls, const std::string& more = "") {
    return StageHarness("archive", "{urls: [" + urls + "], val_fraction: 0, test_fraction: 0" +
                                       (more.find("backoff") == std::string::npos ? ", backoff: 0.01" : "") +
                                       (more.empty() ? "" : ", " + more) + "}");
  }
  std::string url(const std::string& name) const { return "\"" + server_.url() + "/" + name + "\""; }
  /// Without the server's address, which is another one each time.
  std::string without_address(std::string text) const {
    for (std::size_t at; (at = text.find(server_.url())) != std::string::npos;)
      text.replace(at, server_.url().size(), "SERVER");
    return text;
  }
  std::string fault(const std::string& urls, const std::string& more = "") {
    try {
      open(urls, more);
      return "ok";
    } catch (const Error& e) {
      return without_address(e.what());
    }
  }
  /// The key, the label and the content or the code of the reject of every entry.
  static std::vector<std::string> read(StageHarness& stage, const std::string& prefix) {
    std::vector<std::string> out;
    for (Entry e; stage.as<Source>().next(e); e = Entry()) {
      EXPECT_TRUE(e.key.starts_with(prefix)) << e.key;
      std::string line = e.key.substr(prefix.size());
      for (const std::int32_t l : e.labels) line += " " + std::to_string(l);
      out.push_back(line + loaded_text(stage, e));
    }
    return out;
  }

  /// A row up to the content.
  static std::string up_to_content(const std::string& row) { return row.substr(0, row.find(": ") + 2); }

  TempFolder folder_;
  RangeServer server_;
};

TEST_F(ArchiveUrl, EveryKindIsReadAsAFileIs) {
  const Members members = images(60, 20'000);
  for (const std::string name :
       {"x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz", "x.tar.zst", "x.zip"}) {
    SCOPED_TRACE(name);
    std::filesystem::remove_all(folder_ / "only");
    test::write_archive(folder_ / "only" / name, members);
    server_.put("/shards/" + name, {test::slurp(folder_ / "only" / name)});
    StageHarness local("archive",
                       "{root: \"" + (folder_ / "only").string() + "\", val_fraction: 0, test_fraction: 0}");
    auto remote = open(url("shards/" + name));
    EXPECT_EQ(remote.as<Source>().classes(), local.as<Source>().classes());
    const auto rows = read(remote, server_.url() + "/shards/");
    EXPECT_TRUE(rows == read(local, ""));
    EXPECT_EQ(rows.size(), 60u);
  }
}

TEST_F(ArchiveUrl, ListingFetchesTheHeadersOfLargeMembersAlone) {
  for (const std::string name : {"x.tar", "x.zip"}) {
    SCOPED_TRACE(name);
    const std::string bytes = serve(name, images(20, 1 << 20));
    server_.count_anew();
    auto stage = open(url(name));
    EXPECT_LE(server_.requests(), 23) << "one each, and the end";
    EXPECT_LE(server_.bytes(), 23 * kBlock);
    EXPECT_GE(bytes.size(), 20u << 20);
    // One member in the middle.
    Entry e;
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(stage.as<Source>().next(e));
    server_.count_anew();
    EXPECT_EQ(std::get<Bytes>(stage.load(e)).size, (1u << 20) + 7);
    EXPECT_LE(server_.requests(), 12) << "the headers before it, and the member";
    EXPECT_LE(server_.bytes(), 12 * kBlock + (1 << 20));
  }
}

TEST_F(ArchiveUrl, SmallMembersAreReadThroughInLargeBlocks) {
  for (const std::string name : {"x.tar", "x.zip"}) {
    SCOPED_TRACE(name);
    const std::string bytes = serve(name, images(3000, 5000));
    server_.count_anew();
    auto stage = open(url(name));
    EXPECT_LE(server_.requests(), 16) << "of " << bytes.size() << " bytes";
    EXPECT_LE(server_.bytes(), bytes.size() + 6 * kBlock) << "nothing twice but the list at the end of a zip";
    server_.count_anew();
    EXPECT_THAT(read(stage, server_.url()), SizeIs(3000));
    EXPECT_LE(server_.requests(), 16);
    EXPECT_LE(server_.bytes(), bytes.size() + 6 * kBlock);
  }
}

TEST_F(ArchiveUrl, APackedTarIsReadFromItsBeginningOnce) {
  const std::string bytes = serve("x.tar.gz", images(300, 20'000));
  server_.count_anew();
  open(url("x.tar.gz"));
  EXPECT_LE(server_.requests(), 8) << "of " << bytes.size() << " bytes";
  EXPECT_EQ(server_.bytes(), bytes.size());
}

TEST_F(ArchiveUrl, ACacheKeepsWhatWasFetched) {
  for (const std::string name : {"x.tar", "x.zip", "x.tar.gz"}) {
    SCOPED_TRACE(name);
    const std::string bytes = serve(name, images(300, 20'000));
    const std::string cache = "cache: \"" + (folder_ / "cache").string() + "\"";
    auto plain = open(url(name));
    const auto rows = read(plain, server_.url());
    server_.count_anew();
    auto first = open(url(name), cache);
    EXPECT_TRUE(read(first, server_.url()) == rows);
    EXPECT_LE(server_.bytes(), bytes.size() + 8 * kBlock)
        << "the second pass finds what the first one fetched";
    server_.count_anew();
    auto second = open(url(name), cache);
    EXPECT_TRUE(read(second, server_.url()) == rows);
    EXPECT_EQ(server_.requests(), 1) << "whether it is still the same";
    EXPECT_EQ(server_.bytes(), kBlock);
    // Another version has nothing of the first one.
    auto other = images(300, 20'000);
    other[299].second = "other";
    serve(name, other, "\"2\"");
    auto changed = open(url(name), cache);
    auto expected = rows;
    expected[299] = up_to_content(expected[299]) + "other";
    EXPECT_TRUE(read(changed, server_.url()) == expected);
    // One whose server does not name its version is not kept.
    server_.put("/" + name, {bytes, "", "Tue, 01 Dec 2026 10:00:00 GMT"});
    auto unnamed = open(url(name), cache);
    EXPECT_TRUE(read(unnamed, server_.url()) == rows);
    server_.count_anew();
    auto again = open(url(name), cache);
    EXPECT_TRUE(read(again, server_.url()) == rows);
    EXPECT_GE(server_.bytes(), bytes.size());
  }
}

TEST_F(ArchiveUrl, AServerMayGiveLessThanItWasAskedFor) {
  const std::string bytes = serve("x.zip", images(12, 10'000));
  auto undisturbed = open(url("x.zip"));
  const auto rows = read(undisturbed, server_.url());
  server_.answer_instead([&](int, const std::string&, const std::string& head) {
    const std::string range = test::headers_of(head)["range"];
    const std::uint64_t first = std::stoull(range.substr(range.find('=') + 1));
    const std::string shorter = "bytes=" + std::to_string(first) + "-" + std::to_string(first + 2999);
    return RangeServer::answer({bytes}, "GET / HTTP/1.1\r\nRange: " + shorter + "\r\n\r\n");
  });
  auto plain = open(url("x.zip"));
  EXPECT_TRUE(read(plain, server_.url()) == rows);
  auto cached = open(url("x.zip"), "cache: \"" + (folder_ / "cache").string() + "\"");
  EXPECT_TRUE(read(cached, server_.url()) == rows);
}

TEST_F(ArchiveUrl, DamageOfTheCacheIsFetchedAgain) {
  serve("x.tar", images(30, 20'000));
  const std::string cache = "cache: \"" + (folder_ / "cache").string() + "\"";
  auto first = open(url("x.tar"), cache);
  const auto rows = read(first, server_.url());
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "cache"))
    if (entry.is_regular_file() && entry.path().filename() != "lock") {
      ++files;
      if (files % 3 == 0)
        std::filesystem::resize_file(entry.path(), 1000);
      else
        test::flip_bit(entry.path(), 8 * 5000 + static_cast<unsigned>(files));
    }
  EXPECT_GE(files, 9);
  auto second = open(url("x.tar"), cache);
  EXPECT_TRUE(read(second, server_.url()) == rows);
}

TEST_F(ArchiveUrl, TheVersionIsNamedForTheMemo) {
  test::write_archive(folder_ / "x.tar", images(2, 100));
  const std::string bytes = test::slurp(folder_ / "x.tar");
  server_.answer_instead([&](int, const std::string& path, const std::string& head) {
    EXPECT_EQ(path, "/x.tar?key=1");
    return RangeServer::answer({bytes, "\"a\""}, head);
  });
  auto stage = open(url("x.tar?key=1"));
  const auto entries = stage.list();
  EXPECT_EQ(without_address(entries.at(1).key), "SERVER/x.tar/bees/1.jpg") << "a query may be a signature";
  const auto first = std::get<FileRef>(entries.at(1).payload);
  EXPECT_EQ(without_address(first.path), "SERVER/x.tar");
  EXPECT_EQ(first.member, "bees/1.jpg");
  EXPECT_EQ(first.size, bytes.size());
  EXPECT_NE(first.ctime_ns, 0);
  server_.count_anew();
  server_.put("/x.tar?key=1", {bytes, "\"a\""});
  EXPECT_EQ(std::get<FileRef>(open(url("x.tar?key=1")).list().at(1).payload).ctime_ns, first.ctime_ns);
  server_.put("/x.tar?key=1", {bytes, "\"b\""});
  EXPECT_NE(std::get<FileRef>(open(url("x.tar?key=1")).list().at(1).payload).ctime_ns, first.ctime_ns);
  // What is not known for sure is not remembered.
  server_.put("/x.tar?key=1", {bytes, "W/\"a\"", "Tue, 01 Dec 2026 10:00:00 GMT"});
  const auto weak = std::get<FileRef>(open(url("x.tar?key=1")).list().at(1).payload);
  EXPECT_EQ(weak.size, 0u);
  EXPECT_EQ(weak.ctime_ns, 0);
}

TEST_F(ArchiveUrl, AnArchiveThatChangesEndsTheRun) {
  const std::string bytes = serve("x.tar", images(4, 1 << 20));
  const auto second = [&](const RangeServer::File& now) {
    server_.put("/x.tar", {bytes, "", "Tue, 01 Dec 2026 10:00:00 GMT"});
    if (!now.tag.empty()) server_.put("/x.tar", {bytes, "\"1\""});
    auto stage = open(url("x.tar"));
    Entry e;
    EXPECT_TRUE(stage.as<Source>().next(e));
    server_.put("/x.tar", now);
    try {
      stage.load(e);
      return std::string("ok");
    } catch (const FatalError& error) {
      return without_address(error.what());
    }
  };
  EXPECT_EQ(second({bytes, "\"1\""}), "ok");
  EXPECT_EQ(second({bytes, "\"2\""}),
            "SERVER/x.tar: the file was changed while it was in use (the server answers with status 412 to a "
            "request for bytes 0-65535 of it); run again when it stays as it is");
  EXPECT_EQ(second({bytes, "", "Tue, 01 Dec 2026 10:00:00 GMT"}), "ok");
  EXPECT_EQ(second({bytes, "", "Tue, 01 Dec 2026 10:00:01 GMT"}),
            "SERVER/x.tar: the file was changed while it was in use (the server answers with status 412 to a "
            "request for bytes 0-65535 of it); run again when it stays as it is");
  // A server that does not know conditions, while the headers are read.
  server_.answer_instead([&](int request, const std::string&, const std::string& head) {
    const std::string unconditional =
        "GET / HTTP/1.1\r\nRange: " + test::headers_of(head)["range"] + "\r\n\r\n";
    return RangeServer::answer({bytes, request < 3 ? "\"1\"" : "\"2\""}, unconditional);
  });
  EXPECT_EQ(
      fault(url("x.tar")),
      "SERVER/x.tar: the file was changed while it was in use (ETag \"1\" before, \"2\" now); run again "
      "when it stays as it is");
  server_.answer_instead([&](int request, const std::string&, const std::string& head) {
    return RangeServer::answer({request < 3 ? bytes : bytes + std::string(512, '\0')}, head);
  });
  EXPECT_THAT(fault(url("x.tar")), HasSubstr("(size " + std::to_string(bytes.size()) + " before, " +
                                             std::to_string(bytes.size() + 512) + " now)"));
}

TEST_F(ArchiveUrl, ServersWithoutRangesGiveSmallArchives) {
  for (const std::string name : {"x.tar", "x.zip", "x.tar.gz"}) {
    const std::string bytes = serve(name, images(30, 10'000));
    server_.put("/" + name, {bytes, "\"1\"", "", false});
    server_.count_anew();
    auto stage = open(url(name));
    EXPECT_EQ(server_.requests(), 1) << name;
    EXPECT_THAT(read(stage, server_.url()), SizeIs(30));
    EXPECT_EQ(server_.requests(), 2) << name;
  }
  server_.answer_instead([](int, const std::string&, const std::string&) {
    return "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 67108865\r\n\r\n" + std::string(1000, 'x');
  });
  EXPECT_EQ(
      fault(url("x.tar")),
      "cannot read SERVER/x.tar: the server does not give ranges of it (status 200 to a request for bytes "
      "0-65535), and it has 67108865 bytes, more than the 67108864 that are held in memory then; "
      "download it, or put it on a server that knows ranges");
  EXPECT_EQ(server_.requests(), 1) << "it would not pass";
}

TEST_F(ArchiveUrl, WrongAnswersAreNamed) {
  const std::string bytes = serve("x.tar", images(3, 100));
  const auto with = [&](const std::string& answer, const std::string& more = "") {
    server_.answer_instead([=](int, const std::string&, const std::string&) { return answer; });
    return fault(url("x.tar"), more);
  };
  const std::string begin = "cannot read SERVER/x.tar: the server ";
  const std::string partial = "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\n";
  EXPECT_EQ(with(partial + "Content-Range: bytes 5-9/100\r\nContent-Length: 5\r\n\r\nabcde"),
            begin + "answers a request for bytes 0-65535 with the Content-Range 'bytes 5-9/100'");
  EXPECT_EQ(with(partial + "Content-Range: bytes 0-9/*\r\nContent-Length: 10\r\n\r\n0123456789"),
            begin + "answers a request for bytes 0-65535 with the Content-Range 'bytes 0-9/*'");
  EXPECT_EQ(with(partial + "Content-Range: bytes 0-100/100\r\nContent-Length: 1\r\n\r\n0"),
            begin + "answers a request for bytes 0-65535 with the Content-Range 'bytes 0-100/100'");
  EXPECT_EQ(with(partial + "Content-Length: 5\r\n\r\nabcde"),
            begin + "answers a request for bytes 0-65535 with no Content-Range");
  EXPECT_EQ(with(partial + "Content-Range: bytes 0-9/100\r\nContent-Length: 5\r\n\r\nabcde", "retries: 1"),
            begin + "announces 10 bytes (Content-Range: bytes 0-9/100) and sends 5 (tried 2 times)");
  EXPECT_EQ(with(partial + "Content-Range: bytes 0-9/100\r\nContent-Length: 100000\r\n\r\n" +
                 std::string(100'000, 'x')),
            begin + "answers a request for bytes 0-65535 with more than these");
  EXPECT_EQ(with("HTTP/1.1 204 No Content\r\nETag: \"1\"\r\n\r\n"),
            begin + "answers a request for bytes 0-65535 with status 204");
  EXPECT_EQ(with(HttpServer::error(304)), begin + "answers with status 304");
  EXPECT_EQ(with(HttpServer::error(403)), begin + "answers with status 403");
  EXPECT_EQ(with(HttpServer::error(404)), begin + "answers with status 404");
  EXPECT_EQ(server_.requests(), 1);
  EXPECT_EQ(with(HttpServer::error(503), "retries: 2"), begin + "answers with status 503 (tried 3 times)");
  EXPECT_EQ(with(HttpServer::error(416)),
            begin + "answers with status 416 to a request for bytes 0-65535; an empty file has none");
  EXPECT_EQ(with("HTTP/1.1 302 Found\r\nLocation: /x.tar\r\nContent-Length: 0\r\n\r\n"),
            "cannot read SERVER/x.tar: Maximum (5) redirects followed");
  EXPECT_EQ(with("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 11\r\n\r\nno archive."),
            "expected a tar or zip archive, got SERVER/x.tar (Unrecognized archive format)");
  server_.count_anew();
  server_.put("/x.tar", {bytes, ""});
  EXPECT_EQ(fault(url("x.tar")),
            begin +
                "gives neither a strong ETag nor Last-Modified, so that nobody would see it change while it "
                "is read; download it, or put it on a server that gives one");
}

TEST_F(ArchiveUrl, BrokenConnectionsAndRedirectionsAreOvercome) {
  const std::string bytes = serve("x.tar", images(8, 1 << 20));
  auto undisturbed = open(url("x.tar"));
  const auto rows = read(undisturbed, server_.url());
  // Every third answer ends in its middle, every fifth request is told to wait.
  server_.answer_instead([&](int request, const std::string&, const std::string& head) {
    const std::string whole = RangeServer::answer({bytes}, head);
    if (request % 5 == 0) return std::optional(HttpServer::error(503));
    return request % 3 == 0 ? std::optional(whole.substr(0, whole.size() / 2)) : std::optional(whole);
  });
  auto stage = open(url("x.tar"));
  EXPECT_TRUE(read(stage, server_.url()) == rows);
  server_.answer_instead([&](int, const std::string& path, const std::string&) {
    return path == "/moved.tar" ? std::optional<std::string>(
                                      "HTTP/1.1 302 Found\r\nLocation: /x.tar\r\nContent-Length: 0\r\n\r\n")
                                : std::nullopt;
  });
  auto moved = open(url("moved.tar"));
  EXPECT_EQ(read(moved, server_.url() + "/moved.tar/").size(), rows.size());
}

TEST_F(ArchiveUrl, AServerThatFailsLaterIsTheRejectOfTheMoment) {
  serve("x.tar", images(4, 1 << 20));
  auto stage = open(url("x.tar"), "retries: 0");
  std::vector<std::string> rows;
  Entry e;
  for (const int status : {503, 0, 404, 0}) {
    server_.answer_instead([status](int, const std::string&, const std::string&) {
      return status == 0 ? std::nullopt : std::optional(HttpServer::error(status));
    });
    ASSERT_TRUE(stage.as<Source>().next(e));
    try {
      rows.push_back(std::to_string(std::get<Bytes>(stage.load(e)).size - (1 << 20)));
    } catch (const Reject& r) {
      rows.push_back("[" + r.code() + "] " + r.what());
    }
  }
  EXPECT_THAT(rows, ElementsAre("[unreadable] the server answers with status 503", "1",
                                "[missing] the server answers with status 404", "3"))
      << "it begins again";
}

TEST_F(ArchiveUrl, ARangeOfNumbersIsThatManyArchives) {
  for (const char* n : {"08", "09", "10"})
    serve("train-" + std::string(n) + ".tar", {{"1.jpg", n}, {"1.cls", "0"}});
  serve("test-1.tar", {{"1.jpg", "test"}, {"1.cls", "0"}});
  auto stage = open(url("train-{08..10}.tar") + ", " + url("test-1.tar"),
                    "layout: webdataset, splits: {train: \"train-*\", test: \"test-*.tar\"}");
  EXPECT_EQ(stage.list().back().split, Split::Test);
  auto again = open(url("train-{08..10}.tar") + ", " + url("test-1.tar"),
                    "layout: webdataset, splits: {train: \"train-*\", test: \"test-*.tar\"}");
  EXPECT_THAT(read(again, server_.url() + "/"),
              ElementsAre("train-08.tar/1.jpg 0: 08", "train-09.tar/1.jpg 0: 09", "train-10.tar/1.jpg 0: 10",
                          "test-1.tar/1.jpg 0: test"));
  serve("a8.tar", {{"c/1.jpg", "x"}});
  for (const char* n : {"9", "10"}) serve("a" + std::string(n) + ".tar", {{"c/1.jpg", "x"}});
  EXPECT_EQ(open(url("a{8..10}.tar")).list().size(), 3u);
}

TEST_F(ArchiveUrl, SaysWhatIsWrongBeforeAnythingIsFetched) {
  server_.count_anew();
  const std::string one = "expected one range of whole numbers, such as {000000..000099}, ";
  EXPECT_EQ(fault("\"http://a/{1..2}/{1..2}.tar\""),
            "urls: " + one + "in braces that are open and closed once, in 'http://a/{1..2}/{1..2}.tar'");
  EXPECT_EQ(fault("\"http://a/{a,b}.tar\""), "urls: " + one + "got {a,b}, in 'http://a/{a,b}.tar'");
  EXPECT_EQ(fault("\"http://a/{2..1}.tar\""),
            "urls: " + one + "the smaller one first, got {2..1}, in 'http://a/{2..1}.tar'");
  EXPECT_EQ(fault("\"http://a/{01..100}.tar\""),
            "urls: " + one + "with as many digits at both ends, got {01..100}, in 'http://a/{01..100}.tar'");
  EXPECT_EQ(fault("\"http://a/{0..1000000}.tar\""),
            "urls: expected at most 1000000 URLs, got {0..1000000}, in 'http://a/{0..1000000}.tar'");
  EXPECT_EQ(fault("\"ftp://a/x.tar\""),
            "urls: expected a URL that begins with http://, https:// or s3://, in 'ftp://a/x.tar'");
  EXPECT_EQ(fault("\"http://a/x.tar#y\""),
            "urls: expected a URL without a fragment (#), in 'http://a/x.tar#y'");
  EXPECT_THAT(fault("\"https://me:secret@a/x.tar\""), HasSubstr("urls: a user or a password in a URL"));
  EXPECT_EQ(fault(url("x.tar?v=1") + ", " + url("x.tar?v=2")),
            "urls: SERVER/x.tar is named twice; keys begin with the URL without its query, so name each "
            "archive once");
  EXPECT_EQ(fault(url("x.tar"), "root: \"" + folder_.path().string() + "\""),
            "urls: expected root or urls, got both; use two stages for two places");
  try {
    const StageHarness stage("archive", "{}");
    ADD_FAILURE() << "neither root nor urls";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "expected root, a folder with archives, or urls, a list of them; got neither");
  }
  EXPECT_EQ(server_.requests(), 0);
}

TEST_F(ArchiveUrl, FromS3WithASignatureForEveryRange) {
  const std::string bytes = serve("x.zip", images(10, 200'000));
  server_.answer_instead([&](int, const std::string& path, const std::string& head) {
    if (!test::is_signed(path, head, "AKID", "a/secret+key", "eu-central-1")) return HttpServer::error(403);
    return path == "/shards/of%20ants/x.zip" ? RangeServer::answer({bytes, "\"5d41402a\""}, head)
                                             : HttpServer::error(404);
  });
  test::Variables variables{{"AWS_ENDPOINT_URL", server_.url()},
                            {"AWS_REGION", "eu-central-1"},
                            {"AWS_ACCESS_KEY_ID", "AKID"},
                            {"AWS_SECRET_ACCESS_KEY", "a/secret+key"}};
  {
    const test::Environment environment(variables);
    auto stage = open("\"s3://shards/of ants/x.zip\"");
    const auto rows = read(stage, "s3://shards/of ants/x.zip/");
    ASSERT_EQ(rows.size(), 10u);
    EXPECT_TRUE(rows[9] == "bees/9.jpg 1: " + noise(10, 200'009));
  }
  variables["AWS_SECRET_ACCESS_KEY"] = "another";
  const test::Environment environment(variables);
  EXPECT_EQ(fault("\"s3://shards/of ants/x.zip\""),
            "cannot read s3://shards/of ants/x.zip: the server answers with status 403; the key in "
            "AWS_ACCESS_KEY_ID may not read it, has another secret, or there is no such object");
}

}  // namespace
}  // namespace graft
