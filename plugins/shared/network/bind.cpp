#include "bind.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

constexpr std::string_view kModule = "module.";

bool begins_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// What stands before every name of the file: "module." or nothing.
std::string_view prefix_of(const WeightFile& file) {
  const auto& tensors = file.tensors();
  const bool wrapped =
      !tensors.empty() && std::all_of(tensors.begin(), tensors.end(),
                                      [](const TensorInfo& t) { return begins_with(t.name, kModule); });
  return wrapped ? kModule : std::string_view();
}

std::vector<std::string> outputs_or_last(const Architecture& architecture,
                                         const std::vector<std::string>& outputs) {
  return outputs.empty() ? std::vector{architecture.layers.back().name} : outputs;
}

const TensorInfo* find(const WeightFile& file, const std::string& path) {
  return file.find(std::string(prefix_of(file)) + path);
}

/// Extent `axis` of a tensor, where the file has it with that many dimensions and in a size that can be.
std::optional<int> extent(const WeightFile& file, const std::string& path, std::size_t rank,
                          std::size_t axis) {
  const int most = rank == 4 ? kMaxWidth : kMaxClasses;
  const TensorInfo* info = find(file, path);
  if (info == nullptr || info->shape.size() != rank || info->shape[axis] < 1 || info->shape[axis] > most)
    return {};
  return static_cast<int>(info->shape[axis]);
}

/// The options with which an architecture was made, as far as a file's shapes tell.
Options options_of(const std::string& name, const WeightFile& file) {
  const Architecture usual = make_architecture(name);
  Options options;
  options.classes = extent(file, usual.classifier + ".weight", 2, 0).value_or(0);
  if (options.classes == usual.classes) options.classes.reset();
  const Layer& first = usual.layers.front();
  if (!has_width(name)) return options;
  const int width = extent(file, first.name + ".weight", 4, 0).value_or(first.out);
  if (width != first.out) options.width = width;
  // A Linear that sees all pixels tells the size of the images: its inputs grow with the square of the side.
  for (std::size_t i = 1; i < usual.layers.size(); ++i) {
    const Layer& layer = usual.layers[i];
    if (layer.op != Op::Linear || layer.name == usual.classifier || usual.layers[i - 1].op != Op::Flatten)
      continue;
    const double inputs = extent(file, layer.name + ".weight", 2, 1).value_or(0);
    const double ratio = inputs / layer.in * first.out / width;
    const int side = static_cast<int>(std::lround(usual.preprocessing.crop * std::sqrt(ratio)));
    if (side >= 8 && side != usual.preprocessing.crop) options.side = side;
  }
  return options;
}

template <typename T, typename Text>
void list(std::string& out, const char* title, const std::vector<T>& items, Text text) {
  constexpr std::size_t kShown = 10;
  if (items.empty()) return;
  out += fmt::format("\n  {} ({}): ", title, items.size());
  for (std::size_t i = 0; i < std::min(items.size(), kShown); ++i)
    out += (i > 0 ? ", " : "") + text(items[i]);
  if (items.size() > kShown) out += fmt::format(" and {} more", items.size() - kShown);
}

std::string named(const std::string& name, const Options& options) {
  std::string out = name;
  if (options.width) out += fmt::format(", width {}", *options.width);
  if (options.side) out += fmt::format(", side {}", *options.side);
  if (options.classes) out += fmt::format(", classes {}", *options.classes);
  return out;
}

