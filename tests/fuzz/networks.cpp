#include <algorithm>
#include <filesystem>

#include <graft/safetensors.h>
#include <graft/value.h>

#include <network/architecture_value.h>
#include <network/cost.h>
#include <network/pickle.h>
#include <network/published.h>
#include <network/state_dict.h>
#include <network/testing/checkpoint_writer.h>
#include <network/testing/onnx_writer.h>
#include <network/testing/zip_writer.h>
#include <network/weight_file.h>
#include <network/weight_fit.h>

#include "fuzz.h"

namespace graft::fuzz {
namespace {

void pickle(std::string_view input) {
  const nn::Pickle read(input);
  nn::state_dict_of(read);
}

// Everything that any command asks of a weight file.
void read_weights(const std::filesystem::path& path) {
  nn::inspect_torchscript(path);
  const auto file = nn::open_weights(path);
  std::vector<std::string> names;
  for (const nn::TensorInfo& tensor : file->tensors()) names.push_back(tensor.name);
  file->read(names);
  nn::best_fit(*file);
}

void weights(std::string_view input) {
  read_weights(write_scratch(input));
}

// The pickle of an archive whose checksums are right, with three storages.
void checkpoint(std::string_view input) {
  const std::string numbers(256, '\x3f');
  read_weights(write_scratch(test::make_zip({{"archive/data.pkl", std::string(input)},
                                             {"archive/data/0", numbers},
                                             {"archive/data/1", numbers.substr(0, 64)},
                                             {"archive/data/2", {}},
                                             {"archive/version", "3\n"}})));
}

// A header whose length is right: the first two bytes say how many bytes of tensors follow it.
void safetensors(std::string_view input) {
  Pieces in(input);
  const auto data = in.number(2);
  std::string file = little_endian(in.rest().size(), 8);
  file += in.rest();
  file.append(data, '\0');
  read_weights(write_scratch(file));
}

// A model behind the bytes that give it away.
void onnx(std::string_view input) {
  const std::filesystem::path path = write_scratch("\x08\x08\x12" + std::string(input), "model.onnx");
  nn::open_weights(path);
  nn::open_published(nn::find_model_files(path));
}

void architecture(std::string_view input) {
  const nn::Architecture net = nn::architecture_from(Value::from_json(input));
  nn::to_value(net);
  nn::cost_of(net, 32, 32);
}

std::string root_of(const std::string& tensors) {
  return "\x80\x02" + test::CheckpointWriter::map({{"state_dict", tensors}}) + ".";
}

std::vector<std::string> pickle_seeds() {
  using Writer = test::CheckpointWriter;
  Writer writer;
  const Tensor tensor = Tensor::allocate(DType::F32, {2, 3});
  std::fill_n(tensor.as<float>(), 6, 1.0f);
  const std::string one = writer.tensor(tensor), other = writer.tensor(tensor);
  return {root_of(Writer::map({{"conv1.weight", one}, {"fc.bias", other}})),
          root_of(Writer::call("collections", "OrderedDict", "")),
          root_of(Writer::object("torch.nn.modules", "Module", {{"training", "\x88"}, {"weight", one}})),
          "\x80\x02" +
              Writer::map({{"model_ema", Writer::map({{"fc.weight", one}})}, {"epoch", Writer::number(3)}}) +
              "."};
}

std::vector<std::string> weight_seeds() {
  std::vector<std::string> out;
  for (const char* name : {"checkpoint.pth", "cyrillic.pth", "legacy.pth", "model.pth", "overlapping.pth",
                           "protocol4.pth", "script.pt", "types.pth", "views.pth"})
    out.push_back(project_file(std::string("plugins/networks/lib/network/testdata/") + name));
  const Tensor tensor = Tensor::allocate(DType::F32, {2, 3});
  std::fill_n(tensor.as<float>(), 6, 1.0f);
  out.push_back(to_safetensors({{"fc.weight", tensor}}));
  for (const char* other :
       {"\x89HDF\r\n\x1a\n", "{\"weight_map\": {}}", "version https://git-lfs.github.com/spec/v1\n",
        "\x08\x07\x12\x07pytorch", "<!DOCTYPE html>", "\x93NUMPY\1"})
    out.emplace_back(other);
  return out;
}

std::vector<std::string> safetensors_seeds() {
  return {little_endian(24, 2) + R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})",
          little_endian(8, 2) +
              R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[4],)"
              R"("data_offsets":[0,8]},"c":{"dtype":"I64","shape":[0],"data_offsets":[8,8]}})"};
}

