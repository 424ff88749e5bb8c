#include "onnx_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/text.h>

#include <network/bind.h>
#include <network/reference.h>
#include "../printable.h"
#include "../zoo/tensor_map.h"
#include "evaluate.h"
#include "graph.h"
#include "lowering.h"

namespace graft::nn::onnx {
namespace {

/// A protocol buffer has no more.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 31;

[[noreturn]] void fail_file(const std::string& path, const std::string& text) {
  throw Error(text.starts_with(path) ? text : fmt::format("{}: {}", path, text));
}

Graph graph_of(const InputFile& file) {
  if (file.size() > kMostBytes)
    fail_file(file.path().string(),
              fmt::format("has {} bytes: an ONNX file has at most {}", file.size(), kMostBytes));
  try {
    return parse_graph(file.read_some(0, static_cast<std::size_t>(file.size())));
  } catch (const Error& fault) {
    fail_file(file.path().string(), fault.what());
  }
}

class Initializers final : public WeightFile {
 public:
  explicit Initializers(std::unique_ptr<InputFile> file) : WeightFile(std::move(file), "ONNX") {
    Graph graph = graph_of(*file_);
    auto type = graph.initializer_types.begin();
    for (auto& [name, array] : graph.initializers) {
      tensors_.push_back({name, *type++, array->shape});
      arrays_.push_back(std::move(array));
    }
    metadata_ = {{"producer", graph.producer}, {"opset", std::to_string(graph.opset)}};
    index_names();
  }

 private:
  void read_into(const Wanted& wanted) const override {
    for (const auto& [index, out] : wanted)
      for (std::size_t i = 0; i < count_of(arrays_[index]->shape); ++i)
        out[i] = static_cast<float>(arrays_[index]->at(i));
  }

  std::vector<ArrayPtr> arrays_;  ///< Parallel to tensors_.
};

/// The tensors of a lowered network.
class LoweredWeights final : public WeightFile {
 public:
  LoweredWeights(const std::filesystem::path& path, std::map<std::string, Tensor> tensors)
      : WeightFile(path, "ONNX"), all_(std::move(tensors)) {
    for (const auto& [name, tensor] : all_) {
      tensors_.push_back({name, "F32", tensor.shape});
      size_ += tensor.bytes();
    }
    index_names();
  }

 private:
  void read_into(const Wanted& wanted) const override {
    for (const auto& [index, out] : wanted) {
      const Tensor& tensor = all_.at(tensors_[index].name);
      std::copy_n(tensor.as<float>(), tensor.size(), out);
    }
  }