std::string explain(const Architecture& architecture, const WeightFile& file, const Fit& fit) {
  std::string out = fmt::format("{}: does not fit {}", file.path().string(), architecture.name);
  list(out, "missing", fit.missing, [](const Parameter& p) { return p.path + " " + to_string(p.shape); });
  list(out, "unexpected", fit.unexpected,
       [](const TensorInfo& t) { return t.name + " " + to_string(t.shape); });
  list(out, "of another shape", fit.misshaped, [](const Fit::Shaped& s) {
    return fmt::format("{} {}, expected {}", s.name, to_string(s.got), to_string(s.wanted));
  });
  const auto best = best_fit(file);
  if (best && best->fit.fitting > fit.fitting)
    out += fmt::format("\n  {} of its {} tensors fit {}: is that the architecture?", best->fit.fitting,
                       best->fit.fitting + best->fit.unexpected.size() + best->fit.misshaped.size(),
                       named(best->architecture.name, best->options));
  else
    out += "\n  use weights that were trained with this architecture";
  return out;
}

void check_finite(const WeightFile& file, const std::string& name, const Tensor& tensor) {
  const float* values = tensor.as<float>();
  const auto wrong = std::count_if(values, values + tensor.size(), [](float v) { return !std::isfinite(v); });
  if (wrong == 0) return;
  throw Error(
      fmt::format("{}: tensor '{}' has {} of {} values that are not finite: the file is damaged, or its "
                  "training diverged; use another checkpoint",
                  file.path().string(), name, wrong, tensor.size()));
}

}  // namespace

Fit fit(const Architecture& architecture, const WeightFile& file, const std::vector<std::string>& outputs) {
  const std::string_view prefix = prefix_of(file);
  Fit out;
  std::set<std::string> needed, known;
  for (const Layer& layer : reduced_to(architecture, outputs_or_last(architecture, outputs)).layers)
    for (const Parameter& parameter : parameters_of(layer)) {
      needed.insert(parameter.path);
      const TensorInfo* got = find(file, parameter.path);
      if (got == nullptr)
        out.missing.push_back(parameter);
      else if (got->shape != parameter.shape)
        out.misshaped.push_back({parameter.path, parameter.shape, got->shape});
      else
        ++out.fitting;
    }
  for (const Layer& layer : architecture.layers)
    for (const Parameter& parameter : parameters_of(layer)) known.insert(parameter.path);
  const std::string classifier = architecture.classifier + ".";
  for (const TensorInfo& tensor : file.tensors()) {
    const std::string path = tensor.name.substr(prefix.size());
    const bool left_out = architecture.classes == 0 && begins_with(path, classifier);
    if (known.count(path) == 0 && !left_out && !ends_with(path, ".num_batches_tracked"))
      out.unexpected.push_back({path, tensor.type, tensor.shape});
  }
  return out;
}

std::optional<BestFit> best_fit(const WeightFile& file) {
  std::optional<BestFit> best;
  double best_share = 0;
  for (const std::string& name : architecture_names()) {
    BestFit one;
    one.options = options_of(name, file);
    one.architecture = make_architecture(name, one.options);
    one.fit = fit(one.architecture, file);
    const std::size_t all =
        one.fit.fitting + one.fit.missing.size() + one.fit.unexpected.size() + one.fit.misshaped.size();
    const double share = all == 0 ? 0 : static_cast<double>(one.fit.fitting) / static_cast<double>(all);
    if (share > best_share) {
      best_share = share;
      best = std::move(one);
    }
  }
  return best_share >= 0.5 ? std::move(best) : std::nullopt;
}

std::map<std::string, Tensor> bind(const Architecture& architecture, const WeightFile& file,
                                   const std::vector<std::string>& outputs) {
  const Fit how = fit(architecture, file, outputs);
  if (!how.complete()) throw Error(explain(architecture, file, how));
  const std::string prefix(prefix_of(file));
  std::vector<std::string> names;
  for (const Layer& layer : reduced_to(architecture, outputs_or_last(architecture, outputs)).layers)
    for (const Parameter& parameter : parameters_of(layer)) names.push_back(prefix + parameter.path);
  std::map<std::string, Tensor> out;
  for (auto& [name, tensor] : file.read(names)) {
    check_finite(file, name, tensor);
    out.emplace(name.substr(prefix.size()), std::move(tensor));
  }
  return out;
}

}  // namespace graft::nn
