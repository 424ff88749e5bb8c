// graft run --ui: what browsers and Prometheus see of a run, and that it is in nobody's way.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "http_client.h"
#include "program.h"

namespace graft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A run that waits at its 31st image until open().
class WatchedRun : public ::testing::Test {
 protected:
  void start(std::vector<std::string> more = {"--ui"}, const std::string& stages = "") {
    const auto config = folder_.write("config.yaml", R"(name: watched
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 20}}
  gate: {plugin: gated, from: images, with: {gate: ")" + (folder_ / "gate").string() +
                                                         R"(", key: target/train/000030}}
  rows: {plugin: pixel_table, from: gate}
  mlp: {plugin: mlp, from: rows, with: {epochs: 8, hidden: [8]}}
  report: {plugin: evaluate, from: mlp}
)" + stages);
    std::vector<std::string> arguments{"run",          config,
                                       "--out",        folder_ / "out",
                                       "--store",      folder_ / "store",
                                       "--plugin-dir", GRAFT_TEST_PLUGINS};
    arguments.insert(arguments.end(), more.begin(), more.end());
    pid_ = start_program(folder_, arguments, folder_.path());
    const std::string mark = "watch it at http://127.0.0.1:";
    for (int tries = 0; tries < 3000 && port_ == 0; ++tries) {
      const std::string said = slurp(folder_ / "stderr");
      const std::size_t at = said.find(mark);
      if (at != std::string::npos && said.find('\n', at) != std::string::npos)
        port_ = std::stoi(said.substr(at + mark.size()));
      else if (::waitpid(pid_, nullptr, WNOHANG) == pid_)
        pid_ = -1, tries = 3000;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_NE(port_, 0) << slurp(folder_ / "stderr");
  }
  void open() { folder_.write("gate", ""); }
  ProgramResult end() {
    ProgramResult r = wait_for(folder_, pid_);
    pid_ = -1;
    return r;
  }
  void TearDown() override {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// Asks until the answer is as wanted.
  template <typename Wanted>
  json status_when(const std::string& page, const Wanted& wanted) {
    for (int tries = 0; tries < 3000; ++tries) {
      json status = get(port_, "/status.json?page=" + page).document();
      if (status.is_object() && wanted(status)) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return {};
  }

  static json stage(const json& status, const std::string& id) {
    for (const json& s : status["stages"])
      if (s["id"] == id) return s;
    return {};
  }

  TempFolder folder_;
  pid_t pid_ = -1;
  int port_ = 0;
};

TEST_F(WatchedRun, IsShownWhileItWorksAndAtItsEnd) {
  start();
  const json now = status_when("1", [](const json& s) { return stage(s, "gate")["running"] == 1; });
  ASSERT_TRUE(now.is_object());
  EXPECT_EQ(now["name"], "watched");
  EXPECT_EQ(now["state"], "running");
  EXPECT_EQ(now["phase"], "computing the rows of 'images'");
  EXPECT_EQ(now["inputs"]["total"], 100);
  EXPECT_LT(now["inputs"]["done"].get<int>(), 100);
  EXPECT_GT(now["memory"].get<double>(), 1e6);
  EXPECT_EQ(now["curves"], json::array());
  const Answer metrics = get(port_, "/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.head, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, AllOf(HasSubstr("graft_run_inputs{outcome=\"listed\"} 100\n"),
                                  HasSubstr("# TYPE graft_stage_items_total counter\n"),
                                  HasSubstr("graft_stage_running{stage=\"gate\"} 1\n")));
  EXPECT_EQ(get(port_, "/report.html").status, 404);
  EXPECT_THAT(get(port_, "/report.html").body, HasSubstr("the run has not ended yet"));
  open();
  const json ended = status_when("1", [](const json& s) { return s["state"] != "running"; });
  ASSERT_TRUE(ended.is_object());
  EXPECT_EQ(ended["state"], "complete");
  EXPECT_EQ(ended["inputs"], (json{{"total", 100}, {"done", 100}, {"reused", 0}, {"rejected", 0}}));
  ASSERT_EQ(ended["curves"].size(), 1U);
  EXPECT_EQ(ended["curves"][0]["learner"], "mlp");
  EXPECT_EQ(ended["curves"][0]["what"], "epoch");
  EXPECT_TRUE(ended["curves"][0]["points"][0].contains("train_loss"));
  EXPECT_THAT(ended["text"].get<std::string>(), HasSubstr("inputs   100 of 100 ok"));
  EXPECT_EQ(end().exit_code, 0);
}

