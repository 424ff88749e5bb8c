#include "network_facts.h"

#include <string>

#include <network/cost.h>

namespace {

using namespace graft;

/// The block that a layer is in, of nested ones the innermost, or null.
const nn::Block* block_around(const nn::Architecture& network, const nn::Layer& layer) {
  const nn::Block* innermost = nullptr;
  for (const nn::Block& block : network.blocks)
    if (layer.name.starts_with(block.name + ".") &&
        (innermost == nullptr || block.name.size() > innermost->name.size()))
      innermost = &block;
  return innermost;
}

}  // namespace

Value network_facts(const nn::Architecture& network, int height, int width) {
  const nn::Cost cost = nn::cost_of(network, height, width);
  Value facts = Value::Map{{"name", network.name},
                           {"image", Value::List{height, width}},
                           {"parameters", Value(cost.parameters)},
                           {"multiply_adds", Value(cost.multiply_adds)}};
  Value& parts = facts["parts"] = Value::list();
  std::string last;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const nn::Layer& layer = network.layers[i];
    const nn::Block* block = block_around(network, layer);
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
