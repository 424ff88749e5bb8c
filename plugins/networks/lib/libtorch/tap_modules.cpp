#include "tap_modules.h"

#include <fmt/format.h>
#include <torch/csrc/jit/api/function_impl.h>

#include <algorithm>
#include <map>
#include <optional>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>

namespace graft::libtorch {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

/// Path of a submodule from the graph's own module, the first input: "layer2.0".
std::optional<std::string> path_of(const Graph& graph, const Value& module) {
  if (&module == graph.inputs().at(0)) return "";
  const Node& node = *module.node();
  if (node.kind() != c10::prim::GetAttr) return {};
  const auto parent = path_of(graph, *node.inputs().at(0));
  if (!parent) return {};
  const std::string& name = node.s(c10::attr::name);
  return parent->empty() ? name : *parent + "." + name;
}

/// The next call of a submodule's method, outside of branches and loops.
Node* next_call(Graph& graph) {
  for (Node* node : graph.nodes())
    if (node->kind() == c10::prim::CallMethod && node->outputs().size() == 1 &&
        path_of(graph, *node->inputs().at(0)))
      return node;
  return nullptr;
}

std::string unknown(const std::string& path, const std::vector<std::string>& called) {
  if (called.empty())
    return fmt::format("taps: '{}': the model's forward calls no submodule, so nothing in it has a name",
                       path);
  return fmt::format("taps: the model calls no submodule '{}'{} (submodules: {})", path,
                     suggestion(path, called), fmt::join(called, ", "));
}

}  // namespace

torch::jit::Module tap_modules(const torch::jit::Module& module, const std::vector<std::string>& paths) {
  torch::jit::Module copy = module.clone();
  const std::shared_ptr<Graph> graph = copy.get_method("forward").graph();
  std::map<std::string, std::size_t> output_of;  // outputs of the graph follow a value when it is replaced
  std::vector<std::string> called;
  while (Node* call = next_call(*graph)) {
    const std::string path = *path_of(*graph, *call->inputs().at(0));
    const auto type = call->inputs().at(0)->type()->expect<c10::ClassType>();
    auto& method = torch::jit::toGraphFunction(type->getMethod(call->s(c10::attr::name)));
    torch::jit::Value* const value = torch::jit::inlineCallTo(call, &method, method.graph().get()).at(0);
    called.push_back(path);
    if (std::find(paths.begin(), paths.end(), path) != paths.end())
      output_of[path] = graph->registerOutput(value);
  }
  std::vector<torch::jit::Value*> values;
  for (const std::string& path : paths) {
    const auto output = output_of.find(path);
    if (output == output_of.end()) throw Error(unknown(path, called));
    values.push_back(graph->outputs().at(output->second));
  }
  Node* const tuple = graph->insertNode(graph->createTuple(values));
  while (!graph->outputs().empty()) graph->eraseOutput(graph->outputs().size() - 1);
  graph->registerOutput(tuple->output());
  return copy;
}

}  // namespace graft::libtorch
