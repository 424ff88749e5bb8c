#include "graph/flow.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/random.h>

#include "fake_plugins.h"
#include "graph/workers.h"

namespace graft {
namespace {

using test::FakePlugins;
using ::testing::HasSubstr;

/// Numbers 0 .. n-1 as tensors of one float.
class Numbers final : public FlowInput {
 public:
  explicit Numbers(std::size_t n) : n_(n) {}
  std::shared_ptr<InFlightEntry> next() override {
    if (at_ == n_) return nullptr;
    if (at_ == throw_at) throw Error("the list is broken");
    auto entry = std::make_shared<InFlightEntry>();
    entry->sequence = at_;
    entry->key = std::to_string(at_++);
    entry->missing_in_tables = 1;
    return entry;
  }
  bool load(InFlightEntry& entry, Payload& payload) override {
    if (skip && skip(entry.sequence)) return false;
    const int live = ++live_;
    for (int seen = peak; live > seen && !peak.compare_exchange_weak(seen, live);) {
    }
    Tensor t = Tensor::allocate(DType::F32, {1});
    *t.as<float>() = static_cast<float>(entry.sequence);
    std::shared_ptr<void> data = t.owner;
    t.owner = std::shared_ptr<void>(t.data, [data, this](void*) { --live_; });
    payload = t;
    return true;
  }
  std::function<bool(std::uint64_t)> skip;
  std::size_t throw_at = ~std::size_t{0};
  std::atomic<int> peak{0};

 private:
  std::size_t n_, at_ = 0;
  std::atomic<int> live_{0};
};

class Kept final : public FlowOutput {
 public:
  void collect(std::size_t stage, const Handle& m) override {
    if (m->item.key() == collect_throws_at) throw 7;
    if (slow_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(slow_us));
    const std::lock_guard lock(mutex);
    const std::string name = m->item.key() + "/" + std::to_string(m->item.view);
    if (m->state == Message::State::Live)
      rows[stage][name] = *m->item.tensor().as<float>();
    else
      rejects[stage][name] = m->reject->stage + ": " + m->reject->text + " [" + m->reject->code + "]";
  }
  void misbehaved(std::size_t stage, const std::string& item, const std::string& text) override {
    const std::lock_guard lock(mutex);
    if (misbehaved_throws) throw std::bad_alloc();
    told.push_back(std::to_string(stage) + " " + item + ": " + text);
  }
  int slow_us = 0;
  std::string collect_throws_at;
  bool misbehaved_throws = false;
  std::vector<std::string> told;
  std::mutex mutex;
  std::map<std::size_t, std::map<std::string, float>> rows;
  std::map<std::size_t, std::map<std::string, std::string>> rejects;
};

class Map final : public Transform {
 public:
  explicit Map(std::function<float(const Item&, float)> f, std::uint32_t views = 1)
      : f_(std::move(f)), views_(views) {}
  Payload apply(const Item& item) const override {
    Tensor out = Tensor::allocate(DType::F32, {1});
    *out.as<float>() = f_(item, *item.tensor().as<float>());
    return out;
  }
  std::uint32_t views() const override { return views_; }

 private:
  std::function<float(const Item&, float)> f_;
  std::uint32_t views_;
};

/// Adds the first item of the batch: shows who is batched with whom.
class Batch final : public BatchTransform {
 public:
  explicit Batch(std::size_t size) : size_(size) {}
  std::size_t batch_size() const override { return size_; }
  std::size_t concurrency() const override { return at_once; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    const int now = ++running;
    for (int seen = most_running; now > seen && !most_running.compare_exchange_weak(seen, now);) {
    }
    struct Leave {
      std::atomic<int>& running;
      ~Leave() { --running; }
    } leave{running};
    largest = std::max<std::size_t>(largest, items.size());
    const float first = *items[0].tensor().as<float>();
    if (first == fail_at) throw Error("the device is gone");
    for (std::size_t i = 0; i < items.size(); ++i) {
      Tensor t = Tensor::allocate(DType::F32, {1});
      const float v = *items[i].tensor().as<float>();
      *t.as<float>() = v * 1000 + first;
      if (v == reject_at)
        out.reject(i, "odd", "this one will not do");
      else if (v != forget_at)
        out.set(i, t);
    }
  }
  float fail_at = -1, reject_at = -1, forget_at = -1;
  std::size_t at_once = 0;
  mutable std::atomic<std::size_t> largest{0};
  mutable std::atomic<int> running{0}, most_running{0};

