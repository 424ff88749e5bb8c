#include "plugin/plugin_call.h"

#include <cxxabi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <system_error>
#include <typeinfo>

#include <fmt/format.h>

#include "base/files.h"
#include "plugin/address_space.h"

namespace graft {
namespace {

/// What a function of a plugin needs memory for.
MemoryUse use_of(std::string_view function) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> functions) {
    return std::find(functions.begin(), functions.end(), function) != functions.end();
  };
  if (is_one_of({"fit", "predict", "neighbours", "save", "report"})) return MemoryUse::Tables;
  if (is_one_of({"loading", "constructor", "inspect", "classes", "count", "facts"})) return MemoryUse::Other;
  return MemoryUse::InFlight;
}

constexpr std::size_t kItemWords = 15;  // 120 bytes: with the other fields, three cache lines

/// The call that one thread is in, for other threads to read: an odd `changes` means that it is being
/// written.
struct alignas(64) Slot {
  std::atomic<std::uint64_t> changes{0};
  std::atomic<const char*> label{nullptr}, function{nullptr};
  std::atomic<std::size_t> item_bytes{0};
  std::array<std::atomic<std::uint64_t>, kItemWords> item{};
  std::atomic<bool> taken{true};
  Slot* next = nullptr;  // set once, before the slot is in the list
};

// Slots are never freed: a new thread reuses the slot of one that has ended.
std::atomic<Slot*> g_slots{nullptr};

