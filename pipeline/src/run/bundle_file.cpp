#include "run/bundle_file.h"

#include <cstring>
#include <limits>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/files.h"

namespace graft {
namespace {

struct TypeName {
  DType dtype;
  const char* name;
};
constexpr TypeName kTypes[] = {
    {DType::U8, "U8"}, {DType::F16, "F16"}, {DType::F32, "F32"}, {DType::I64, "I64"}};

Tensor read_tensor(const std::string& name, const Value& entry, std::string_view data, std::uint64_t& next) {
  const Value* type = entry.find("dtype");
  const Value* shape = entry.find("shape");
  const Value* offsets = entry.find("data_offsets");
  if (type == nullptr || shape == nullptr || offsets == nullptr)
    throw Error(fmt::format("tensor '{}' lacks dtype, shape or data_offsets", name));
  Tensor tensor;
  bool known = false;
  for (const TypeName& t : kTypes)
    if (type->as_string() == t.name) {
      tensor.dtype = t.dtype;
      known = true;
    }
  if (!known)
    throw Error(fmt::format("tensor '{}' has type {}, expected U8, F16, F32 or I64", name, type->to_json()));
  Shape extents;
  std::uint64_t elements = 1;
  for (const Value& extent : shape->as_list()) {
    const std::int64_t e = extent.as_int();
    if (e < 0 || (e > 0 && elements > data.size() / static_cast<std::uint64_t>(e)))
      throw Error(fmt::format("tensor '{}' has shape {}, more than the file holds", name, shape->to_json()));
    elements *= static_cast<std::uint64_t>(e);
    extents.push_back(e);
  }
  const Value::List& range = offsets->as_list();
  if (range.size() != 2 || range[0].as_int() < 0 || static_cast<std::uint64_t>(range[0].as_int()) != next)
    throw Error(fmt::format("tensor '{}' does not begin where the one before ends", name));
  const auto end = static_cast<std::uint64_t>(range[1].as_int());
  if (end < next || end > data.size() || end - next != elements * size_of(tensor.dtype))
    throw Error(fmt::format("tensor '{}': shape {} and range {} do not agree", name, shape->to_json(),
                            offsets->to_json()));
  tensor = Tensor::allocate(tensor.dtype, std::move(extents));
  if (tensor.bytes() > 0) std::memcpy(tensor.data, data.data() + next, tensor.bytes());
  next = end;
  return tensor;
}

}  // namespace

std::string to_safetensors(const std::map<std::string, Tensor>& tensors) {
  Value header = Value::map();
  std::uint64_t offset = 0;
  for (const auto& [name, t] : tensors) {
    Value& entry = header[name];
    for (const TypeName& type : kTypes)
      if (type.dtype == t.dtype) entry["dtype"] = type.name;
    entry["shape"] = Value::list();
    for (const std::int64_t e : t.shape) entry["shape"].push(e);
    entry["data_offsets"] = Value(Value::List{Value(offset), Value(offset + t.bytes())});
    offset += t.bytes();
  }
  std::string json = header.to_json();
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  out += json;
  for (const auto& [name, t] : tensors) out.append(static_cast<const char*>(t.data), t.bytes());
  return out;
}

std::map<std::string, Tensor> from_safetensors(std::string_view file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length) throw Error("not a safetensors file: shorter than its header");
  std::memcpy(&length, file.data(), sizeof length);
  if (length > file.size() - sizeof length)
    throw Error("not a safetensors file: its header is longer than the file");
  const Value header = Value::from_json(file.substr(sizeof length, length));
  const std::string_view data = file.substr(sizeof length + length);
  std::map<std::string, Tensor> out;
  std::uint64_t next = 0;
  for (const auto& [name, entry] : header.as_map())
    if (name != "__metadata__") out.emplace(name, read_tensor(name, entry, data, next));
  if (next != data.size()) throw Error(fmt::format("{} bytes belong to no tensor", data.size() - next));
  return out;
}

void save_bundle(const std::filesystem::path& folder, const Bundle& bundle) {
  make_folders(folder);
  write_file_atomically(folder / "weights.safetensors", to_safetensors(bundle.tensors));
  write_file_atomically(folder / "bundle.json", bundle.facts.to_json_pretty());
}

Bundle load_bundle(const std::filesystem::path& folder) {
  Bundle bundle;
  std::filesystem::path file = folder / "bundle.json";
  try {
    bundle.facts = Value::from_json(read_file(file));
    file = folder / "weights.safetensors";
    bundle.tensors = from_safetensors(read_file(file));
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
  return bundle;
}

}  // namespace graft
