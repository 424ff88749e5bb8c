#include "batch_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <graft/random.h>
#include <network/input_size.h>

using namespace graft;

namespace {

/// A trial takes about as long as this part of a run, at most.
constexpr std::size_t kRoundsWorthATrial = 100;
constexpr int kTimedBatches = 2;
constexpr double kWorthMoreThreads = 1.1;

using Size = nn::ImageSize;

/// Runs `batches` batches of noise on each of so many threads.
void run_batches(const nn::Engine& engine, int concurrent, int batches, const std::vector<float>& images,
                 Size size) {
  std::vector<std::exception_ptr> faults(static_cast<std::size_t>(concurrent));
  std::vector<std::thread> threads;
  for (std::exception_ptr& fault : faults)
    threads.emplace_back([&] {
      try {
        engine.enter_thread();
        for (int i = 0; i < batches; ++i) engine.run(images.data(), size.height, size.width);
      } catch (...) {
        fault = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& fault : faults)
    if (fault) std::rethrow_exception(fault);
}

double images_per_second(const nn::Engine& engine, int concurrent, int batch, Size size) {
  std::vector<float> images(static_cast<std::size_t>(batch) * 3 * static_cast<std::size_t>(size.height) *
                            static_cast<std::size_t>(size.width));
  Random random(1);
  for (float& v : images) v = static_cast<float>(random.uniform(-2.0, 2.0));
  run_batches(engine, concurrent, 1, images, size);  // kernels are made and memory is touched
  const auto start = std::chrono::steady_clock::now();
  run_batches(engine, concurrent, kTimedBatches, images, size);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return concurrent * kTimedBatches * batch / seconds.count();
}

/// Why no trial is made; empty: one is.
std::string reason_against(const StageContext& context, const nn::Engine& engine,
                           const std::optional<Size>& size) {
  if (context.threads == 1) return "the run has one thread";
  if (!engine.on_cpu()) return "the model runs on a GPU";
  if (!size) return "the config does not specify the size of the images";
  const std::size_t worth = kRoundsWorthATrial * context.params.get<std::size_t>("batch") *
                            static_cast<std::size_t>(context.threads);
  if (!context.listed_inputs || *context.listed_inputs < worth)
    return fmt::format("there are fewer than {} images", worth);
  return "";
}

/// Tries every way to share the threads evenly, and keeps the best.
void measure(const StageContext& context, const std::function<std::unique_ptr<nn::Engine>(int threads)>& make,
             Size size, PlannedEngine& best) {
  const int batch = context.params.get<int>("batch");
  Value tried = Value::list();
  double best_rate = 0;
  for (int threads = 1; threads <= context.threads; threads *= 2) {
    const int concurrent = context.threads / threads;
    std::unique_ptr<nn::Engine> other;
    if (threads > 1 && !(other = best.engine->with_threads(threads))) other = make(threads);
    const double rate = images_per_second(other ? *other : *best.engine, concurrent, batch, size);
    tried.push(Value::Map{{"threads_per_batch", threads},
                          {"concurrent_batches", concurrent},
                          {"images_per_second", std::round(rate * 10) / 10}});
    if (threads > 1 && rate < best_rate * kWorthMoreThreads) continue;
    best_rate = rate;
    if (other) best.engine = std::move(other);
    best.plan.threads_per_batch = threads;
    best.plan.concurrent_batches = concurrent;
  }
  best.plan.facts["measured"] = std::move(tried);
}

}  // namespace

PlannedEngine plan_batches(const StageContext& context, std::optional<int> usual_side,
                           const std::function<std::unique_ptr<nn::Engine>(int threads)>& make) {
  const Params& params = context.params;
  PlannedEngine best;
  BatchPlan& plan = best.plan;
  plan.facts = Value::map();
  const bool given = params.has("threads_per_batch") || params.has("concurrent_batches");
  if (given) {
    plan.threads_per_batch = params.has("threads_per_batch")
                                 ? params.get<int>("threads_per_batch")
                                 : std::max(1, context.threads / params.get<int>("concurrent_batches"));
    plan.concurrent_batches = params.has("concurrent_batches")
                                  ? params.get<int>("concurrent_batches")
                                  : std::max(1, context.threads / plan.threads_per_batch);
  } else {
    plan.concurrent_batches = context.threads;
  }
  best.engine = make(plan.threads_per_batch);

  std::optional<Size> size = nn::input_size_in(context.input_shape);
  if (!size && usual_side) size = Size{*usual_side, *usual_side};
  const std::string reason = given ? "given in the config" : reason_against(context, *best.engine, size);
  if (!reason.empty()) {
    plan.facts["not_measured"] = reason;
  } else {
    try {
      measure(context, make, *size, best);
    } catch (const nn::UnfitInput& fault) {
      plan.facts["not_measured"] = fault.what();
    }
  }
  plan.facts["threads_per_batch"] = plan.threads_per_batch;
  plan.facts["concurrent_batches"] = plan.concurrent_batches;
  return best;
}
