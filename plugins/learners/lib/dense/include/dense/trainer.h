#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <graft/predictor.h>

#include <dense/loss.h>
#include <dense/network.h>
#include <dense/optimizer.h>

namespace graft::dense {

/// Rows of one step. Row i of a mixed batch is own * rows[i] + (1 - own) * rows[partner[i]], and so are its
/// targets.
struct Batch {
  std::vector<const float*> rows;    ///< Features of each row.
  std::vector<float> targets;        ///< Row-major, rows x outputs; see Loss.
  std::vector<std::size_t> partner;  ///< Empty: nothing is mixed.
  double own = 1;
};

struct TrainerOptions {
  Loss loss = {};
  OptimizerOptions optimizer = {};
  /// For every layer the fraction of its inputs that is zeroed; the rest is scaled by 1 / (1 - fraction)
  /// (Srivastava et al. 2014). Empty: none.
  std::vector<double> dropout = {};
  bool unit_length = false;  ///< Mixed rows are scaled to length 1 again.
  std::uint64_t seed = 0;    ///< Of dropout.
};

/// Steps of gradient descent by backpropagation. A batch is cut into runs of rows, each computed by one
/// thread; their gradients are summed in order, and what dropout drops is a pure function of the seed, the
/// step, the layer and the place in the batch: the same bits for any number of threads. Biases do not decay.
/// Not thread-safe itself.
class Trainer {
 public:
  /// `network` and `parallel` must outlive this.
  Trainer(Network& network, TrainerOptions options, Parallel& parallel);

  /// Sums over rows; the mean loss is loss / weight.
  struct Sum {
    double loss = 0, weight = 0;
  };
  /// Loss of the batch before the step. `number` counts steps from 1. When the loss is not finite, nothing is
  /// updated.
  Sum step(const Batch& batch, double learning_rate, std::int64_t number);
  /// The same without an update: derivatives of loss / weight by every parameter.
  Sum gradient(const Batch& batch, std::int64_t number, std::span<float> out);

 private:
  /// What one part of a batch needs: a run of its rows.
  struct Part {
    std::size_t begin = 0, count = 0;
    std::vector<std::vector<float>> inputs;  ///< Of every layer, after dropout.
    std::vector<float> targets, delta, before;
    std::vector<float> gradient;
    double loss = 0;
  };
  /// Parameters that are updated together.
  struct Chunk {
    std::size_t begin, end;
    bool decays;
  };

  Sum differentiate(const Batch& batch, std::int64_t number);
  void gather(const Batch& batch, Part& part) const;
  void drop(std::size_t layer, std::int64_t number, Part& part) const;
  void forward(Part& part, std::int64_t number) const;
  void backward(Part& part, double factor) const;
  void sum_parts(std::size_t first, std::span<float> out) const;
  double keep(std::size_t layer) const { return options_.dropout.empty() ? 1 : 1 - options_.dropout[layer]; }

  Network& network_;
  TrainerOptions options_;
  Parallel& parallel_;
  Optimizer optimizer_;
  std::vector<Chunk> chunks_;
  std::vector<Part> parts_;
  std::size_t used_ = 0;  ///< Parts of the last batch.
};

}  // namespace graft::dense
