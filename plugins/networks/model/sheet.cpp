#include "sheet.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/text.h>
#include <network/operation.h>

#include "checkpoints.h"
#include "quantities.h"

namespace graft::model {
namespace {

bool is_below(const std::string& name, const std::string& block) {
  return name.size() > block.size() && name.compare(0, block.size(), block) == 0 && name[block.size()] == '.';
}

/// "Conv 3x3/2 by channel": the operation and what shapes its output.
std::string type_of(const nn::Layer& layer) {
  std::string out = nn::to_string(layer.op);
  const auto detail = nn::operation(layer.op).detail;
  if (const std::string text = detail == nullptr ? "" : detail(layer); !text.empty()) out += " " + text;
  if (layer.groups > 1)
    out += layer.groups == layer.in ? " depthwise" : fmt::format(" in {} groups", layer.groups);
  const nn::Padding& p = layer.padding;
  if (p.top != p.bottom || p.left != p.right || p.top != p.left)
    out += fmt::format(" pad {},{},{},{}", p.top, p.left, p.bottom, p.right);
  return out;
}

/// For labels in double quotes.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// The parts of a network that people name, outermost only: "conv1, layer1, ..., fc".
std::vector<std::string> outermost(const nn::Architecture& net) {
  std::vector<std::string> out;
  for (const nn::Layer& layer : net.layers) {
    const std::string part = layer.name.substr(0, layer.name.find('.'));
    if (std::find(out.begin(), out.end(), part) == out.end()) out.push_back(part);
  }
  return out;
}

}  // namespace

Sheet::Sheet(nn::Architecture architecture, SheetOptions options)
    : net_(std::move(architecture)),
      options_(std::move(options)),
      size_(options_.side ? nn::Extent(*options_.side) : net_.usual_size()),
      cost_(nn::cost_of(net_, size_.height, size_.width)) {
  if (options_.freeze == "all") {
    frozen_ = net_.layers.size();
  } else if (options_.freeze != "none") {
    const nn::Layer* last = net_.find(nn::resolve_tap(net_, options_.freeze));
    frozen_ = static_cast<std::size_t>(last - net_.layers.data()) + 1;
  }
}

const nn::Block* Sheet::block_of(const nn::Layer& layer) const {
  for (const nn::Block& block : net_.blocks)
    if (is_below(layer.name, block.name)) return &block;
  return nullptr;
}

std::vector<Sheet::Row> Sheet::rows(bool all) const {
  std::vector<Row> out;
  for (std::size_t i = 0; i < net_.layers.size(); ++i) {
    const nn::Layer& layer = net_.layers[i];
    const nn::LayerCost& cost = cost_.layers[i];
    const nn::Block* block = all ? nullptr : block_of(layer);
    if (block == nullptr || out.empty() || out.back().name != block->name)
      out.push_back({block == nullptr ? layer.name : block->name,
                     block == nullptr ? type_of(layer) : block->type,
                     {},
                     0,
                     0,
                     0,
                     0,
                     0});
    Row& row = out.back();
    row.output = cost.output;
    row.parameters += cost.parameters;
    row.multiply_adds += cost.multiply_adds;
    row.bytes += cost.bytes;
    ++row.layers;
    if (i < frozen_) ++row.frozen;
  }
  return out;
}

std::int64_t Sheet::trainable() const {
  std::int64_t out = 0;
  for (std::size_t i = frozen_; i < cost_.layers.size(); ++i) out += cost_.layers[i].parameters;
  return out;
}

std::string Sheet::text() const {
  constexpr Align kLeft = Align::Left, kRight = Align::Right;
  std::vector<std::vector<std::string>> table;
  const auto with_frozen = [&](std::vector<std::string> cells, std::string frozen) {
    if (frozen_ > 0) cells.push_back(std::move(frozen));
    table.push_back(std::move(cells));
  };
  with_frozen({"layer", "type", "output", "parameters", "multiply-adds", "memory"}, "frozen");
  for (const Row& row : rows(options_.all))
    with_frozen(
        {row.name, row.type, extents_text(row.output), row.parameters == 0 ? "" : grouped(row.parameters),
         with_unit(row.multiply_adds), bytes_text(row.bytes)},
        row.frozen == 0            ? ""
        : row.frozen == row.layers ? "frozen"
                                   : "partly");
  with_frozen({"total", "", "", grouped(cost_.parameters), with_unit(cost_.multiply_adds),
               bytes_text(cost_.activation_bytes)},
              "");
  return fmt::format("{}, image 3 x {} x {}\n\n{}\n{}", net_.name, size_.height, size_.width,
                     text_table(std::move(table), {kLeft, kLeft, kLeft, kRight, kRight, kRight, kLeft}),
                     facts());
}

std::string Sheet::facts() const {
  std::string out = fmt::format("parameters  {} as float32, {} trainable\n", bytes_text(cost_.parameters * 4),
                                grouped(trainable()));
  out += fmt::format("memory      {} for an image at inference, {} kept in training\n",
                     bytes_text(cost_.peak_bytes), bytes_text(cost_.activation_bytes));
  out += fmt::format("input       {}\n", to_string(net_.preprocessing));
  out += fmt::format("features    {}, {} values\n", net_.tap, net_.features);
  out +=
      fmt::format("taps        {}{}\n", fmt::join(outermost(net_), ", "),
                  net_.blocks.empty() ? "" : fmt::format("; and parts of them: {}", net_.blocks.back().name));
  if (const Checkpoint* weights = checkpoint_of(net_.name))
    out += fmt::format("weights     {}: graft model fetch {}\n", weights->file, net_.name);
  return out;
}

std::string Sheet::dot() const {
  const std::vector<Row> all = rows(options_.all);
  std::map<std::string, std::string> row_of = {{"input", "input"}};
  for (const nn::Layer& layer : net_.layers) {
    const nn::Block* block = options_.all ? nullptr : block_of(layer);
    row_of[layer.name] = block == nullptr ? layer.name : block->name;
  }
  std::string out =
      fmt::format("digraph \"{}\" {{\n  node [shape=box, fontname=\"sans-serif\"];\n", escaped(net_.name));
  out += fmt::format("  \"input\" [label=\"input\\n3 x {} x {}\"];\n", size_.height, size_.width);
  for (const Row& row : all)
    out += fmt::format("  \"{0}\" [label=\"{0}\\n{1}\\n{2}\"{3}];\n", escaped(row.name), escaped(row.type),
                       extents_text(row.output),
                       row.frozen == row.layers ? ", style=filled, fillcolor=lightgrey" : "");
  std::set<std::pair<std::string, std::string>> drawn;
  for (const nn::Layer& layer : net_.layers)
    for (const std::string& from : layer.from) {
      const std::string &a = row_of.at(from), &b = row_of.at(layer.name);
      if (a != b && drawn.emplace(a, b).second)
        out += fmt::format("  \"{}\" -> \"{}\";\n", escaped(a), escaped(b));
    }
  return out + "}\n";
}

Value Sheet::value() const {
  const auto numbers = [](const auto& items) { return Value::List(items.begin(), items.end()); };
  const nn::Preprocessing& p = net_.preprocessing;
  Value out = Value::Map{{"architecture", net_.name},
                         {"side", size_.height},
                         {"classes", net_.classes},
                         {"parameters", cost_.parameters},
                         {"trainable", trainable()},
                         {"multiply_adds", cost_.multiply_adds},
                         {"activation_bytes", cost_.activation_bytes},
                         {"peak_bytes", cost_.peak_bytes},
                         {"tap", net_.tap},
                         {"features", net_.features}};
  Value& preprocessing = out["preprocessing"];
  preprocessing["resize"] = p.resize;
  preprocessing["crop"] = p.crop;
  preprocessing["squash"] = p.squash;
  preprocessing["centre"] = p.floor_crop ? "floor" : "round";
  preprocessing["filter"] = p.filter;
  preprocessing["resizer"] = p.tensors ? "tensor" : "pillow";
  preprocessing["preset"] = p.preset;
  preprocessing["scale"] = p.scale;
  preprocessing["mean"] = numbers(p.mean);
  preprocessing["std"] = numbers(p.deviation);
  Value layers = Value::list();
  for (std::size_t i = 0; i < net_.layers.size(); ++i) {
    const nn::Layer& layer = net_.layers[i];
    const nn::LayerCost& cost = cost_.layers[i];
    const nn::Block* block = block_of(layer);
    layers.push(Value::Map{{"name", layer.name},
                           {"type", type_of(layer)},
                           {"block", block == nullptr ? Value() : Value(block->name)},
                           {"from", numbers(layer.from)},
                           {"output", numbers(cost.output)},
                           {"parameters", cost.parameters},
                           {"multiply_adds", cost.multiply_adds},
                           {"bytes", cost.bytes},
                           {"frozen", i < frozen_}});
  }
  out["layers"] = std::move(layers);
  return out;
}

}  // namespace graft::model
