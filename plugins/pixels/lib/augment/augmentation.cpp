#include <augment/augmentation.h>

#include <fmt/format.h>

#include <map>
#include <utility>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/random.h>

namespace graft::augment {
namespace {

std::vector<OperationType> all_types() {
  std::vector<OperationType> all = warp_operations();
  for (auto group : {crop_operations(), colour_operations(), rand_augment_operations()})
    for (OperationType& type : group) all.push_back(std::move(type));
  return all;
}

const OperationType& type_named(const std::string& name) {
  static const std::vector<OperationType> kAll = all_types();
  for (const OperationType& type : kAll)
    if (type.spec.name == name) return type;
  throw Error("no such operation: " + name);
}

}  // namespace

ParamSpec Augmentation::parameter(Value::List when_left_out) {
  std::vector<ParamSpec> alternatives;
  for (OperationType& type : all_types()) alternatives.push_back(std::move(type.spec));
  ParamSpec spec = list("operations", one_of("operation", std::move(alternatives)))
                       .doc("Applied in this order, each with random numbers of its own.");
  // A default stands for itself, so that the members' own defaults are filled in here.
  Value given = Value::map();
  given[spec.name] = Value(std::move(when_left_out));
  std::vector<ParamFault> faults;
  const Value resolved = resolve({spec}, given, faults);
  if (!faults.empty()) throw Error(spec.name + ": a default that cannot be used: " + faults.front().text);
  return spec.default_list(resolved.find(spec.name)->as_list());
}

Augmentation::Augmentation(const Params& params) {
  std::map<std::string, int> seen;
  for (const auto& [name, members] : params.alternatives("operations")) {
    const Value* p = members.value().find("p");
    try {
      steps_.push_back({fmt::format("{}/{}", name, seen[name]++), p == nullptr ? 1.0 : p->as_double(),
                        type_named(name).make(members)});
    } catch (const Error& e) {
      throw Error(fmt::format("operations.{}.{}.{}", steps_.size(), name, e.what()));
    }
  }
}

Image Augmentation::apply(const Image& image, std::uint64_t seed, std::string_view key,
                          std::uint32_t view) const {
  Image out = image;
  for (const Step& step : steps_) {
    Random random(hash64(step.stream, seed), key, view);
    if (random.chance(step.probability)) out = step.operation->apply(out, random);
  }
  return out;
}

}  // namespace graft::augment
