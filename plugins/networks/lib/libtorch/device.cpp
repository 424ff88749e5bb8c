#include <libtorch/device.h>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <graft/error.h>

namespace graft::libtorch {
namespace {

at::Device device_of(const std::string& name) {
  const auto gpus = static_cast<int>(torch::cuda::device_count());
  if (name == "auto") return gpus > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (name == "cpu") return at::Device(at::kCPU);
  const bool numbered = name.starts_with("cuda:") && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !numbered)
    throw Error(fmt::format("device: expected auto, cpu, cuda or cuda:NUMBER, got '{}'", name));
  const int index = numbered ? std::stoi(name.substr(5)) : 0;
  if (index >= gpus)
    throw Error(fmt::format(
        "device: '{}' is not available: {}; use cpu or auto", name,
        gpus > 0 ? fmt::format("LibTorch sees {} GPU{}, numbered from 0", gpus, gpus == 1 ? "" : "s")
        : torch::cuda::is_available() ? "LibTorch sees no GPU"
                                      : "this LibTorch has no CUDA, or there is no driver for it"));
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

/// Every tensor of a result on the CPU; waits for it.
c10::IValue fetched(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor().to(at::kCPU);
  if (!value.isTuple()) return value;
  std::vector<c10::IValue> values;
  for (const c10::IValue& v : value.toTuple()->elements()) values.push_back(fetched(v));
  return c10::ivalue::Tuple::create(std::move(values));
}

/// Results of parts of a batch, one after the other.
c10::IValue joined(const std::vector<c10::IValue>& parts) {
  if (parts.size() == 1) return parts[0];
  const auto cat = [&](const auto& tensor_of) {
    std::vector<at::Tensor> tensors;
    for (const c10::IValue& part : parts) tensors.push_back(tensor_of(part));
    return at::cat(tensors);
  };
  if (!parts[0].isTuple()) return cat([](const c10::IValue& part) { return part.toTensor(); });
  std::vector<c10::IValue> values;
  for (std::size_t i = 0; i < parts[0].toTuple()->elements().size(); ++i)
    values.push_back(cat([&](const c10::IValue& part) { return part.toTuple()->elements()[i].toTensor(); }));
  return c10::ivalue::Tuple::create(std::move(values));
}

}  // namespace

Device::Device(const std::string& name)
    : device_(device_of(name)),
      part_(std::make_shared<std::atomic<std::int64_t>>(std::numeric_limits<std::int64_t>::max())) {}

torch::jit::Module Device::place(torch::jit::Module module) const {
  if (is_cpu()) return module;
  module.to(device_);
  for (const auto& parameter : module.named_parameters())
    if (parameter.value.dim() == 4)
      parameter.value.set_data(parameter.value.contiguous(at::MemoryFormat::ChannelsLast));
  return module;
}

c10::IValue Device::run(const Program& program, const at::Tensor& images, at::ScalarType type) const {
  if (is_cpu()) return program.run(images.to(type));
  // A stream for each thread: copies and kernels of several batches overlap.
  const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  thread_local std::optional<c10::Stream> stream;
  if (!stream || stream->device() != device_) stream = guard.getStreamFromGlobalPool(device_, false);
  const c10::Stream before = guard.exchangeStream(*stream);
  try {
    c10::IValue out = run_parts(program, images, type);
    guard.exchangeStream(before);
    return out;
  } catch (...) {
    guard.exchangeStream(before);
    throw;
  }
}

c10::IValue Device::run_parts(const Program& program, const at::Tensor& images, at::ScalarType type) const {
  for (;;) {
    const std::int64_t part = std::min(part_->load(), images.size(0));
    try {
      std::vector<c10::IValue> parts;
      for (std::int64_t first = 0; first < images.size(0); first += part) {
        const at::Tensor some = images.narrow(0, first, std::min(part, images.size(0) - first));
        parts.push_back(fetched(program.run(some.pin_memory()
                                                .to(device_, type, /*non_blocking=*/true)
                                                .contiguous(at::MemoryFormat::ChannelsLast))));
      }
      return joined(parts);
    } catch (const c10::OutOfMemoryError&) {
      if (part <= 1) throw;
      part_->store((part + 1) / 2);
    }
  }
}

}  // namespace graft::libtorch
