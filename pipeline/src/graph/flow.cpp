#include "graph/flow.h"

#include <chrono>
#include <exception>
#include <mutex>

#include <fmt/format.h>
#include <oneapi/tbb/flow_graph.h>

#include "graph/admission.h"
#include "graph/batcher.h"
#include "graph/handover.h"

namespace graft {

FlowInput::~FlowInput() = default;
FlowOutput::~FlowOutput() = default;

namespace {

namespace flow = tbb::flow;
using Clock = std::chrono::steady_clock;
using State = Message::State;
using BatchHandle = std::shared_ptr<const Batcher::Batch>;

std::uint64_t ns_between(Clock::time_point start, Clock::time_point end) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count());
}

/// What happens to a message after a node's own work: transforms in a row, then collectors, then other nodes.
struct Tail {
  std::vector<std::size_t> transforms;
  std::vector<std::size_t> collectors;
  std::unique_ptr<flow::broadcast_node<Handle>> next;  // null: nothing but collectors follows
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
      : plan(p), source(src), stages(std::move(s)), input(in), output(out), meter(m), interrupted(stop) {}

  const Plan& plan;
  const std::size_t source;
  const std::vector<Stage*> stages;
  FlowInput& input;
  FlowOutput& output;
  Meter& meter;
  const std::atomic<bool>& interrupted;

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

  bool stopping() const {
    return failed.load(std::memory_order_relaxed) || interrupted.load(std::memory_order_relaxed);
  }

  void fail(const std::string& text) {
    const std::lock_guard lock(fatal_mutex);
    if (fatal.empty()) fatal = text;
    failed = true;
  }

  // Building.

  void build() {
    const std::size_t credits = plan.credits(source);
    admission = std::make_shared<Admission>(
        credits, actual_batch_items() + 1, plan.run.memory,
        [this](int n) { limiter->decrementer().try_put(n); },
        [this] {
          hand_over(&graph);
          graph.release_wait();
        });
    limiter = std::make_unique<flow::limiter_node<Handle, int>>(graph, credits);
    pull = std::make_unique<flow::input_node<Handle>>(graph, [this](tbb::flow_control& control) {
      take_over(this);  // from the call before, on whatever thread it was
      Handle pulled = guarded<Handle>([&] { return pull_one(control); }, control);
      hand_over(pulled.get());
      hand_over(this);
      return pulled;
    });
    head = std::make_unique<flow::function_node<Handle>>(graph, flow::unlimited, [this](const Handle& h) {
      load_and_run(h);
      return done();
    });
    flow::make_edge(*pull, *limiter);
    flow::make_edge(*limiter, *head);
    build_tail(head_tail, source, 0);
  }

