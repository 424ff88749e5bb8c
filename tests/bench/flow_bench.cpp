// Items per second through a chain of four stages that do nothing, against the same chain in bare oneTBB.

#include <atomic>

#include <benchmark/benchmark.h>
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>

#include "graph/flow.h"
#include "graph/workers.h"

namespace graft {
namespace {

constexpr std::size_t kItems = 200000;
constexpr std::size_t kCredits = 64;

class Nothing final : public Transform {
 public:
  Payload apply(const Item& item) const override { return item.payload; }
};

class Empty final : public FlowInput {
 public:
  std::shared_ptr<InFlightEntry> next() override {
    if (at_ == kItems) return nullptr;
    auto entry = std::make_shared<InFlightEntry>();
    entry->sequence = at_++;
    entry->missing_in_tables = 1;
    return entry;
  }
  bool load(InFlightEntry&, Payload& payload) override {
    payload = number_;
    const int live = ++in_flight;
    for (int seen = peak; live > seen && !peak.compare_exchange_weak(seen, live);) {
    }
    return true;
  }
  std::atomic<int> in_flight{0}, peak{0};

 private:
  const Tensor number_ = Tensor::allocate(DType::F32, {1});
  std::size_t at_ = 0;
};

class Count final : public FlowOutput {
 public:
  explicit Count(Empty& input) : input_(input) {}
  void collect(std::size_t, const Handle&) override {
    --input_.in_flight;
    items.fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<std::size_t> items{0};

 private:
  Empty& input_;
};

class NoTable final : public Collector {
 public:
  RowFormat format(const Item&) const override { return {}; }
  void encode(const Item&, std::span<std::uint8_t>) const override {}
};

void GraftChain(benchmark::State& state) {
  Plan plan;
  plan.run.threads = static_cast<int>(state.range(0));
  plan.run.in_flight = kCredits;
  for (std::size_t i = 0; i < 6; ++i) {
    StagePlan s;
    s.id = "s" + std::to_string(i);
    s.schema.kind = i == 0 ? StageKind::Source : i == 5 ? StageKind::Collector : StageKind::Transform;
    s.schema.outputs.push_back({"out", PortType::Image, "", "", false});
    if (i > 0) s.inputs.push_back({i - 1, 0});
    plan.stages.push_back(s);
  }
  Nothing a, b, c, d;
  NoTable table;
  int peak = 0;
  for (auto _ : state) {
    Workers workers(plan.run.threads);
    Empty input;
    Count output(input);
    Meter meter(plan.stages.size());
    const std::atomic<bool> never{false};
    workers.execute([&] {
      Flow flow(plan, 0, {nullptr, &a, &b, &c, &d, &table}, input, output, meter, never);
      flow.run();
    });
    if (output.items != kItems) state.SkipWithError("items were lost");
    peak = input.peak;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kItems));
  state.counters["peak_in_flight"] = peak;
}

void BareChain(benchmark::State& state) {
  namespace flow = tbb::flow;
  for (auto _ : state) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(state.range(0)));
    tbb::task_arena arena(static_cast<int>(state.range(0)));
    arena.execute([&] {
      using Message = std::shared_ptr<const int>;
      flow::graph g;
      std::size_t at = 0, items = 0;
      flow::input_node<Message> source(g, [&](tbb::flow_control& control) -> Message {
        if (at == kItems) {
          control.stop();
          return {};
        }
        return std::make_shared<const int>(static_cast<int>(at++));
      });
      flow::limiter_node<Message, int> limiter(g, kCredits);
      const auto pass = [](const Message& m) { return m; };
      flow::function_node<Message, Message> a(g, flow::unlimited, pass), b(g, flow::unlimited, pass),
          c(g, flow::unlimited, pass), d(g, flow::unlimited, pass);
      flow::function_node<Message, int> sink(g, flow::serial, [&](const Message&) {
        ++items;
        return 1;
      });
      flow::make_edge(source, limiter);
      flow::make_edge(limiter, a);
      flow::make_edge(a, b);
      flow::make_edge(b, c);
      flow::make_edge(c, d);
      flow::make_edge(d, sink);
      flow::make_edge(sink, limiter.decrementer());
      source.activate();
      g.wait_for_all();
      if (items != kItems) state.SkipWithError("items were lost");
    });
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kItems));
}

BENCHMARK(GraftChain)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BareChain)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace graft

BENCHMARK_MAIN();
