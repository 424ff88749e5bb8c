#include <learning/class_weights.h>

#include <fmt/format.h>

#include <algorithm>

#include <graft/error.h>
#include <graft/text.h>

namespace graft::learning {

ParamSpec ClassWeights::parameter() {
  return one_of("class_weights",
                {object("none", {}).doc("Every row counts the same."),
                 object("balanced", {}).doc("Every class counts the same, however many rows it has."),
                 map("by_class", number("weight").range(0, 1e6))
                     .doc("Weights by class name; 1 for the others.")})
      .optional()
      .doc(
          "How much the rows of a class count in the loss: none (the same), balanced (scikit-learn's: "
          "classes count the same), or by_class: {name: weight}.");
}

ClassWeights::ClassWeights(const Params& params) {
  const Value* given = params.find("class_weights");
  if (given == nullptr || given->is_null()) return;
  balanced_ = given->find("balanced") != nullptr;
  if (const Value* weights = given->find("by_class")) {
    for (const auto& [name, weight] : weights->as_map()) by_class_.emplace_back(name, weight.as_double());
  }
}

ClassWeights::Values ClassWeights::values(const std::vector<std::string>& classes,
                                          std::span<const std::int32_t> fitted, const FeatureRows& rows,
                                          bool one_vs_rest) const {
  if (none()) return {};
  Values out;
  out.of_class.assign(fitted.size(), 1.0F);
  if (one_vs_rest) out.of_rest.assign(fitted.size(), 1.0F);
  for (const auto& [name, weight] : by_class_) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    if (found == classes.end()) {
      throw Error(fmt::format("class_weights: there is no class '{}'{}", name, suggestion(name, classes)));
    }
    const auto at =
        std::find(fitted.begin(), fitted.end(), static_cast<std::int32_t>(found - classes.begin()));
    if (at != fitted.end())
      out.of_class[static_cast<std::size_t>(at - fitted.begin())] = static_cast<float>(weight);
  }
  if (!balanced_) return out;
  std::vector<double> counts(classes.size());
  for (const std::int32_t label : rows.labels()) ++counts[static_cast<std::size_t>(label)];
  const auto n = static_cast<double>(rows.rows());
  const double groups = one_vs_rest ? 2 : static_cast<double>(fitted.size());
  for (std::size_t k = 0; k < fitted.size(); ++k) {
    const double with = counts[static_cast<std::size_t>(fitted[k])], without = n - with;
    if (with > 0) out.of_class[k] = static_cast<float>(n / (groups * with));
    if (one_vs_rest && without > 0) out.of_rest[k] = static_cast<float>(n / (groups * without));
  }
  return out;
}

}  // namespace graft::learning
