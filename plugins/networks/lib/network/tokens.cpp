#include <network/tokens.h>

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/cost.h>

namespace graft::nn {
namespace {

const Layer* embedding_of(const Architecture& network) {
  const auto found = std::find_if(network.layers.begin(), network.layers.end(),
                                  [](const Layer& layer) { return layer.op == Op::Embed; });
  return found == network.layers.end() ? nullptr : &*found;
}

}  // namespace

std::optional<TokenLayout> token_layout(const Architecture& network, int height, int width) {
  const Layer* embed = embedding_of(network);
  if (embed == nullptr) return {};
  TokenLayout out;
  out.class_tokens = network.class_tokens;
  out.prefix = embed->prefix;
  const Architecture before = reduced_to(network, {embed->from[0]});
  try {
    const Shape grid = cost_of(before, height, width).layers.back().output;
    out.rows = static_cast<int>(grid.at(1));
    out.columns = static_cast<int>(grid.at(2));
  } catch (const Error&) {
    return {};
  }
  return out;
}

std::string last_tokens(const Architecture& network) {
  if (embedding_of(network) == nullptr) return "";
  const Architecture needed = reduced_to(network, {network.tap});
  const Extent size = network.usual_size();
  try {
    const Cost cost = cost_of(needed, size.height, size.width);
    for (std::size_t i = needed.layers.size(); i-- > 0;) {
      const Op op = needed.layers[i].op;
      // Keys and values of a pooling are no tokens that anybody means.
      if (cost.layers[i].output.size() == 2 && op != Op::Linear) return needed.layers[i].name;
    }
  } catch (const Error&) {
    return "";
  }
  return "";
}

std::string last_norm(const Architecture& network) {
  if (network.blocks.empty() || embedding_of(network) == nullptr) return "";
  const std::string last = resolve_tap(network, network.blocks.back().name);
  const auto after = [&](auto is) {
    const auto found = std::find_if(network.layers.begin(), network.layers.end(), is);
    return found == network.layers.end() ? std::string() : found->name;
  };
  std::string name =
      after([&](const Layer& layer) { return layer.op == Op::LayerNorm && layer.from[0] == last; });
  if (!name.empty()) return name;
  // Averages are normed in its place.
  return after([](const Layer& layer) { return layer.op == Op::LayerNorm && layer.name == "fc_norm"; });
}

std::string add_last_norm(Architecture& network, const std::string& layer,
                          std::map<std::string, Tensor>* weights) {
  std::string name = last_norm(network);
  if (name.empty())
    throw Error(fmt::format("{} has no norm after its last block, so its blocks are taken as they are",
                            network.name));
  const Layer norm = *network.find(name);
  if (norm.from[0] == layer) return name;
  Layer added = norm;
  added.name = "normed." + layer;
  added.from = {layer};
  if (weights != nullptr)
    for (const Parameter& parameter : parameters_of(norm)) {
      const auto found = weights->find(parameter.path);
      if (found != weights->end())
        weights->insert_or_assign(added.name + parameter.path.substr(norm.name.size()), found->second);
    }
  network.layers.push_back(std::move(added));
  return network.layers.back().name;
}

}  // namespace graft::nn
