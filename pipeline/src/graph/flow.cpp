#include "graph/flow.h"

#include <mutex>

#include <fmt/format.h>
#include <oneapi/tbb/flow_graph.h>

#include "graph/admission.h"
#include "graph/batcher.h"
#include "graph/check_output.h"
#include "graph/tsan.h"
#include "graph/views.h"
#include "graph/workers.h"
#include "plugin/plugin_call.h"

namespace graft {

FlowInput::~FlowInput() = default;
FlowOutput::~FlowOutput() = default;

namespace {

namespace flow = tbb::flow;
using Clock = Meter::Clock;
using State = Message::State;
using BatchHandle = std::shared_ptr<const Batcher::Batch>;

/// What happens to a message after a node's own work: transforms in a row, then collectors, then other nodes.
struct Tail {
  std::vector<std::size_t> transforms;
  std::vector<std::size_t> collectors;
  std::unique_ptr<flow::broadcast_node<Handle>> next;  // null: nothing but collectors follows
  bool leads_nowhere() const { return transforms.empty() && collectors.empty() && !next; }
};

struct BatchStage {
  std::size_t stage;
  std::unique_ptr<flow::function_node<Handle>> batcher;
  std::unique_ptr<flow::function_node<BatchHandle>> worker;
  std::vector<Tail> tails;  // one per output port
  std::unique_ptr<flow::broadcast_node<BatchHandle>> batches;
};

}  // namespace

struct Flow::Impl {
  Impl(const Plan& p, std::size_t src, std::vector<Stage*> s, FlowInput& in, FlowOutput& out, Meter& m,
       const std::atomic<bool>& stop)
      : plan(p), source(src), stages(std::move(s)), input(in), output(out), meter(m), interrupted(stop) {
    for (const StagePlan& stage : plan.stages) labels.push_back(keep_for_ever(stage.label()));
    end->state = State::End;
  }

  const Plan& plan;
  const std::size_t source;
  const std::vector<Stage*> stages;
  std::vector<const Transform*> transforms;             // by stage
  std::vector<const BatchTransform*> batch_transforms;  // by stage
  FlowInput& input;
  FlowOutput& output;
  Meter& meter;
  const std::atomic<bool>& interrupted;
  std::vector<const char*> labels;       // by stage
  std::vector<std::uint32_t> views;      // by stage
  std::vector<std::size_t> batch_sizes;  // by stage: what BatchTransform::batch_size() said
  /// What batchers get when a run fails, so that they let go; made before memory can run out.
  const std::shared_ptr<Message> end = std::make_shared<Message>();

  flow::graph graph;
  std::shared_ptr<Admission> admission;
  std::unique_ptr<flow::input_node<Handle>> pull;
  std::unique_ptr<flow::limiter_node<Handle, int>> limiter;
  std::unique_ptr<flow::function_node<Handle>> head;
  Tail head_tail;
  std::vector<std::unique_ptr<flow::function_node<Handle>>> branches;
  std::vector<std::unique_ptr<Tail>> branch_tails;
  std::vector<std::unique_ptr<BatchStage>> batch_stages;

  std::uint64_t admitted = 0;
  bool ended = false;
  std::atomic<std::uint64_t> collected{0};
  std::atomic<bool> failed{false};
  std::mutex fatal_mutex;
  std::string fatal;

  bool stopping() {
    if (const std::string& fault = Workers::fault_of_thread(); !fault.empty()) fail(fault);
    return failed.load(std::memory_order_relaxed) || interrupted.load(std::memory_order_relaxed);
  }

  void fail(const std::string& text) {
    {
      const std::lock_guard lock(fatal_mutex);
      if (fatal.empty()) fatal = text;
    }
    if (failed.exchange(true)) return;
    // Every downstream batch would wait for a message that was lost here, so batchers release what they hold,
    // and all messages that still come.
    for (const auto& b : batch_stages) try {
        b->batcher->try_put(end);
      } catch (...) {  // no memory: the next message that comes by does it
      }
  }