  std::map<std::string, Tensor> all_;
};

/// What the graph says of its images; nothing: left open.
struct ImageSides {
  std::optional<int> height, width;
};

ImageSides sides_of(const Graph& graph) {
  if (graph.inputs.size() != 1) {
    std::vector<std::string> names;
    for (const GraphValue& input : graph.inputs) names.push_back(nn::printable(input.name));
    throw Error(
        fmt::format("takes {} inputs ({}): expected images alone", graph.inputs.size(), joined(names)));
  }
  const GraphValue& in = graph.inputs[0];
  const bool is_real = in.type == 1 || in.type == 10 || in.type == 16;
  const bool in_rows = has_rows_of_pixels(in);
  if (!is_real || in.axes.size() != 4 || (!in_rows && in.axes[1].value_or(3) != 3))
    throw Error(
        fmt::format("takes '{}' of {} axes{}: expected images [n,3,height,width] of real numbers",
                    nn::printable(in.name), in.axes.size(),
                    in.axes.size() == 4 && in.axes[1] ? fmt::format(" with {} channels", *in.axes[1]) : ""));
  const auto side = [&](std::size_t axis) -> std::optional<int> {
    if (!in.axes[axis]) return {};
    if (*in.axes[axis] < 1 || *in.axes[axis] > kMaxSide)
      throw Error(fmt::format("takes images of {} px a side: expected 1 to {}", *in.axes[axis], kMaxSide));
    return static_cast<int>(*in.axes[axis]);
  };
  return {side(in_rows ? 1 : 2), side(in_rows ? 2 : 3)};
}

bool same_networks(const NamedNetwork& one, const NamedNetwork& other) {
  const Architecture &a = one.architecture, &b = other.architecture;
  const bool same_weights =
      std::equal(one.weights.begin(), one.weights.end(), other.weights.begin(), other.weights.end(),
                 [](const auto& x, const auto& y) {
                   return x.first == y.first && x.second.shape == y.second.shape &&
                          std::memcmp(x.second.data, y.second.data, x.second.bytes()) == 0;
                 });
  return same_weights &&
         std::equal(a.layers.begin(), a.layers.end(), b.layers.begin(), b.layers.end(),
                    [](const Layer& x, const Layer& y) {
                      return x.name == y.name && x.op == y.op && x.from == y.from && x.in == y.in &&
                             x.out == y.out && x.kernel == y.kernel && x.stride == y.stride &&
                             x.groups == y.groups && x.dilation == y.dilation && x.padding == y.padding &&
                             x.padding_rule == y.padding_rule && x.count_padding == y.count_padding &&
                             x.size == y.size && x.heads == y.heads && x.prefix == y.prefix &&
                             x.grid_height == y.grid_height && x.grid_width == y.grid_width &&
                             x.first == y.first && x.count == y.count && x.shift == y.shift;
                    });
}

std::string counted(const std::map<std::string, std::size_t>& all) {
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const auto& [name, n] : all) order.emplace_back(n, nn::printable(name));
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> words;
  for (const auto& [n, name] : order) words.push_back(fmt::format("{} {}", n, name));
  return joined(words, 40);
}

Preprocessing preprocessing_for(const ModelFiles& files, int side, std::vector<std::string>& notes) {
  Preprocessing usual;
  usual.crop = side;
  usual.resize = (side * 256 + 112) / 224;
  if (zoo::preprocessing_file(files) == nullptr)
    notes.push_back(fmt::format(
        "guessed: an ONNX file does not say how images are prepared: {}; write `normalize`, and the "
        "`resize` and `crop` of decode, where the network was trained otherwise",
        to_string(usual)));
  return zoo::preprocessing_of(files, usual);
}

Published lowered(const ModelFiles& files, const Graph& graph) {
  constexpr int kSide = 224;
  // Sides that windows of 2, 4, 8, ... pixels divide, and sides that stay odd when they are halved, up and
  // down: a graph may pad or crop what is odd.
  const Extent other_sizes[] = {Extent(256, 288), Extent(225, 223)};
  const ImageSides sides = sides_of(graph);
  const int height = sides.height.value_or(sides.width.value_or(kSide)), width = sides.width.value_or(height);
  Published out;
  Lowering first(graph, height, width, folding_steps(graph));
  NamedNetwork made = first.run(out.notes);
  std::int64_t steps = first.steps_left();
  bool any_size = !sides.height && !sides.width;
  for (const Extent& other : other_sizes) {
    if (!any_size) break;
    Lowering next(graph, other.height, other.width, steps);
    try {
      std::vector<std::string> ignored;
      any_size = same_networks(made, next.run(ignored));
    } catch (const Error&) {
      any_size = false;
    }
    steps = next.steps_left();
  }
  constexpr std::int64_t kNewest = 23;
  if (graph.opset > kNewest)
    out.notes.push_back(
        fmt::format("guessed: its operators mean what they mean in opset {}: its own, {}, is newer", kNewest,
                    graph.opset));
  Architecture& net = made.architecture;
  net.name = files.weights.filename().string();
  if (!any_size) net.only = Extent(height, width);
  const bool has_weights = std::any_of(net.layers.begin(), net.layers.end(), [&](const Layer& layer) {
    return layer.name != net.classifier && !parameters_of(layer).empty();
  });
  if (!has_weights) throw Error("has no weights before its features: it is not a network that was trained");
  net.preprocessing = preprocessing_for(files, std::min(height, width), out.notes);
  const std::string size = any_size ? "any" : fmt::format("{} x {} px", width, height);
  out.findings = {{"format",
                   fmt::format("ONNX, opset {}, IR {}, {}", graph.opset, graph.ir,
                               graph.producer.empty() ? "producer unknown" : "by " + graph.producer),
                   "the file"},
                  {"operators", counted(graph.operators()), "the graph"},
                  {"image size", size,
                   any_size                      ? "the graph, lowered for three sizes"
                   : sides.height && sides.width ? "the graph's input"
                                                 : "the graph, which is not the same for other sizes"},
                  {"preprocessing", to_string(net.preprocessing),
                   zoo::preprocessing_file(files) == nullptr ? "guessed" : zoo::preprocessing_file(files)}};
  out.architecture = std::move(net);
  out.weights = std::make_unique<LoweredWeights>(files.weights, std::move(made.weights));
  return out;
}

/// An output as features: a vector, the means of an image's channels, or the first token; empty: of another
/// width.
std::vector<double> as_features(const Array& value, std::size_t width) {
  std::vector<double> out;
  if (!value.is_float) return out;
  const Shape& shape = value.shape;
  const bool is_image = shape.size() == 4 && shape[0] == 1 && static_cast<std::size_t>(shape[1]) == width;
  const bool is_tokens = shape.size() == 3 && shape[0] == 1 && static_cast<std::size_t>(shape[2]) == width;
  if (!is_image && !is_tokens && value.reals.size() != width) return out;
  out.resize(width);
  const std::size_t area = is_image ? value.reals.size() / width : 1;
  for (std::size_t i = 0; i < width * area; ++i) out[i / area] += value.at(i) / static_cast<double>(area);
  return out;
}

std::vector<double> probabilities(std::vector<double> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& v : logits) sum += v = std::exp(v - most);
  for (double& v : logits) v /= sum;
  return logits;
}