  std::size_t actual_batch_items() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < stages.size(); ++i)
      if (stages[i] != nullptr && plan.stages[i].schema.kind == StageKind::BatchTransform &&
          plan.stages[i].source == source)
        sum += static_cast<BatchTransform*>(stages[i])->batch_size();
    return sum;
  }

  std::vector<std::size_t> consumers(std::size_t stage, std::size_t port) const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < plan.stages.size(); ++i)
      for (const StagePlan::Input& in : plan.stages[i].inputs)
        if (in.stage == stage && in.port == port && stages[i] != nullptr) out.push_back(i);
    return out;
  }

  void build_tail(Tail& tail, std::size_t stage, std::size_t port) {
    std::vector<std::size_t> next = consumers(stage, port);
    while (next.size() == 1 && plan.stages[next[0]].schema.kind == StageKind::Transform) {
      tail.transforms.push_back(next[0]);
      next = consumers(next[0], 0);
    }
    for (const std::size_t consumer : next) {
      const StageKind kind = plan.stages[consumer].schema.kind;
      if (kind == StageKind::Collector) {
        tail.collectors.push_back(consumer);
        continue;
      }
      if (!tail.next) tail.next = std::make_unique<flow::broadcast_node<Handle>>(graph);
      if (kind == StageKind::BatchTransform)
        flow::make_edge(*tail.next, build_batch(consumer));
      else
        flow::make_edge(*tail.next, build_branch(consumer));
    }
  }

  flow::function_node<Handle>& build_branch(std::size_t transform) {
    branch_tails.push_back(std::make_unique<Tail>());
    Tail* tail = branch_tails.back().get();
    tail->transforms.push_back(transform);
    branches.push_back(
        std::make_unique<flow::function_node<Handle>>(graph, flow::unlimited, [this, tail](const Handle& h) {
          take_over(h.get());
          run_tail(*tail, h);
          return done();
        }));
    flow::function_node<Handle>& node = *branches.back();
    // The rest of the chain behind the branch's first transform.
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
    const std::size_t size = static_cast<BatchTransform*>(stages[stage])->batch_size();
    auto batcher = std::make_shared<Batcher>(
        size, [this, stage](const Message& m) { return plan.stages[stage].handles(m.item.entry->split); });
    b->batcher = std::make_unique<flow::function_node<Handle>>(
        graph, flow::serial, [this, b, batcher](const Handle& h) {
          take_over(h.get());
          take_over(b);  // from the call before, on whatever thread it was
          if (h->state == State::Live) meter.enter(b->stage);
          Batcher::Ready ready = batcher->add(h);
          for (const BatchHandle& batch : ready.batches) {
            hand_over(batch.get());
            b->batches->try_put(batch);
          }
          hand_over(b);
          for (const Handle& passed : ready.passed)
            for (Tail& tail : b->tails) run_tail(tail, passed);
          return done();
        });
    const std::size_t at_once = static_cast<BatchTransform*>(stages[stage])->concurrency();
    b->worker = std::make_unique<flow::function_node<BatchHandle>>(
        graph, at_once == 0 ? std::size_t{flow::unlimited} : at_once, [this, b](const BatchHandle& batch) {
          take_over(batch.get());
          run_batch(*b, *batch);
          return done();
        });
    flow::make_edge(*b->batches, *b->worker);
    b->tails.resize(plan.stages[stage].schema.outputs.size());
    for (std::size_t port = 0; port < b->tails.size(); ++port) build_tail(b->tails[port], stage, port);
    return *b->batcher;
  }

  // Running.

  /// What every body ends with: whoever waits for the graph sees all that was done in it.
  flow::continue_msg done() {
    hand_over(&graph);
    return {};
  }

  /// The source's own faults end the run: without its list nothing can be accounted for.
  template <typename T, typename Body>
  T guarded(const Body& body, tbb::flow_control& control) {
    try {
      return body();
    } catch (const std::exception& e) {
      fail(fmt::format("{}: {}", plan.stages[source].label(), e.what()));
    } catch (...) {
      fail(fmt::format("{}: an exception of an unknown type", plan.stages[source].label()));
    }
    return pull_end(control);
  }

  Handle pull_one(tbb::flow_control& control) {
    if (ended) {
      control.stop();
      return {};
    }
    if (stopping()) return pull_end(control);
    std::shared_ptr<Origin> origin = input.next();
    if (!origin) return pull_end(control);
    origin->credit = Credit(admission);
    admission->admit();
    auto message = std::make_shared<Message>();
    message->order = admitted++;
    message->item.entry = std::move(origin);
    return message;
  }

  Handle pull_end(tbb::flow_control& control) {
    if (ended) {
      control.stop();
      return {};
    }
    ended = true;
    auto message = std::make_shared<Message>();
    message->state = State::End;
    message->order = admitted;
    admission->end();
    return message;
  }

  void load_and_run(const Handle& pulled) {
    take_over(pulled.get());
    // The input node keeps a copy of the last message until it makes the next one. Were that the message that
    // holds the credit, the last credit could wait for itself; so what it keeps is an empty shell.
    const auto m = std::make_shared<Message>(std::move(const_cast<Message&>(*pulled)));
    const Clock::time_point start = Clock::now();
    const Clock::time_point end = m->state == State::End ? start : load(*m, start);
    step(head_tail, 0, m, end);
  }

  Clock::time_point load(Message& m, Clock::time_point start) {
    auto& origin = const_cast<Origin&>(m.origin());
    meter.enter(source);
    meter.start(source);
    if (stopping()) {
      abandon(m);
    } else {
      call(source, m, [&] {
        if (!input.load(origin, m.item.payload)) m.state = State::Skipped;
        origin.payload = std::monostate{};
        account(m);
      });
    }
    const Clock::time_point end = Clock::now();
    meter.finish(source, 1, m.state == State::Rejected, ns_between(start, end));
    return end;
  }

  /// The run is being stopped: the item stays undone, and the next run takes it up.
  void abandon(Message& m) {
    if (m.state == State::Live) {
      m.state = State::Skipped;
      m.item.payload = std::monostate{};
    }
  }

  /// `copies`: views of the item that are alive together.
  static void account(const Message& m, std::size_t copies = 1) {
    const_cast<Origin&>(m.origin()).credit.set_bytes(bytes_of(m.item.payload) * copies);
  }

  /// Calls a plugin for one item; whatever it throws becomes the item's reject record.
  template <typename Body>
  void call(std::size_t stage, Message& m, const Body& body) {
    try {
      body();
    } catch (const Reject& e) {
      reject(stage, m, e.code(), e.what());
    } catch (const std::bad_alloc&) {
      reject(stage, m, "out-of-memory", "not enough memory for this item");
    } catch (const std::exception& e) {
      reject(stage, m, "failed", e.what());
    } catch (...) {
      reject(stage, m, "failed", "an exception of an unknown type");
    }
  }

  void reject(std::size_t stage, Message& m, const std::string& code, const std::string& text) {
    const StagePlan& s = plan.stages[stage];
    m.state = State::Rejected;
    m.item.payload = std::monostate{};
    m.reject = std::make_shared<const RejectRecord>(RejectRecord{s.id, code, text});
    if (s.on_error == OnError::Fail)
      fail(fmt::format("{}, item '{}': {} [{}]", s.label(), m.item.key(), text, code));
  }

  /// A message that other branches may share: the tail works on a copy.
  void run_tail(Tail& tail, const Handle& h) { step(tail, 0, std::make_shared<Message>(*h), Clock::now()); }

  /// Takes a message that nobody else holds through the transforms of a tail, in place, and delivers it.
  /// `now` is when the work before ended and this one begins: one reading of the clock per stage, not two.
  void step(Tail& tail, std::size_t i, const std::shared_ptr<Message>& m, Clock::time_point now) {
    for (; i < tail.transforms.size(); ++i) {
      const std::size_t stage = tail.transforms[i];
      const auto& transform = static_cast<const Transform&>(*stages[stage]);
      const std::uint32_t views = transform.views();
      const bool handled = m->state == State::Live && plan.stages[stage].handles(m->item.entry->split);
      if (views == 1) {
        if (handled) now = apply(stage, transform, *m, now);
      } else if (m->state == State::End) {
        m->order *= views;
      } else {
        return fan_out(tail, i, transform, handled, *m);
      }
    }
    deliver(tail, m);
  }

  /// Makes the views of a message and takes each down the rest of the tail. A message that the stage does not
  /// handle goes on as the first of its views; empty ones take the places of the others, or the order would
  /// not be dense.
  void fan_out(Tail& tail, std::size_t i, const Transform& transform, bool handled, const Message& m) {
    for (std::uint32_t view = 0; view < transform.views(); ++view) {
      auto out = std::make_shared<Message>(m);
      out->order = m.order * transform.views() + view;
      out->item.view = m.item.view * transform.views() + view;
      if (handled) {
        apply(tail.transforms[i], transform, *out, Clock::now());
      } else if (view > 0) {
        out->state = State::Skipped;
        out->item.payload = std::monostate{};
      }
      step(tail, i + 1, out, Clock::now());
    }
  }

  /// Gives the time at which it ended.
  Clock::time_point apply(std::size_t stage, const Transform& transform, Message& m,
                          Clock::time_point start) {
    if (stopping()) {
      abandon(m);
      return start;
    }
    meter.enter(stage);
    meter.start(stage);
    call(stage, m, [&] {
      m.item.payload = transform.apply(m.item);
      account(m, transform.views());
    });
    const Clock::time_point end = Clock::now();
    meter.finish(stage, 1, m.state == State::Rejected, ns_between(start, end));
    return end;
  }

  void deliver(Tail& tail, const Handle& h) {
    if (h->state == State::Live || h->state == State::Rejected)
      for (const std::size_t collector : tail.collectors) collect(collector, h);
    if (!tail.next) return;
    hand_over(h.get());
    tail.next->try_put(h);
  }

  void collect(std::size_t collector, const Handle& h) {
    if (!plan.stages[collector].handles(h->item.entry->split)) return;
    try {
      output.collect(collector, h);
      collected.fetch_add(1, std::memory_order_relaxed);
    } catch (const std::exception& e) {
      fail(fmt::format("{}: {}", plan.stages[collector].label(), e.what()));
    }
  }

  class Outcomes final : public BatchOutput {
   public:
    Outcomes(std::size_t items, std::size_t ports)
        : payloads(ports, std::vector<Payload>(items)), rejects(items) {}
    void set(std::size_t item, Payload payload, std::size_t port) override {
      payloads.at(port).at(item) = std::move(payload);
    }
    void reject(std::size_t item, const std::string& code, const std::string& text) override {
      rejects.at(item) = std::make_unique<Reject>(code, text);
    }
    std::vector<std::vector<Payload>> payloads;
    std::vector<std::unique_ptr<Reject>> rejects;
  };

  void run_batch(BatchStage& b, const Batcher::Batch& batch) {
    const auto start = Clock::now();
    Outcomes outcomes(batch.size(), b.tails.size());
    bool done = false;
    meter.start(b.stage, batch.size());
    if (!stopping()) {
      std::vector<Item> items;
      items.reserve(batch.size());
      for (const Handle& h : batch) items.push_back(h->item);
      try {
        static_cast<const BatchTransform&>(*stages[b.stage]).apply(items, outcomes);
        done = true;
      } catch (const std::exception& e) {
        fail(fmt::format("{}, batch of '{}' .. '{}': {}", plan.stages[b.stage].label(),
                         batch.front()->item.key(), batch.back()->item.key(), e.what()));
      } catch (...) {
        fail(fmt::format("{}: an exception of an unknown type", plan.stages[b.stage].label()));
      }
    }
    const Clock::time_point called = Clock::now();
    std::uint64_t rejected = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      rejected += outcomes.rejects[i] ? 1 : 0;
      for (std::size_t port = 0; port < b.tails.size(); ++port) {
        auto out = std::make_shared<Message>();
        out->order = batch[i]->order;
        out->item.entry = batch[i]->item.entry;
        out->item.view = batch[i]->item.view;
        if (!done) {
          abandon(*out);
        } else if (outcomes.rejects[i]) {
          reject(b.stage, *out, outcomes.rejects[i]->code(), outcomes.rejects[i]->what());
        } else if (std::holds_alternative<std::monostate>(outcomes.payloads[port][i])) {
          reject(b.stage, *out, "failed", "the stage gave no result for this item");
        } else {
          out->item.payload = std::move(outcomes.payloads[port][i]);
        }
        step(b.tails[port], 0, out, Clock::now());
      }
    }
    meter.finish(b.stage, batch.size(), rejected, ns_between(start, called));
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
  take_over(&impl_->graph);
  return {impl_->admitted, impl_->collected, impl_->fatal, impl_->admission->peak_bytes()};
}

}  // namespace graft