std::vector<std::string> architecture_seeds() {
  std::vector<std::string> out;
  for (const char* name : {"lenet", "resnet20_cifar"}) {
    const auto& known = nn::architecture_names();
    if (std::find(known.begin(), known.end(), name) != known.end())
      out.push_back(nn::to_value(nn::make_architecture(name)).to_json());
  }
  out.emplace_back(
      R"({"name":"n","layers":[{"name":"a","op":"Conv","from":["input"],"in":3,"out":4,"kernel":3,)"
      R"("padding":[1,1,1,1]},{"name":"b","op":"Relu","from":["a"]},{"name":"p","op":"GlobalPool",)"
      R"("from":["b"]},{"name":"f","op":"Flatten","from":["p"]},{"name":"l","op":"Linear",)"
      R"("from":["f"],"in":4,"out":2,"bias":true}]})");
  return out;
}

// Without the bytes in front of the producer's name.
std::vector<std::string> onnx_seeds() {
  using Writer = test::OnnxWriter;
  Writer cnn, tokens(13);
  cnn.input("x", {-1, 3, 8, 8});
  cnn.weight("w", {2, 3, 1, 1}, {1, 2, 3, 4, 5, 6});
  cnn.node("Conv", {"x", "w"}, {"c"});
  cnn.node("Sigmoid", {"c"}, {"s"});
  cnn.node("Mul", {"c", "s"}, {"r"});
  cnn.integers("sides", {1, 2, 4, 2, 4, 2});
  cnn.node("Reshape", {"r", "sides"}, {"v"});
  cnn.node("Transpose", {"v"}, {"t"}, {Writer::numbers("perm", {0, 1, 2, 4, 3, 5})});
  cnn.node("ReduceMean", {"t"}, {"m"},
           {Writer::numbers("axes", {2, 3, 4, 5}), Writer::number("keepdims", 0)});
  cnn.weight("g", {2, 2}, {1, 2, 3, 4});
  cnn.node("Gemm", {"m", "g"}, {"y"});
  cnn.output("y");
  tokens.input("x", {1, 3, 2, 2});
  tokens.weight("w", {2, 3, 1, 1}, {1, 2, 3, 4, 5, 6});
  tokens.node("Conv", {"x", "w"}, {"c"});
  tokens.node("Shape", {"c"}, {"shape"});
  tokens.integers("rows", {1, 2, -1});
  tokens.node("Reshape", {"c", "rows"}, {"k"});
  tokens.node("Transpose", {"k"}, {"q"}, {Writer::numbers("perm", {0, 2, 1})});
  tokens.node("MatMul", {"q", "k"}, {"p"});
  tokens.node("Softmax", {"p"}, {"a"}, {Writer::number("axis", -1)});
  tokens.node("MatMul", {"a", "q"}, {"o"});
  tokens.output("o");
  std::vector<std::string> out;
  for (const std::string& model : {cnn.bytes(), tokens.bytes()}) out.push_back(model.substr(3));
  return out;
}

// A chain of activations.
std::string grown_onnx(std::size_t bytes) {
  test::OnnxWriter out;
  out.input("0", {1, 3, 2, 2});
  constexpr std::size_t kEach = 32;
  for (std::size_t i = 0; i < bytes / kEach; ++i)
    out.node("Relu", {std::to_string(i)}, {std::to_string(i + 1)});
  return out.bytes().substr(3);
}

// Tensors of one storage, one after the other.
std::string grown_safetensors(std::size_t bytes) {
  std::string json = "{";
  for (std::size_t i = 0; json.size() < bytes; ++i)
    json +=
        (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  return little_endian(0, 2) + json + "}";
}

std::string grown_pickle(std::size_t bytes) {
  return "\x80\x02" + repeated("]q\x01", bytes) + ".";
}

std::string grown_architecture(std::size_t bytes) {
  std::string layers;
  for (std::size_t i = 0; layers.size() < bytes; ++i)
    layers += (i > 0 ? "," : "") + std::string(R"({"name":"l)") + std::to_string(i) +
              R"(","op":"Relu","from":[")" + (i > 0 ? "l" + std::to_string(i - 1) : "input") + "\"]}";
  return R"({"name":"n","layers":[)" + layers + "]}";
}

}  // namespace

std::vector<Target> network_targets() {
  return {
      {"pickle", pickle, pickle_seeds, grown_pickle},
      {"checkpoint", checkpoint, pickle_seeds},
      {"weights", weights, weight_seeds},
      {"safetensors", safetensors, safetensors_seeds, grown_safetensors},
      {"onnx", onnx, onnx_seeds, grown_onnx},
      {"architecture", architecture, architecture_seeds, grown_architecture},
  };
}

}  // namespace graft::fuzz