 private:
  std::size_t size_;
};

class Table final : public Collector {
 public:
  RowFormat format(const Item&) const override { return {DType::F32, {1}}; }
  void encode(const Item&, std::span<std::uint8_t>) const override {}
};

/// A plan of fake stages: each {id, plugin, from}.
Plan plan_of(const std::vector<std::array<std::string, 3>>& stages, int threads, std::size_t in_flight = 0) {
  Plan plan;
  plan.run.threads = threads;
  if (in_flight > 0) plan.run.in_flight = in_flight;
  std::map<std::string, PluginSchema> schemas;
  for (const PluginSchema& s : FakePlugins::usual()) schemas[s.name] = s;
  std::map<std::string, std::size_t> index;
  for (const auto& [id, plugin, from] : stages) {
    StagePlan s;
    s.id = id;
    s.where = "test.yaml:" + std::to_string(plan.stages.size() + 1) + ":3";
    s.schema = schemas.at(plugin);
    if (!from.empty()) s.inputs.push_back({index.at(from), 0});
    index[id] = plan.stages.size();
    plan.stages.push_back(s);
  }
  return plan;
}

struct Outcome {
  FlowResult result;
  std::map<std::size_t, std::map<std::string, float>> rows;
  std::map<std::size_t, std::map<std::string, std::string>> rejects;
  int peak = 0;
};

/// The plan, whose parameters declare as many views as the stages make.
Plan with_views_of(Plan plan, const std::vector<Stage*>& stages) {
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto* transform = dynamic_cast<const Transform*>(stages[i]);
    if (transform == nullptr) continue;
    Value params = Value::map();
    params["views"] = static_cast<int>(transform->views());
    plan.stages[i].params = Params(params);
  }
  return plan;
}

Outcome run(const Plan& without_views, const std::vector<Stage*>& stages, std::size_t items,
            const std::function<void(Numbers&, Kept&)>& prepare = {}) {
  Numbers input(items);
  Kept output;
  if (prepare) prepare(input, output);
  const Plan plan = with_views_of(without_views, stages);
  Meter meter(plan.stages.size());
  const std::atomic<bool> never{false};
  Workers workers(plan.run.threads);
  Outcome o;
  workers.execute([&] {
    Flow flow(plan, 0, stages, input, output, meter, never);
    o.result = flow.run();
  });
  o.rows = output.rows;
  o.rejects = output.rejects;
  o.peak = input.peak;
  return o;
}

class FlowTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, FlowTest, ::testing::Values(1, 2, 8));

TEST_P(FlowTest, EveryItemArrivesThroughAChain) {
  const Plan plan = plan_of(
      {{"s", "files", ""}, {"a", "views", "s"}, {"b", "views", "a"}, {"t", "table", "b"}}, GetParam());
  Map twice([](const Item&, float v) { return 2 * v; }), plus([](const Item&, float v) { return v + 1; });
  Table table;
  const Outcome o = run(plan, {nullptr, &twice, &plus, &table}, 5000);
  EXPECT_EQ(o.result.admitted, 5000u);
  EXPECT_EQ(o.result.collected, 5000u);
  ASSERT_EQ(o.rows.at(3).size(), 5000u);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(o.rows.at(3).at(std::to_string(i) + "/0"), 2 * i + 1);
  EXPECT_LE(o.peak, static_cast<int>(plan.credits(0)));
}

TEST_P(FlowTest, AnExceptionOfOneItemIsItsRejectAndNothingElse) {
  const Plan plan = plan_of(
      {{"s", "files", ""}, {"a", "views", "s"}, {"b", "views", "a"}, {"t", "table", "b"}}, GetParam());
  Map bad([](const Item& item, float v) -> float {
    if (item.key() == "10") throw Reject("torn", "it is torn");
    if (item.key() == "11") throw std::runtime_error("it broke");
    if (item.key() == "12") throw 7;
    if (item.key() == "13") throw std::bad_alloc();
    return v;
  });
  Map keep([](const Item&, float v) { return v; });
  Table table;
  const Outcome o = run(plan, {nullptr, &bad, &keep, &table}, 1000);
  EXPECT_EQ(o.rows.at(3).size(), 996u);
  EXPECT_EQ(o.rejects.at(3).at("10/0"), "a: it is torn [torn]");
  EXPECT_EQ(o.rejects.at(3).at("11/0"), "a: it broke [failed]");
  EXPECT_EQ(o.rejects.at(3).at("12/0"), "a: apply threw a value of type int, not a graft::Error [failed]");
  EXPECT_EQ(o.rejects.at(3).at("13/0"), "a: not enough memory for this item [out-of-memory]");
  EXPECT_EQ(o.result.fatal, "");
}

