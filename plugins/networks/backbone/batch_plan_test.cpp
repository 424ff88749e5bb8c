#include "batch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <utility>

#include <graft/error.h>

namespace graft {
namespace {

/// Takes a given time for a batch.
class Slow final : public nn::Engine {
 public:
  Slow(std::chrono::milliseconds time, bool on_cpu) : time_(time), on_cpu_(on_cpu) {}
  std::vector<Tensor> run(const float*, int height, int width) const override {
    if (height == 7) throw nn::UnfitInput("too small");
    if (height != 20 || width != 30) throw Error("another size");
    std::this_thread::sleep_for(time_);
    return {};
  }
  bool on_cpu() const override { return on_cpu_; }

 private:
  std::chrono::milliseconds time_;
  bool on_cpu_;
};

struct Given {
  int threads = 4;
  std::string shape = "u8[20,30,3]";
  std::optional<std::size_t> inputs = 100000;
  Value own = Value::map();  ///< threads_per_batch, concurrent_batches
  bool on_cpu = true;
  std::optional<int> usual_side = {};
};

/// `milliseconds[k]`: of a batch with 2^k threads.
BatchPlan plan(const std::vector<int>& milliseconds, const Given& given = {}) {
  Value values = given.own;
  values["batch"] = 2;
  for (const char* name : {"threads_per_batch", "concurrent_batches"})
    if (values.find(name) == nullptr) values[name] = nullptr;
  const Params params(values);
  StageContext context{"features", params, 0, given.threads, {}};
  context.input_shape = given.shape;
  context.listed_inputs = given.inputs;
  return plan_batches(context, given.usual_side,
                      [&](int threads) -> std::unique_ptr<nn::Engine> {
                        std::size_t k = 0;
                        while ((1 << k) < threads) ++k;
                        return std::make_unique<Slow>(std::chrono::milliseconds(milliseconds.at(k)),
                                                      given.on_cpu);
                      })
      .plan;
}

std::pair<int, int> chosen(const BatchPlan& plan) {
  EXPECT_EQ(plan.facts.find("threads_per_batch")->as_int(), plan.threads_per_batch);
  EXPECT_EQ(plan.facts.find("concurrent_batches")->as_int(), plan.concurrent_batches);
  return {plan.threads_per_batch, plan.concurrent_batches};
}

TEST(BatchPlan, TakesTheFastestWayToShareTheThreads) {
  // Images in a second: 4 x 2 in 40 ms, 2 x 2 in 5 ms, 1 x 2 in 20 ms.
  const BatchPlan best = plan({40, 5, 20});
  EXPECT_EQ(chosen(best), std::pair(2, 2));
  const auto& tried = best.facts.find("measured")->as_list();
  ASSERT_EQ(tried.size(), 3u);
  EXPECT_EQ(tried[1].find("threads_per_batch")->as_int(), 2);
  EXPECT_EQ(tried[1].find("concurrent_batches")->as_int(), 2);
  EXPECT_GT(tried[1].find("images_per_second")->as_double(), tried[0].find("images_per_second")->as_double());
}

TEST(BatchPlan, StaysWithOneThreadPerBatchUnlessMoreAreWorthIt) {
  // Nearly equal, so that a busy machine, which wakes sleepers late, does not decide.
  EXPECT_EQ(chosen(plan({200, 115, 65})), std::pair(1, 4));
}

TEST(BatchPlan, DoesNotMeasureWhereThatIsNotWorthIt) {
  const auto reason = [&](const Given& given) {
    const BatchPlan p = plan({1, 1, 1}, given);
    EXPECT_EQ(chosen(p), std::pair(1, given.threads));
    EXPECT_EQ(p.facts.find("measured"), nullptr);
    return p.facts.find("not_measured")->as_string();
  };
  EXPECT_EQ(reason({.threads = 1}), "the run has one thread");
  EXPECT_EQ(reason({.inputs = 799}), "there are fewer than 800 images");
  EXPECT_EQ(reason({.inputs = {}}), "there are fewer than 800 images");
  EXPECT_EQ(reason({.shape = "u8[?,?,3]"}), "the config does not specify the size of the images");
  EXPECT_EQ(reason({.shape = "u8[7,7,3]"}), "too small");  // the images will be rejected, not the run
  EXPECT_EQ(reason({.on_cpu = false}), "the model runs on a GPU");
}

TEST(BatchPlan, ImagesOfUnknownSizeAreTakenForThoseOfTheNetwork) {
  const BatchPlan p = plan({1, 1, 1}, {.shape = "u8[?,?,3]", .usual_side = 7});
  EXPECT_EQ(p.facts.find("not_measured")->as_string(), "too small");  // it was tried with that size
}

TEST(BatchPlan, WhatTheConfigSaysIsTaken) {
  const auto with = [](const char* json) { return chosen(plan({1, 1, 1}, {.own = Value::from_json(json)})); };
  EXPECT_EQ(with(R"({"threads_per_batch": 2})"), std::pair(2, 2));
  EXPECT_EQ(with(R"({"concurrent_batches": 1})"), std::pair(4, 1));
  EXPECT_EQ(with(R"({"threads_per_batch": 3, "concurrent_batches": 5})"), std::pair(3, 5));
}

}  // namespace
}  // namespace graft
