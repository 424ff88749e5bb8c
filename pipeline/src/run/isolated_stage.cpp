#include "run/isolated_stage.h"

#include <atomic>
#include <mutex>
#include <vector>

#include <fmt/format.h>

namespace graft {
namespace {

/// How long processes get to destroy their stages.
constexpr std::chrono::seconds kQuitLimit{5};

struct Opened {
  std::uint32_t views;
  std::size_t batch_size, concurrency;
};

Opened opened_from(const std::string& body) {
  MessageParser message(body);
  Opened out{};
  out.views = static_cast<std::uint32_t>(message.number(UINT32_MAX));
  out.batch_size = static_cast<std::size_t>(message.number());
  out.concurrency = static_cast<std::size_t>(message.number());
  message.end();
  return out;
}

/// The processes of one stage. Any thread.
class StageProcesses {
 public:
  explicit StageProcesses(IsolationSettings settings) : settings_(std::move(settings)) {
    idle_.push_back(std::make_unique<StageProcess>(settings_));
    opened_ = opened_from(idle_.front()->opened());
  }

  ~StageProcesses() {
    const auto limit = std::chrono::steady_clock::now() + kQuitLimit;
    for (const auto& process : idle_) process->begin_to_quit();
    for (const auto& process : idle_)
      if (const std::string how = process->wait_for_end(limit); !how.empty())
        settings_.warn("destructor: " + how);
  }

  const Opened& opened() const { return opened_; }

  /// Makes one call. `read` takes the answer apart. A process that has ended is gone afterwards.
  template <typename Read>
  void call(std::span<const Item> items, bool in_a_new_process, const Read& read) {
    std::unique_ptr<StageProcess> process = take(in_a_new_process);
    MessageWriter request;
    PayloadWriter payloads(request, process->input());
    add_items(items, request, payloads);
    std::string body;
    try {
      body = process->ask(StageRequest::Apply, request);
    } catch (const ProcessEnded&) {
      ++ended_;
      throw;
    } catch (...) {  // of the stage, which can go on
      give_back(std::move(process));
      throw;
    }
    MessageParser answer(body);
    const bool has_grown = answer.number() != 0;
    PayloadParser results(answer, process->output().look(), PayloadParser::Memory::Own);
    read(answer, results);
    if (!has_grown) return give_back(std::move(process));
    if (!grown_.exchange(true))
      settings_.warn(
          "its process holds more and more memory from call to call, and is replaced by another one each "
          "time that it has grown too large");
    process->begin_to_quit();
    process->wait_for_end(std::chrono::steady_clock::now() + kQuitLimit);
  }

  /// In one of the processes: side outputs show what that one has seen.
  void finish() {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) idle_.front()->ask(StageRequest::Finish);
  }

  Value facts() {
    const std::lock_guard lock(mutex_);
    Value facts;
    if (!idle_.empty()) {
      const std::string body = idle_.front()->ask(StageRequest::Facts);
      MessageParser answer(body);
      facts = Value::from_json(answer.text());
    }
    if (facts.is_null()) facts = Value::map();
    if (!facts.is_map()) return facts;
    facts["isolated"]["processes"] = static_cast<std::int64_t>(started_.load());
    facts["isolated"]["ended_early"] = static_cast<std::int64_t>(ended_.load());
    return facts;
  }

 private:
  std::unique_ptr<StageProcess> take(bool in_a_new_process) {
    if (!in_a_new_process) {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<StageProcess> process = std::move(idle_.back());
        idle_.pop_back();
        return process;
      }
    }
    ++started_;
    std::unique_ptr<StageProcess> process;
    try {
      process = std::make_unique<StageProcess>(settings_);
    } catch (const Error& e) {  // the first one could be started: so would no other item be handled
      throw FatalError(fmt::format("the stage cannot be made again in another process: {}", e.what()));
    }
    try {
      settings_.require_same_files();
    } catch (const Error& e) {  // its rows would be those of the other file
      throw FatalError(e.what());
    }
    return process;
  }

  void give_back(std::unique_ptr<StageProcess> process) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(process));
  }

  const IsolationSettings settings_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<StageProcess>> idle_;  ///< The one used last at the end.
  Opened opened_{};
  std::atomic<std::size_t> started_{1}, ended_{0};
  std::atomic<bool> grown_{false};
};

/// Calls for one item, again in a new process where what an earlier call has left may be to blame.
template <typename Read>
void call_for_one(StageProcesses& processes, const Item& item, const Read& read) {
  try {
    return processes.call({&item, 1}, false, read);
  } catch (const ProcessEnded& e) {
    if (!e.had_calls) throw Reject(e.code, e.what());
  }
  try {
    processes.call({&item, 1}, true, read);
  } catch (const ProcessEnded& e) {
    throw Reject(e.code, e.what());
  }
}

class IsolatedTransform final : public Transform {
 public:
  explicit IsolatedTransform(IsolationSettings settings) : processes_(std::move(settings)) {}
  Payload apply(const Item& item) const override {
    Payload out;
    call_for_one(processes_, item, [&](MessageParser&, PayloadParser& results) { out = results.take(); });
    return out;
  }
  std::uint32_t views() const override { return processes_.opened().views; }
  void finish() override { processes_.finish(); }
  Value facts() const override { return processes_.facts(); }

 private:
  mutable StageProcesses processes_;
};

class IsolatedBatch final : public BatchTransform {
 public:
  explicit IsolatedBatch(IsolationSettings settings) : processes_(std::move(settings)) {}
  std::size_t batch_size() const override { return processes_.opened().batch_size; }
  std::size_t concurrency() const override { return processes_.opened().concurrency; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    try {
      return processes_.call(items, false, [&](MessageParser& answer, PayloadParser& results) {
        replay_output(answer, results, 0, out);
      });
    } catch (const ProcessEnded&) {  // which item it was, only calls for each can show
    }
    for (std::size_t i = 0; i < items.size(); ++i) try {
        call_for_one(processes_, items[i], [&](MessageParser& answer, PayloadParser& results) {
          replay_output(answer, results, i, out);
        });
      } catch (const Reject& e) {
        out.reject(i, e.code(), e.what());
      }
  }
  void finish() override { processes_.finish(); }
  Value facts() const override { return processes_.facts(); }

 private:
  mutable StageProcesses processes_;
};

}  // namespace

bool can_be_isolated(StageKind kind) {
  return kind == StageKind::Transform || kind == StageKind::BatchTransform;
}

std::unique_ptr<Stage> make_isolated(const StagePlan& stage, const StageContext& context,
                                     const Registry& registry, const RunSettings& run,
                                     const std::atomic<bool>* interrupted,
                                     std::function<void()> require_same_files) {
  Value opening = Value::Map{{"plugin", stage.schema.name}, {"folders", Value::list()}};
  for (const auto& folder : registry.folders()) opening["folders"].push(folder.string());
  opening["id"] = context.id;
  opening["params"] = context.params.value();
  opening["seed"] = std::to_string(context.seed);
  opening["threads"] = context.threads;
  opening["input_shape"] = context.input_shape;
  if (context.listed_inputs) opening["listed_inputs"] = static_cast<std::uint64_t>(*context.listed_inputs);
  opening["memory"] = run.memory;
  IsolationSettings settings{opening.to_json(), run.stall_limit, interrupted, context.warn,
                             std::move(require_same_files)};
  if (stage.is(StageKind::Transform)) return std::make_unique<IsolatedTransform>(std::move(settings));
  return std::make_unique<IsolatedBatch>(std::move(settings));
}

}  // namespace graft
