#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

#include <graft/error.h>
#include <graft/stage.h>

#include "plugin/process_state.h"

namespace graft {

/// A text that is never freed, because a signal handler may print it.
GRAFT_API const char* keep_for_ever(const std::string& text);

/// Marks the calling thread as being in a function of a plugin: for the watchdog, which reads from another
/// thread, and for the handlers of signals and of exit(), which read from this one. Costs about ten
/// nanoseconds. `label` and `function` must never be freed, `item` must outlive this. Scopes nest. The
/// thread's floating-point mode is put back at the end: what comes next must not compute in another one.
class GRAFT_API CallScope {
 public:
  CallScope(const char* label, const char* function, std::string_view item = {}) noexcept;
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  /// The innermost scope of this thread; null outside of plugins. Async-signal-safe.
  static const CallScope* current() noexcept;
  const char* label() const { return label_; }
  const char* function() const { return function_; }
  std::string_view item() const { return item_; }
  /// When the function has returned: throws FatalError if it has changed the floating-point mode.
  void check_thread();

 private:
  const char* const label_;
  const char* const function_;
  const std::string_view item_;
  const CallScope* const before_;
  const FloatingPointMode mode_ = FloatingPointMode::now();
  bool is_mode_checked_ = false;
};

/// A call that some thread is in.
struct RunningCall {
  const char* label;
  const char* function;
  std::string item;  ///< Cut after 120 bytes; empty: none.
};
/// The calls that threads are in. Any thread.
GRAFT_API void visit_running_calls(const std::function<void(const RunningCall&)>& visit);
/// The label of a call that some thread is in; null when there is none. Async-signal-safe.
GRAFT_API const char* any_running_label() noexcept;
/// Grows whenever a plugin is called or returns, or note_progress() is called. Any thread.
GRAFT_API std::uint64_t signs_of_life() noexcept;
GRAFT_API void note_progress() noexcept;

/// An Error whose text begins with the label of the stage.
class GRAFT_API StageError : public Error {
 public:
  StageError(const char* label, const std::string& text);
  ~StageError() override;
  const char* label() const { return label_; }
  /// Without the label.
  std::string text() const;

 private:
  const char* label_;
};

/// The stage as what its schema declares it to be. Throws StageError when its class is of another kind.
template <typename Kind>
Kind& stage_as(Stage& stage, const char* label) {
  if (auto* of_kind = dynamic_cast<Kind*>(&stage)) return *of_kind;
  throw StageError(label, "the plugin's class is not of the kind its schema declares");
}

/// What memory went into: that decides what helps where it runs out.
enum class MemoryUse {
  InFlight,  ///< Items between stages: run.memory and run.threads limit them.
  Tables,    ///< Rows, models, scores, results: what learners and reports work on.
  Other,     ///< Lists of inputs, model files.
};
/// "out of memory", and what helps.
GRAFT_API std::string out_of_memory(MemoryUse use);

/// The exception that is being handled, in words: its text, or its type where it has none. `function` is what
/// threw it. Lets the unwinding of a thread that is being cancelled pass.
GRAFT_API std::string text_of_exception(const char* function);
/// Whether the exception is of those that whatever comes next would meet, too: a FatalError, or what the
/// standard library throws where a disk is full.
GRAFT_API bool ends_the_run(const std::exception& e) noexcept;
/// Throws what is being handled as a StageError; as a FatalError where ends_the_run().
[[noreturn]] GRAFT_API void throw_as_stage_error(const char* label, const char* function);

/// The result of `body`, after a check.
template <typename Body, typename Check>
decltype(auto) checked(const Body& body, const Check& check) {
  if constexpr (std::is_void_v<decltype(body())>) {
    body();
    check();
  } else {
    decltype(auto) result = body();
    check();
    return result;
  }
}

/// Calls a function of a plugin. Whatever it throws becomes an Error that names the stage.
template <typename Body>
decltype(auto) call_plugin(const char* label, const char* function, const Body& body) {
  CallScope scope(label, function);
  try {
    return checked(body, [&] { scope.check_thread(); });
  } catch (...) {
    throw_as_stage_error(label, function);
  }
}

/// Throws FatalError if the locale or the working folder is not what it was, and puts them back.
GRAFT_API void check_process(const ProcessState& before, const char* function);

/// The same while no other plugin is called: what has changed in the process was this one.
template <typename Body>
decltype(auto) call_plugin_alone(const char* label, const char* function, const Body& body) {
  return call_plugin(label, function, [&]() -> decltype(auto) {
    const ProcessState before;
    try {
      return checked(body, [&] { check_process(before, function); });
    } catch (...) {
      before.restore();  // paths may be relative
      throw;
    }
  });
}

}  // namespace graft
