#include <network/architecture.h>

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>

#include "zoo/zoo.h"

namespace graft::nn {
namespace {

const std::vector<zoo::Model>& models() {
  static const std::vector<zoo::Model> kAll = [] {
    std::vector<zoo::Model> out;
    for (auto family : {zoo::resnets, zoo::vggs, zoo::mobilenets_v1, zoo::mobilenets_v2, zoo::efficientnets,
                        zoo::cifar_resnets, zoo::lenets})
      for (zoo::Model& model : family()) out.push_back(std::move(model));
    return out;
  }();
  return kAll;
}

const zoo::Model& model_named(std::string_view name) {
  for (const zoo::Model& model : models())
    if (model.name == name) return model;
  throw Error(fmt::format("unknown architecture '{}'{}: expected one of {}", name,
                          suggestion(name, architecture_names()), fmt::join(architecture_names(), ", ")));
}

void check(const std::string& name, const char* option, std::optional<int> value, int low, int high) {
  if (value && (*value < low || *value > high))
    throw Error(fmt::format("{}: expected `{}` from {} to {}, got {}", name, option, low, high, *value));
}

bool begins_with_part(std::string_view name, std::string_view part) {
  return name.size() > part.size() && name.substr(0, part.size()) == part && name[part.size()] == '.';
}

}  // namespace

const char* to_string(PositionRule rule) {
  static constexpr const char* kNames[] = {"huggingface", "timm", "meta", "openclip", "torchvision"};
  return kNames[static_cast<int>(rule)];
}

const char* to_string(PaddingRule rule) {
  static constexpr const char* kNames[] = {"fixed", "ceil", "same", "multiple"};
  return kNames[static_cast<int>(rule)];
}

const char* to_string(WindowRule rule) {
  static constexpr const char* kNames[] = {"torchvision", "timm", "grid"};
  return kNames[static_cast<int>(rule)];
}

const Layer* Architecture::find(std::string_view layer) const {
  const auto found =
      std::find_if(layers.begin(), layers.end(), [&](const Layer& l) { return l.name == layer; });
  return found == layers.end() ? nullptr : &*found;
}

const std::vector<std::string>& architecture_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> out;
    for (const zoo::Model& model : models()) out.push_back(model.name);
    return out;
  }();
  return kNames;
}

bool has_width(std::string_view name) {
  return model_named(name).has_width;
}

Architecture make_architecture(const std::string& name, const Options& options) {
  const zoo::Model& model = model_named(name);
  if (options.width && !model.has_width)
    throw Error(
        fmt::format("{} has no `width`: its layers are those of the published network; leave it out", name));
  check(name, "width", options.width, 1, kMaxWidth);
  check(name, "classes", options.classes, 0, kMaxClasses);
  check(name, "side", options.side, 1, kMaxSide);
  Architecture net = model.make(name, options);
  if (options.side) {
    Preprocessing& p = net.preprocessing;
    p.resize = p.resize * *options.side / p.crop;
    p.crop = *options.side;
  }
  return net;
}

std::string resolve_tap(const Architecture& architecture, const std::string& name) {
  if (architecture.find(name) != nullptr) return name;
  for (auto layer = architecture.layers.rbegin(); layer != architecture.layers.rend(); ++layer)
    if (begins_with_part(layer->name, name)) return layer->name;

  if (architecture.classes == 0 &&
      (name == architecture.classifier || begins_with_part(architecture.classifier, name) ||
       begins_with_part(name, architecture.classifier)))
    throw Error(fmt::format(
        "{} has no classifier '{}' in this file, which was saved without one or with another one: take '{}', "
        "the value before it, or an earlier layer",
        architecture.name, name, architecture.tap));

  // Whatever could have been meant: every layer and every beginning of one. The outermost are listed.
  std::vector<std::string> all, outermost;
  std::set<std::string> seen;
  for (const Layer& layer : architecture.layers)
    for (std::size_t dot = layer.name.find('.');; dot = layer.name.find('.', dot + 1)) {
      const std::string part = layer.name.substr(0, dot);
      if (seen.insert(part).second) {
        all.push_back(part);
        if (part.find('.') == std::string::npos) outermost.push_back(part);
      }
      if (dot == std::string::npos) break;
    }
  throw Error(fmt::format("{} has no layer '{}'{}: expected {}, or a part of one such as {}",
                          architecture.name, name, suggestion(name, all), fmt::join(outermost, ", "),
                          architecture.blocks.empty() ? architecture.tap : architecture.blocks.back().name));
}

Architecture reduced_to(const Architecture& architecture, const std::vector<std::string>& outputs) {
  std::set<std::string> needed;
  for (const std::string& output : outputs) needed.insert(resolve_tap(architecture, output));
  if (outputs.empty()) needed.insert(architecture.layers.back().name);
  for (auto layer = architecture.layers.rbegin(); layer != architecture.layers.rend(); ++layer)
    if (needed.count(layer->name) != 0) needed.insert(layer->from.begin(), layer->from.end());
  Architecture out = architecture;
  std::erase_if(out.layers, [&](const Layer& layer) { return needed.count(layer.name) == 0; });
  return out;
}

}  // namespace graft::nn
