#pragma once

#include <string>
#include <vector>

namespace graft::dense {

/// Learning rates over a training, as factors of the highest one. Time is counted in epochs, with fractions.
struct Schedule {
  enum class Kind { Constant, Cosine, Step };
  static const std::vector<std::string>& names();  // "constant", "cosine", "step"
  static Kind kind_from(const std::string& name);

  Kind kind = Kind::Cosine;
  double epochs = 50;        ///< The whole training.
  double warmup_epochs = 0;  ///< At most `epochs`.
  std::vector<double> drops = {0.3, 0.6,
                               0.9};  ///< Step: fractions of the training after which the rate drops ...
  double drop_factor = 0.1;           ///< ... to this fraction of its value.

  /// Before a step that starts at `now` and takes `step` epochs. Warm-up: (now + step) / (warmup + step),
  /// linear; then cosine: (1 + cos(pi share)) / 2 of the share of the time after the warm-up that has passed
  /// (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
  double factor(double now, double step) const;
};

}  // namespace graft::dense
