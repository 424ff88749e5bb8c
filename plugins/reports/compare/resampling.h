#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <graft/learner.h>
#include <graft/random.h>

namespace graft {

/// Fold in [0, folds) of every label, so that each fold has nearly the same fraction of every class: the rule
/// of scikit-learn's StratifiedKFold. With `shuffle`, rows of a class are dealt out at random, else in their
/// order. Throws Error when every class has fewer rows than there are folds; `warn` is called when some have.
std::vector<std::size_t> stratified_folds(const std::vector<std::int32_t>& labels, std::size_t folds,
                                          Random* shuffle,
                                          const std::function<void(const std::string&)>& warn);

/// What labelled inputs are drawn and dealt out by: the first label; -1, a class of its own, for an input
/// that shows none of the classes.
inline std::int32_t stratum_of(const Trials::Input& input) {
  return input.labels.empty() ? -1 : input.labels.front();
}

/// Labelled inputs in an order that is random but for each input by itself: by a hash of key and seed. So
/// what is drawn for few is among what is drawn for more, and stays when inputs are added.
class Drawing {
 public:
  Drawing(const std::vector<Trials::Input>& inputs, std::uint64_t seed) : inputs_(inputs), seed_(seed) {}

  /// Of the positions `from`, the first `shots` of each stratum.
  std::vector<std::size_t> take(const std::vector<std::size_t>& from, std::size_t shots) const;

  /// Divides positions into train and val: of each stratum the last round(share x n), but one at least of two
  /// and more, and never all. Fills in Rows::train and Rows::val.
  Trials::Rows divide(const std::vector<std::size_t>& positions, double share) const;

 private:
  /// By stratum, each in drawing order.
  std::vector<std::vector<std::size_t>> by_stratum(const std::vector<std::size_t>& positions) const;

  const std::vector<Trials::Input>& inputs_;
  std::uint64_t seed_;
};

}  // namespace graft
