#include <network/weight_fit.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include <network/state_dict.h>

namespace graft::nn {
namespace {

/// Counters that modules keep beside their weights: of a batch norm, of tools that count operations.
constexpr std::string_view kCounters[] = {"num_batches_tracked", "total_ops", "total_params", "n_averaged"};

bool is_counter(std::string_view path) {
  const std::string_view last = path.substr(path.rfind('.') + 1);
  return std::find(std::begin(kCounters), std::end(kCounters), last) != std::end(kCounters);
}

/// Names of modules that come after the features, or serve only training.
constexpr std::string_view kBehind[] = {"head",  "proj",    "predict",   "prototype", "queue",
                                        "aux",   "classif", "criterion", "loss",      "center",
                                        "logit", "metric",  "accuracy"};

bool is_beside(std::string_view path) {
  const std::string module = lower_case(std::string(path.substr(0, path.find('.'))));
  return std::any_of(std::begin(kBehind), std::end(kBehind),
                     [&](std::string_view word) { return module.find(word) != std::string::npos; });
}

bool is_below(std::string_view path, std::string_view module) {
  return path.size() > module.size() && path.starts_with(module) && path[module.size()] == '.';
}

/// Paths of the tensors that lead to the tap: they identify a network, whatever its classifier is.
std::vector<std::string> body_of(const Architecture& architecture) {
  std::vector<std::string> out;
  for (const Layer& layer : reduced_to(architecture, {architecture.tap}).layers)
    for (const Parameter& parameter : parameters_of(layer)) out.push_back(parameter.path);
  return out;
}

/// The prefix of a network's names: of all prefixes before its first tensor, the one with the most tensors of
/// its body; ties go to the most likely one. `also`: prefixes that are equally good.
std::string prefix_of(const std::vector<std::string>& body, const WeightFile& file,
                      std::vector<std::string>* also = nullptr) {
  struct Candidate {
    std::string prefix;
    std::size_t found;
    int role;
  };
  std::vector<Candidate> all;
  const std::string& first = body.front();
  for (const TensorInfo& tensor : file.tensors()) {
    const std::string& name = tensor.name;
    if (!name.ends_with(first) || (name.size() > first.size() && name[name.size() - first.size() - 1] != '.'))
      continue;
    if (all.size() == kMostNetworks) throw Error(too_many_networks(file, first));
    Candidate one{name.substr(0, name.size() - first.size()), 0, 0};
    one.role = role_of(one.prefix);
    for (const std::string& path : body)
      if (file.find(one.prefix + path) != nullptr) ++one.found;
    all.push_back(std::move(one));
  }
  if (all.empty()) return "";
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.found != b.found ? a.found > b.found : a.role < b.role;
  };
  std::stable_sort(all.begin(), all.end(), better);
  for (std::size_t i = 1; i < all.size() && also != nullptr && !better(all[0], all[i]); ++i)
    also->push_back(all[i].prefix);
  return all[0].prefix;
}

/// The part of a network that a tensor belongs to.
enum class Place {
  Nowhere,     ///< No module of the network.
  Needed,      ///< A module that the outputs need.
  Classifier,  ///< The classifier, which they do not need; it may be the user's own.
  After        ///< Another module that they do not need.
};

class Places {
 public:
  Places(const Architecture& architecture, const std::vector<Layer>& needed) : net_(architecture) {
    for (const Layer& layer : needed) needed_.push_back(layer.name);
    // A Sequential that the classifier ends may have been given further modules.
    const std::size_t dot = net_.classifier.rfind('.');
    if (dot != std::string::npos) container_ = net_.classifier.substr(0, dot);
    add_module(net_.classifier);
    for (const Layer& layer : net_.layers) add_module(layer.name);
    for (const std::string& name : needed_)
      if (is_below(name, container_)) last_in_container_ = std::max(last_in_container_, number_in(name));
  }