// An exception outside of plugin calls loses a message on its way: downstream batches must not wait for it,
// and the credits that they hold must come back.
TEST_P(FlowTest, WhatIsThrownInTheGraphItselfEndsTheRunAndDrains) {
  const Plan plan = plan_of({{"s", "files", ""},
                             {"a", "views", "s"},
                             {"n", "net", "a"},
                             {"m", "net", "n"},
                             {"t", "table", "m"},
                             {"u", "table", "a"}},
                            GetParam(), 9);
  Map bad([](const Item& item, float v) -> float {
    if (item.key() == "10") throw 7;
    return v;
  });
  Batch first(4), second(3);
  Table t, u;
  for (int i = 0; i < 30; ++i) {
    const Outcome own = run(plan, {nullptr, &bad, &first, &second, &t, &u}, 100000,
                            [](Numbers&, Kept& out) { out.misbehaved_throws = true; });
    EXPECT_EQ(own.result.fatal,
              "stage 's' (files, test.yaml:1:3): the graph at this stage: out of memory; lower run.memory or "
              "run.threads");
    EXPECT_LT(own.result.admitted, 1000u);
    const Outcome collect = run(plan, {nullptr, &bad, &first, &second, &t, &u}, 100000,
                                [](Numbers&, Kept& out) { out.collect_throws_at = "20"; });
    EXPECT_THAT(collect.result.fatal, HasSubstr("collect threw a value of type int, not a graft::Error"));
    EXPECT_LT(collect.result.admitted, 1000u);
  }
}

TEST_P(FlowTest, AFatalErrorOfOneItemEndsTheRun) {
  const Plan plan =
      plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"n", "net", "a"}, {"t", "table", "n"}}, GetParam());
  Map bad([](const Item& item, float v) -> float {
    if (item.key() == "10") throw FatalError("rows differ from the plain path");
    return v;
  });
  Batch batch(4);
  Table table;
  const Outcome o = run(plan, {nullptr, &bad, &batch, &table}, 100000);
  EXPECT_EQ(o.result.fatal, "stage 'a' (views, test.yaml:2:3), item '10': rows differ from the plain path");
  EXPECT_LT(o.result.admitted, 100000u);
  EXPECT_TRUE(o.rejects.empty());
}

TEST_P(FlowTest, ViewsOfARejectedItemAreRejectedOneByOne) {
  // Three views, of which the second is refused, then two of each: views 2 and 3 of six are lost.
  Plan plan = plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"b", "views", "a"}, {"t", "table", "b"}},
                      GetParam());
  Map three(
      [](const Item& item, float v) -> float {
        if (item.view == 1) throw Reject("odd", "not this one");
        return v;
      },
      3);
  Map two([](const Item&, float v) { return v; }, 2);
  Table table;
  const Outcome o = run(plan, {nullptr, &three, &two, &table}, 50);
  EXPECT_EQ(o.rows.at(3).size(), 200u);
  EXPECT_EQ(o.rejects.at(3).size(), 100u);
  EXPECT_EQ(o.rejects.at(3).at("7/2"), "a: not this one [odd]");
  EXPECT_EQ(o.rejects.at(3).at("7/3"), "a: not this one [odd]");
  EXPECT_EQ(o.rows.at(3).count("7/4"), 1u);
}

TEST_P(FlowTest, OnErrorFailNamesStagePlaceItemAndText) {
  Plan plan = plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"t", "table", "a"}}, GetParam());
  plan.stages[1].on_error = OnError::Fail;
  Map bad([](const Item& item, float v) -> float {
    if (item.key() == "10") throw Reject("torn", "it is torn");
    return v;
  });
  Table table;
  const Outcome o = run(plan, {nullptr, &bad, &table}, 100000);
  EXPECT_EQ(o.result.fatal, "stage 'a' (views, test.yaml:2:3), item '10': it is torn [torn]");
  EXPECT_LT(o.result.admitted, 100000u) << "a fatal fault stops admission";
}

TEST_P(FlowTest, BatchesHoldTheSameItemsForAnyNumberOfThreads) {
  const Plan plan =
      plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"n", "net", "a"}, {"t", "table", "n"}}, GetParam());
  Map bad([](const Item& item, float v) -> float {
    if (item.key() == "3") throw Reject("torn", "it is torn");
    return v;
  });
  Batch batch(4);
  Table table;
  const Outcome o = run(plan, {nullptr, &bad, &batch, &table}, 1002);
  ASSERT_EQ(o.rows.at(3).size(), 1001u);
  std::vector<int> left;
  for (int i = 0; i < 1002; ++i)
    if (i != 3) left.push_back(i);
  for (std::size_t i = 0; i < left.size(); ++i)
    ASSERT_EQ(o.rows.at(3).at(std::to_string(left[i]) + "/0"),
              static_cast<float>(left[i] * 1000 + left[i / 4 * 4]));
  EXPECT_EQ(o.rejects.at(3).size(), 1u);
  EXPECT_EQ(batch.largest, 4u);
}