  /// Fails with what is being handled.
  void fail_by_exception(std::size_t stage, const char* function) {
    try {
      throw_as_stage_error(labels[stage], function);
    } catch (const Error& e) {
      fail(e.what());
    } catch (...) {  // not even memory for a text; run() has one
      fail({});
    }
  }

  /// Wraps every node's body: no exception may leave it, or TBB would cancel the graph while credits are in
  /// use.
  template <typename Body>
  flow::continue_msg guarded(std::size_t stage, const Body& body) {
    try {
      body();
    } catch (...) {
      fail_by_exception(stage, "the graph at this stage");
    }
    tsan_release(&graph);  // whoever waits for the graph sees all that was done in it
    return {};
  }

  // Building.

  void build() {
    const std::size_t credits = plan.credits(source);
    const std::size_t batched = ask_stages(credits);
    admission = std::make_shared<Admission>(
        credits, batched + 1, plan.run.memory, [this](int n) { limiter->decrementer().try_put(n); },
        [this] {
          tsan_release(&graph);
          graph.release_wait();
        });
    limiter = std::make_unique<flow::limiter_node<Handle, int>>(graph, credits);
    pull = std::make_unique<flow::input_node<Handle>>(graph, [this](tbb::flow_control& control) {
      tsan_acquire(this);  // from the call before, on whatever thread it was
      Handle pulled;
      try {
        pulled = pull_one(control);
      } catch (...) {  // without the source's list nothing can be accounted for
        fail_by_exception(source, "next");
        pulled = pull_end(control);
      }
      tsan_release(pulled.get());
      tsan_release(this);
      return pulled;
    });
    head = std::make_unique<flow::function_node<Handle>>(graph, flow::unlimited, [this](const Handle& h) {
      return guarded(source, [&] { load_and_run(h); });
    });
    flow::make_edge(*pull, *limiter);
    flow::make_edge(*limiter, *head);
    build_tail(head_tail, source, 0);
  }

  /// Asks every stage once for the numbers that the graph is built from. Returns how many items batches may
  /// hold.
  std::size_t ask_stages(std::size_t credits) {
    views.assign(stages.size(), 1);
    batch_sizes.assign(stages.size(), 0);
    transforms.assign(stages.size(), nullptr);
    batch_transforms.assign(stages.size(), nullptr);
    std::size_t batched = 0;
    for (std::size_t i = 0; i < stages.size(); ++i) {
      if (stages[i] == nullptr) continue;
      if (plan.stages[i].is(StageKind::Transform)) {
        transforms[i] = &stage_as<Transform>(*stages[i], labels[i]);
        views[i] = ask_views(i);
      }
      if (!plan.stages[i].is(StageKind::BatchTransform)) continue;
      batch_transforms[i] = &stage_as<BatchTransform>(*stages[i], labels[i]);
      batch_sizes[i] =
          call_plugin(labels[i], "batch_size", [&] { return batch_transforms[i]->batch_size(); });
      // With fewer credits than batches hold, the batches would wait for each other forever.
      if (batch_sizes[i] == 0 || batch_sizes[i] >= credits - batched)
        throw StageError(labels[i],
                         fmt::format("batch_size gave {}: expected from 1 to {}, as {} items may be "
                                     "in flight (run.in_flight)",
                                     batch_sizes[i], credits - batched - 1, credits));
      batched += batch_sizes[i];
    }
    return batched;
  }

  /// What the parameters declare is what rows are named by: the stage must agree.
  std::uint32_t ask_views(std::size_t stage) {
    const std::uint32_t declared = declared_views(plan.stages[stage]);
    const std::uint32_t made =
        call_plugin(labels[stage], "views", [&] { return transforms[stage]->views(); });
    if (made != declared)
      throw StageError(labels[stage],
                       fmt::format("makes {} views, its parameters declare {}", made, declared));
    return declared;
  }

  std::vector<std::size_t> consumers(std::size_t stage, std::size_t port) const {
    std::vector<std::size_t> out;
    for (const std::size_t i : plan.consumers(stage))
      for (const StagePlan::Input& in : plan.stages[i].inputs)
        if (in.stage == stage && in.port == port && stages[i] != nullptr) out.push_back(i);
    return out;
  }