  Place of(std::string_view path) const {
    const std::string_view module = module_of(path);
    if (module.empty()) return Place::Nowhere;
    const bool in_classifier = module == net_.classifier || is_below(module, net_.classifier) ||
                               (!container_.empty() && module == container_);
    if (is_needed(module) && !(module == container_ && number_in(path) > last_in_container_))
      return Place::Needed;
    return in_classifier ? Place::Classifier : Place::After;
  }

 private:
  /// The longest beginning of a path that the network has as a module or a layer.
  std::string_view module_of(std::string_view path) const {
    for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos; dot = path.rfind('.', dot - 1)) {
      const std::string_view module = path.substr(0, dot);
      if (modules_.contains(module)) return module;
      if (dot == 0) break;
    }
    return {};
  }
  bool is_needed(std::string_view module) const {
    return std::any_of(needed_.begin(), needed_.end(), [&](const std::string& name) {
      return name == module || is_below(name, module) || is_below(module, name);
    });
  }
  /// The number right after the container in a path, or -1.
  int number_in(std::string_view path) const {
    if (container_.empty() || !is_below(path, container_)) return -1;
    const std::string_view rest = path.substr(container_.size() + 1);
    int number = -1;
    const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    return fault == std::errc() && (end == rest.data() + rest.size() || *end == '.') ? number : -1;
  }

  /// A module, and those that it is in.
  void add_module(std::string_view name) {
    while (modules_.emplace(name).second && name.find('.') != std::string_view::npos)
      name = name.substr(0, name.rfind('.'));
  }

  const Architecture& net_;
  std::vector<std::string> needed_;
  std::set<std::string, std::less<>> modules_;
  std::string container_;
  int last_in_container_ = -1;
};

/// Extent `axis` of a tensor, where the file has it with that many dimensions and in a size that can be.
std::optional<int> extent(const WeightFile& file, const std::string& path, std::size_t rank,
                          std::size_t axis) {
  const int most = rank == 4 ? kMaxWidth : kMaxClasses;
  const TensorInfo* info = file.find(path);
  if (info == nullptr || info->shape.size() != rank || info->shape[axis] < 1 || info->shape[axis] > most)
    return {};
  return static_cast<int>(info->shape[axis]);
}

/// The options with which an architecture was made, as far as a file's shapes show them.
Options options_of(const Architecture& usual, const WeightFile& file) {
  const std::string prefix = prefix_of(body_of(usual), file);
  Options options;
  options.classes = extent(file, prefix + usual.classifier + ".weight", 2, 0).value_or(0);
  if (options.classes == usual.classes) options.classes.reset();
  const Layer& first = usual.layers.front();
  if (!has_width(usual.name)) return options;
  const int width = extent(file, prefix + first.name + ".weight", 4, 0).value_or(first.out);
  if (width != first.out) options.width = width;
  // A Linear over all pixels determines the size of the images: its inputs grow with the square of the side.
  for (std::size_t i = 1; i < usual.layers.size(); ++i) {
    const Layer& layer = usual.layers[i];
    if (layer.op != Op::Linear || layer.name == usual.classifier || usual.layers[i - 1].op != Op::Flatten)
      continue;
    const double inputs = extent(file, prefix + layer.name + ".weight", 2, 1).value_or(0);
    const double ratio = inputs / layer.in * first.out / width;
    const int side = static_cast<int>(std::lround(usual.preprocessing.crop * std::sqrt(ratio)));
    if (side >= 8 && side != usual.preprocessing.crop) options.side = side;
  }
  return options;
}

}  // namespace

std::string too_many_networks(const WeightFile& file, const std::string& ending) {
  return fmt::format(
      "{}: has more than {} tensors whose names end with '{}', each of which could begin a network; save one "
      "network's state_dict alone",
      file.path().string(), kMostNetworks, ending);
}

