#include <dense/network.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>
#include <graft/random.h>

#include <learning/bundle.h>
#include <numeric/narrow.h>

namespace graft::dense {

Network::Network(std::vector<std::size_t> widths) : widths_(std::move(widths)) {
  if (widths_.size() < 2 || std::find(widths_.begin(), widths_.end(), 0) != widths_.end())
    throw Error("a network needs at least two widths, none of them 0");
  std::size_t at = 0;
  for (std::size_t l = 0; l + 1 < widths_.size(); ++l) {
    const std::size_t inputs = widths_[l], outputs = widths_[l + 1];
    layers_.push_back({inputs, outputs, at, at + inputs * outputs});
    at += (inputs + 1) * outputs;
  }
  parameters_.resize(at);
}

void Network::draw(std::uint64_t seed) {
  std::fill(parameters_.begin(), parameters_.end(), 0.0F);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const double gain = l + 1 < layers_.size() ? 2 : 1;
    const double spread = std::sqrt(gain / static_cast<double>(layer.inputs));
    Random random(seed, fmt::format("layer{}.weight", l), 0);
    for (std::size_t i = layer.weight; i < layer.bias; ++i)
      parameters_[i] = static_cast<float>(spread * random.normal());
  }
}

void Network::affine(const Layer& layer, const float* rows, std::size_t count, float* out) const {
  numeric::multiply_nt({rows, count, layer.inputs}, weight(layer), {out, count, layer.outputs});
  add_bias(layer, count, out);
}

void Network::affine_by_row(const Layer& layer, const float* rows, std::size_t count, float* out) const {
  numeric::narrow_nt({rows, count, layer.inputs}, weight(layer), {out, count, layer.outputs});
  add_bias(layer, count, out);
}

void Network::add_bias(const Layer& layer, std::size_t count, float* out) const {
  const float* b = bias(layer);
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t k = 0; k < layer.outputs; ++k) out[r * layer.outputs + k] += b[k];
}

void Network::logits(const float* rows, std::size_t count, float* out) const {
  std::vector<float> in(count * hidden_width());
  hidden(rows, count, in.data());
  affine_by_row(layers_.back(), in.data(), count, out);
}

void Network::hidden(const float* rows, std::size_t count, float* out) const {
  if (layers_.size() == 1) {
    std::copy_n(rows, count * inputs(), out);
    return;
  }
  std::vector<float> in, now;
  for (std::size_t l = 0; l + 1 < layers_.size(); ++l) {
    const std::size_t size = count * layers_[l].outputs;
    const bool last = l + 2 == layers_.size();
    if (!last) now.resize(size);
    float* to = last ? out : now.data();
    affine_by_row(layers_[l], l == 0 ? rows : in.data(), count, to);
    rectify({to, size});
    in.swap(now);
  }
}

void Network::save(Bundle& bundle, const std::string& prefix) const {
  Value widths = Value::list();
  for (const std::size_t width : widths_) widths.push(static_cast<std::int64_t>(width));
  bundle.facts[prefix + "widths"] = std::move(widths);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const auto inputs = static_cast<std::int64_t>(layer.inputs);
    const auto outputs = static_cast<std::int64_t>(layer.outputs);
    const std::string name = fmt::format("{}layer{}.", prefix, l);
    bundle.tensors[name + "weight"] = learning::tensor_of(
        parameters().subspan(layer.weight, layer.inputs * layer.outputs), {outputs, inputs});
    bundle.tensors[name + "bias"] =
        learning::tensor_of(parameters().subspan(layer.bias, layer.outputs), {outputs});
  }
}

Network Network::load(const Bundle& bundle, const std::string& prefix) {
  const Value& listed = learning::fact(bundle, prefix + "widths");
  const auto wrong = [](const Value& v) { return !v.is_int() || v.as_int() < 1 || v.as_int() > 1 << 24; };
  if (!listed.is_list() || listed.as_list().size() < 2 ||
      std::any_of(listed.as_list().begin(), listed.as_list().end(), wrong)) {
    throw Error(fmt::format(
        "'{}widths' of the bundle is {}: expected at least two whole numbers of at least 1; the bundle is "
        "damaged or of another learner; train the model again",
        prefix, listed.to_json()));
  }
  std::vector<std::size_t> widths;
  for (const Value& width : listed.as_list()) widths.push_back(static_cast<std::size_t>(width.as_int()));
  // The tensors first: a damaged width must not make a network of any size.
  std::vector<float> parameters;
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    const auto inputs = static_cast<std::int64_t>(widths[l]);
    const auto outputs = static_cast<std::int64_t>(widths[l + 1]);
    const std::string name = fmt::format("{}layer{}.", prefix, l);
    for (const auto& part : {learning::floats(bundle, name + "weight", {outputs, inputs}),
                             learning::floats(bundle, name + "bias", {outputs})})
      parameters.insert(parameters.end(), part.begin(), part.end());
  }
  Network network(std::move(widths));
  network.parameters_ = std::move(parameters);
  return network;
}

void rectify(std::span<float> values) {
  for (float& v : values) v = std::max(v, 0.0F);
}

}  // namespace graft::dense
