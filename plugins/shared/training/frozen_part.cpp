#include "frozen_part.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <graft/error.h>

#include "program.h"

namespace graft {
namespace {

/// Images that one thread computes at a time.
constexpr std::size_t kBlock = 16;

at::MemoryFormat format_for(std::size_t dimensions) {
  return dimensions == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

}  // namespace

FrozenPart::FrozenPart(std::unique_ptr<nn::Engine> engine, int batch)
    : engine_(std::move(engine)), batch_(batch) {}

at::Tensor FrozenPart::run(const at::Tensor& images) const {
  engine_->enter_thread();
  const int height = static_cast<int>(images.size(2)), width = static_cast<int>(images.size(3));
  const at::Tensor input = images.contiguous();
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < input.size(0); first += batch_) {
    const std::int64_t n = std::min(batch_, input.size(0) - first);
    at::Tensor batch = input.narrow(0, first, n);
    if (n < batch_) {  // an engine takes whole batches
      batch = at::zeros({batch_, input.size(1), height, width});
      batch.narrow(0, 0, n).copy_(input.narrow(0, first, n));
    }
    const Tensor value = engine_->run(batch.data_ptr<float>(), height, width).at(0);
    parts.push_back(
        at::from_blob(value.data, value.shape).narrow(0, 0, n).clone(format_for(value.shape.size())));
  }
  use_one_thread();
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

bool FrozenPart::keep(const Pixels& pixels, std::size_t bytes, Parallel& parallel,
                      const std::atomic<bool>& interrupted) {
  if (pixels.size() == 0) return true;
  const auto values_of = [&](std::size_t first, std::size_t n) {
    if (interrupted) throw Error("interrupted");
    use_one_thread();
    const c10::InferenceMode inference;
    const at::Tensor images = at::empty({static_cast<std::int64_t>(n), 3, pixels.height(), pixels.width()});
    for (std::size_t i = 0; i < n; ++i)
      pixels.pack(first + i, images.data_ptr<float>() + static_cast<std::int64_t>(i) * images.stride(0));
    return run(images);
  };
  const at::Tensor one = values_of(0, 1);
  const auto size = static_cast<std::size_t>(one.numel()) * sizeof(float);
  if (pixels.size() > bytes / size) return false;

  auto sizes = one.sizes().vec();
  sizes[0] = static_cast<std::int64_t>(pixels.size());
  const at::Tensor all = at::empty(sizes, at::kFloat, format_for(sizes.size()));
  parallel.for_each((pixels.size() + kBlock - 1) / kBlock, [&](std::size_t block) {
    const std::size_t first = block * kBlock, n = std::min(kBlock, pixels.size() - first);
    const at::Tensor values = values_of(first, n);
    std::memcpy(all.data_ptr<float>() + static_cast<std::int64_t>(first) * all.stride(0),
                values.data_ptr<float>(), n * size);
  });
  kept_.emplace(&pixels, all);
  return true;
}

at::Tensor FrozenPart::kept(const Pixels& pixels, std::span<const std::uint32_t> which) const {
  const at::Tensor& all = kept(pixels);
  auto sizes = all.sizes().vec();
  sizes[0] = static_cast<std::int64_t>(which.size());
  at::Tensor out = at::empty(sizes, at::kFloat, format_for(sizes.size()));
  const std::int64_t one = all.numel() / all.size(0);
  for (std::size_t i = 0; i < which.size(); ++i)
    std::memcpy(out.data_ptr<float>() + static_cast<std::int64_t>(i) * one,
                all.data_ptr<float>() + std::int64_t{which[i]} * one,
                static_cast<std::size_t>(one) * sizeof(float));
  return out;
}

std::size_t FrozenPart::kept_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [pixels, values] : kept_) bytes += static_cast<std::size_t>(values.nbytes());
  return bytes;
}

}  // namespace graft