Fit fit(const Architecture& architecture, const WeightFile& file, const std::vector<std::string>& outputs) {
  Fit out;
  out.prefix = prefix_of(body_of(architecture), file, &out.also);
  const std::vector<Layer> layers = reduced_to(architecture, outputs).layers;
  std::set<std::string> needed, known;
  for (const Layer& layer : layers)
    for (const Parameter& parameter : parameters_of(layer)) needed.insert(parameter.path);
  out.needed = needed.size();
  for (const Layer& layer : architecture.layers)
    for (const Parameter& parameter : parameters_of(layer)) {
      known.insert(parameter.path);
      const TensorInfo* got = file.find(out.prefix + parameter.path);
      const bool is_needed = needed.count(parameter.path) != 0;
      if (got != nullptr && got->shape == parameter.shape)
        ++out.fitting;
      else if (got != nullptr && is_needed)
        out.misshaped.push_back({parameter.path, parameter.shape, got->shape});
      else if (got != nullptr)
        out.own_classifier.push_back({parameter.path, got->type, got->shape});
      else if (is_needed)
        out.missing.push_back(parameter);
    }
  const bool wants_classifier = std::any_of(layers.begin(), layers.end(), [&](const Layer& layer) {
    return layer.name == architecture.classifier;
  });
  const Places places(architecture, layers);
  for (const TensorInfo& tensor : file.tensors()) {
    if (is_counter(tensor.name)) continue;
    if (!tensor.name.starts_with(out.prefix)) {
      out.passed_over.push_back(tensor);
      continue;
    }
    const std::string path = tensor.name.substr(out.prefix.size());
    if (known.count(path) != 0) continue;
    switch (places.of(path)) {
      case Place::Needed:
        out.unexpected.push_back({path, tensor.type, tensor.shape});
        break;
      case Place::Nowhere:
        (is_beside(path) ? out.passed_over : out.strangers).push_back({path, tensor.type, tensor.shape});
        break;
      case Place::Classifier:
        out.own_classifier.push_back({path, tensor.type, tensor.shape});
        break;
      case Place::After:
        break;
    }
  }
  if (wants_classifier) {
    out.unexpected.insert(out.unexpected.end(), out.own_classifier.begin(), out.own_classifier.end());
    out.own_classifier.clear();
  }
  return out;
}

std::optional<BestFit> best_fit(const WeightFile& file) {
  std::optional<BestFit> best;
  double best_share = 0;
  for (const std::string& name : architecture_names()) {
    BestFit one;
    one.options = options_of(make_architecture(name), file);
    one.architecture = make_architecture(name, one.options);
    one.fit = fit(one.architecture, file, {one.architecture.tap});
    if (one.architecture.classes > 0 && !one.fit.own_classifier.empty()) {
      one.options.classes = 0;
      one.architecture = make_architecture(name, one.options);
      one.fit = fit(one.architecture, file, {one.architecture.tap});
    }
    const Fit& f = one.fit;
    // Tensors beside the network do not count, but less than half of a file is not a network.
    const std::size_t all = f.fitting + f.missing.size() + f.unexpected.size() + f.misshaped.size();
    const double share = all == 0 ? 0 : static_cast<double>(f.fitting) / static_cast<double>(all);
    if (share > best_share || (share == best_share && best && f.fitting > best->fit.fitting)) {
      best_share = share;
      best = std::move(one);
    }
  }
  return best_share >= 0.5 ? std::move(best) : std::nullopt;
}

std::string taken(const Architecture& architecture, const WeightFile& file, const Fit& fit) {
  std::vector<std::string> parts;
  if (!file.taken().empty()) parts.push_back(file.taken());
  if (!fit.prefix.empty())
    parts.push_back(
        fmt::format("all {} tensors fit {} under the prefix {}", fit.needed, architecture.name, fit.prefix));
  std::vector<TensorInfo> beside = fit.passed_over;
  beside.insert(beside.end(), fit.strangers.begin(), fit.strangers.end());
  if (!beside.empty()) {
    std::vector<std::string> names;
    for (const TensorInfo& t : beside) names.push_back(t.name);
    parts.push_back(fmt::format("not used, not part of {}: {}", architecture.name, joined(names, 3)));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace graft::nn
