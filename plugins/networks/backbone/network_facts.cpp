#include "network_facts.h"

#include <algorithm>
#include <string>
#include <vector>

#include <network/cost.h>

namespace {

using namespace graft;

bool is_in(const nn::Layer& layer, const nn::Block& block) {
  return layer.name.starts_with(block.name + ".");
}

/// The blocks that are parts of the network, not all of it: a class around a network holds most of the
/// layers.
std::vector<const nn::Block*> blocks_of(const nn::Architecture& network) {
  std::vector<const nn::Block*> out;
  for (const nn::Block& block : network.blocks) {
    const auto layers = std::count_if(network.layers.begin(), network.layers.end(),
                                      [&](const nn::Layer& layer) { return is_in(layer, block); });
    if (2 * static_cast<std::size_t>(layers) <= network.layers.size()) out.push_back(&block);
  }
  return out;
}

}  // namespace

Value network_facts(const nn::Architecture& network, int height, int width) {
  const nn::Cost cost = nn::cost_of(network, height, width);
  Value facts = Value::Map{{"name", network.name},
                           {"image", Value::List{height, width}},
                           {"parameters", Value(cost.parameters)},
                           {"multiply_adds", Value(cost.multiply_adds)}};
  Value& parts = facts["parts"] = Value::list();
  const std::vector<const nn::Block*> blocks = blocks_of(network);
  std::string last;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const nn::Layer& layer = network.layers[i];
    const auto found =
        std::find_if(blocks.begin(), blocks.end(), [&](const nn::Block* b) { return is_in(layer, *b); });
    const nn::Block* block = found == blocks.end() ? nullptr : *found;
    const std::string name = block == nullptr ? layer.name : block->name;
    if (block == nullptr || name != last) {
      Value part =
          Value::Map{{"name", name}, {"type", block == nullptr ? nn::to_string(layer.op) : block->type}};
      for (const char* sum : {"layers", "parameters", "multiply_adds"}) part[sum] = 0;
      parts.push(std::move(part));
      last = name;
    }
    Value& part = parts.as_list().back();
    const auto add = [&](const char* to, std::int64_t n) { part[to] = Value(part[to].as_int() + n); };
    add("layers", 1);
    add("parameters", cost.layers[i].parameters);
    add("multiply_adds", cost.layers[i].multiply_adds);
    part["output"] = to_string(cost.layers[i].output);
  }
  return facts;
}

Value network_facts(const std::string& name, const std::vector<nn::ScriptModule>& modules) {
  std::int64_t parameters = 0;
  Value parts = Value::list();
  for (const nn::ScriptModule& module : modules) {
    parameters += module.parameters;
    parts.push(Value::Map{{"name", module.path.empty() ? name : module.path},
                          {"type", module.type},
                          {"parameters", Value(module.parameters)}});
  }
  return Value::Map{{"name", name}, {"parameters", Value(parameters)}, {"parts", std::move(parts)}};
}
