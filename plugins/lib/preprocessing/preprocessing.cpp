#include <preprocessing/preprocessing.h>

#include <algorithm>
#include <utility>

#include <graft/error.h>

namespace graft::preprocessing {
namespace {

/// Images that are neither enlarged nor cut.
Preprocessing whole_images(int side) {
  Preprocessing p;
  p.resize = p.crop = side;
  return p;
}

Preprocessing bicubic() {
  Preprocessing p;
  p.filter = "bicubic";
  return p;
}

/// TensorFlow's scale of -1 to 1.
Preprocessing keras() {
  Preprocessing p;
  p.preset = "tf";
  p.scale = 127.5;
  p.mean = p.deviation = {1, 1, 1};
  return p;
}

struct Family {
  Preprocessing preprocessing;
  std::vector<std::string> networks;
};

using Table = std::vector<std::pair<std::string, Preprocessing>>;

const Table& table() {
  static const Table kAll = [] {
    const std::vector<Family> families = {
        {{}, {"resnet18", "resnet34", "resnet50", "resnet101"}},
        {{}, {"vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"}},
        {keras(), {"mobilenet_v1_025", "mobilenet_v1_050", "mobilenet_v1_075", "mobilenet_v1"}},
        {{}, {"mobilenet_v2"}},
        {bicubic(), {"efficientnet_b0"}},
        {whole_images(32), {"resnet8", "resnet14", "resnet20", "resnet32", "resnet56", "lenet"}}};
    Table all;
    for (const Family& family : families)
      for (const std::string& network : family.networks) all.emplace_back(network, family.preprocessing);
    return all;
  }();
  return kAll;
}

}  // namespace

const std::vector<std::string>& network_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const auto& [name, preprocessing] : table()) names.push_back(name);
    return names;
  }();
  return kNames;
}

const Preprocessing* find(std::string_view network) {
  const auto at =
      std::find_if(table().begin(), table().end(), [&](const auto& entry) { return entry.first == network; });
  return at == table().end() ? nullptr : &at->second;
}

std::string to_string(const Preprocessing& p) {
  const std::string resize = std::to_string(p.resize), crop = std::to_string(p.crop);
  std::string out =
      p.squash ? "squashed to " + resize + " x " + resize + " px" : "shorter side to " + resize + " px";
  out += " (" + p.filter + (p.tensors ? ", as tensors)" : ")");
  if (!p.squash || p.crop != p.resize)
    out += ", crop " + crop + " px" + (p.floor_crop ? " (centre: floor)" : "");
  if (p.preset != "own") return out + ", normalize: " + p.preset;
  const auto numbers = [](const std::array<double, 3>& v) {
    return v[0] == v[1] && v[1] == v[2] ? Value(v[0]).to_json()
                                        : Value(Value::List(v.begin(), v.end())).to_json();
  };
  return out + ", mean " + numbers(p.mean) + ", std " + numbers(p.deviation);
}

const std::vector<std::string>& model_folder_files() {
  static const std::vector<std::string> kPatterns = {"config.json",
                                                     "preprocessor_config.json",
                                                     "open_clip_config.json",
                                                     "*.index.json",
                                                     "*.safetensors",
                                                     "*.bin",
                                                     "*.pth",
                                                     "*.pt"};
  return kPatterns;
}

const std::vector<std::string>& rules_names() {
  static const std::vector<std::string> kNames = {"original", "timm", "hf"};
  return kNames;
}

Rules rules_from(std::string_view name) {
  const auto at = std::find(rules_names().begin(), rules_names().end(), name);
  if (at == rules_names().end())
    throw Error("expected rules (original, timm, hf), got '" + std::string(name) + "'");
  return static_cast<Rules>(1 + (at - rules_names().begin()));
}

std::optional<Preprocessing> of_network(const std::string& network, bool is_path, Rules rules,
                                        const StageContext& context) {
  if (!is_path) {
    if (const Preprocessing* known = find(network)) return *known;
    throw Error("network: '" + network + "' is not a known network (graft model list)");
  }
  if (const auto* files = dynamic_cast<const WeightFileService*>(&context.service("weight_files")))
    return files->preprocessing_of(network, rules);
  throw Error("weight_files does not offer what is expected of it: rebuild it with this graft's headers");
}

}  // namespace graft::preprocessing
