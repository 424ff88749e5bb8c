#include <dense/trainer.h>

#include <algorithm>
#include <cmath>

#include <graft/hash.h>
#include <graft/random.h>

#include <numeric/parts.h>

namespace graft::dense {
namespace {

constexpr std::size_t kRun = 32;  // rows that stay together
constexpr std::size_t kChunk = std::size_t{1} << 14;

/// The stream of one row of one step and layer.
Random dropout_stream(std::uint64_t seed, std::int64_t step, std::size_t layer, std::size_t row) {
  const std::uint64_t place[] = {static_cast<std::uint64_t>(step), layer, row};
  return Random(hash64({reinterpret_cast<const char*>(place), sizeof place}, seed));
}

void scale_to_unit_length(std::span<float> row) {
  double squares = 0;
  for (const float v : row) squares += static_cast<double>(v) * v;
  if (squares == 0) return;
  const double factor = 1 / std::sqrt(squares);
  for (float& v : row) v = static_cast<float>(v * factor);
}

/// to = own * a + (1 - own) * b
void mix(const float* a, const float* b, double own, std::span<float> to) {
  const auto mine = static_cast<float>(own), theirs = static_cast<float>(1 - own);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = mine * a[i] + theirs * b[i];
}

}  // namespace

Trainer::Trainer(Network& network, TrainerOptions options, Parallel& parallel)
    : network_(network),
      options_(std::move(options)),
      parallel_(parallel),
      optimizer_(options_.optimizer, network.parameters().size()) {
  const auto add = [&](std::size_t begin, std::size_t end, bool decays) {
    for (; begin < end; begin += kChunk) chunks_.push_back({begin, std::min(end, begin + kChunk), decays});
  };
  for (const Network::Layer& layer : network.layers()) {
    add(layer.weight, layer.bias, true);
    add(layer.bias, layer.bias + layer.outputs, false);
  }
}

Trainer::Sum Trainer::step(const Batch& batch, double learning_rate, std::int64_t number) {
  const Sum sum = differentiate(batch, number);
  if (!std::isfinite(sum.loss)) return sum;
  parallel_.for_each(chunks_.size(), [&](std::size_t c) {
    const Chunk& chunk = chunks_[c];
    std::vector<float> gradient(chunk.end - chunk.begin);
    sum_parts(chunk.begin, gradient);
    optimizer_.update(network_.parameters().subspan(chunk.begin, gradient.size()), gradient, chunk.begin,
                      chunk.decays, learning_rate, number);
  });
  return sum;
}

Trainer::Sum Trainer::gradient(const Batch& batch, std::int64_t number, std::span<float> out) {
  const Sum sum = differentiate(batch, number);
  sum_parts(0, out);
  return sum;
}

Trainer::Sum Trainer::differentiate(const Batch& batch, std::int64_t number) {
  const std::size_t rows = batch.rows.size();
  const std::size_t size = network_.parameters().size();
  const numeric::Parts cut((rows + kRun - 1) / kRun, size * sizeof(float));
  used_ = cut.count();
  if (parts_.size() < used_) parts_.resize(used_);
  Sum sum;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto weight_of = [&](std::size_t row) {
      return options_.loss.weight({batch.targets.data() + row * network_.outputs(), network_.outputs()});
    };
    sum.weight += batch.partner.empty()
                      ? weight_of(r)
                      : batch.own * weight_of(r) + (1 - batch.own) * weight_of(batch.partner[r]);
  }
  const double factor = sum.weight > 0 ? 1 / sum.weight : 0;
  parallel_.for_each(used_, [&](std::size_t p) {
    Part& part = parts_[p];
    part.begin = cut.begin(p) * kRun;
    part.count = std::min(cut.begin(p + 1) * kRun, rows) - part.begin;
    part.inputs.resize(network_.layers().size());
    part.gradient.resize(size);
    gather(batch, part);
    forward(part, number);
    backward(part, factor);
  });
  for (std::size_t p = 0; p < used_; ++p) sum.loss += parts_[p].loss;
  return sum;
}

