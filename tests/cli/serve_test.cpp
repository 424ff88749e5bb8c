// A model over HTTP: the bits of the run, limits, clients that mean no good, and an end that loses nothing.

#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "http_client.h"
#include "program.h"
#include "sanitizers.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kMultipart = "Content-Type: multipart/form-data; boundary=BoUnD\r\n";
std::string multipart(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out;
  for (const auto& [name, content] : files)
    out += "--BoUnD\r\nContent-Disposition: form-data; name=\"image\"; filename=\"" + name +
           "\"\r\nContent-Type: application/octet-stream\r\n\r\n" + content + "\r\n";
  return out + "--BoUnD--\r\n";
}

/// graft serve in a process of its own.
class Service {
 public:
  Service(const TempFolder& folder, const std::string& model, const std::vector<std::string>& options = {},
          const std::vector<std::string>& environment = {}) {
    std::vector<std::string> arguments{"serve", model, "--port", "0"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    pid_ = start_program(output_, arguments, folder.path().string(), environment);
    while (port_ == 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0) {
      const std::string said = slurp(output_ / "stderr");
      const std::size_t at = said.find("http://127.0.0.");
      if (at != std::string::npos && said.find(' ', at) != std::string::npos)
        port_ = std::stoi(said.substr(said.find(':', at + 7) + 1));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  ~Service() {
    if (pid_ > 0) stop();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  int port() const { return port_; }
  /// Once: a second signal would end it at once.
  void terminate() {
    if (!std::exchange(terminated_, true)) ::kill(pid_, SIGTERM);
  }
  ProgramResult stop() {
    if (port_ != 0) terminate();
    const pid_t pid = std::exchange(pid_, 0);
    return wait_for(output_, pid);
  }
  long resident_kib() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
  }

 private:
  TempFolder output_;
  pid_t pid_ = 0;
  int port_ = 0;
  bool terminated_ = false;
};

class ServeTest : public StripesTest {
 protected:
  static std::string image(const std::string& key = "photos/test/along/0.ppm") {
    return slurp(*folder_ / key);
  }
  static std::vector<float> wanted(const std::string& learner,
                                   const std::string& key = "photos/test/along/0.ppm") {
    const auto fields = test_scores(*folder_, learner).at(key);
    return {std::stof(fields.at(1)), std::stof(fields.at(2))};
  }
  static std::vector<float> scores(const json& prediction) {
    return {prediction["scores"]["across"].get<float>(), prediction["scores"]["along"].get<float>()};
  }
};

TEST_F(ServeTest, ScoresHaveTheBitsOfTheRun) {
  for (const std::string& learner : kStripesLearners) {
    Service service(*folder_, "run/models/" + learner);
    if (service.port() == 0) {
      const ProgramResult r = service.stop();
      if (r.err.find("built without cpp-httplib") != std::string::npos) GTEST_SKIP() << r.err;
      FAIL() << r.err;
    }
    std::vector<std::pair<std::string, std::string>> files;
    std::vector<std::string> keys;
    for (const auto& [key, fields] : test_scores(*folder_, learner)) {
      const Answer one = post(service.port(), "/predict", image(key));
      ASSERT_EQ(one.status, 200) << one.body;
      EXPECT_EQ(scores(one.document()["predictions"][0]), wanted(learner, key)) << learner << " " << key;
      EXPECT_EQ(one.document()["predictions"][0]["predicted"], json::array({fields[0]}));
      files.emplace_back(key, image(key));
      keys.push_back(key);
    }
    const Answer answer = post(service.port(), "/predict", multipart(files), kMultipart);
    ASSERT_EQ(answer.status, 200) << answer.head << answer.body << service.stop().err;
    const json all = answer.document();
    ASSERT_EQ(all["predictions"].size(), keys.size());
    EXPECT_EQ(all["learner"], learner);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ(all["predictions"][i]["key"], keys[i]);
      EXPECT_EQ(scores(all["predictions"][i]), wanted(learner, keys[i]));
    }
    const ProgramResult end = service.stop();
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_THAT(end.err,
                StartsWith("serving '" + learner + "' of run/models/" + learner + " at http://127.0.0.1:"));
    EXPECT_THAT(end.err, HasSubstr("\nstopped\n"));
  }
}

TEST_F(ServeTest, AnswersWhatIsAsked) {
  Service service(*folder_, "run/models/probe");
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const int port = service.port();
  const json health = get(port, "/healthz").document();
  EXPECT_EQ(health["status"], "ok");
  EXPECT_EQ(health["classes"], json::array({"across", "along"}));

  const json top = post(port, "/predict?top=1&threshold=1", image()).document()["predictions"][0];
  EXPECT_EQ(top["predicted"], json::array());
  EXPECT_EQ(top["scores"].size(), 1u);
  const Answer mixed = post(port, "/predict", multipart({{"a", "junk"}, {"b", image()}}), kMultipart);
  EXPECT_EQ(mixed.status, 200);
  EXPECT_EQ(mixed.document()["predictions"][0]["rejected"]["code"], "not-an-image");
  EXPECT_EQ(scores(mixed.document()["predictions"][1]), wanted("probe"));

  const json embedded = post(port, "/embed", image()).document()["embeddings"][0];
  EXPECT_EQ(embedded["features"].size() % 5, 0u) << "five crops";
  EXPECT_GT(embedded["features"].size(), 5u);

  {
    Service mlp(*folder_, "run/models/mlp");
    EXPECT_EQ(post(mlp.port(), "/neighbors", image()).status, 404) << "no learner of its table keeps images";
  }
  for (const char* learner : {"probe", "knn"}) {
    Service with(*folder_, std::string("run/models/") + learner);
    const json near = post(with.port(), "/neighbors?k=2", image("photos/train/along/3.ppm")).document();
    EXPECT_EQ(near["predictions"][0]["neighbors"][0]["key"], "train/along/3.ppm") << near.dump();
    EXPECT_EQ(near["predictions"][0]["neighbors"].size(), 2u);
    const json many = post(with.port(), "/neighbors?k=20", image()).document();
    EXPECT_EQ(many["predictions"][0]["neighbors"].size(), 20u);
    EXPECT_TRUE(near["predictions"][0].contains("scores"));
  }

  const Answer page = get(port, "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"));
  for (const char* path : {"/", "/app.js", "/style.css"}) {
    const std::string body = get(port, path).body;
    EXPECT_FALSE(body.empty());
    EXPECT_EQ(body.find("//"), std::string::npos) << path << " names another place";
  }
  const json described = get(port, "/openapi.json").document();
  EXPECT_EQ(described["openapi"], "3.0.3");
  EXPECT_TRUE(described["paths"].contains("/predict"));

  const std::string metrics = get(port, "/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("graft_requests_total{route=\"/predict\",status=\"200\"} 2\n"));
  EXPECT_THAT(metrics, HasSubstr("graft_images_total{outcome=\"predicted\"} 3\n"));
  EXPECT_THAT(metrics, HasSubstr("graft_images_total{outcome=\"rejected\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("graft_queue_images 0\n"));
}

TEST_F(ServeTest, WhatIsWrongIsAnErrorThatSaysSo) {
  Service service(*folder_, "run/models/probe", {"--max-bytes", "10KiB", "--queue", "3"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const int port = service.port();
  const auto expect = [](const Answer& answer, int status, const std::string& text) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(text));
    EXPECT_TRUE(answer.document().is_object()) << answer.body;
  };
  expect(post(port, "/predict", ""), 400, "no image: expected one as the body");
  expect(post(port, "/predict", multipart({}), kMultipart), 400, "not what its Content-Type says");
  expect(post(port, "/predict?top=x", image()), 400, "top: expected a number from 1 to 1000000, got 'x'");
  expect(post(port, "/predict?threshold=2", image()), 400,
         "threshold: expected a number from 0 to 1, got '2'");
  expect(get(port, "/predict"), 404, "GET /predict: no such path");
  expect(get(port, "/../etc/passwd"), 404, "no such path");
  expect(post(port, "/predict", std::string(10 * 1024 + 1, 'x')), 413, "a request has at most 10.0 KiB");
  expect(post(port, "/predict", multipart({{"a", image()}, {"b", image()}, {"c", image()}, {"d", image()}}),
              kMultipart),
         413,
         "too large: 4 images are more than may ever wait at once, 3: send fewer per request, or start the "
         "service with a larger --queue");
  expect(post(port, "/predict", "no image"), 422, "not-an-image");
  const std::string good = image();
  expect(post(port, "/predict", good.substr(0, good.size() / 2)), 422, "truncated");
  expect(answer_to(port, "GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n"),
         403, "for this machine alone");
  {
    const std::string inner = request("GET", "/healthz", "");
    Connection smuggler(port);
    smuggler.send("POST /predict HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: " +
                  std::to_string(inner.size()) + "\r\n\r\n" + inner);
    const std::string said = smuggler.read_all();
    EXPECT_THAT(said, StartsWith("HTTP/1.1 403 "));
    EXPECT_EQ(said.find("HTTP/1.1", 1), std::string::npos) << "the body of a refused request is no request";
  }
  EXPECT_EQ(post(port, "/predict", image()).status, 200);
  EXPECT_EQ(get(port, "/metrics").body.find("passwd"), std::string::npos) << "clients make no series";

  const ProgramResult taken =
      run_program({"serve", "run/models/probe", "--port", std::to_string(port)}, folder_->path().string());
  EXPECT_EQ(taken.exit_code, 1);
  EXPECT_THAT(taken.err, HasSubstr("error: cannot listen on port " + std::to_string(port) + " of 127.0.0.1"));

  const ProgramResult elsewhere = run_program(
      {"serve", "run/models/probe", "--port", "0", "--host", "192.0.2.1"}, folder_->path().string());
  EXPECT_EQ(elsewhere.exit_code, 1);
  EXPECT_THAT(
      elsewhere.err,
      HasSubstr("error: cannot listen on 192.0.2.1: Cannot assign requested address; expected an address "
                "of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"));
}

TEST_F(ServeTest, TimeIsLimited) {
  // An image waits for others as long as its client waits for it: the answer always comes too late.
  Service service(*folder_, "run/models/probe", {"--timeout", "1", "--gather", "1000"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const Answer late = post(service.port(), "/predict", image());
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(late.document()["error"], "no answer within 1 s");

  // What nobody waits for any more leaves the queue once it is computed.
  while (get(service.port(), "/metrics").body.find("graft_queue_images 0\n") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));

  const std::string whole = request("POST", "/predict", image());
  for (const std::string& part : {whole.substr(0, whole.size() - 100), whole.substr(0, 40)}) {
    Connection slow(service.port());
    slow.send(part);
    const Answer answer = answer_of(slow);
    EXPECT_EQ(answer.status, 408) << part.substr(0, 60);
    EXPECT_EQ(answer.document()["error"], "the request did not come within 1 s");
  }
}

TEST_F(ServeTest, AQueueIsNeverLongerThanAllowed) {
  Service service(*folder_, "run/models/probe", {"--queue", "3", "--gather", "500"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const int port = service.port();
  const std::string two = multipart({{"a", image()}, {"b", image()}});
  std::atomic<int> answered{0}, refused{0}, other{0}, ended{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 12; ++c)
    clients.emplace_back([&] {
      const Answer answer = post(port, "/predict", two, kMultipart);
      ++(answer.status == 200 ? answered : answer.status == 429 ? refused : other);
      EXPECT_EQ(answer.status == 200 ? "" : answer.document().value("error", ""),
                answer.status == 200 ? "" : "2 images are waiting already, at most 3 may: try again later");
      ++ended;
    });
  while (ended < 12) {
    const std::string metrics = get(port, "/metrics").body;
    const std::size_t at = metrics.find("\ngraft_queue_images ");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LE(std::stoi(metrics.substr(at + 20)), 2);
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(other, 0);
  EXPECT_GE(answered, 1);
  EXPECT_EQ(answered + refused, 12);
}

TEST_F(ServeTest, ARequestThatIsNoneHasItsOwnTime) {
  const auto began = std::chrono::steady_clock::now();
  Service service(*folder_, "run/models/probe", {"--timeout", "2"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  EXPECT_EQ(answer_to(service.port(), "what is this\r\n\r\n").status, 400);
  const std::string metrics = get(service.port(), "/metrics").body;
  const std::size_t at = metrics.find("\ngraft_request_seconds_sum ");
  ASSERT_NE(at, std::string::npos) << metrics;
  EXPECT_LE(std::stod(metrics.substr(at + 27)),
            std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

TEST_F(ServeTest, ThisMachineHasManyNames) {
  Service service(*folder_, "run/models/probe", {"--host", "127.0.0.2"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const std::string port = ":" + std::to_string(service.port());
  const auto status_for = [&](const std::string& host) {
    Connection connection(service.port(), "127.0.0.2");
    connection.send("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
    return answer_of(connection).status;
  };
  for (const std::string& host : {"127.0.0.2" + port, "127.0.0.2" + std::string(), "127.0.0.1" + port,
                                  "LocalHost" + port, "[::1]" + port, "[0:0:0:0:0:0:0:1]" + std::string()})
    EXPECT_EQ(status_for(host), 200) << host;
  for (const std::string& host : {"127.example.com" + port, "127.0.0.2.example.com" + port,
                                  "localhost.example.com" + port, "10.0.0.1" + port, "[::2]" + port})
    EXPECT_EQ(status_for(host), 403) << host;
}

/// Sends a byte now and then of a request that never ends.
class Trickle {
 public:
  explicit Trickle(int port)
      : connection_(port), thread_([this] {
          connection_.send("GET /healthz HTTP/1.1\r\nX: ");
          for (int bytes = 0; bytes < 600 && !stop_; ++bytes) {
            if (!connection_.send("x")) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
          gave_up_ = true;
        }) {}
  ~Trickle() { end(); }
  /// Whether it ended by itself, after half a minute or as it was told, before the server ended it.
  bool gave_up() const { return gave_up_; }
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  /// Waits for the end; then what the server said.
  Answer answer() {
    if (thread_.joinable()) thread_.join();
    return answer_of(connection_);
  }

 private:
  Connection connection_;
  std::atomic<bool> stop_{false}, gave_up_{false};
  std::thread thread_;
};

TEST_F(ServeTest, SlowClientsDoNotHoldIt) {
  {
    Service busy(*folder_, "run/models/probe", {"--connections", "1", "--timeout", "600"});
    if (busy.port() == 0) GTEST_SKIP() << busy.stop().err;
    Trickle slow(busy.port());
    EXPECT_EQ(get(busy.port(), "/healthz").status, 200);
    EXPECT_THAT(get(busy.port(), "/metrics").body, HasSubstr("graft_queue_images 0\n"));
    EXPECT_FALSE(slow.gave_up()) << "what is short is answered beside it";
    slow.end();
  }
  Service service(*folder_, "run/models/probe", {"--connections", "1", "--timeout", "1"});
  std::vector<std::unique_ptr<Trickle>> clients;
  for (int c = 0; c < 6; ++c) clients.push_back(std::make_unique<Trickle>(service.port()));
  int late = 0, crowded = 0;
  for (const auto& client : clients) {
    const Answer answer = client->answer();
    EXPECT_FALSE(client->gave_up());
    if (answer.status == 408) ++late;
    if (answer.status == 503) {
      ++crowded;
      EXPECT_EQ(answer.document()["error"], "all connections are in use, at most 1: try again later");
    }
  }
  EXPECT_GE(late, 1);
  EXPECT_GE(crowded, 1);
  EXPECT_EQ(post(service.port(), "/predict", image()).status, 200);
  EXPECT_EQ(service.stop().exit_code, 0);
}

TEST_F(ServeTest, AClientThatPausesKeepsItsConnectionWhileNobodyNeedsIt) {
  Service service(*folder_, "run/models/probe");
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  Connection client(service.port());
  const std::string request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n";
  client.send(request + "\r\n");
  // More than the two seconds that it may be idle for while others wait.
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  client.send(request + "Connection: close\r\n\r\n");
  const std::string said = client.read_all();
  EXPECT_THAT(said, StartsWith("HTTP/1.1 200 "));
  EXPECT_NE(said.find("HTTP/1.1 200 ", 1), std::string::npos) << said;
}

TEST_F(ServeTest, SigtermLetsWhatWasAskedForBeAnswered) {
  Service service(*folder_, "run/models/probe", {"--gather", "1000"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  Answer answer;
  std::thread client([&] { answer = post(service.port(), "/predict", image()); });
  while (get(service.port(), "/metrics").body.find("graft_queue_images 1\n") == std::string::npos &&
         answer.status == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  service.terminate();
  client.join();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(scores(answer.document()["predictions"][0]), wanted("probe"));
  EXPECT_EQ(service.stop().exit_code, 0);
  EXPECT_FALSE(Connection(service.port()).is_open());
}

TEST_F(ServeTest, SigtermLetsConnectionsThatWaitForAThreadBeAnswered) {
  Service service(*folder_, "run/models/probe", {"--connections", "1", "--gather", "1000"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  Connection first(service.port()), second(service.port());
  ASSERT_TRUE(first.send(request("POST", "/predict", image())));
  ASSERT_TRUE(second.send(request("POST", "/predict", image())));
  // Connections are taken in their order: this one comes after them.
  while (get(service.port(), "/metrics").body.find("graft_queue_images 1\n") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  service.terminate();
  for (Connection* connection : {&first, &second}) {
    const Answer answer = answer_of(*connection);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(scores(answer.document()["predictions"][0]), wanted("probe"));
  }
  EXPECT_EQ(service.stop().exit_code, 0);
}

/// The folders that services have in TMPDIR.
std::vector<std::string> unpacked_in(const TempFolder& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (entry.path().filename().string().starts_with("graft-model-"))
      out.push_back(entry.path().filename().string());
  return out;
}

TEST_F(ServeTest, WhatCannotBeAnsweredInTimeIsRefusedAndNothingIsLeftBehind) {
  const TempFolder temporary;
  // What a process that was killed an hour ago has left, and what one that lives holds.
  temporary.write("graft-model-Killed/config.yaml", "x");
  temporary.write("graft-model-Living/config.yaml", "x");
  for (const char* name : {"graft-model-Killed", "graft-model-Living"})
    std::filesystem::last_write_time(temporary / name,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const int living = ::open((temporary / "graft-model-Living").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(living, LOCK_SH | LOCK_NB), 0);

  Service service(*folder_, "run/models/probe", {"--connections", "1", "--timeout", "600"},
                  {"TMPDIR=" + temporary.path().string()});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  EXPECT_EQ(unpacked_in(temporary).size(), 2u) << "its own, and that of the process that lives";
  Trickle slow(service.port());  // has the only thread
  Connection waiting(service.port());
  ASSERT_TRUE(waiting.send(request("POST", "/predict", image())));
  ASSERT_EQ(get(service.port(), "/healthz").status, 200);
  service.terminate();
  const Answer answer = answer_of(waiting);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.document()["error"], "the service is stopping: try again later");
  EXPECT_THAT(answer.head, HasSubstr("\r\nRetry-After: 1\r\n"));
  EXPECT_EQ(service.stop().exit_code, 0);
  slow.end();
  EXPECT_EQ(unpacked_in(temporary), (std::vector<std::string>{"graft-model-Living"}));
  ::close(living);
}

TEST_F(ServeTest, WhereARequestEndsMustBeClear) {
  Service service(*folder_, "run/models/probe");
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const std::string inner = request("GET", "/healthz", "");
  const auto said = [&](const std::string& method, const std::string& headers) {
    Connection connection(service.port());
    connection.send(method + " /healthz HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + inner);
    const std::string all = connection.read_all();
    EXPECT_THAT(all, StartsWith("HTTP/1.1 400 ")) << headers;
    EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos) << "what follows is no request: " << headers;
    return json::parse(all.substr(all.find("\r\n\r\n") + 4), nullptr, false).value("error", all);
  };
  const std::string length = "Content-Length: " + std::to_string(inner.size()) + "\r\n";
  const std::string twice = "the length of the body is given 2 times (Content-Length, Transfer-Encoding)";
  EXPECT_EQ(said("POST", length + "Transfer-Encoding: chunked\r\n"), twice);
  EXPECT_EQ(said("POST", length + "Content-Length: 0\r\n"), twice);
  EXPECT_EQ(said("POST", length + length), twice);
  EXPECT_EQ(said("POST", "Content-Length: 0, 5\r\n"),
            "Content-Length: expected a number of bytes, got '0, 5'");
  EXPECT_EQ(said("POST", "Content-Length: -1\r\n"), "Content-Length: expected a number of bytes, got '-1'");
  EXPECT_EQ(said("POST", "Transfer-Encoding: xchunked\r\n"),
            "Transfer-Encoding: expected chunked, got 'xchunked'");
  EXPECT_EQ(said("POST", "Content-Length : 5\r\n"), "'Content-Length ' is not a name of a header");
  EXPECT_EQ(said("POST", "X: y\r\n Content-Length: 5\r\n"), "' Content-Length' is not a name of a header");
  EXPECT_EQ(said("GET", length), "a GET request has no body here");
  EXPECT_EQ(post(service.port(), "/predict", image()).status, 200);
}

TEST_F(ServeTest, OptionsThatMakeNoSenseAreErrors) {
  const auto error = [&](const std::vector<std::string>& options) {
    std::vector<std::string> words{"serve", "run/models/probe"};
    words.insert(words.end(), options.begin(), options.end());
    const ProgramResult r = run_program(words, folder_->path().string());
    EXPECT_EQ(r.exit_code, 2);
    return r.err.substr(0, r.err.find('\n'));
  };
  EXPECT_EQ(error({"--connections", "1000000"}),
            "error: --connections: expected a whole number from 1 to 1024, got '1000000'");
  EXPECT_EQ(error({"--connections", "0"}),
            "error: --connections: expected a whole number from 1 to 1024, got '0'");
  EXPECT_EQ(error({"--queue=-1"}), "error: --queue: expected a whole number from 1 to 1000000, got '-1'");
  EXPECT_EQ(error({"--timeout", "1e3"}),
            "error: --timeout: expected a whole number from 1 to 86400, got '1e3'");
  EXPECT_EQ(error({"--gather", "1001"}),
            "error: --gather: expected a whole number from 0 to 1000, got '1001'");
  EXPECT_EQ(error({"--port", "65536"}),
            "error: --port: expected a whole number from 0 to 65535, got '65536'");
  EXPECT_EQ(error({"--max-bytes", "0"}), "error: --max-bytes: expected 1.0 KiB to 1.0 GiB, got 0");
  const ProgramResult top =
      run_program({"predict", "run/models/probe", "photos/test", "--top=-1"}, folder_->path().string());
  EXPECT_EQ(top.exit_code, 2);
  EXPECT_THAT(top.err, StartsWith("error: --top: expected a whole number from 1 to 1000000, got '-1'\n"));
}

/// A request that no well-behaved client sends, by its number.
std::string hostile(std::size_t n, const std::string& good) {
  const std::string ok = request("POST", "/predict", good);
  switch (n % 12) {
    case 0:
      return request("POST", "/predict", good.substr(0, n % good.size()));
    case 1:
      return ok.substr(0, n % ok.size());  // then nothing more
    case 2:
      return request("POST", "/predict", good, "X-Long: " + std::string(100'000, 'x') + "\r\n");
    case 3: {
      std::string headers;
      for (int h = 0; h < 2000; ++h) headers += "X-" + std::to_string(h) + ": y\r\n";
      return request("POST", "/predict", good, headers);
    }
    case 4:
      return std::string(n % 5000, static_cast<char>(n)) + "\r\n\r\n";
    case 5:
      return "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n" +
             good;
    case 6:
      return "POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n" +
             good;
    case 7:
      return request("POST", "/predict", multipart({{"a", good}}).substr(0, 150), kMultipart);
    case 8:
      return request("POST", "/predict", good, "Content-Type: multipart/form-data\r\n");
    case 9:
      return request("BREW", "/predict", "");
    case 10:
      return request("GET", "/" + std::string(20'000, 'a'), "");
    default:
      return request("POST", "/predict", good, "Content-Encoding: gzip\r\n");
  }
}

TEST_F(ServeTest, HostileClientsLeaveItAnswering) {
  Service service(*folder_, "run/models/probe", {"--timeout", "1", "--connections", "32"});
  if (service.port() == 0) GTEST_SKIP() << service.stop().err;
  const std::string good = image();
  std::vector<std::thread> clients;
  for (std::size_t c = 0; c < 8; ++c)
    clients.emplace_back([&, c] {
      for (std::size_t n = c; n < 192; n += 8) {
        Connection connection(service.port());
        connection.send(hostile(n, good));
        if (n % 3 == 0) connection.close();  // and does not wait for an answer
        if (n % 3 != 0) post(service.port(), "/predict", good);
      }
    });
  for (std::thread& client : clients) client.join();
  const long before = service.resident_kib();
  for (std::size_t n = 0; n < 96; ++n) {
    Connection connection(service.port());
    connection.send(hostile(n, good));
  }
  const Answer answer = post(service.port(), "/predict", good);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(scores(answer.document()["predictions"][0]), wanted("probe"));
  if (!kSanitized) {
    EXPECT_LT(service.resident_kib() - before, 64 * 1024);
  }
  EXPECT_EQ(service.stop().exit_code, 0);
}

}  // namespace
}  // namespace graft::test