TEST_P(FlowTest, AStageMayLimitHowManyBatchesRunAtOnce) {
  const Plan plan = plan_of({{"s", "files", ""}, {"b", "net", "s"}, {"t", "table", "b"}}, GetParam());
  Batch one(4);
  one.at_once = 1;
  Table table;
  const Outcome o = run(plan, {nullptr, &one, &table}, 2000);
  EXPECT_EQ(o.rows.at(2).size(), 2000u);
  EXPECT_EQ(one.most_running, 1);
}

TEST_P(FlowTest, BatchFaultsOfItemsAndOfTheWhole) {
  const Plan plan = plan_of({{"s", "files", ""}, {"n", "net", "s"}, {"t", "table", "n"}}, GetParam());
  Table table;
  Batch some(4);
  some.reject_at = 5;
  some.forget_at = 6;
  const Outcome o = run(plan, {nullptr, &some, &table}, 100);
  EXPECT_EQ(o.rows.at(2).size(), 98u);
  EXPECT_EQ(o.rejects.at(2).at("5/0"), "n: this one will not do [odd]");
  EXPECT_EQ(o.rejects.at(2).at("6/0"), "n: the stage gave no result for this item [failed]");

  Batch all(4);
  all.fail_at = 8;
  const Outcome fatal = run(plan, {nullptr, &all, &table}, 100);
  EXPECT_EQ(fatal.result.fatal, "stage 'n' (net, test.yaml:2:3), batch of '8' .. '11': the device is gone");
  // A fresh graph after a failure delivers everything.
  Batch well(4);
  EXPECT_EQ(run(plan, {nullptr, &well, &table}, 100).rows.at(2).size(), 100u);
}

TEST_P(FlowTest, BranchesViewsAndSplitsKeepEveryItem) {
  // s -> v (3 views, train only) -> n (batches of 4) -> t1
  //                              -> w -> t2
  Plan plan = plan_of({{"s", "files", ""},
                       {"v", "views", "s"},
                       {"n", "net", "v"},
                       {"w", "views", "v"},
                       {"t1", "table", "n"},
                       {"t2", "table", "w"}},
                      GetParam());
  plan.stages[1].splits = {Split::Train};
  Map views([](const Item& item, float v) { return v + 0.25f * static_cast<float>(item.view); }, 3);
  Map keep([](const Item&, float v) { return v; });
  Batch batch(4);
  Table t1, t2;
  Numbers input(200);
  Kept output;
  struct Mixed final : FlowInput {
    explicit Mixed(Numbers& n) : numbers(n) {}
    std::shared_ptr<InFlightEntry> next() override {
      auto o = numbers.next();
      if (o) o->split = o->sequence % 2 == 0 ? Split::Train : Split::Test;
      if (o) o->missing_in_tables = 3;
      return o;
    }
    bool load(InFlightEntry& o, Payload& p) override {
      if (o.sequence == 7) throw Reject("missing", "no such file");
      return numbers.load(o, p);
    }
    Numbers& numbers;
  } mixed(input);
  const std::vector<Stage*> stages{nullptr, &views, &batch, &keep, &t1, &t2};
  plan = with_views_of(plan, stages);
  Meter meter(plan.stages.size());
  const std::atomic<bool> never{false};
  Workers workers(GetParam());
  workers.execute([&] {
    Flow flow(plan, 0, stages, mixed, output, meter, never);
    EXPECT_EQ(flow.run().fatal, "");
  });
  for (const std::size_t t : {4u, 5u}) {
    EXPECT_EQ(output.rows.at(t).size(), 100u * 3 + 99u);
    EXPECT_EQ(output.rejects.at(t).size(), 1u);
    EXPECT_EQ(output.rejects.at(t).at("7/0"), "s: no such file [missing]");
  }
  EXPECT_EQ(output.rows.at(5).at("10/2"), 10.5f);
  EXPECT_EQ(output.rows.at(5).count("11/1"), 0u);
}

