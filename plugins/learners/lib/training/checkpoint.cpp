#include <training/checkpoint.h>

#include <cstring>
#include <fstream>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/hash.h>

namespace graft::training {
namespace {

// magic, size of the header (8 bytes, little-endian), header (JSON), tensors, 32 digits of the digest of all
// before
constexpr std::string_view kMagic = "graft checkpoint 1\n";
constexpr std::size_t kDigest = 32;

}  // namespace

void write_checkpoint(const std::string& path, const Bundle& state) {
  Value header = Value::Map{{"facts", state.facts}, {"tensors", Value::list()}};
  for (const auto& [name, tensor] : state.tensors) {
    Value shape = Value::List(tensor.shape.begin(), tensor.shape.end());
    header["tensors"].push(Value::Map{{"name", name}, {"shape", std::move(shape)}});
  }
  const std::string text = header.to_json();
  std::string content(kMagic);
  for (int byte = 0; byte < 8; ++byte) content += static_cast<char>(text.size() >> (8 * byte));
  content += text;
  for (const auto& [name, tensor] : state.tensors)
    content.append(static_cast<const char*>(tensor.data), tensor.bytes());
  content += digest(content).hex();

  write_file_atomically(path, content);
}

std::optional<Bundle> read_checkpoint(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  const std::string content(std::istreambuf_iterator<char>(in), {});
  const Error damaged(path + ": the checkpoint is damaged; delete it to start from scratch");
  const std::size_t fixed = kMagic.size() + 8;
  if (content.size() < fixed + kDigest || !content.starts_with(kMagic)) throw damaged;
  const std::string_view body(content.data(), content.size() - kDigest);
  if (digest(body).hex() != std::string_view(content).substr(body.size())) throw damaged;

  std::size_t size = 0;
  for (std::size_t byte = 0; byte < 8; ++byte)
    size |= std::size_t(static_cast<unsigned char>(content[kMagic.size() + byte])) << (8 * byte);
  if (size > body.size() - fixed) throw damaged;
  const Value header = Value::from_json(body.substr(fixed, size));
  const auto member = [&](const Value& map, const char* name) -> const Value& {
    const Value* found = map.find(name);
    if (found == nullptr) throw damaged;
    return *found;
  };

  Bundle state;
  state.facts = member(header, "facts");
  std::size_t at = fixed + size;
  for (const Value& entry : member(header, "tensors").as_list()) {
    Shape shape;
    for (const Value& side : member(entry, "shape").as_list()) shape.push_back(side.as_int());
    if (static_cast<std::size_t>(elements(shape)) > (body.size() - at) / sizeof(float)) throw damaged;
    Tensor tensor = Tensor::allocate(DType::F32, shape);
    std::memcpy(tensor.data, body.data() + at, tensor.bytes());
    at += tensor.bytes();
    state.tensors.emplace(member(entry, "name").as_string(), std::move(tensor));
  }
  return state;
}

}  // namespace graft::training
