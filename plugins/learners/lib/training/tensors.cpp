#include <training/tensors.h>

#include <fmt/format.h>

#include <cstring>

#include <graft/error.h>

namespace graft::training {

using torch::jit::Module;

Tensor copy_of(const at::Tensor& in) {
  const at::Tensor source = in.detach().contiguous();
  Tensor out = Tensor::allocate(DType::F32, Shape(source.sizes().begin(), source.sizes().end()));
  std::memcpy(out.data, source.data_ptr<float>(), out.bytes());
  return out;
}

void fill(const std::string& name, const at::Tensor& to, const std::map<std::string, Tensor>& from) {
  const auto found = from.find(name);
  if (found == from.end()) throw Error(fmt::format("tensor {} is missing", name));
  const Tensor& tensor = found->second;
  const Shape wanted(to.sizes().begin(), to.sizes().end());
  if (tensor.dtype != DType::F32 || tensor.shape != wanted)
    throw Error(fmt::format("tensor {}: expected f32{}, got {}{}", name, to_string(wanted),
                            to_string(tensor.dtype), to_string(tensor.shape)));
  to.copy_(at::from_blob(tensor.data, to.sizes()));
}

NamedTensors parameters_of(const Module& module) {
  NamedTensors out;
  for (const auto& p : module.named_parameters()) out.emplace_back(p.name, p.value);
  return out;
}

NamedTensors buffers_of(const Module& module) {
  NamedTensors out;
  for (const auto& b : module.named_buffers()) out.emplace_back(b.name, b.value);
  return out;
}

void use_channels_last(const Module& module) {
  for (const auto& p : module.named_parameters())
    if (p.value.dim() == 4) p.value.set_data(p.value.contiguous(at::MemoryFormat::ChannelsLast));
}

void share(const Module& master, Module module, bool statistics) {
  for (const auto& p : module.named_parameters(/*recurse=*/false))
    module.setattr(p.name, master.attr(p.name));
  if (statistics)
    for (const auto& b : module.named_buffers(/*recurse=*/false)) module.setattr(b.name, master.attr(b.name));
  for (const auto& child : module.named_children())
    share(master.attr(child.name).toModule(), child.value, statistics);
}

}  // namespace graft::training
