#include <network/reference.h>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/cost.h>

namespace graft::nn {

std::vector<PlainValue> reference(const Architecture& network, const std::map<std::string, Tensor>& weights,
                                  const std::vector<float>& image, int height, int width,
                                  const std::vector<std::string>& outputs) {
  const Cost cost = cost_of(network, height, width);
  std::map<std::string, PlainValue> values;
  values["input"] = {{3, height, width}, {image.begin(), image.end()}};
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    for (const Parameter& parameter : parameters_of(layer))
      if (!weights.contains(parameter.path))
        throw Error(fmt::format("{}: tensor {} is missing", network.name, parameter.path));
    PlainOperands with{layer, {}, [&](const char* name) -> const float* {
                         const auto found = weights.find(layer.name + "." + name);
                         return found == weights.end() ? nullptr : found->second.as<float>();
                       }};
    for (const std::string& name : layer.from) with.in.push_back(&values.at(name));
    PlainValue out{cost.layers[i].output, {}};
    out.data.resize(static_cast<std::size_t>(elements(out.shape)));
    operation(layer.op).plain(with, out);
    values[layer.name] = std::move(out);
  }
  std::vector<PlainValue> out;
  for (const std::string& name : outputs) out.push_back(values.at(name));
  return out;
}

}  // namespace graft::nn
