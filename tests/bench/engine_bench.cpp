// engine_bench THREADS NETWORK|FILE.safetensors...: images per second of the engine `fused`, so many threads
// with a batch each, at the size that the network was trained on. Best of three rounds, one line a network.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/random.h>
#include <network/bind.h>
#include <network/initial_weights.h>

#include "fused_engine.h"

namespace {

using namespace graft;

constexpr int kBatch = 8;

nn::Model model_of(const std::string& name) {
  nn::Model model;
  model.name = name;
  if (!std::filesystem::exists(name)) {
    model.architecture = nn::make_architecture(name);
    model.weights = nn::initial_weights(*model.architecture, 1);
    return model;
  }
  const auto file = nn::open_weights(name);
  const auto best = nn::best_fit(*file);
  if (!best) throw Error(name + ": fits no architecture");
  model.architecture = best->architecture;
  model.weights = nn::bind(*model.architecture, *file, {model.architecture->tap});
  return model;
}

double images_per_second(const nn::Engine& engine, const std::vector<float>& images, int side, int threads,
                         int batches) {
  std::vector<std::thread> workers;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (int i = 0; i < batches; ++i) engine.run(images.data(), side, side);
    });
  for (std::thread& worker : workers) worker.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return threads * batches * kBatch / seconds.count();
}

void measure(const std::string& name, int threads) {
  const nn::Model model = model_of(name);
  nn::EngineOptions options;
  options.batch = kBatch;
  options.precision = std::getenv("GRAFT_BENCH_PRECISION") ? std::getenv("GRAFT_BENCH_PRECISION") : "fp32";
  const fused::FusedEngine engine(model, options);
  const int side = model.architecture->preprocessing.crop;
  std::vector<float> images(static_cast<std::size_t>(kBatch * 3 * side * side));
  Random random(1);
  for (float& v : images) v = static_cast<float>(random.uniform(-2, 2));
  const double first = images_per_second(engine, images, side, threads, 1);  // makes the kernels
  const int batches = std::max(2, static_cast<int>(first / threads / kBatch));
  double best = 0;
  for (int round = 0; round < 3; ++round)
    best = std::max(best, images_per_second(engine, images, side, threads, batches));
  fmt::print("{} {:.1f}\n", model.architecture->name, best);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw Error("usage: engine_bench THREADS NETWORK|FILE...");
  for (int i = 2; i < argc; ++i) measure(argv[i], std::atoi(argv[1]));
  return 0;
} catch (const std::exception& fault) {
  fmt::print(stderr, "engine_bench: {}\n", fault.what());
  return 1;
}
