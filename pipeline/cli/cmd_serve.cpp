#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
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
#include <graft/text.h>

#include "base/end_process.h"
#include "base/temporary_folder.h"
#include "config/quantity.h"
#include "http_server.h"
#include "serve_app.h"
#include "serve_connections.h"
#endif

namespace graft::cli {

#if GRAFT_HAS_HTTP

namespace {

constexpr std::uint64_t kLeastBytes = 1024, kMostBytes = std::uint64_t{1} << 30;
constexpr std::chrono::milliseconds kLook{50};
/// After a signal: requests are served, then refused, and what is left then is cut off.
constexpr std::chrono::milliseconds kServesOn{3500};
constexpr std::chrono::seconds kDrain{5};

}  // namespace

int serve(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1)
    throw UsageError{arguments.empty()
                         ? "MODEL is missing: the folder of a run, or a file of graft model pack"
                         : fmt::format("one MODEL expected, got {}", arguments.size())};
  const Global::Serve& given = global.serve;
  ServeLimits limits;
  try {
    limits.bytes = parse_bytes(given.max_bytes);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--max-bytes: {}", e.what())};
  }
  if (limits.bytes < kLeastBytes || limits.bytes > kMostBytes)
    throw UsageError{fmt::format("--max-bytes: expected {} to {}, got {}", human_bytes(kLeastBytes),
                                 human_bytes(kMostBytes), given.max_bytes)};
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
  std::optional<Model> model(std::in_place, arguments[0], std::move(options));

  ServeApp app(*model, limits, given.host);
  ServeServer server(given.connections, limits.time, ServeApp::prompt_paths());
  app.install(server);
  const int port = listen_on(server, given.host, static_cast<int>(given.port), "--port");
  if (!global.quiet)
    print_error("serving '{}' of {} at {} (press Ctrl-C to stop)\n", model->learner(), arguments[0],
                url_of(given.host, port));

  std::atomic<bool> ended{false};
  std::thread listener([&] {
    server.listen_after_bind();
    model.reset();  // may be at images that nobody waits for any more
    ended = true;
  });
  while (!(signals.interrupted() && server.is_running()) && !ended) std::this_thread::sleep_for(kLook);
  const auto now = ServeClock::now();
  app.end(now + kServesOn);
  server.end(now + kServesOn);
  while (ServeClock::now() < now + kDrain && !ended) std::this_thread::sleep_for(kLook);
  if (!ended) {
    remove_temporary_folders();
    end_process(kOk);  // clients that send nothing are not waited for
  }
  listener.join();
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
