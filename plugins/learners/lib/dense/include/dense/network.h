#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <graft/predictor.h>

#include <numeric/blas.h>

namespace graft::dense {

/// Affine layers with ReLU between them; the last one gives logits. A network without hidden layers is a
/// linear model. Copying copies the weights. Const methods may be called from any thread.
class Network {
 public:
  /// Where a layer lies among the parameters: weight (outputs x inputs, row-major), then bias (outputs).
  struct Layer {
    std::size_t inputs, outputs;
    std::size_t weight, bias;  ///< Positions in parameters().
  };

  /// Features, hidden layers, outputs: at least two widths, none of them 0. All parameters are 0.
  explicit Network(std::vector<std::size_t> widths);

  /// Draws weights from N(0, 2 / inputs) for layers with a ReLU after them (He et al. 2015,
  /// arXiv:1502.01852) and from N(0, 1 / inputs) for the last one, and sets biases to 0: a pure function of
  /// the seed and the widths.
  void draw(std::uint64_t seed);

  std::size_t inputs() const { return widths_.front(); }
  std::size_t outputs() const { return widths_.back(); }
  const std::vector<std::size_t>& widths() const { return widths_; }
  const std::vector<Layer>& layers() const { return layers_; }
  /// Width of the learnt representation: of the last hidden layer, or of the features where there is none.
  std::size_t hidden_width() const { return widths_[widths_.size() - 2]; }

  std::span<float> parameters() { return parameters_; }
  std::span<const float> parameters() const { return parameters_; }
  numeric::MatrixRef<const float> weight(const Layer& layer) const {
    return {parameters_.data() + layer.weight, layer.outputs, layer.inputs};
  }
  const float* bias(const Layer& layer) const { return parameters_.data() + layer.bias; }

  /// out = rows weight^T + bias. Row-major count x inputs and count x outputs. For training: the last bits of
  /// a row may depend on how many rows there are.
  void affine(const Layer& layer, const float* rows, std::size_t count, float* out) const;
  /// Row-major count x inputs() and count x outputs(). Runs on the calling thread. What a row gives does not
  /// depend on the others.
  void logits(const float* rows, std::size_t count, float* out) const;
  /// The learnt representation: activations of the last hidden layer, count x hidden_width(); a copy of the
  /// rows where there is none.
  void hidden(const float* rows, std::size_t count, float* out) const;

  /// Tensors `layer0.weight`, `layer0.bias`, ... and the fact `widths`, all after `prefix`.
  void save(Bundle& bundle, const std::string& prefix = "") const;
  /// The same network to the last bit. Throws Error naming what is missing or mis-shaped.
  static Network load(const Bundle& bundle, const std::string& prefix = "");

 private:
  void affine_by_row(const Layer& layer, const float* rows, std::size_t count, float* out) const;
  void add_bias(const Layer& layer, std::size_t count, float* out) const;

  std::vector<std::size_t> widths_;
  std::vector<Layer> layers_;
  std::vector<float> parameters_;
};

/// max(0, x) in place.
void rectify(std::span<float> values);

}  // namespace graft::dense
