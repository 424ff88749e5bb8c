#include "fused_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include <graft/cpu_isa.h>
#include <graft/error.h>
#include <network/cost.h>

namespace graft::fused {
namespace {

std::vector<std::string> outputs_of(const nn::Model& model, const nn::EngineOptions& options) {
  return options.taps.empty() ? std::vector{model.architecture->tap} : options.taps;
}

/// Images of every size are taken, but memory stays bounded.
constexpr std::size_t kSizesKept = 16;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

/// Images that go through the network together. More of them share each reading of the weights, which pays
/// when these do not stay in the last-level cache; fewer keep what flows between layers in the second-level
/// cache. Measured with tests/bench/engine_bench on cores with 1 MiB and 32 MiB of those.
int images_at_once(const PackedNetwork& network, int height, int width, int batch) {
  std::int64_t weights = 0, largest = 3 * static_cast<std::int64_t>(height) * width;
  for (const Step& step : network.lowered().steps)
    weights += static_cast<std::int64_t>(step.weights.size()) * 4;
  for (const nn::LayerCost& layer : nn::cost_of(network.architecture(), height, width).layers)
    largest = std::max(largest, layer.bytes);
  int images = weights > 40 * kMiB ? 8 : weights > 24 * kMiB ? 4 : weights > 12 * kMiB ? 2 : 1;
  while (images < 8 && images * 2 * largest <= kMiB) images *= 2;
  return std::min(images, batch);
}

}  // namespace

FusedEngine::FusedEngine(const nn::Model& model, nn::EngineOptions options) : options_(std::move(options)) {
#if defined(__x86_64__)
  if (cpu_isa() < CpuIsa::Sse41)
    throw Error("engine: fused needs a processor with SSE4.1, which this one has not; use engine: torch");
#endif
  const bool bf16 = options_.precision == "bf16";
  if (bf16 && !has_avx512())
    throw Error("precision: bf16 needs a processor with AVX-512, which this one has not; use fp32, or auto");
  const auto outputs = outputs_of(model, options_);
  network_ = std::make_shared<PackedNetwork>(nn::reduced_to(*model.architecture, outputs),
                                             lower(*model.architecture, model.weights, outputs), bf16);
}

FusedEngine::FusedEngine(const FusedEngine& other, int batch)
    : options_(other.options_), network_(other.network_) {
  options_.batch = batch;
}

std::unique_ptr<nn::Engine> FusedEngine::with_threads(int threads) const {
  auto other = std::make_unique<FusedEngine>(*this, options_.batch);
  other->options_.threads = threads;
  return other;
}

std::shared_ptr<const Program> FusedEngine::program(int height, int width, Nan nan) const {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(programs_.begin(), programs_.end(), [&](const Prepared& p) {
    return p.height == height && p.width == width && p.nan == nan;
  });
  if (known != programs_.end()) {
    std::rotate(programs_.begin(), known, known + 1);
    return programs_.front().program;
  }
  try {
    nn::cost_of(network_->architecture(), height, width);
  } catch (const Error& fault) {
    throw nn::UnfitInput(fmt::format("the model does not take images of {} x {} ([n,3,{},{}]): {}", width,
                                     height, height, width, fault.what()));
  }
  const int images = nan == Nan::Kept ? 1 : images_at_once(*network_, height, width, options_.batch);
  programs_.insert(programs_.begin(), {height, width, nan,
                                       std::make_shared<const Program>(*network_, images, height, width,
                                                                       options_.threads, nan)});
  if (programs_.size() > kSizesKept) programs_.pop_back();
  return programs_.front().program;
}

std::vector<Tensor> FusedEngine::outputs_for(const Program& program, int count) const {
  std::vector<Tensor> out;
  for (Shape shape : program.output_shapes()) {
    shape[0] = count;
    out.push_back(Tensor::allocate(DType::F32, shape));
  }
  return out;
}

void FusedEngine::run(const Program& program, const float* images, int height, int width,
                      std::span<float* const> outputs) const {
  if (!program.run(images, outputs)) return;
  const int places = program.images();
  const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  std::vector<float> same(static_cast<std::size_t>(places) * one);
  std::vector<Tensor> unused = outputs_for(program, places);
  std::vector<float*> at;
  for (Tensor& value : unused) at.push_back(value.as<float>());
  const std::shared_ptr<const Program> slow = this->program(height, width, Nan::Kept);
  for (int i = 0; i < places; ++i) {
    // An image's values must not depend on its neighbours: which of them is it?
    const float* const image = images + static_cast<std::size_t>(i) * one;
    for (int place = 0; place < places; ++place)
      std::copy_n(image, one, same.data() + static_cast<std::size_t>(place) * one);
    if (places > 1 && !program.run(same.data(), at)) continue;
    std::vector<float*> own;
    for (std::size_t k = 0; k < unused.size(); ++k)
      own.push_back(outputs[k] + i * (unused[k].size() / places));
    static_cast<void>(slow->run(image, own));
  }
}

std::vector<Tensor> FusedEngine::run(const float* images, int height, int width) const {
  const std::shared_ptr<const Program> kept = program(height, width);
  const Program& program = *kept;
  std::vector<Tensor> out = outputs_for(program, options_.batch);
  const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  std::vector<float*> at(out.size());
  for (int first = 0; first < options_.batch; first += program.images()) {
    // The last group begins earlier if the batch is not a multiple: its images are then computed twice.
    const int begin = std::min(first, options_.batch - program.images());
    for (std::size_t i = 0; i < out.size(); ++i)
      at[i] = out[i].as<float>() + begin * (out[i].size() / options_.batch);
    run(program, images + static_cast<std::size_t>(begin) * one, height, width, at);
  }
  return out;
}

std::vector<Tensor> FusedEngine::run_plainly(const float* images, int count, int height, int width) const {
  const std::shared_ptr<const Program> program = this->program(height, width);
  const int places = program->images();
  std::vector<Tensor> out = outputs_for(*program, count), group = outputs_for(*program, places);
  std::vector<float*> at;
  for (Tensor& value : group) at.push_back(value.as<float>());
  const std::size_t one = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  std::vector<float> turned(static_cast<std::size_t>(places) * one);
  for (int first = 0; first < count; first += places) {
    // From the last to the first; places that are left over hold the first again.
    const int some = std::min(places, count - first);
    for (int i = 0; i < places; ++i)
      std::copy_n(images + static_cast<std::size_t>(first + std::max(0, some - 1 - i)) * one, one,
                  turned.data() + static_cast<std::size_t>(i) * one);
    run(*program, turned.data(), height, width, at);
    for (std::size_t output = 0; output < out.size(); ++output) {
      const std::int64_t n = out[output].size() / count;
      for (int i = 0; i < some; ++i)
        std::copy_n(at[output] + (some - 1 - i) * n, n, out[output].as<float>() + (first + i) * n);
    }
  }
  return out;
}

}  // namespace graft::fused
