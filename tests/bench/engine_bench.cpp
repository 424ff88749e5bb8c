// engine_bench THREADS NETWORK|FILE|FOLDER...: images per second of the engine `fused`, THREADS threads,
// each with its own batch, at the size that the network was trained on. Best of three rounds, one line per
// network. "product" in place of a network: the rate of a large matrix product by oneDNN, each thread with
// its own, which is what networks are held against. GRAFT_BENCH_SIZE: another size of images.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/random.h>
#include <network/open_model.h>

#include "fused_engine.h"
#include "onednn.h"
#include "thread_count.h"

namespace {

using namespace graft;

constexpr int kBatch = 8;

/// As a stage opens it: a network of the list with random weights, or any file or folder.
nn::Model model_of(const std::string& name) {
  Value given = Value::map();
  const bool is_file = std::filesystem::exists(name);
  given[is_file ? "model" : "architecture"] = name;
  if (!is_file) given["untrained"] = true;
  std::vector<ParamFault> faults;
  const Params params(resolve(nn::model_parameters(), given, faults));
  if (!faults.empty()) throw Error(name + ": " + faults[0].text);
  return nn::open_model(params, [](const nn::Architecture& net) { return std::vector{net.tap}; });
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
  const char* const size = std::getenv("GRAFT_BENCH_SIZE");
  const int side = size != nullptr ? std::atoi(size) : model.architecture->preprocessing.crop;
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

/// 2 x 1,576 x 3,072 x 768 operations: a product of ViT-B/16 with eight images.
void measure_product(int threads) {
  using dnnl::memory;
  constexpr memory::dim kRows = 1576, kInner = 3072, kColumns = 768;
  constexpr double kOperations = 2.0 * kRows * kInner * kColumns;
  const auto of = [](memory::dim rows, memory::dim columns) {
    return memory::desc({rows, columns}, memory::data_type::f32, memory::format_tag::ab);
  };
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> workers;
    std::vector<double> rate(static_cast<std::size_t>(threads));
    for (double& own : rate)
      workers.emplace_back([&own, &of] {
        const fused::ThreadCount one(1);
        const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
        dnnl::stream stream(engine);
        const dnnl::matmul product(fused::onednn::matmul(engine, of(kRows, kInner), of(kInner, kColumns),
                                                         of(kRows, kColumns), dnnl::primitive_attr()));
        std::unordered_map<int, memory> arguments;
        for (const auto& [argument, layout] :
             {std::pair(DNNL_ARG_SRC, of(kRows, kInner)), std::pair(DNNL_ARG_WEIGHTS, of(kInner, kColumns)),
              std::pair(DNNL_ARG_DST, of(kRows, kColumns))}) {
          memory& made = arguments[argument] = memory(layout, engine);
          auto* const values = static_cast<float*>(made.get_data_handle());
          std::fill_n(values, layout.get_size() / sizeof(float), 0.5f);
        }
        constexpr int kTimes = 20;
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < kTimes; ++i) product.execute(stream, arguments);
        stream.wait();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        own = kTimes * kOperations / seconds.count() / 1e9;
      });
    for (std::thread& worker : workers) worker.join();
    best = std::max(best, std::accumulate(rate.begin(), rate.end(), 0.0));
  }
  fmt::print("product {:.0f}\n", best);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw Error("usage: engine_bench THREADS NETWORK|FILE|FOLDER...");
  for (int i = 2; i < argc; ++i)
    std::string_view(argv[i]) == "product" ? measure_product(std::atoi(argv[1]))
                                           : measure(argv[i], std::atoi(argv[1]));
  return 0;
} catch (const std::exception& fault) {
  fmt::print(stderr, "engine_bench: {}\n", fault.what());
  return 1;
}
