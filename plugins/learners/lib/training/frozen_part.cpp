#include <training/frozen_part.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <libtorch/program.h>

namespace graft::training {
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
  libtorch::use_one_thread();
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

/// Those of some images.
at::Tensor FrozenPart::of(const Pixels& pixels, std::size_t first, std::size_t n) const {
  libtorch::use_one_thread();
  const c10::InferenceMode inference;
  const at::Tensor images = at::empty({static_cast<std::int64_t>(n), 3, pixels.height(), pixels.width()});
  for (std::size_t i = 0; i < n; ++i)
    pixels.pack(first + i, images.data_ptr<float>() + static_cast<std::int64_t>(i) * images.stride(0));
  return run(images);
}

/// Hands out the values block by block: the first image, and the values from it on.
template <typename Take>
void FrozenPart::for_blocks(const Pixels& pixels, Parallel& parallel, const Take& take) const {
  parallel.for_each((pixels.size() + kBlock - 1) / kBlock, [&](std::size_t block) {
    const std::size_t first = block * kBlock;
    take(first, of(pixels, first, std::min(kBlock, pixels.size() - first)));
  });
}

bool FrozenPart::keep(const Pixels& pixels, std::size_t bytes, Parallel& parallel) {
  if (pixels.size() == 0) return true;
  const at::Tensor one = of(pixels, 0, 1);
  const auto size = static_cast<std::size_t>(one.numel()) * sizeof(float);
  if (pixels.size() > bytes / size) return false;
  auto sizes = one.sizes().vec();
  sizes[0] = static_cast<std::int64_t>(pixels.size());
  const at::Tensor all = at::empty(sizes, at::kFloat, format_for(sizes.size()));
  for_blocks(pixels, parallel, [&](std::size_t first, const at::Tensor& values) {
    std::memcpy(all.data_ptr<float>() + static_cast<std::int64_t>(first) * one.numel(),
                values.contiguous(format_for(sizes.size())).data_ptr<float>(),
                static_cast<std::size_t>(values.numel()) * sizeof(float));
  });
  kept_.emplace(&pixels, all);
  return true;
}

std::vector<float> FrozenPart::values(const Pixels& pixels, Parallel& parallel) const {
  if (pixels.size() == 0) return {};
  const std::int64_t one = of(pixels, 0, 1).numel();
  std::vector<float> out(pixels.size() * static_cast<std::size_t>(one));
  const auto take = [&](std::size_t first, const at::Tensor& values) {
    std::memcpy(out.data() + first * static_cast<std::size_t>(one), values.contiguous().data_ptr<float>(),
                static_cast<std::size_t>(values.numel()) * sizeof(float));
  };
  if (keeps(pixels))
    take(0, kept(pixels));
  else
    for_blocks(pixels, parallel, take);
  return out;
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

}  // namespace graft::training
