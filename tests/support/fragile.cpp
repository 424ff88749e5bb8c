// A plugin for tests whose process comes to harm at chosen items: a transform, and a batch transform.

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include <graft/plugin.h>

namespace {

using namespace graft;  // NOLINT: a test plugin

/// Set by an item that leaves damage behind.
bool g_damaged = false;

[[gnu::noinline]] void crash() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 1;
}

class Harm {
 public:
  explicit Harm(const StageContext& context)
      : items_(context.params.get<std::vector<std::string>>("on")),
        does_(context.params.get<std::string>("does")),
        mark_(context.params.get<std::string>("mark")),
        warn_(context.warn),
        keep_waiting_(context.keep_waiting) {
    if (does_ == "crash in the constructor") crash();
    if (does_ == "throw in the constructor") throw Error("it cannot be made");
  }

  void before(const Item& item) const {
    if (g_damaged) crash();
    if (std::find(items_.begin(), items_.end(), item.key()) == items_.end()) return;
    if (!mark_.empty()) std::ofstream(mark_) << item.key();
    if (does_ == "segv") crash();
    if (does_ == "abort") std::abort();
    if (does_ == "fork and abort" && ::fork() == 0) ::pause();
    if (does_ == "fork and abort") std::abort();
    if (does_ == "fork") {
      const pid_t pid = ::fork();
      if (pid == 0) return;
      ::waitpid(pid, nullptr, 0);  // whatever it writes is written then
    }
    if (does_ == "exit") std::exit(3);
    if (does_ == "_exit") ::_exit(0);
    if (does_ == "end the thread") ::pthread_exit(nullptr);
    if (does_ == "end the thread without a word") ::syscall(SYS_exit, 0);
    if (does_ == "leave damage") g_damaged = true;
    if (does_ == "warn") warn_("seen: " + item.key());
    while (does_ == "warn for ever") warn_("again");
    if (does_ == "throw") throw std::runtime_error("it broke");
    if (does_ == "reject") throw Reject("odd", "an odd item");
    if (does_ == "end the run") throw FatalError("nothing else will work");
    if (does_ == "leak") leaked_.emplace_back(new char[std::size_t{48} << 20]);
    if (does_ == "allocate") leaked_.emplace_back(new char[std::size_t{16} << 30]);
    // Longer than the limit of a call, but not without a sign of life.
    for (int i = 0; does_ == "wait" && i < 36 && keep_waiting_(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    while (does_ == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
  }

 private:
  std::vector<std::string> items_;
  std::string does_, mark_;
  std::function<void(const std::string&)> warn_;
  std::function<bool()> keep_waiting_;
  mutable std::vector<std::unique_ptr<char[]>> leaked_;  // of one thread
};

/// Depends on all that a stage sees of an item.
Tensor change(const Item& item) {
  const Tensor& in = item.tensor();
  Tensor out = Tensor::allocate(DType::F32, in.shape);
  const auto key = static_cast<float>(hash64(item.key()) % 1000),
             label = static_cast<float>(item.entry->labels.at(0));
  const auto split = static_cast<float>(item.entry->split),
             content = static_cast<float>(item.entry->content->low % 100);
  for (std::int64_t i = 0; i < in.size(); ++i)
    out.as<float>()[i] = in.as<float>()[i] / 3.f + key + 7.f * label + split + content;
  return out;
}

#if defined(FRAGILE_TRANSFORM)
class Fragile final : public Transform {
 public:
  explicit Fragile(const StageContext& context) : harm_(context) {}
  Payload apply(const Item& item) const override {
    harm_.before(item);
    return change(item);
  }

 private:
  Harm harm_;
};
#define PLUGIN fragile_transform
#define SCHEMA PluginSchema::transform("Comes to harm at chosen items.")
#else
class Fragile final : public BatchTransform {
 public:
  explicit Fragile(const StageContext& context) : harm_(context) {}
  std::size_t batch_size() const override { return 4; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      harm_.before(items[i]);
      out.set(i, change(items[i]));
    }
  }

 private:
  Harm harm_;
};
#define PLUGIN fragile_batch
#define SCHEMA PluginSchema::batch_transform("Comes to harm at chosen items.")
#endif

}  // namespace

// Expands PLUGIN before GRAFT_PLUGIN makes a text of it.
#define DECLARE(id, ...) GRAFT_PLUGIN(id, "1.0.0", Fragile, __VA_ARGS__)
DECLARE(PLUGIN, SCHEMA.input(PortType::Tensor, "Numbers.")
                    .output("out", PortType::Tensor, "f32[4]", "Other numbers.")
                    .param(list("on", text("key")).doc("Keys of the items."))
                    .param(text("does", "").doc("What happens there."))
                    .param(text("mark", "").not_in_fingerprint().doc("A file to write before it happens.")))
