#include "run/stage_worker.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <fmt/format.h>

#include <graft/plugin.h>
#include <graft/scratch.h>

#include "base/library_environment.h"
#include "plugin/plugin_call.h"
#include "plugin/registry.h"
#include "run/isolation_message.h"
#include "run/stage_factory.h"

namespace graft {
namespace {

/// A stage that keeps memory may keep at least so much before it is replaced.
constexpr std::uint64_t kLeastGrowth = std::uint64_t{256} << 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsLimited = false;  // sanitizers map memory of their own
#else
constexpr bool kMemoryIsLimited = true;
#endif

/// Ends this process when the run is gone, also in the middle of a call.
void watch_the_run() {
  std::thread([] {
    for (pollfd run{kStageSocket, POLLRDHUP, 0};;)
      if (::poll(&run, 1, -1) > 0) ::_exit(0);
  }).detach();
}

/// Of whoever sends to the run: warnings come from any thread.
std::timed_mutex g_send_mutex;

/// The thread of the calls is gone: nobody would answer the run any more.
[[noreturn]] void report_lost_thread() {
  // It may have gone while it was sending.
  const std::unique_lock lock(g_send_mutex, std::chrono::seconds(1));
  send_message(kStageSocket, static_cast<std::uint64_t>(StageAnswer::ThreadEnded), {});
  ::_exit(1);
}

/// For a thread that ends without being unwound.
void watch_this_thread() {
  std::thread([calls = ::pthread_self()] {
    ::pthread_join(calls, nullptr);
    report_lost_thread();
  }).detach();
}

/// Where memory is short, this process is what the system is to kill, not the run.
void be_the_first_to_go() {
  if (const FileHandle score{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)})
    (void)!::write(score.get(), "1000", 4);
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

/// What this process has allocated.
class DataMeter {
 public:
  DataMeter() : file_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}
  std::uint64_t bytes() const {
    std::array<char, 128> text{};
    unsigned long pages = 0;
    if (!file_ || ::pread(file_.get(), text.data(), text.size() - 1, 0) <= 0 ||
        std::sscanf(text.data(), "%*u %*u %*u %*u %*u %lu", &pages) != 1)
      return 0;
    return std::uint64_t{pages} * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

 private:
  FileHandle file_;
};

class StageWorker {
 public:
  StageWorker() : input_(FileHandle(kStageInput)), output_(FileHandle(kStageOutput)) {}

  int serve() {
    const ProcessState before;
    for (;;) {
      MessageFrame frame{};
      if (!receive(&frame, sizeof frame)) return 0;
      if (frame.bytes > kMaxMessage) return 1;
      std::string body(static_cast<std::size_t>(frame.bytes), '\0');
      if (!receive(body.data(), body.size())) return 0;
      const auto request = static_cast<StageRequest>(frame.kind);
      if (request == StageRequest::Quit) break;
      MessageWriter out;
      const char* const function = function_of(request);
      try {
        MessageParser in(body);
        handle(request, in, out);
        check_process(before, function);
        send(StageAnswer::Done, out.body());
      } catch (const abi::__forced_unwind&) {
        report_lost_thread();  // destructors of a stage in the middle of a call may do anything
      } catch (...) {
        before.restore();
        MessageWriter failure;
        add_exception(failure, function);
        send(StageAnswer::Failed, failure.body());
      }
    }
    stage_.reset();
    services_.clear();
    return 0;
  }

 private:
  static const char* function_of(StageRequest request) {
    switch (request) {
      case StageRequest::Open:
        return "constructor";
      case StageRequest::Finish:
        return "finish";
      case StageRequest::Facts:
        return "facts";
      default:
        return "apply";
    }
  }

  /// A process that the plugin forks and that comes back from the call ends here: it must neither answer nor
  /// write to the shared region.
  template <typename Body>
  decltype(auto) call(const char* function, const Body& body) const {
    CallScope scope(label_, function);
    return checked(body, [&] { scope.check_thread(); });
  }

  void handle(StageRequest request, MessageParser& in, MessageWriter& out) {
    if (request == StageRequest::Open) return open(in, out);
    if (request == StageRequest::Apply) return apply(in, out);
    if (request == StageRequest::Finish) return call("finish", [&] { stage_->finish(); });
    out.text(call("facts", [&] { return stage_->facts(); }).to_json());
  }

