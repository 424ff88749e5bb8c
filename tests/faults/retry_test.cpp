// Inputs on a disk that does not answer for a moment, `run.retry`, and on one that is slow to,
// `run.read_ahead`.

#include <atomic>
#include <chrono>
#include <thread>

#include <nlohmann/json.hpp>

#include "http_server.h"
#include "store_faults.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;

class RetryTest : public StoreFaults {
 protected:
  RetryTest() {
    for (int i = 0; i < 12; ++i) {
      std::string ppm = "P6 4 4 255\n";
      for (int b = 0; b < 48; ++b) ppm += static_cast<char>(i * 20 + b);
      folder_.write("data/" + std::string(i % 2 ? "a" : "b") + "/" + std::to_string(i) + ".ppm", ppm);
    }
  }
  static std::string config_of(const std::string& more) {
    return "name: retry\nrun: {threads: 1, max_rejects: 100%" + more +
           "}\nstages:\n"
           "  images: {plugin: image_folder, with: {root: data}}\n"
           "  pixels: {plugin: decode, from: images, with: {resize: 4, crop: 4}}\n"
           "  rows: {plugin: pixel_table, from: pixels}\n"
           "  knn: {plugin: knn, from: rows, with: {k: 1}}\n"
           "  report: {plugin: evaluate, from: knn}\n";
  }
  /// A run in which all reads of inputs from the fifth on, or that one alone, fail with EIO.
  nlohmann::json run(const std::string& more, const std::string& how) {
    const std::string config = folder_.write("c.yaml", config_of(more));
    const ProgramResult r =
        run_program({"run", config, "--quiet", "--store", folder_ / "s", "--out", folder_ / "r"},
                    folder_.path(), faults(folder_ / "data", {"GRAFT_FAULT_ERROR=read:5:5:" + how}));
    EXPECT_EQ(r.exit_code, 0) << r.err;
    std::filesystem::remove_all(folder_ / "s");
    return nlohmann::json::parse(slurp(folder_ / "r/results.json"), nullptr, false)["inputs"];
  }
};

TEST_F(RetryTest, WithoutItAnErrorOfTheMomentIsAReject) {
  EXPECT_EQ(run("", "once")["rejected"], 1);
  EXPECT_THAT(slurp(folder_ / "r/inputs.csv"),
              HasSubstr(",unreadable,cannot read the file: Input/output error,"));
}

TEST_F(RetryTest, ReadsAgain) {
  EXPECT_EQ(run(", retry: {times: 2, backoff: 0.01}", "once")["rejected"], 0);
}

TEST_F(RetryTest, EndsAndSaysHowOften) {
  EXPECT_EQ(run(", retry: {times: 2, backoff: 0.01}", "always")["rejected"], 8);
  EXPECT_THAT(slurp(folder_ / "r/inputs.csv"),
              HasSubstr(",unreadable,cannot read the file: Input/output error (tried 3 times),"));
}

TEST_F(RetryTest, ReadingAheadChangesNoResult) {
  const auto outcome = [&] {
    return slurp(folder_ / "r/inputs.csv") + slurp(folder_ / "r/predictions/knn.csv");
  };
  const nlohmann::json plain = run(", read_ahead: 0", "always");
  const std::string expected = outcome();
  EXPECT_EQ(plain["rejected"], 8);
  EXPECT_EQ(run(", read_ahead: 1", "always"), plain);
  EXPECT_TRUE(outcome() == expected);
  // Several threads fail at other files, as many times.
  EXPECT_EQ(run(", read_ahead: 4", "always"), plain);
  EXPECT_EQ(run(", read_ahead: 4, retry: {times: 1, backoff: 0.01}", "once")["rejected"], 0);
}