  void build_tail(Tail& tail, std::size_t stage, std::size_t port) {
    std::vector<std::size_t> next = consumers(stage, port);
    while (next.size() == 1 && transforms[next[0]] != nullptr) {
      tail.transforms.push_back(next[0]);
      next = consumers(next[0], 0);
    }
    for (const std::size_t consumer : next) {
      if (plan.stages[consumer].is(StageKind::Collector)) {
        tail.collectors.push_back(consumer);
        continue;
      }
      if (!tail.next) tail.next = std::make_unique<flow::broadcast_node<Handle>>(graph);
      if (batch_transforms[consumer] != nullptr)
        flow::make_edge(*tail.next, build_batch(consumer));
      else
        flow::make_edge(*tail.next, build_branch(consumer));
    }
  }

  flow::function_node<Handle>& build_branch(std::size_t transform) {
    branch_tails.push_back(std::make_unique<Tail>());
    Tail* tail = branch_tails.back().get();
    tail->transforms.push_back(transform);
    branches.push_back(std::make_unique<flow::function_node<Handle>>(
        graph, flow::unlimited, [this, tail, transform](const Handle& h) {
          return guarded(transform, [&] {
            tsan_acquire(h.get());
            run_tail(*tail, h);
          });
        }));
    flow::function_node<Handle>& node = *branches.back();
    // The rest of the chain after the branch's first transform.
    Tail rest;
    build_tail(rest, transform, 0);
    tail->transforms.insert(tail->transforms.end(), rest.transforms.begin(), rest.transforms.end());
    tail->collectors = std::move(rest.collectors);
    tail->next = std::move(rest.next);
    return node;
  }

  flow::function_node<Handle>& build_batch(std::size_t stage) {
    batch_stages.push_back(std::make_unique<BatchStage>());
    BatchStage* b = batch_stages.back().get();
    b->stage = stage;
    b->batches = std::make_unique<flow::broadcast_node<BatchHandle>>(graph);
    auto batcher = std::make_shared<Batcher>(batch_sizes[stage], [this, stage](const Message& m) {
      return plan.stages[stage].handles(m.item.entry->split);
    });
    b->batcher = std::make_unique<flow::function_node<Handle>>(
        graph, flow::serial, [this, b, batcher](const Handle& h) {
          return guarded(b->stage, [&] { add_to_batch(*b, *batcher, h); });
        });
    const std::size_t at_once =
        call_plugin(labels[stage], "concurrency", [&] { return batch_transforms[stage]->concurrency(); });
    b->worker = std::make_unique<flow::function_node<BatchHandle>>(
        graph, at_once == 0 ? std::size_t{flow::unlimited} : at_once, [this, b](const BatchHandle& batch) {
          return guarded(b->stage, [&] {
            tsan_acquire(batch.get());
            run_batch(*b, *batch);
          });
        });
    flow::make_edge(*b->batches, *b->worker);
    b->tails.resize(plan.stages[stage].schema.outputs.size());
    for (std::size_t port = 0; port < b->tails.size(); ++port) build_tail(b->tails[port], stage, port);
    return *b->batcher;
  }

  // Running.

  Handle pull_one(tbb::flow_control& control) {
    if (ended) {
      control.stop();
      return {};
    }
    if (stopping()) return pull_end(control);
    std::shared_ptr<InFlightEntry> entry = input.next();
    if (!entry) return pull_end(control);
    entry->credit = Credit(admission);
    admission->admit();
    auto message = std::make_shared<Message>();
    message->order = admitted++;
    message->item.entry = std::move(entry);
    return message;
  }

  Handle pull_end(tbb::flow_control& control) {
    if (ended) {
      control.stop();
      return {};
    }
    ended = true;
    end->order = admitted;
    admission->end();
    return end;
  }