  void open(MessageParser& in, MessageWriter& out) {
    opening_ = Value::from_json(in.text());
    const auto text = [&](const char* name) { return opening_.find(name)->as_string(); };
    label_ = keep_for_ever(fmt::format("stage '{}' ({})", text("id"), text("plugin")));
    std::vector<std::filesystem::path> folders;
    for (const Value& folder : opening_.find("folders")->as_list()) folders.emplace_back(folder.as_string());
    registry_.emplace(folders);
    growth_ = std::max(kLeastGrowth, static_cast<std::uint64_t>(opening_.find("memory")->as_int()));
    limit_scratch(growth_ / static_cast<std::uint64_t>(std::max<std::int64_t>(1, threads())));
    params_ = Params(*opening_.find("params"));
    const graft_plugin_descriptor& plugin = registry_->open(text("plugin"));
    StageContext context = context_of(text("id"), params_);
    context.input_shape = text("input_shape");
    if (const Value* listed = opening_.find("listed_inputs"))
      context.listed_inputs = static_cast<std::size_t>(listed->as_int());
    stage_.reset(call("constructor", [&] { return plugin.create(context); }));
    if (!stage_) throw Error("the plugin made no stage");
    call("enter_worker", [&] { stage_->enter_worker(); });
    limit_memory();
    transform_ = dynamic_cast<const Transform*>(stage_.get());
    batch_ = dynamic_cast<const BatchTransform*>(stage_.get());
    if (transform_ == nullptr && batch_ == nullptr)
      throw Error("the plugin's class is not of the kind its schema declares");
    out.number(transform_ != nullptr ? transform_->views() : 1);
    out.number(batch_ != nullptr ? batch_->batch_size() : 1);
    out.number(batch_ != nullptr ? batch_->concurrency() : 0);
  }

  std::int64_t threads() const { return opening_.find("threads")->as_int(); }

  StageContext context_of(const std::string& id, const Params& params) {
    return {id,
            params,
            std::stoull(opening_.find("seed")->as_string()),
            static_cast<int>(threads()),
            [this](const std::string& text) { send(StageAnswer::Warning, text); },
            [this](const std::string& plugin) -> Service& {
              return open_service(*registry_, services_, plugin,
                                  [this](const std::string& service, const Params& defaults) {
                                    return context_of(service, defaults);
                                  });
            },
            {},
            {},
            [this] {
              send(StageAnswer::Waiting, {});
              auto* const control = reinterpret_cast<StageControl*>(input_.data());
              return std::atomic_ref(control->interrupted).load(std::memory_order_relaxed) == 0;
            }};
  }

  void apply(MessageParser& in, MessageWriter& out) {
    PayloadParser payloads(in, input_.look(), PayloadParser::Memory::Shared);
    const std::vector<Item> items = take_items(in, payloads);
    MessageWriter results;
    PayloadWriter to(results, output_);
    if (transform_ != nullptr) {
      to.add(call("apply", [&] { return transform_->apply(items.at(0)); }));
    } else {
      RecordedOutput recorded;
      call("apply", [&] { batch_->apply(items, recorded); });
      recorded.add_to(results, to);
    }
    out.number(has_grown() ? 1 : 0);
    out.append(results);
  }

  /// Whether it should be replaced. The first call may allocate what later calls need, too.
  bool has_grown() {
    if (!kMemoryIsLimited) return false;
    const std::uint64_t now = memory_.bytes();
    if (at_first_ != 0) return now > at_first_ + growth_;
    at_first_ = std::max<std::uint64_t>(now, 1);
    limit_memory();
    return false;
  }

  /// One call that wants much more than all items of the run may hold has run out of memory.
  void limit_memory() const {
    if (rlimit data{}; kMemoryIsLimited && ::getrlimit(RLIMIT_DATA, &data) == 0) {
      data.rlim_cur = std::min<rlim_t>(data.rlim_max, memory_.bytes() + 2 * growth_);
      ::setrlimit(RLIMIT_DATA, &data);
    }
  }

  /// False: the run is gone.
  static bool receive(void* to, std::size_t bytes) {
    for (auto* at = static_cast<char*>(to); bytes > 0;) {
      const ssize_t n = ::recv(kStageSocket, at, bytes, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
    return true;
  }

  void send(StageAnswer kind, const std::string& body) {
    const std::lock_guard lock(g_send_mutex);
    if (!send_message(kStageSocket, static_cast<std::uint64_t>(kind), body)) ::_exit(0);
  }

  SharedRegion input_, output_;
  const char* label_ = "a stage";
  Value opening_;
  std::optional<Registry> registry_;
  Params params_;
  std::map<std::string, std::unique_ptr<Stage>> services_;  // outlive the stage
  std::unique_ptr<Stage> stage_;
  const Transform* transform_ = nullptr;
  const BatchTransform* batch_ = nullptr;
  DataMeter memory_;
  std::uint64_t growth_ = kLeastGrowth, at_first_ = 0;
};

}  // namespace

int run_stage_worker() {
  if (::fcntl(kStageSocket, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs("graft-stage-worker is started by graft run --isolate\n", stderr);
    return 2;
  }
  be_the_first_to_go();
  watch_the_run();
  watch_this_thread();
  keep_freed_memory();
  StageWorker worker;
  const int exit_code = worker.serve();
  std::fflush(nullptr);
  ::_exit(exit_code);  // exit handlers of libraries have nothing to add
}

}  // namespace graft
