#include "run_ui.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#if GRAFT_HAS_HTTP
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "http_server.h"
#include "recent.h"
#include "run_page.h"
#include "serve_connections.h"
#endif

namespace graft::cli {

UiAddress parse_ui_address(const std::string& text) {
  UiAddress address;
  if (text.empty()) return address;
  std::string port = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string::npos) {
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (address.host.starts_with('[') && address.host.ends_with(']'))
      address.host = address.host.substr(1, address.host.size() - 2);
  }
  const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (bad != std::errc() || end != port.data() + port.size() || address.port < 0 || address.port > 65535 ||
      address.host.empty())
    throw Error(fmt::format("expected a port from 0 to 65535, or HOST:PORT, such as 8090, got '{}'",
                            shortened(text)));
  return address;
}

#if GRAFT_HAS_HTTP

namespace {

constexpr std::size_t kUiThreads = 4;
constexpr std::chrono::seconds kRequestTime{2};  ///< To send a request, and to take its answer.
constexpr std::chrono::seconds kLinger{3};
constexpr std::size_t kMostPages = 64;
/// Reading the run and its memory takes longer than sending what was read: clients that ask more often share
/// it.
constexpr std::chrono::milliseconds kFresh{100};

}  // namespace

struct RunUi::Server {
  explicit Server(const LiveRun& run) : live(run), server(kUiThreads, kRequestTime, {"/metrics"}) {}

  void install(const std::string& host);
  void answer_status(const httplib::Request& request, httplib::Response& response);
  void answer_report(const httplib::Request& request, httplib::Response& response);
  bool waits_for_pages();

  /// A page that is open in some browser, by the number that it has given itself.
  struct Page {
    ServeClock::time_point seen{};
    bool knows_end = false, has_report = false;
  };

  const LiveRun& live;
  ServeServer server;
  std::thread thread;
  std::atomic<bool> has_ended{false};
  std::mutex mutex;
  std::map<std::string, Page> pages;
  struct Status {
    std::string text;
    bool has_ended;
  };
  Recent<Status> status{kFresh};
  Recent<std::string> metrics{kFresh};
};

void RunUi::Server::install(const std::string& host) {
  set_up(server, host, "--ui 0.0.0.0:PORT serves others");
  server.set_payload_max_length(0);
  server.set_logger([](const httplib::Request&, const httplib::Response& response) {
    if (response.status >= 400) make_last_request();
  });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.body.empty())
      fail(response, response.status,
           fmt::format("{} {}: there is no such thing; there are /, /status.json, /metrics and /report.html",
                       request.method, shortened(request.path)));
  });
  // The library tries paths one by one: those that are asked for all the time come first.
  server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(*metrics.get(ServeClock::now(), [this] { return live.metrics(); }),
                         "text/plain; version=0.0.4");
  });
  server.Get("/status.json", [this](const httplib::Request& request, httplib::Response& response) {
    answer_status(request, response);
  });
  serve_text(server, "/", kRunPage, "text/html; charset=utf-8", kRunPolicy);
  serve_text(server, "/live.js", kRunScript, "text/javascript; charset=utf-8", kRunPolicy);
  serve_text(server, "/live.css", kRunStyle, "text/css; charset=utf-8", kRunPolicy);
  server.Get("/report.html", [this](const httplib::Request& request, httplib::Response& response) {
    answer_report(request, response);
  });
}

void RunUi::Server::answer_status(const httplib::Request& request, httplib::Response& response) {
  const auto now = status.get(ServeClock::now(), [this] {
    const Value all = live.status();
    return Status{all.to_json() + "\n", all.find("state")->as_string() != "running"};
  });
  if (const std::string name = request.get_param_value("page"); !name.empty() && name.size() <= 32) {
    const std::lock_guard lock(mutex);
    if (pages.size() < kMostPages || pages.contains(name)) {
      Page& page = pages[name];
      page.seen = ServeClock::now();
      page.knows_end = now->has_ended;
    }
  }
  response.set_header("Cache-Control", "no-store");
  response.set_content(now->text, kJson);
}

/// The report has a policy of its own in it.
void RunUi::Server::answer_report(const httplib::Request& request, httplib::Response& response) {
  const std::filesystem::path report = live.report();
  if (report.empty())
    return fail(response, 404,
                live.has_ended() ? "this run has made no report" : "the run has not ended yet");
  response.set_content(read_file(report), "text/html; charset=utf-8");
  const std::lock_guard lock(mutex);
  if (const auto page = pages.find(request.get_param_value("page")); page != pages.end())
    page->second.has_report = true;
}

bool RunUi::Server::waits_for_pages() {
  const bool report = !live.report().empty();
  const auto oldest = ServeClock::now() - kLinger;
  const std::lock_guard lock(mutex);
  return std::any_of(pages.begin(), pages.end(), [&](const auto& page) {
    return page.second.seen >= oldest && (!page.second.knows_end || (report && !page.second.has_report));
  });
}

RunUi::RunUi(const LiveRun& live, const UiAddress& address) : server_(std::make_unique<Server>(live)) {
  server_->install(address.host);
  url_ = url_of(address.host, listen_on(server_->server, address.host, address.port, "--ui PORT"));
  server_->thread = std::thread([server = server_.get()] {
    try {
      server->server.listen_after_bind();
    } catch (const std::exception&) {  // the system has no more threads: the run goes on without a page
    }
    server->has_ended = true;
  });
}

RunUi::~RunUi() {
  const auto until = ServeClock::now() + kLinger;
  while (ServeClock::now() < until && server_->waits_for_pages())
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  // A server that has not begun yet would not notice.
  while (!server_->server.is_running() && !server_->has_ended)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  server_->server.stop();
  server_->thread.join();
}

#else

struct RunUi::Server {};

RunUi::RunUi(const LiveRun&, const UiAddress&) {
  throw Error(
      "--ui: this graft was built without cpp-httplib: install libcpp-httplib-dev and build it again");
}

RunUi::~RunUi() = default;

#endif

}  // namespace graft::cli