  void add_to_batch(BatchStage& b, Batcher& batcher, const Handle& h) {
    tsan_acquire(h.get());
    tsan_acquire(&b);  // from the call before, on whatever thread it was
    if (failed) {
      batcher.clear();
      return tsan_release(&b);
    }
    if (h->state == State::Live) meter.enter(b.stage, Clock::now());
    Batcher::Ready ready = batcher.add(h);
    for (const BatchHandle& batch : ready.batches) {
      tsan_release(batch.get());
      b.batches->try_put(batch);
    }
    tsan_release(&b);
    for (const Handle& passed : ready.passed)
      for (Tail& tail : b.tails) run_tail(tail, passed);
  }

  void load_and_run(const Handle& pulled) {
    tsan_acquire(pulled.get());
    // The input node keeps a copy of the last message until it makes the next one. Were that the message that
    // holds the credit, the last credit could wait for itself; so what it keeps is an empty shell.
    Message taken = std::move(const_cast<Message&>(*pulled));
    const auto m = std::make_shared<Message>(std::move(taken));
    const Clock::time_point start = Clock::now();
    const Clock::time_point end = m->state == State::End ? start : load(*m, start);
    step(head_tail, 0, m, end);
  }

  Clock::time_point load(Message& m, Clock::time_point start) {
    meter.enter_and_start(source);
    if (stopping()) {
      abandon(m);
    } else {
      call(source, m, input.load_function(), [&] {
        if (!input.load(m.entry(), m.item.payload)) m.state = State::Skipped;
        m.entry().payload = std::monostate{};
      });
      if (m.state == State::Live)
        charge_memory(m);
      else
        m.item.payload = std::monostate{};
    }
    const Clock::time_point end = Clock::now();
    meter.finish_item(source, m.entry().sequence, 0, m.state == State::Rejected, start, end);
    return end;
  }

  /// The run is being stopped: the item gets no outcome, and the next run takes it up.
  void abandon(Message& m) {
    if (m.state == State::Live) {
      m.state = State::Skipped;
      m.item.payload = std::monostate{};
    }
  }

  /// `copies`: views of the item that are alive together.
  static void charge_memory(const Message& m, std::size_t copies = 1) {
    m.entry().credit.set_bytes(bytes_of(m.item.payload) * copies);
  }

  /// Calls a plugin for one item. An exception becomes the item's reject record, or ends the run.
  template <typename Body>
  void call(std::size_t stage, Message& m, const char* function, const Body& body) {
    CallScope scope(labels[stage], function, m.item.key());
    try {
      body();
      scope.check_thread();
    } catch (const FatalError& e) {
      fail(fmt::format("{}, item '{}': {}", labels[stage], m.item.key(), e.what()));
      abandon(m);
    } catch (const Reject& e) {
      reject(stage, m, e.code(), e.what());
    } catch (const Error& e) {
      reject(stage, m, "failed", *e.what() != '\0' ? e.what() : text_of_exception(function));
    } catch (const std::bad_alloc&) {
      misbehaved(stage, m, "out-of-memory", "not enough memory for this item");
    } catch (...) {
      misbehaved(stage, m, "failed", text_of_exception(function));
    }
  }

  void misbehaved(std::size_t stage, Message& m, const std::string& code, const std::string& text) {
    output.misbehaved(stage, m.item.key(), text);
    reject(stage, m, code, text);
  }

  /// Checks what a stage returned for a live item.
  void check(std::size_t stage, Message& m) {
    if (m.state != State::Live) return;
    if (const std::string fault = fault_of_payload(m.item.payload); !fault.empty())
      misbehaved(stage, m, "invalid", "apply gave " + fault);
  }

  void reject(std::size_t stage, Message& m, const std::string& code, const std::string& text) {
    const StagePlan& s = plan.stages[stage];
    m.state = State::Rejected;
    m.item.payload = std::monostate{};
    m.reject = std::make_shared<const RejectRecord>(RejectRecord{s.id, code, text});
    if (s.on_error == OnError::Fail)
      fail(fmt::format("{}, item '{}': {} [{}]", labels[stage], m.item.key(), text, code));
  }

  /// A message that other branches may share: the tail works on a copy.
  void run_tail(Tail& tail, const Handle& h) { step(tail, 0, std::make_shared<Message>(*h), Clock::now()); }

