// graft graph: the stages of a config as a drawing for other programs.

#include <iterator>

#include <fmt/format.h>

#include <graft/graph_drawing.h>

#include "config_command.h"
#include "output.h"

namespace graft::cli {
namespace {

/// Text between double quotes, for both languages.
std::string quoted(const std::string& text, const char* quote) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '"')
      out += quote;
    else if (c == '\\')
      out += "\\\\";
    else
      out += c;
  }
  return out;
}

std::string shape_of(const StagePlan& stage) {
  return stage.schema.outputs.empty() ? std::string() : output_shape(stage, 0);
}

/// The port of an edge, where its stage has several.
std::string port_of(const Plan& plan, const StagePlan::Input& input) {
  const auto& outputs = plan.stages[input.stage].schema.outputs;
  return outputs.size() > 1 && input.port < outputs.size() ? outputs[input.port].name : std::string();
}

std::string dot(const Plan& plan) {
  std::string out =
      fmt::format("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n",
                  quoted(plan.name, "\\\""));
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const StagePlan& stage = plan.stages[i];
    const std::string shape = shape_of(stage);
    fmt::format_to(std::back_inserter(out), "  s{} [label=\"{}\\n{}{}\"{}];\n", i, quoted(stage.id, "\\\""),
                   quoted(stage.schema.name, "\\\""), shape.empty() ? "" : "\\n" + quoted(shape, "\\\""),
                   stage.is(StageKind::Collector) ? ", shape=cylinder"
                   : stage.is(StageKind::Report)  ? ", shape=note"
                                                  : "");
  }
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    for (const StagePlan::Input& input : plan.stages[i].inputs) {
      const std::string port = port_of(plan, input);
      fmt::format_to(std::back_inserter(out), "  s{} -> s{}{};\n", input.stage, i,
                     port.empty() ? "" : fmt::format(" [label=\"{}\"]", quoted(port, "\\\"")));
    }
  return out + "}\n";
}

std::string mermaid(const Plan& plan) {
  std::string out = "flowchart LR\n";
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const StagePlan& stage = plan.stages[i];
    const std::string shape = shape_of(stage);
    const bool table = stage.is(StageKind::Collector);
    fmt::format_to(std::back_inserter(out), "  s{}{}\"{}<br>{}{}\"{}\n", i, table ? "[(" : "[",
                   quoted(stage.id, "#quot;"), quoted(stage.schema.name, "#quot;"),
                   shape.empty() ? "" : "<br>" + quoted(shape, "#quot;"), table ? ")]" : "]");
  }
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    for (const StagePlan::Input& input : plan.stages[i].inputs) {
      const std::string port = port_of(plan, input);
      fmt::format_to(std::back_inserter(out), "  s{} -->{} s{}\n", input.stage,
                     port.empty() ? "" : fmt::format("|\"{}\"|", quoted(port, "#quot;")), i);
    }
  return out;
}

std::string svg(const Plan& plan) {
  GraphDrawing graph;
  graph.title = "The stages of " + printable(plan.name);
  for (const StagePlan& stage : plan.stages) {
    GraphDrawing::Node& node = graph.nodes.emplace_back();
    node.lines = {printable(stage.id), printable(stage.schema.name)};
    if (const std::string shape = shape_of(stage); !shape.empty()) node.lines.push_back(shape);
    for (const StagePlan::Input& input : stage.inputs)
      node.inputs.push_back({input.stage, printable(port_of(plan, input))});
  }
  return svg_of(graph, true) + "\n";
}

Value to_value(const Plan& plan) {
  Value out = Value::map();
  out["name"] = plan.name;
  out["stages"] = Value::list();
  for (const StagePlan& stage : plan.stages) {
    Value v = Value::map();
    v["id"] = stage.id;
    v["plugin"] = stage.schema.name;
    v["kind"] = to_string(stage.schema.kind);
    v["shape"] = shape_of(stage);
    v["from"] = Value::list();
    for (const StagePlan::Input& input : stage.inputs) v["from"].push(plan.stages[input.stage].id);
    out["stages"].push(std::move(v));
  }
  return out;
}

int print_graph(const Global& global, const std::string& path, std::string (*drawing)(const Plan&)) {
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  if (global.json)
    print_document(to_value(*plan));
  else
    say("{}", drawing(*plan));
  return kOk;
}

}  // namespace

int graph(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  if (global.graph.format == "dot") return print_graph(global, path, dot);
  if (global.graph.format == "mermaid") return print_graph(global, path, mermaid);
  if (global.graph.format == "svg") return print_graph(global, path, svg);
  throw UsageError{
      fmt::format("--format: '{}' is not allowed here (allowed: dot, mermaid, svg)", global.graph.format)};
}

}  // namespace graft::cli
