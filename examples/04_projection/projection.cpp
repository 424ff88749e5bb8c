#include <cstring>
#include <fstream>

#include <graft/plugin.h>
#include <graft/safetensors.h>

namespace {

using namespace graft;

/// The tensors of a small safetensors file. Throws Error with the path.
std::map<std::string, Tensor> read_tensors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  std::uint64_t length = 0;
  if (content.size() >= 8) std::memcpy(&length, content.data(), 8);
  if (content.size() < 8 || length > content.size() - 8) throw Error(path + ": not a safetensors file");
  const std::uint64_t data = 8 + length;
  std::map<std::string, Tensor> out;
  try {
    for (const SafetensorsEntry& entry :
         parse_safetensors_header({content.data() + 8, length}, content.size() - data).tensors) {
      if (dtype_of_safetensors(entry.dtype) != DType::F32)
        throw Error("tensor " + entry.name + ": expected F32, got " + entry.dtype);
      Tensor tensor = Tensor::allocate(DType::F32, entry.shape);
      std::memcpy(tensor.data, content.data() + data + entry.begin, tensor.bytes());
      out[entry.name] = tensor;
    }
  } catch (const Error& e) {
    throw Error(path + ": " + e.what());
  }
  return out;
}

/// out = weight in + bias.
class Projection final : public BatchTransform {
 public:
  explicit Projection(const StageContext& context) : batch_(context.params.get<std::size_t>("batch")) {
    const auto path = context.params.get<std::string>("model");
    const auto tensors = read_tensors(path);
    for (const auto& [name, to] : {std::pair{"weight", &weight_}, {"bias", &bias_}}) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) throw Error(path + ": tensor '" + name + "' is missing");
      *to = found->second;
    }
    if (weight_.shape.size() != 2 || bias_.shape != Shape{weight_.shape[0]})
      throw Error(path + ": expected weight [out,in] and bias [out], got " + to_string(weight_.shape) +
                  " and " + to_string(bias_.shape));
  }
  std::size_t batch_size() const override { return batch_; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    const std::int64_t rows = weight_.shape[0], columns = weight_.shape[1];
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Tensor& in = items[i].tensor();
      if (in.dtype != DType::F32 || in.shape != Shape{columns}) {
        out.reject(i, "wrong-shape",
                   "expected f32" + to_string(Shape{columns}) + ", got " + to_string(in.dtype) +
                       to_string(in.shape));
        continue;
      }
      Tensor projected = Tensor::allocate(DType::F32, {rows});
      for (std::int64_t r = 0; r < rows; ++r) {
        double sum = static_cast<double>(bias_.as<float>()[r]);
        for (std::int64_t c = 0; c < columns; ++c)
          sum += static_cast<double>(weight_.as<float>()[r * columns + c]) *
                 static_cast<double>(in.as<float>()[c]);
        projected.as<float>()[r] = static_cast<float>(sum);
      }
      out.set(i, projected);
    }
  }

 private:
  std::size_t batch_;
  Tensor weight_, bias_;
};

}  // namespace

GRAFT_PLUGIN(
    projection, "1.0.0", Projection,
    graft::PluginSchema::batch_transform("Multiplies vectors by a matrix from a file.")
        .input(graft::PortType::Tensor, "Vectors as long as a row of the matrix.")
        .output("out", graft::PortType::Tensor, "f32[?]", "One element per row of the matrix.")
        .param(graft::file("model").required().doc("A safetensors file with weight [out,in] and bias [out]."))
        .param(graft::integer("batch", 32)
                   .range(1, 4096)
                   .unit("vectors")
                   .not_in_fingerprint()
                   .doc("Vectors per call.")))
