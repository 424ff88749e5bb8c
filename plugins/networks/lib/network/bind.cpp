#include <network/bind.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

namespace graft::nn {
namespace {

template <typename T, typename Text>
void list(std::string& out, const char* title, const std::vector<T>& items, Text text) {
  if (items.empty()) return;
  std::vector<std::string> texts;
  for (const T& item : items) texts.push_back(text(item));
  out += fmt::format("\n  {} ({}): {}", title, items.size(), joined(texts));
}

std::string named(const std::string& name, const Options& options) {
  std::string out = name;
  if (options.width) out += fmt::format(", width {}", *options.width);
  if (options.side) out += fmt::format(", side {}", *options.side);
  if (options.classes) out += fmt::format(", classes {}", *options.classes);
  return out;
}

/// Whether all tensors that do not fit are in the classifier, or in the Sequential that it ends.
bool only_the_classifier(const Architecture& architecture, const Fit& fit) {
  const std::string part = architecture.classifier.substr(0, architecture.classifier.find('.'));
  const auto in = [&](const auto& items, auto path) {
    return std::all_of(items.begin(), items.end(), [&](const auto& item) {
      const std::string& p = path(item);
      return p.compare(0, part.size(), part) == 0 && p.size() > part.size() && p[part.size()] == '.';
    });
  };
  return in(fit.missing, [](const Parameter& p) -> const std::string& { return p.path; }) &&
         in(fit.misshaped, [](const Fit::Shaped& s) -> const std::string& { return s.name; }) &&
         in(fit.unexpected, [](const TensorInfo& t) -> const std::string& { return t.name; });
}

/// The last layer before everything that is named like the classifier.
std::string before_classifier(const Architecture& architecture) {
  const std::string part = architecture.classifier.substr(0, architecture.classifier.find('.'));
  std::string before = architecture.tap;
  for (const Layer& layer : architecture.layers) {
    if (layer.name == part || layer.name.compare(0, part.size() + 1, part + ".") == 0) break;
    before = layer.name;
  }
  return before;
}

std::string explain(const Architecture& architecture, const WeightFile& file, const Fit& fit) {
  std::string out = fmt::format("{}: does not fit {}", file.path().string(), architecture.name);
  list(out, "missing", fit.missing, [](const Parameter& p) { return p.path + " " + to_string(p.shape); });
  std::vector<TensorInfo> unexpected = fit.unexpected;
  for (const auto* more : {&fit.strangers, &fit.passed_over})
    unexpected.insert(unexpected.end(), more->begin(), more->end());
  list(out, "unexpected", unexpected, [](const TensorInfo& t) { return t.name + " " + to_string(t.shape); });
  list(out, "of another shape", fit.misshaped, [](const Fit::Shaped& s) {
    return fmt::format("{} {}, expected {}", s.name, to_string(s.got), to_string(s.wanted));
  });
  const std::string other = file.no_plain_tensors();
  return out + "\n  " + (other.empty() ? cure(architecture, file, fit) : other);
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

/// The square root of variance + eps is what a batch-norm divides by.
void check_variances(const WeightFile& file, const Layer& layer, const std::string& prefix,
                     const std::map<std::string, Tensor>& tensors) {
  if (layer.op != Op::BatchNorm) return;
  const std::string path = layer.name + ".running_var";
  const Tensor& tensor = tensors.at(path);
  const float* values = tensor.as<float>();
  const auto wrong = std::count_if(values, values + tensor.size(),
                                   [&](float v) { return !(static_cast<double>(v) + layer.eps > 0); });
  if (wrong == 0) return;
  throw Error(
      fmt::format("{}: tensor '{}{}' has {} of {} values that are no variances: each must be greater than "
                  "{:g}, the least is {:g}; the file is damaged, use another checkpoint",
                  file.path().string(), prefix, path, wrong, tensor.size(), -layer.eps,
                  *std::min_element(values, values + tensor.size())));
}

}  // namespace

std::optional<std::int64_t> other_channels(const Architecture& architecture, const Fit& fit) {
  const Layer& first = architecture.layers.front();
  for (const Fit::Shaped& s : fit.misshaped)
    if (first.op == Op::Conv && s.name == first.name + ".weight" && s.got.size() == 4 &&
        s.got[1] != s.wanted[1])
      return s.got[1];
  return {};
}

std::string cure(const Architecture& architecture, const WeightFile& file, const Fit& fit) {
  if (const auto channels = other_channels(architecture, fit)) {
    const std::string name = architecture.layers.front().name + ".weight";
    return fmt::format(
        "the network must take three channels, this one takes {0}: graft reads every image as RGB, also grey "
        "ones{1}",
        *channels,
        *channels == 1
            ? fmt::format("; in Python, weights['{0}'] = weights['{0}'].repeat(1, 3, 1, 1) / 3 makes "
                          "it take them",
                          name)
            : "");
  }
  const auto best = best_fit(file);
  if (best && best->fit.fitting > fit.fitting)
    return fmt::format("{} of its {} tensors fit {}: is this the right architecture?", best->fit.fitting,
                       best->fit.fitting + best->fit.unexpected.size() + best->fit.misshaped.size(),
                       named(best->architecture.name, best->options));
  if (only_the_classifier(architecture, fit))
    return fmt::format(
        "its classifier differs from that of {}, so nothing from there on can be computed; take the value "
        "before it, `taps: {}`, or export the model as TorchScript",
        architecture.name, before_classifier(architecture));
  return "use weights that were trained with this architecture";
}

void check_fit(const Architecture& architecture, const WeightFile& file,
               const std::vector<std::string>& outputs) {
  const Fit how = fit(architecture, file, outputs);
  if (how.missing.empty() && how.unexpected.empty() && how.misshaped.empty() && !how.also.empty())
    throw Error(
        fmt::format("{}: has the tensors of {} more than once, under the prefixes '{}' and '{}', and nothing "
                    "says which are meant; save one network's state_dict alone",
                    file.path().string(), architecture.name, how.prefix, fmt::join(how.also, "', '")));
  if (!how.complete()) throw Error(explain(architecture, file, how));
  for (const Layer& layer : reduced_to(architecture, outputs).layers)
    for (const Parameter& parameter : parameters_of(layer)) file.require_numbers(how.prefix + parameter.path);
}

std::map<std::string, Tensor> bind(const Architecture& architecture, const WeightFile& file,
                                   const std::vector<std::string>& outputs) {
  check_fit(architecture, file, outputs);
  const std::string prefix = fit(architecture, file, outputs).prefix;
  const Architecture network = reduced_to(architecture, outputs);
  std::vector<std::string> names;
  for (const Layer& layer : network.layers)
    for (const Parameter& parameter : parameters_of(layer)) names.push_back(prefix + parameter.path);
  std::map<std::string, Tensor> out;
  for (auto& [name, tensor] : file.read(names)) {
    check_finite(file, name, tensor);
    out.emplace(name.substr(prefix.size()), std::move(tensor));
  }
  for (const Layer& layer : network.layers) check_variances(file, layer, prefix, out);
  return out;
}

}  // namespace graft::nn