double relative_difference(const std::vector<double>& got, const std::vector<double>& wanted) {
  double off = 0, scale = 1;
  for (std::size_t i = 0; i < got.size(); ++i) {
    scale = std::max(scale, std::fabs(wanted[i]));
    off = std::isfinite(got[i]) && std::isfinite(wanted[i]) ? std::max(off, std::fabs(wanted[i] - got[i]))
                                                            : INFINITY;
  }
  return off / scale;
}

}  // namespace

std::unique_ptr<WeightFile> open_initializers(std::unique_ptr<InputFile> file) {
  return std::make_unique<Initializers>(std::move(file));
}

Published read_model(const ModelFiles& files) {
  const Graph graph = graph_of(InputFile(files.weights));
  try {
    return lowered(files, graph);
  } catch (const Error& fault) {
    fail_file(files.weights.string(), fault.what());
  }
}

double compare_with_graph(const ModelFiles& files, const Published& lowered) {
  const Graph graph = graph_of(InputFile(files.weights));
  const Architecture& net = lowered.architecture;
  const Extent size = net.usual_size();
  const auto area = static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width);
  std::vector<float> image(3 * area);
  Random noise(1);
  for (float& v : image) v = static_cast<float>(noise.uniform(-1, 1));
  Array input = Array::of({1, 3, size.height, size.width}, image);
  if (has_rows_of_pixels(graph.inputs[0])) {
    input.shape = {1, size.height, size.width, 3};
    for (std::size_t i = 0; i < image.size(); ++i) input.reals[i] = image[i % 3 * area + i / 3];
  }
  const std::string end = net.classifier.empty() ? net.tap : net.classifier;
  const PlainValue got =
      reference(net, bind(net, *lowered.weights, {end}), image, size.height, size.width, {end})[0];
  constexpr std::int64_t kMemory = std::int64_t{1} << 31, kTime = std::int64_t{1} << 46;
  Effort effort(kMemory, kTime);
  const auto outputs =
      evaluate_graph(graph, {{graph.inputs[0].name, std::make_shared<Array>(std::move(input))}}, effort);
  double least = INFINITY;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::vector<double> wanted = as_features(*outputs[i], got.data.size());
    if (wanted.empty()) continue;
    const bool is_softmax = std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
      return node.op == "Softmax" && !node.outputs.empty() && node.outputs[0] == graph.outputs[i].name;
    });
    std::vector<double> found(got.data.begin(), got.data.end());
    if (is_softmax) found = probabilities(std::move(found));
    least = std::min(least, relative_difference(found, wanted));
  }
  return least;
}

}  // namespace graft::nn::onnx
