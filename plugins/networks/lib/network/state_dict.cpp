#include <network/state_dict.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "printable.h"

namespace graft::nn {

using graft::to_string;  // of a Shape

namespace {

using Kind = PickleValue::Kind;
using Id = std::uint32_t;

/// Usual names of the weights, the most specific first.
constexpr std::array<std::string_view, 13> kUsualNames = {
    "state_dict", "model_state_dict", "model_state", "model", "net",     "network", "params",
    "weights",    "module",           "teacher",     "ema",   "encoder", "backbone"};
/// Names of other things that hold tensors.
constexpr std::array<std::string_view, 9> kOtherNames = {"optim", "sched", "scaler",    "callback", "loop",
                                                         "hyper", "rng",   "criterion", "loss"};
constexpr std::size_t kDeepest = 4;

bool is_dict(const PickleValue& value) {
  return value.kind == Kind::Dict || (value.kind == Kind::Object && !value.items.empty());
}

/// A dict with tensors, and the keys that lead to it.
struct Candidate {
  std::vector<std::string> path;
  const PickleValue* dict;
  std::size_t tensors;
  bool around = false;  ///< Of a dict with more: a best accuracy and the like.

  std::string name() const { return fmt::format("{}", fmt::join(path, ".")); }
  /// Smaller is more likely.
  auto rank() const {
    std::size_t usual = path.empty() ? 0 : kUsualNames.size() + 1;
    for (const std::string& key : path) {
      const auto at = std::find(kUsualNames.begin(), kUsualNames.end(), lower_case(key));
      if (at != kUsualNames.end())
        usual = std::min(usual, 1 + static_cast<std::size_t>(at - kUsualNames.begin()));
    }
    return std::tuple(around, role_of(name()), usual, -static_cast<std::int64_t>(tensors));
  }
};

/// `seen`: a pickle may refer to a dict from many places, and from itself.
void collect(const Pickle& pickle, const PickleValue& dict, const std::vector<std::string>& path,
             std::set<const PickleValue*>& seen, std::vector<Candidate>& out) {
  if (!seen.insert(&dict).second) return;
  Candidate here{path, &dict, 0};
  const std::size_t first_below = out.size();
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue &key = pickle[dict.items[i]], &value = pickle[dict.items[i + 1]];
    if (key.kind != Kind::Text) continue;
    if (value.kind == Kind::Tensor) ++here.tensors;
    if (!is_dict(value) || path.size() >= kDeepest) continue;
    const std::string name = lower_case(std::string(key.text.substr(0, 200)));
    if (std::any_of(kOtherNames.begin(), kOtherNames.end(),
                    [&](std::string_view other) { return name.find(other) != std::string::npos; }))
      continue;
    std::vector<std::string> below = path;
    below.push_back(printable(key.text));
    collect(pickle, value, below, seen, out);
  }
  here.around = std::any_of(out.begin() + static_cast<std::ptrdiff_t>(first_below), out.end(),
                            [&](const Candidate& below) { return below.tensors > here.tensors; });
  if (here.tensors > 0) out.push_back(std::move(here));
}

/// What PyTorch makes tensors with that are more than a view of a storage; null for another object.
const char* special_tensor(const PickleValue& value) {
  constexpr std::pair<std::string_view, const char*> kKinds[] = {
      {"_rebuild_qtensor", "quantised"},
      {"_rebuild_sparse_tensor", "sparse"},
      {"_rebuild_sparse_csr_tensor", "sparse"},
      {"_rebuild_nested_tensor", "nested"},
      {"_rebuild_meta_tensor_no_storage", "without values, of the device meta"},
      {"_rebuild_tensor_v3", "of a type that only newer PyTorch has"},
      {"_rebuild_wrapper_subclass", "of a class of its own"}};
  constexpr std::string_view kModule = "torch._utils.";
  if (value.kind != Kind::Object || !value.text.starts_with(kModule)) return nullptr;
  for (const auto& [name, what] : kKinds)
    if (value.text.substr(kModule.size()) == name) return what;
  return nullptr;
}

[[noreturn]] void refuse_object(const std::string& what, const PickleValue& object) {
  if (object.integer == PickleValue::kModel)
    throw Error(fmt::format(
        "{} names {}: expected a state_dict, which holds tensors only, got a whole model, which is "
        "code; nothing was executed; save its weights alone, in Python: "
        "torch.save(model.state_dict(), 'weights.pth')",
        what, object.text));
  throw Error(
      fmt::format("{} names {}: expected a state_dict, which holds tensors only; nothing was executed; save "
                  "model.state_dict() in place of the model or the checkpoint around it, and do not open the "
                  "file elsewhere if you do not trust its origin",
                  what, object.text));
}

/// A model where its weights should be.
void refuse_models(const Pickle& pickle, const PickleValue& root) {
  for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const PickleValue &key = pickle[root.items[i]], &value = pickle[root.items[i + 1]];
    if (key.kind == Kind::Text && value.kind == Kind::Object && value.integer == PickleValue::kModel)
      refuse_object(fmt::format("its '{}'", printable(key.text)), value);
  }
}