TEST_F(WatchedRun, LeavesItsReportToAPageThatIsOpen) {
  start({"--ui"}, "  page: {plugin: page, from: mlp}\n");
  ASSERT_TRUE(status_when("7", [](const json& s) { return s["state"] == "running"; }).is_object());
  open();
  const json ended = status_when("7", [](const json& s) { return s["state"] != "running"; });
  ASSERT_TRUE(ended.is_object());
  EXPECT_EQ(ended["report"], true);
  const Answer report = get(port_, "/report.html?page=7");
  EXPECT_EQ(report.status, 200);
  EXPECT_EQ(report.body, slurp(folder_ / "out/report.html"));
  EXPECT_EQ(end().exit_code, 0);
}

TEST_F(WatchedRun, ServesThisMachineAloneAndChangesNothing) {
  start();
  EXPECT_EQ(answer_to(port_, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").status,
            403);
  EXPECT_THAT(answer_to(port_, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").body,
              HasSubstr("this service is for this machine alone; --ui 0.0.0.0:PORT serves others"));
  const Answer page = get(port_, "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"));
  for (const char* method : {"PUT", "DELETE", "PATCH"})
    EXPECT_EQ(answer_to(port_, request(method, "/status.json", "", "Content-Length: 0\r\n")).status, 404)
        << method;
  EXPECT_EQ(get(port_, "/../config.yaml").status, 404);
  EXPECT_THAT(get(port_, "/nothing").body, HasSubstr("GET /nothing: there is no such thing"));
  open();
  EXPECT_EQ(end().exit_code, 0);
}

TEST_F(WatchedRun, EndsThoughClientsHoldConnections) {
  start();
  std::vector<std::unique_ptr<Connection>> idle;
  for (int i = 0; i < 40; ++i) {
    idle.push_back(std::make_unique<Connection>(port_));
    if (i % 2 == 0)
      idle.back()->send("GET /status.json?page=" + std::to_string(i) + " HTTP/1.1\r\nHost: loc");
  }
  open();
  const ProgramResult r = end();
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("inputs   100 of 100 ok"));
}

TEST_F(WatchedRun, SaysOfAnInterruptedOneThatItIs) {
  start();
  ASSERT_TRUE(status_when("1", [](const json& s) { return stage(s, "gate")["running"] == 1; }).is_object());
  ::kill(pid_, SIGTERM);
  open();
  const json ended = status_when("1", [](const json& s) { return s["state"] != "running"; });
  ASSERT_TRUE(ended.is_object());
  EXPECT_EQ(ended["state"], "interrupted");
  EXPECT_EQ(end().exit_code, 143);
}

TEST(RunUi, RefusesAddressesThatAreNone) {
  const TempFolder folder;
  const auto config = folder.write("c.yaml", "name: a\nstages:\n  images: {plugin: synthetic}\n");
  for (const char* address : {"x", "65536", "-1", ":80", "127.0.0.1:"}) {
    const ProgramResult r = run_program({"run", config, std::string("--ui=") + address});
    EXPECT_EQ(r.exit_code, 2) << address;
    EXPECT_THAT(
        r.err,
        HasSubstr(std::string("--ui: expected a port from 0 to 65535, or HOST:PORT, such as 8090, got '") +
                  address + "'"));
  }
}

}  // namespace
}  // namespace graft::test