Slot* take_slot() noexcept {
  for (Slot* slot = g_slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    bool taken = false;
    if (slot->taken.compare_exchange_strong(taken, true, std::memory_order_acquire)) return slot;
  }
  auto* slot = new (std::nothrow) Slot;
  if (slot == nullptr) return nullptr;
  slot->next = g_slots.load(std::memory_order_relaxed);
  while (!g_slots.compare_exchange_weak(slot->next, slot, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
  return slot;
}

// Read by signal handlers: must not be allocated when it is first touched.
__attribute__((tls_model("initial-exec"))) thread_local const CallScope* t_current = nullptr;
__attribute__((tls_model("initial-exec"))) thread_local Slot* t_slot = nullptr;

/// In a process that a plugin has forked during a call.
std::atomic<bool> g_is_forked{false};
[[maybe_unused]] const int kWatchesForks = ::pthread_atfork(
    nullptr, nullptr, [] { g_is_forked.store(t_current != nullptr, std::memory_order_relaxed); });

/// A copy of the run that went on with it would write the run's files, too.
[[noreturn]] void end_forked(const CallScope& scope) noexcept {
  try {
    const std::string text = fmt::format(
        "warning: {}: {} has forked a process that came back from the call and is ended; end it with "
        "_exit(), also where exec() fails\n",
        scope.label(), scope.function());
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  } catch (...) {
  }
  ::_exit(1);
}

/// Belongs to a thread that calls plugins: its slot, and a second stack, on which a
/// signal handler can run when the first has overflowed.
class ThreadState {
 public:
  ThreadState() noexcept {
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    void* memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = kStackBytes;
    stack_t before{};
    // Keeps a stack that the thread already has.
    if (::sigaltstack(nullptr, &before) == 0 && (before.ss_flags & SS_DISABLE) != 0 &&
        ::sigaltstack(&stack, nullptr) == 0)
      memory_ = memory;
    else
      ::munmap(memory, kStackBytes);
#endif
  }
  ~ThreadState() {
    if (memory_ != nullptr) {
      stack_t none{};
      none.ss_flags = SS_DISABLE;
      ::sigaltstack(&none, nullptr);
      ::munmap(memory_, kStackBytes);
    }
    if (Slot* slot = std::exchange(t_slot, nullptr)) slot->taken.store(false, std::memory_order_release);
  }

 private:
  static constexpr std::size_t kStackBytes = std::size_t{64} << 10;
  void* memory_ = nullptr;
};

Slot* my_slot() noexcept {
  if (t_slot == nullptr) {
    static thread_local const ThreadState kState;
    (void)kState;
    t_slot = take_slot();
  }
  return t_slot;
}

/// Release stores, not fences: ThreadSanitizer does not know fences.
void publish(const CallScope* scope) noexcept {
  t_current = scope;
  Slot* slot = my_slot();
  if (slot == nullptr) return;
  const std::uint64_t before = slot->changes.load(std::memory_order_relaxed);
  slot->changes.store(before + 1, std::memory_order_relaxed);
  slot->label.store(scope == nullptr ? nullptr : scope->label(), std::memory_order_release);
  slot->function.store(scope == nullptr ? nullptr : scope->function(), std::memory_order_release);
  const std::string_view item = scope == nullptr ? std::string_view() : scope->item();
  const std::size_t bytes = std::min(item.size(), kItemWords * sizeof(std::uint64_t));
  slot->item_bytes.store(bytes, std::memory_order_release);
  for (std::size_t at = 0, word = 0; at < bytes; at += sizeof(std::uint64_t), ++word) {
    std::uint64_t part = 0;
    std::memcpy(&part, item.data() + at, std::min(bytes - at, sizeof part));
    slot->item[word].store(part, std::memory_order_release);
  }
  slot->changes.store(before + 2, std::memory_order_release);
}

std::string name_of(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return name != nullptr ? name.get() : type.name();
}

}  // namespace

const char* keep_for_ever(const std::string& text) {
  static std::mutex mutex;
  static auto* const kTexts = new std::set<std::string>;  // not destroyed at exit
  const std::lock_guard lock(mutex);
  return kTexts->insert(text).first->c_str();
}

CallScope::CallScope(const char* label, const char* function, std::string_view item) noexcept
    : label_(label), function_(function), item_(item), before_(t_current) {
  publish(this);
}

CallScope::~CallScope() {
  if (g_is_forked.load(std::memory_order_relaxed)) end_forked(*this);
  if (!is_mode_checked_ && FloatingPointMode::now() != mode_) mode_.set();
  publish(before_);
}

void CallScope::check_thread() {
  is_mode_checked_ = FloatingPointMode::now() == mode_;
  if (!is_mode_checked_) throw FatalError(fmt::format("{} {}", function_, kChangesFloatingPoint));
}

void check_process(const ProcessState& before, const char* function) {
  if (const std::string change = before.restore(); !change.empty())
    throw FatalError(fmt::format("{} {}: what belongs to the process stays as it is", function, change));
}

const CallScope* CallScope::current() noexcept {
  return t_current;
}

void visit_running_calls(const std::function<void(const RunningCall&)>& visit) {
  for (Slot* slot = g_slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next)
    for (int attempt = 0; attempt < 100; ++attempt) {
      const std::uint64_t before = slot->changes.load(std::memory_order_acquire);
      RunningCall call{slot->label.load(std::memory_order_acquire),
                       slot->function.load(std::memory_order_acquire),
                       std::string(slot->item_bytes.load(std::memory_order_acquire), '\0')};
      for (std::size_t at = 0, word = 0; at < call.item.size(); at += sizeof(std::uint64_t), ++word) {
        const std::uint64_t part = slot->item[word].load(std::memory_order_acquire);
        std::memcpy(call.item.data() + at, &part, std::min(call.item.size() - at, sizeof part));
      }
      if (before % 2 != 0 || slot->changes.load(std::memory_order_relaxed) != before) continue;
      if (call.label != nullptr) visit(call);
      break;
    }
}

const char* any_running_label() noexcept {
  for (Slot* slot = g_slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next)
    if (const char* label = slot->label.load(std::memory_order_acquire)) return label;
  return nullptr;
}

std::uint64_t signs_of_life() noexcept {
  std::uint64_t sum = 0;
  for (Slot* slot = g_slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next)
    sum += slot->changes.load(std::memory_order_relaxed);
  return sum;
}

void note_progress() noexcept {
  if (Slot* slot = my_slot()) slot->changes.fetch_add(2, std::memory_order_relaxed);
}

StageError::StageError(const char* label, const std::string& text)
    : Error(fmt::format("{}: {}", label, text)), label_(label) {}
StageError::~StageError() = default;

std::string StageError::text() const {
  return what() + std::strlen(label_) + 2;
}

std::string out_of_memory(MemoryUse use) {
  if (use == MemoryUse::InFlight) return "out of memory; lower run.memory or run.threads";
  const char* const more = is_address_space_limited() ? "raise ulimit -v" : "use a machine with more memory";
  if (use == MemoryUse::Other)
    return fmt::format("out of memory: no setting of the run limits what this takes; {}", more);
  return fmt::format(
      "out of memory: this grows with rows, features and classes, and run.memory does not limit it; take "
      "fewer inputs (max_per_class of the source), lower `cache` of the stage, if it has one, or {}",
      more);
}

std::string text_of_exception(const char* function) {
  try {
    throw;
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {
    return fmt::format("{}: {}", function, out_of_memory(use_of(function)));
  } catch (const std::exception& e) {
    const char* text = e.what();
    if (text != nullptr && *text != '\0') return text;
    return fmt::format("{} threw a {} without a text", function, name_of(typeid(e)));
  } catch (const char* text) {
    return fmt::format("{} threw a text, not a graft::Error: {}", function,
                       text == nullptr ? "(null)" : text);
  } catch (const std::string& text) {
    return fmt::format("{} threw a text, not a graft::Error: {}", function, text);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return fmt::format("{} threw a value of type {}, not a graft::Error", function,
                       type == nullptr ? "unknown" : name_of(*type));
  }
}

bool ends_the_run(const std::exception& e) noexcept {
  if (dynamic_cast<const FatalError*>(&e) != nullptr) return true;
  const auto* system = dynamic_cast<const std::system_error*>(&e);
  if (system == nullptr) return false;
  const std::error_category& category = system->code().category();
  return (category == std::generic_category() || category == std::system_category()) &&
         is_out_of_disk(system->code().value());
}

void throw_as_stage_error(const char* label, const char* function) {
  try {
    throw;
  } catch (const StageError& e) {
    if (e.label() == label) throw;  // a label is added once
    throw StageError(label, e.what());
  } catch (const std::exception& e) {
    if (!ends_the_run(e)) throw StageError(label, text_of_exception(function));
    throw FatalError(std::string(e.what()).starts_with(label) ? e.what()
                                                              : fmt::format("{}: {}", label, e.what()));
  } catch (...) {
    throw StageError(label, text_of_exception(function));
  }
}

}  // namespace graft
