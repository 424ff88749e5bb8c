#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <graft/params.h>

#include <learning/features.h>

namespace graft::learning {

/// How much the rows of each class count in a loss: the parameter `class_weights` of a stage.
class ClassWeights {
 public:
  /// `none`, `balanced`, or `by_class: {name: weight}`; left out: none.
  static ParamSpec parameter();
  ClassWeights() = default;
  explicit ClassWeights(const Params& params);

  /// One of every fitted class; empty: all are 1.
  struct Values {
    std::vector<float> of_class;
    std::vector<float>
        of_rest;  ///< Of the rows that are not of it, where every class is a question of its own.
  };
  /// `fitted`: classes, ascending. Balanced, as scikit-learn has it, for n rows of which n_c are of class c:
  /// n / (classes n_c); where every class is a question of its own (`one_vs_rest`), n / (2 n_c), and
  /// n / (2 (n - n_c)) for the rest. By class: as given, 1 for a class that is not named; the rest has 1.
  /// Throws Error for a name that is not a class.
  Values values(const std::vector<std::string>& classes, std::span<const std::int32_t> fitted,
                const FeatureRows& rows, bool one_vs_rest) const;

  bool none() const { return !balanced_ && by_class_.empty(); }

 private:
  bool balanced_ = false;
  std::vector<std::pair<std::string, double>> by_class_;
};

}  // namespace graft::learning