/// Nothing below the root is a state_dict: reports what is there.
[[noreturn]] void refuse(const Pickle& pickle, const PickleValue& root) {
  const PickleValue &key = pickle[root.items[0]], &value = pickle[root.items[1]];
  if (key.kind != Kind::Text)
    throw Error(
        fmt::format("has {} for a name, expected a state_dict: names and tensors", to_string(key.kind)));
  if (const char* what = special_tensor(value))
    throw Error(fmt::format(
        "tensor '{}' is {}, as are all others: save plain tensors, in Python: model.dequantize() of "
        "quantised ones, tensor.to_dense() of sparse ones",
        printable(key.text), what));
  throw Error(fmt::format("'{}' is {}, expected a tensor; save model.state_dict() itself",
                          printable(key.text), to_string(value.kind)));
}

/// The root where it is all tensors, or empty; else the likeliest of those that have tensors.
std::pair<Candidate, std::string> choose(const Pickle& pickle) {
  const PickleValue& root = pickle.root();
  if (root.kind == Kind::Object && root.items.empty()) refuse_object("its pickle", root);
  if (!is_dict(root) && root.kind != Kind::Dict)
    throw Error(fmt::format("holds {}, expected a state_dict: names and tensors", to_string(root.kind)));
  std::vector<Candidate> all;
  std::set<const PickleValue*> seen;
  collect(pickle, root, {}, seen, all);
  if (all.empty() || (all.size() == 1 && all[0].path.empty())) refuse_models(pickle, root);
  if (all.empty()) {
    if (!root.items.empty()) refuse(pickle, root);
    return {{{}, &root, 0}, ""};
  }
  // Beside a network, the mean of a normalizer and a classifier of its own have few tensors, whatever they
  // are called.
  const std::size_t most =
      std::max_element(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
        return a.tensors < b.tensors;
      })->tensors;
  std::erase_if(all, [&](const Candidate& one) { return 2 * one.tensors < most; });
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.rank() < b.rank(); });
  const Candidate& best = all.front();
  if (all.size() > 1 && all[1].rank() == best.rank() && all[1].dict != best.dict)
    throw Error(fmt::format(
        "has two sets of {} tensors, below '{}' and below '{}', and neither has a usual name: save one of "
        "them alone, in Python: torch.save(torch.load(...)['{}'], 'weights.pth')",
        best.tensors, best.name(), all[1].name(), fmt::join(best.path, "']['")));
  if (best.path.empty()) return {best, ""};
  std::vector<std::string> others;
  for (std::size_t i = 1; i < all.size(); ++i)
    if (!all[i].path.empty()) others.push_back(all[i].name());
  std::string taken = fmt::format("takes the weights below '{}'", best.name());
  if (!others.empty())
    taken +=
        fmt::format(", not those below '{}', which can be saved alone to be used", fmt::join(others, "', '"));
  return {best, taken};
}

Shape numbers(const Pickle& pickle, const PickleValue& list) {
  Shape out;
  for (const Id id : list.items) out.push_back(pickle[id].integer);
  return out;
}

