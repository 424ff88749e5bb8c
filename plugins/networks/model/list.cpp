#include <fmt/format.h>

#include <graft/text.h>
#include <graft/value.h>

#include <network/architecture.h>
#include <network/cost.h>
#include <network/published.h>
#include "checkpoints.h"
#include "command.h"
#include "quantities.h"

namespace graft::model {

namespace {

int list_families(const Arguments& arguments) {
  Value out = Value::list();
  std::string text;
  for (const nn::PublishedFamilyName& family : nn::published_families()) {
    Value one = Value::Map{{"name", family.name}, {"marks", Value::list()}};
    for (const std::string& mark : family.marks) one["marks"].push(mark);
    one["members"] = family.members;
    text +=
        fmt::format("{}{}\n  known by a tensor whose name ends with {}\n", family.name,
                    family.members.empty() ? "" : ": " + family.members, fmt::join(family.marks, ", or "));
    out.push(std::move(one));
  }
  say("{}", arguments.has("json") ? out.to_json() + "\n" : text);
  return kOk;
}

}  // namespace

int list(const Arguments& arguments) {
  if (!arguments.positional().empty()) throw UsageError{"this command takes no argument"};
  if (arguments.has("families")) return list_families(arguments);
  constexpr Align kLeft = Align::Left, kRight = Align::Right;
  std::vector<std::vector<std::string>> table{
      {"architecture", "parameters", "multiply-adds", "image", "features", "weights"}};
  Value out = Value::list();
  for (const std::string& name : nn::architecture_names()) {
    const nn::Architecture net = nn::make_architecture(name);
    const int side = net.preprocessing.crop;
    const nn::Cost cost = nn::cost_of(net, side, side);
    const Checkpoint* weights = checkpoint_of(name);
    table.push_back(
        {name, grouped(cost.parameters), with_unit(cost.multiply_adds), fmt::format("{0} x {0}", side),
         std::to_string(net.features),
         weights == nullptr ? "" : weights->file + (weights->sha256.empty() ? " (--sha256)" : "")});
    out.push(Value::Map{
        {"name", name},
        {"parameters", cost.parameters},
        {"multiply_adds", cost.multiply_adds},
        {"side", side},
        {"features", net.features},
        {"classes", net.classes},
        {"weights", weights == nullptr ? Value() : Value(weights->file)},
        {"sha256", weights == nullptr || weights->sha256.empty() ? Value() : Value(weights->sha256)}});
  }
  say("{}", arguments.has("json")
                ? out.to_json() + "\n"
                : text_table(std::move(table), {kLeft, kRight, kRight, kRight, kRight, kLeft}));
  return kOk;
}

}  // namespace graft::model