  /// Takes a message that nobody else holds through the transforms of a tail, in place, and delivers it.
  /// `now` is when the work before ended and this one begins: one reading of the clock per stage, not two.
  void step(Tail& tail, std::size_t i, const std::shared_ptr<Message>& m, Clock::time_point now) {
    for (; i < tail.transforms.size(); ++i) {
      const std::size_t stage = tail.transforms[i];
      const bool handled = m->state == State::Live && plan.stages[stage].handles(m->item.entry->split);
      if (views[stage] == 1) {
        if (handled) now = apply(stage, *m, now);
      } else if (m->state == State::End) {
        m->order = order_after(m->order, views[stage]);
      } else {
        return fan_out(tail, i, *m);
      }
    }
    deliver(tail, m, now);
  }

  /// Makes the views of a message and takes each down the rest of the tail. A rejected message becomes as
  /// many rejected ones, so that every view has an outcome.
  void fan_out(Tail& tail, std::size_t i, const Message& m) {
    const std::size_t stage = tail.transforms[i];
    const bool handled = plan.stages[stage].handles(m.item.entry->split);
    for (std::uint32_t k = 0; k < views[stage]; ++k) {
      const ViewPlace place = place_of_view(m.item.view, m.order, views[stage], k, handled);
      auto out = std::make_shared<Message>(m);
      out->order = place.order;
      out->item.view = place.view;
      if (!place.exists) {
        out->state = State::Skipped;
        out->item.payload = std::monostate{};
      } else if (handled && out->state == State::Live) {
        apply(stage, *out, Clock::now());
      }
      step(tail, i + 1, out, Clock::now());
    }
  }

  /// Gives the time at which it ended.
  Clock::time_point apply(std::size_t stage, Message& m, Clock::time_point start) {
    if (stopping()) {
      abandon(m);
      return start;
    }
    meter.enter_and_start(stage);
    call(stage, m, "apply", [&] { m.item.payload = transforms[stage]->apply(m.item); });
    check(stage, m);
    if (m.state == State::Live) charge_memory(m, views[stage]);
    const Clock::time_point end = Clock::now();
    meter.finish_item(stage, m.entry().sequence, m.item.view, m.state == State::Rejected, start, end);
    return end;
  }

  void deliver(Tail& tail, const Handle& h, Clock::time_point now) {
    if (h->state == State::Live || h->state == State::Rejected)
      for (const std::size_t collector : tail.collectors) now = collect(collector, h, now);
    if (!tail.next) return;
    tsan_release(h.get());
    tail.next->try_put(h);
  }

  /// Gives the time at which it ended.
  Clock::time_point collect(std::size_t collector, const Handle& h, Clock::time_point start) {
    if (!plan.stages[collector].handles(h->item.entry->split)) return start;
    meter.enter_and_start(collector);
    try {
      output.collect(collector, h);
      collected.fetch_add(1, std::memory_order_relaxed);
    } catch (...) {
      fail_by_exception(collector, "collect");
    }
    const Clock::time_point end = Clock::now();
    meter.finish_item(collector, h->entry().sequence, h->item.view, false, start, end);
    return end;
  }

  class Outcomes final : public BatchOutput {
   public:
    Outcomes(std::size_t items, std::size_t ports)
        : payloads(ports, std::vector<Payload>(items)), rejects(items) {}
    void set(std::size_t item, Payload payload, std::size_t port) override {
      if (item >= rejects.size() || port >= payloads.size())
        return note(fmt::format("apply set item {} of port {}, but there are {} items and {} ports", item,
                                port, rejects.size(), payloads.size()));
      if (!std::holds_alternative<std::monostate>(payloads[port][item]) || rejects[item])
        return note(fmt::format("apply gave two results for item {}", item));
      payloads[port][item] = std::move(payload);
    }
    void reject(std::size_t item, const std::string& code, const std::string& text) override {
      if (item >= rejects.size())
        return note(fmt::format("apply rejected item {}, but there are {} items", item, rejects.size()));
      for (const auto& port : payloads)
        if (rejects[item] || !std::holds_alternative<std::monostate>(port[item]))
          return note(fmt::format("apply gave two results for item {}", item));
      rejects[item] = std::make_unique<Reject>(code, text);
    }
    std::vector<std::vector<Payload>> payloads;
    std::vector<std::unique_ptr<Reject>> rejects;
    std::string misuse;  // the first one