TEST_F(RetryTest, ASlowDiskIsReadAheadByItself) {
  for (int i = 12; i < 90; ++i)
    folder_.write("data/a/" + std::to_string(i) + ".ppm",
                  "P6 1 1 255\n" + std::string(1, static_cast<char>(i)) + "ab");
  const auto reads_together = [&](const std::string& more) {
    std::filesystem::remove(folder_ / "together");
    const std::string config = folder_.write("c.yaml", config_of(more));
    const ProgramResult r = run_program(
        {"run", config, "--quiet", "--store", folder_ / "s", "--out", folder_ / "r"}, folder_.path(),
        faults(folder_ / "data", {"GRAFT_FAULT_SLOW=5:" + (folder_ / "together").string()}));
    EXPECT_EQ(r.exit_code, 0) << r.err;
    std::filesystem::remove_all(folder_ / "s");
    return std::filesystem::exists(folder_ / "together");
  };
  // The list is longer than what is in flight.
  EXPECT_TRUE(reads_together(", in_flight: 4"));
  const std::string ahead = slurp(folder_ / "r/predictions/knn.csv");
  EXPECT_FALSE(reads_together(", in_flight: 4, read_ahead: 0")) << "one worker thread";
  EXPECT_TRUE(slurp(folder_ / "r/predictions/knn.csv") == ahead);
}

/// A list of two files that a server has and, as asked for, one that it has not for now.
class BusyServerTest : public RetryTest {
 protected:
  std::string config(const std::string& fetch) {
    folder_.write("list.csv", "url,label,split\n" + server_.url() + "/1,a,train\n" + server_.url() +
                                  "/2,b,train\n" + server_.url() + "/3,a,test\n" + server_.url() +
                                  "/busy,b,train\n");
    return folder_.write(
        "c.yaml",
        "name: busy\nrun: {threads: 1, max_rejects: 100%, stall_seconds: 2}\nstages:\n"
        "  images: {plugin: url_list, with: {file: list.csv, content: url, val_fraction: 0, " +
            fetch +
            "}}\n"
            "  pixels: {plugin: decode, from: images, with: {resize: 4, crop: 4}}\n"
            "  rows: {plugin: pixel_table, from: pixels}\n"
            "  knn: {plugin: knn, from: rows, with: {k: 1}}\n"
            "  report: {plugin: evaluate, from: knn}\n");
  }
  std::vector<std::string> words(const std::string& fetch) {
    return {"run", config(fetch), "--store", folder_ / "s", "--out", folder_ / "r"};
  }
  std::atomic<bool> asked_{false};
  const HttpServer server_{[this](const std::string& path) {
    if (path == "/busy") {
      asked_ = true;
      return HttpServer::error(503);
    }
    return HttpServer::ok("P6 4 4 255\n" + std::string(48, path.back()));
  }};
};

TEST_F(BusyServerTest, AWaitIsNoStall) {
  // The wait is longer than run.stall_limit, twice stall_seconds.
  const ProgramResult r = run_program(words("retries: 1, backoff: 8"), folder_.path());
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(slurp(folder_ / "r/inputs.csv"),
              HasSubstr(",unreadable,the server answers with status 503 (tried 2 times),"));
}

TEST_F(BusyServerTest, AWaitEndsWithTheRun) {
  const TempFolder output;
  const pid_t run = start_program(output, words("retries: 20, backoff: 60"), folder_.path());
  for (int i = 0; i < 1200 && !asked_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(asked_);
  ::kill(run, SIGTERM);
  const ProgramResult r = wait_for(output, run);
  EXPECT_EQ(r.exit_code, 143) << r.err;
  EXPECT_THAT(r.err, ::testing::Not(HasSubstr("still computing after"))) << "it need not be given up";
}

TEST_F(RetryTest, WrongNumbersAreErrors) {
  const std::string config = folder_.write("c.yaml",
                                           "name: retry\nrun: {retry: {times: -1, backof: 2}}\nstages:\n"
                                           "  images: {plugin: image_folder, with: {root: data}}\n");
  const ProgramResult r = run_program({"check", config});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err, HasSubstr("c.yaml:2:22: error: retry.times: -1 is out of range: expected from 0 to 20"));
  EXPECT_THAT(r.err, HasSubstr("did you mean 'backoff'?"));
}

}  // namespace
}  // namespace graft::test
