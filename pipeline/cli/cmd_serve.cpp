#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "commands.h"
#include "output.h"
#include "run/signals.h"
#include "run_command.h"

#if GRAFT_HAS_HTTP
#include <graft/model.h>

#include "config/quantity.h"
#include "http_server.h"
#include "serve_app.h"
#include "serve_connections.h"
#endif

namespace graft::cli {

#if GRAFT_HAS_HTTP

namespace {

constexpr std::chrono::milliseconds kLook{50};
constexpr std::chrono::seconds kDrain{5};  ///< Requests that are being answered have this long.

}  // namespace

int serve(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1)
    throw UsageError{arguments.empty()
                         ? "MODEL is missing: the folder of a run, or a file of graft model pack"
                         : fmt::format("one MODEL expected, got {}", arguments.size())};
  const Global::Serve& given = global.serve;
  if (given.port < 0 || given.port > 65535)
    throw UsageError{fmt::format("--port: expected 0 to 65535, got {}", given.port)};
  if (given.timeout < 1 || given.queue < 1 || given.connections < 1 || given.gather < 0 ||
      given.gather > 1000)
    throw UsageError{"--timeout, --queue, --connections: expected at least 1; --gather: expected 0 to 1000"};
  ServeLimits limits;
  try {
    limits.bytes = parse_bytes(given.max_bytes);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--max-bytes: {}", e.what())};
  }
  limits.time = std::chrono::seconds(given.timeout);
  limits.queue = given.queue;
  const RunOptions run = prepare_to_run(global);

  const Signals signals;
  ModelOptions options;
  options.learner = global.model.learner;
  options.allow_code = global.model.allow_code;
  options.settings = global.overrides;
  options.plugin_folders = global.plugin_dirs;
  options.gather = std::chrono::milliseconds(given.gather);
  if (run.style.level < LogLevel::Warning) options.warn = [](const std::string&) {};
  const Model model(arguments[0], std::move(options));

  ServeApp app(model, limits, given.host);
  ServeServer server(given.connections, limits.time, ServeApp::prompt_paths());
  app.install(server);
  const int port = listen_on(server, given.host, given.port, "--port");
  if (!global.quiet)
    print_error("serving '{}' of {} at {} (press Ctrl-C to stop)\n", model.learner(), arguments[0],
                url_of(given.host, port));

  std::atomic<bool> ended{false};
  std::thread watch([&] {
    while (!signals.interrupted() && !ended) std::this_thread::sleep_for(kLook);
    server.stop();
    for (auto waited = kLook; waited < kDrain && !ended; waited += kLook) std::this_thread::sleep_for(kLook);
    if (!ended) ::_exit(kOk);  // clients that send nothing are not waited for
  });
  server.listen_after_bind();
  ended = true;
  watch.join();
  if (!signals.interrupted()) throw Error("the server stopped: the system closed its port");
  if (!global.quiet) print_error("stopped\n");
  return kOk;
}

#else

int serve(const Global&, const std::vector<std::string>&) {
  throw Error("this graft was built without cpp-httplib: install libcpp-httplib-dev and build it again");
}

#endif

}  // namespace graft::cli