   private:
    void note(const std::string& text) {
      const std::lock_guard lock(mutex_);
      if (misuse.empty()) misuse = text;
    }
    std::mutex mutex_;
  };

  bool call_batch(const BatchStage& b, const Batcher::Batch& batch, Outcomes& outcomes) {
    std::vector<Item> items;
    items.reserve(batch.size());
    for (const Handle& h : batch) items.push_back(h->item);
    const std::string& first = batch.front()->item.key();
    const std::string& last = batch.back()->item.key();
    const std::string range = first + "' .. '" + last;
    CallScope scope(labels[b.stage], "apply", range);
    try {
      batch_transforms[b.stage]->apply(items, outcomes);
      scope.check_thread();
      if (outcomes.misuse.empty()) return true;
      fail(fmt::format("{}, batch of '{}': {}", labels[b.stage], range, outcomes.misuse));
    } catch (...) {
      fail(fmt::format("{}, batch of '{}': {}", labels[b.stage], range, text_of_exception("apply")));
    }
    return false;
  }

  void run_batch(BatchStage& b, const Batcher::Batch& batch) {
    const auto start = Clock::now();
    Outcomes outcomes(batch.size(), b.tails.size());
    meter.start(b.stage, batch.size(), start);
    const bool done = !stopping() && call_batch(b, batch, outcomes);
    const Clock::time_point called = Clock::now();
    if (done) trace_batch(b.stage, batch, start, called);
    std::uint64_t rejected = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      rejected += outcomes.rejects[i] ? 1 : 0;
      for (std::size_t port = 0; port < b.tails.size(); ++port) {
        if (b.tails[port].leads_nowhere()) continue;  // a stage need not fill a port that is not connected
        auto out = std::make_shared<Message>();
        out->order = batch[i]->order;
        out->item.entry = batch[i]->item.entry;
        out->item.view = batch[i]->item.view;
        if (!done) {
          abandon(*out);
        } else if (outcomes.rejects[i]) {
          reject(b.stage, *out, outcomes.rejects[i]->code(), outcomes.rejects[i]->what());
        } else if (std::holds_alternative<std::monostate>(outcomes.payloads[port][i])) {
          misbehaved(b.stage, *out, "failed", "the stage gave no result for this item");
        } else {
          out->item.payload = std::move(outcomes.payloads[port][i]);
          check(b.stage, *out);
        }
        step(b.tails[port], 0, out, Clock::now());
      }
    }
    meter.finish(b.stage, batch.size(), rejected, start, called);
  }

  void trace_batch(std::size_t stage, const Batcher::Batch& batch, Clock::time_point start,
                   Clock::time_point end) {
    if (meter.trace() == nullptr) return;
    std::vector<std::uint64_t> items;
    for (const Handle& h : batch) items.push_back(h->entry().sequence);
    meter.trace()->add_batch(stage, start, end, items);
  }
};

Flow::Flow(const Plan& plan, std::size_t source, std::vector<Stage*> stages, FlowInput& input,
           FlowOutput& output, Meter& meter, const std::atomic<bool>& interrupted)
    : impl_(std::make_unique<Impl>(plan, source, std::move(stages), input, output, meter, interrupted)) {
  impl_->build();
}

Flow::~Flow() = default;

FlowResult Flow::run() {
  // Items may be alive outside of the graph (a writer's queue holds them until they are on disk): the graph
  // must not be taken for idle until the last credit is back.
  impl_->graph.reserve_wait();
  impl_->pull->activate();
  impl_->graph.wait_for_all();
  tsan_acquire(&impl_->graph);
  if (impl_->failed && impl_->fatal.empty()) impl_->fatal = out_of_memory(MemoryUse::InFlight);
  return {impl_->admitted, impl_->collected, impl_->fatal, impl_->admission->peak_bytes()};
}

}  // namespace graft