/// Whether the view lies within its storage; nothing here may overflow, whatever the numbers are.
bool is_inside(const StoredTensor& t) {
  if (t.shape.size() != t.strides.size() || t.offset < 0 || t.offset > t.storage_size) return false;
  std::int64_t last = t.offset, count = 1;
  bool empty = false;
  for (std::size_t i = 0; i < t.shape.size(); ++i) {
    std::int64_t step = 0;
    if (t.shape[i] < 0 || t.strides[i] < 0) return false;
    if (t.shape[i] == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &step) ||
        __builtin_add_overflow(last, step, &last) || __builtin_mul_overflow(count, t.shape[i], &count) ||
        count > INT64_MAX / 16)
      return false;
  }
  return empty || last < t.storage_size;
}

StoredTensor stored_tensor(const Pickle& pickle, std::string_view name, const PickleValue& value) {
  const PickleValue& storage = pickle[value.items[0]];
  StoredTensor t;
  t.name = name;
  t.type = element_type(pickle[storage.items[0]].text);
  t.storage = storage.text;
  t.storage_size = storage.integer;
  t.offset = value.integer;
  t.shape = numbers(pickle, pickle[value.items[1]]);
  t.strides = numbers(pickle, pickle[value.items[2]]);
  if (!is_inside(t))
    throw Error(fmt::format(
        "tensor '{}' of shape {} and strides {} lies outside its storage of {} elements: the file "
        "is damaged or hostile",
        printable(name), to_string(t.shape), to_string(t.strides), t.storage_size));
  return t;
}

}  // namespace

StateDict state_dict_of_script(const Pickle& pickle) {
  constexpr std::size_t kDeepestModule = 64;
  struct Module {
    std::string name;  ///< With a dot after it.
    const PickleValue* object;
    std::size_t depth;
  };
  if (pickle.root().kind != Kind::Object)
    throw Error(fmt::format("holds {}, expected a module", to_string(pickle.root().kind)));
  StateDict out;
  std::set<const PickleValue*> seen;
  std::vector<Module> left{{"", &pickle.root(), 0}};
  while (!left.empty()) {
    const Module module = std::move(left.back());
    left.pop_back();
    if (module.depth > kDeepestModule || !seen.insert(module.object).second) continue;
    for (std::size_t i = 0; i + 1 < module.object->items.size(); i += 2) {
      const PickleValue &key = pickle[module.object->items[i]], &value = pickle[module.object->items[i + 1]];
      if (key.kind != Kind::Text) continue;
      const std::string name = module.name + std::string(key.text.substr(0, 200));
      if (value.kind == Kind::Tensor)
        out.tensors.push_back(stored_tensor(pickle, name, value));
      else if (value.kind == Kind::Object)
        left.push_back({name + ".", &value, module.depth + 1});
    }
  }
  return out;
}

bool is_clip_of_openai(const StateDict& dict) {
  const auto has = [&](std::string_view name) {
    return std::any_of(dict.tensors.begin(), dict.tensors.end(),
                       [&](const StoredTensor& t) { return t.name == name; });
  };
  return has("visual.conv1.weight") && has("visual.class_embedding") &&
         has("visual.transformer.resblocks.0.attn.in_proj_weight") && has("input_resolution") &&
         has("token_embedding.weight");
}

int role_of(std::string_view path) {
  const std::string text = lower_case(std::string(path));
  const auto has = [&](std::string_view word) {
    // A word of its own: "ema" is not in "schema" or "semantic".
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      const bool begins = at == 0 || std::isalnum(static_cast<unsigned char>(text[at - 1])) == 0;
      const bool ends = end == text.size() || std::isalnum(static_cast<unsigned char>(text[end])) == 0;
      if (begins && ends) return true;
    }
    return false;
  };
  for (const char* word : {"ema", "emas", "swa", "averaged", "average", "momentum", "encoder_k", "target"})
    if (has(word)) return 2;
  return has("student") ? 1 : 0;
}

StateDict state_dict_of(const Pickle& pickle) {
  auto [chosen, taken] = choose(pickle);
  StateDict out;
  out.taken = std::move(taken);
  const PickleValue& dict = *chosen.dict;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue &key = pickle[dict.items[i]], &value = pickle[dict.items[i + 1]];
    // Beside the weights: an epoch, a configuration, an optimiser.
    if (key.kind != Kind::Text) continue;
    if (const char* what = special_tensor(value)) out.unusable.emplace_back(key.text, what);
    if (value.kind == Kind::Tensor) out.tensors.push_back(stored_tensor(pickle, key.text, value));
  }
  return out;
}

}  // namespace graft::nn
