#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <learning/warnings.h>
#include <metrics/score.h>

namespace graft {

/// A linear classifier: logits are weight x features + bias.
struct LinearHead {
  Tensor weight;  ///< f32[outputs,features]
  Tensor bias;    ///< f32[outputs]
};

/// Features of labelled images.
struct ProbeRows {
  std::vector<float> features;  ///< Row-major.
  std::size_t dim = 0;
  std::vector<std::span<const std::int32_t>> labels;  ///< Outputs; a single -1: none of them.
};

struct ProbeOptions {
  std::vector<double> c;  ///< Ascending. Weights of the data against the penalty, as in linear_probe.
  /// Multi: a logistic regression for each output in place of one for all.
  metrics::LabelMode mode = metrics::LabelMode::Single;
  learning::Warn warn;
};

struct Probe {
  LinearHead head;
  Value summary;  ///< `c`, and what each c gave on val.
};

/// Logistic regression on the features (multinomial, or one for each output) for every c, from strong to
/// weak; the one with the best accuracy on val is taken, then with the lowest log loss; of several labels by
/// log loss alone. Without val, the c that is nearest to 1. Of two classes each gets half of the one weight
/// vector, so that the softmax gives the probe's probabilities. A val image without an output counts as one
/// of a class with probability 0.
Probe fit_probe(const ProbeRows& train, const ProbeRows& val, std::size_t outputs,
                const ProbeOptions& options, Parallel& parallel);

/// Weights N(0, 0.01^2), biases 0; a pure function of the seed.
LinearHead random_head(std::size_t outputs, std::size_t features, std::uint64_t seed);

}  // namespace graft