TEST_P(FlowTest, TightCreditsNeverStall) {
  for (const std::size_t credits : {5u, 6u, 9u, 17u}) {
    const Plan plan =
        plan_of({{"s", "files", ""}, {"n", "net", "s"}, {"t", "table", "n"}}, GetParam(), credits);
    Batch batch(4);
    Table table;
    const Outcome o = run(plan, {nullptr, &batch, &table}, 2003,
                          [](Numbers& in, Kept&) { in.skip = [](std::uint64_t i) { return i % 7 == 3; }; });
    EXPECT_EQ(o.rows.at(2).size() + (2003 + 3) / 7, 2003u);
    EXPECT_LE(o.peak, static_cast<int>(credits));
  }
}

TEST_P(FlowTest, AMemoryBudgetHoldsItemsBack) {
  Plan plan = plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"t", "table", "a"}}, GetParam(), 64);
  plan.run.memory = 40;  // ten items of four bytes
  Map keep([](const Item&, float v) { return v; });
  Table table;
  const Outcome o = run(plan, {nullptr, &keep, &table}, 3000, [](Numbers&, Kept& out) { out.slow_us = 20; });
  EXPECT_EQ(o.rows.at(2).size(), 3000u);
  // Until the first items have shown their size, the item limit alone holds.
  EXPECT_LE(o.result.peak_bytes, 64u * 4);
}

TEST_P(FlowTest, ASourceThatThrowsEndsTheRunWithItsMessage) {
  const Plan plan = plan_of({{"s", "files", ""}, {"n", "net", "s"}, {"t", "table", "n"}}, GetParam());
  Batch batch(4);
  Table table;
  const Outcome o = run(plan, {nullptr, &batch, &table}, 100, [](Numbers& in, Kept&) { in.throw_at = 41; });
  EXPECT_EQ(o.result.fatal, "stage 's' (files, test.yaml:1:3): the list is broken");
}

TEST_P(FlowTest, InterruptingDrainsAndReturns) {
  const Plan plan =
      plan_of({{"s", "files", ""}, {"a", "views", "s"}, {"n", "net", "a"}, {"t", "table", "n"}}, GetParam());
  std::atomic<bool> stop{false};
  Map trip([&](const Item& item, float v) {
    if (item.key() == "500") stop = true;
    return v;
  });
  Batch batch(4);
  Table table;
  Numbers input(1000000);
  Kept output;
  Meter meter(plan.stages.size());
  Workers workers(GetParam());
  FlowResult result;
  workers.execute([&] {
    Flow flow(plan, 0, {nullptr, &trip, &batch, &table}, input, output, meter, stop);
    result = flow.run();
  });
  EXPECT_LT(result.admitted, 2000u);
  EXPECT_LE(output.rows[3].size(), result.admitted);
  EXPECT_EQ(output.rejects.size(), 0u) << "an item that was not finished is no reject";
}

TEST(Flow, RandomGraphsAndCreditsConserveItems) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    const int threads = 1 + static_cast<int>(random.below(4));
    std::vector<std::array<std::string, 3>> stages{{"s", "files", ""}};
    std::vector<std::unique_ptr<Stage>> owned;
    std::vector<Stage*> pointers{nullptr};
    std::size_t batches = 0;
    const std::size_t n = 1 + random.below(6);
    for (std::size_t i = 0; i < n; ++i) {
      const std::string from = stages[random.below(stages.size())][0];
      const bool batch = random.chance(0.4);
      if (batch) {
        const std::size_t size = 1 + random.below(5);
        batches += size;
        owned.push_back(std::make_unique<Batch>(size));
      } else {
        owned.push_back(std::make_unique<Map>([](const Item&, float v) { return v; }, 1 + random.below(3)));
      }
      stages.push_back({"x" + std::to_string(i), batch ? "net" : "views", from});
      pointers.push_back(owned.back().get());
    }
    const std::size_t inner = stages.size();
    for (std::size_t i = 0; i < inner; ++i) {
      owned.push_back(std::make_unique<Table>());
      stages.push_back({"t" + std::to_string(i), "table", stages[i][0]});
      pointers.push_back(owned.back().get());
    }
    const Plan plan = plan_of(stages, threads, batches + 1 + random.below(20));
    const std::size_t items = random.below(300);
    const Outcome o = run(plan, pointers, items);
    for (std::size_t i = inner; i < stages.size(); ++i) {
      std::size_t views = 1;
      for (std::size_t at = plan.stages[i].inputs[0].stage; at != 0; at = plan.stages[at].inputs[0].stage)
        if (const auto* t = dynamic_cast<Transform*>(pointers[at])) views *= t->views();
      const auto rows = o.rows.count(i) != 0 ? o.rows.at(i).size() : 0;
      EXPECT_EQ(rows, items * views) << "seed " << seed << ", table " << stages[i][0];
    }
  }
}

}  // namespace
}  // namespace graft