void Trainer::gather(const Batch& batch, Part& part) const {
  const std::size_t dim = network_.inputs(), outputs = network_.outputs();
  part.inputs[0].resize(part.count * dim);
  part.targets.resize(part.count * outputs);
  for (std::size_t r = 0; r < part.count; ++r) {
    const std::size_t row = part.begin + r;
    const std::span<float> x(part.inputs[0].data() + r * dim, dim);
    const std::span<float> t(part.targets.data() + r * outputs, outputs);
    const float* targets = batch.targets.data() + row * outputs;
    if (batch.partner.empty()) {
      std::copy_n(batch.rows[row], dim, x.begin());
      std::copy_n(targets, outputs, t.begin());
      continue;
    }
    const std::size_t other = batch.partner[row];
    mix(batch.rows[row], batch.rows[other], batch.own, x);
    mix(targets, batch.targets.data() + other * outputs, batch.own, t);
    if (options_.unit_length) scale_to_unit_length(x);
  }
}

/// Zeroes a fraction of a layer's inputs and scales the others.
void Trainer::drop(std::size_t layer, std::int64_t number, Part& part) const {
  const double kept = keep(layer);
  if (kept == 1) return;
  const std::size_t width = network_.layers()[layer].inputs;
  const auto factor = static_cast<float>(1 / kept);
  for (std::size_t r = 0; r < part.count; ++r) {
    Random random = dropout_stream(options_.seed, number, layer, part.begin + r);
    float* row = part.inputs[layer].data() + r * width;
    for (std::size_t i = 0; i < width; ++i) row[i] = random.chance(kept) ? factor * row[i] : 0.0F;
  }
}

/// Leaves in `delta` the logits.
void Trainer::forward(Part& part, std::int64_t number) const {
  const auto& layers = network_.layers();
  for (std::size_t l = 0; l < layers.size(); ++l) {
    drop(l, number, part);
    std::vector<float>& out = l + 1 < layers.size() ? part.inputs[l + 1] : part.delta;
    out.resize(part.count * layers[l].outputs);
    network_.affine(layers[l], part.inputs[l].data(), part.count, out.data());
    if (l + 1 < layers.size()) rectify(out);
  }
}

/// From the logits in `delta`. `factor` is 1 / weight of the batch.
void Trainer::backward(Part& part, double factor) const {
  const auto& layers = network_.layers();
  const std::size_t outputs = network_.outputs();
  part.loss = 0;
  for (std::size_t r = 0; r < part.count; ++r) {
    part.loss += options_.loss.differentiate({part.delta.data() + r * outputs, outputs},
                                             {part.targets.data() + r * outputs, outputs});
  }
  for (float& d : part.delta) d *= static_cast<float>(factor);
  for (std::size_t l = layers.size(); l-- > 0;) {
    const Network::Layer& layer = layers[l];
    const numeric::MatrixRef<const float> delta{part.delta.data(), part.count, layer.outputs};
    numeric::multiply_tn(delta, {part.inputs[l].data(), part.count, layer.inputs},
                         {part.gradient.data() + layer.weight, layer.outputs, layer.inputs});
    float* bias = part.gradient.data() + layer.bias;
    std::fill_n(bias, layer.outputs, 0.0F);
    for (std::size_t r = 0; r < part.count; ++r)
      for (std::size_t k = 0; k < layer.outputs; ++k) bias[k] += part.delta[r * layer.outputs + k];
    if (l == 0) return;
    part.before.resize(part.count * layer.inputs);
    numeric::multiply_nn(delta, network_.weight(layer), {part.before.data(), part.count, layer.inputs});
    // An input is 0 where the ReLU or dropout made it so; dropout scaled the others.
    const auto scale = static_cast<float>(1 / keep(l));
    for (std::size_t i = 0; i < part.before.size(); ++i)
      part.before[i] = part.inputs[l][i] > 0 ? scale * part.before[i] : 0.0F;
    part.delta.swap(part.before);
  }
}

void Trainer::sum_parts(std::size_t first, std::span<float> out) const {
  std::copy_n(parts_[0].gradient.data() + first, out.size(), out.begin());
  for (std::size_t p = 1; p < used_; ++p) {
    const float* add = parts_[p].gradient.data() + first;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += add[i];
  }
}

}  // namespace graft::dense
