#include "learnt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <numeric/blas.h>
#include <numeric/lbfgs.h>
#include "pairwise.h"

namespace graft::embedding {
namespace {

/// `count` of n positions, ascending.
std::vector<std::size_t> drawn(std::size_t n, std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> all(n);
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (count >= n) return all;
  Random random(seed);
  for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + random.below(n - i)]);
  all.resize(count);
  std::sort(all.begin(), all.end());
  return all;
}

/// `unit` B P, row-major dims x features.
std::vector<float> composed(const std::vector<double>& b, std::size_t dims, double unit,
                            const Embedding& components) {
  const std::vector<double> p(components.directions().begin(), components.directions().end());
  std::vector<double> out(dims * components.inputs());
  numeric::multiply_nn({b.data(), dims, components.dims()},
                       {p.data(), components.dims(), components.inputs()},
                       {out.data(), dims, components.inputs()});
  for (double& v : out) v *= unit;
  return {out.begin(), out.end()};
}

/// The loss as a function of B, row-major dims x inputs.
class LinearLoss {
 public:
  LinearLoss(std::vector<double> x, std::size_t inputs, std::vector<std::int32_t> labels,
             const LearntOptions& options, std::size_t dims, Parallel& parallel)
      : x_(std::move(x)),
        inputs_(inputs),
        labels_(std::move(labels)),
        options_(options),
        dims_(dims),
        parallel_(parallel),
        y_(labels_.size() * dims),
        by_y_(labels_.size() * dims) {}

  double operator()(std::span<const double> b, std::span<double> gradient) {
    const std::size_t n = labels_.size();
    numeric::multiply_nt({x_.data(), n, inputs_}, {b.data(), dims_, inputs_}, {y_.data(), n, dims_});
    const Points points{y_, dims_, labels_};
    double value = options_.loss == LearntOptions::Loss::Nca
                       ? nca(points, by_y_, parallel_)
                       : supervised_contrastive(points, options_.temperature, by_y_, parallel_);
    numeric::multiply_tn({by_y_.data(), n, dims_}, {x_.data(), n, inputs_},
                         {gradient.data(), dims_, inputs_});
    if (options_.loss != LearntOptions::Loss::Nca) return value;
    for (std::size_t i = 0; i < b.size(); ++i) {
      value += 0.5 * options_.penalty * b[i] * b[i];
      gradient[i] += options_.penalty * b[i];
    }
    return value;
  }

 private:
  std::vector<double> x_;
  std::size_t inputs_;
  std::vector<std::int32_t> labels_;
  const LearntOptions& options_;
  std::size_t dims_;
  Parallel& parallel_;
  std::vector<double> y_, by_y_;
};

constexpr double kStartSpread = 8;  // mean squared distance of two points where NCA starts: near enough that
                                    // all neighbours have a say

/// Scales rows of b so that the outputs of x have this variance together.
void set_variance(std::span<double> b, const std::vector<double>& x, std::size_t inputs, double variance) {
  const std::size_t n = x.size() / inputs;
  const std::size_t outputs = b.size() / inputs;
  std::vector<double> y(n * outputs);
  numeric::multiply_nt({x.data(), n, inputs}, {b.data(), outputs, inputs}, {y.data(), n, outputs});
  const double now = std::inner_product(y.begin(), y.end(), y.begin(), 0.0) / static_cast<double>(n);
  for (double& v : b) v *= now > 0 ? std::sqrt(variance / now) : 0;
}

/// Where the search begins: the directions that discriminant analysis finds, then the leading components,
/// each with half of the spread. From the components alone it would not find what differs in small ones.
std::vector<double> start(const std::vector<double>& x, std::size_t inputs,
                          const std::vector<std::int32_t>& labels, std::size_t dims) {
  const std::size_t classes = static_cast<std::size_t>(*std::max_element(labels.begin(), labels.end())) + 1;
  std::vector<double> b(dims * inputs);
  std::size_t apart = 0;
  Sequential sequential;
  const MemoryRows table({x.begin(), x.end()}, inputs, labels);
  try {
    const learning::FeatureRows rows(table, classes, std::numeric_limits<std::size_t>::max(), sequential);
    const Embedding lda = fit_lda(
                              rows, classes, {}, [](const std::string&) {}, sequential)
                              .truncated(dims);
    apart = lda.dims();
    std::copy(lda.directions().begin(), lda.directions().end(), b.begin());
  } catch (const Error&) {  // the classes of these rows have equal means
  }
  for (std::size_t i = apart; i < dims; ++i) b[i * inputs + i - apart] = 1;
  const std::span<double> all(b);
  const double half = kStartSpread / 2 / (apart > 0 && apart < dims ? 2 : 1);
  set_variance(all.first(apart * inputs), x, inputs, half);
  set_variance(all.subspan(apart * inputs), x, inputs, half);
  return b;
}

}  // namespace

Embedding fit_learnt(const learning::FeatureRows& rows, const LearntOptions& options, const Warn& warn,
                     Parallel& parallel) {
  const char* kind = options.loss == LearntOptions::Loss::Nca ? "nca" : "contrastive";
  const std::set<std::int32_t> shown(rows.labels().begin(), rows.labels().end());
  if (shown.size() < 2) {
    throw Error(
        fmt::format("embedding {}: the train rows show {} class: expected at least 2 to tell apart; "
                    "check the labels and the splits, or use pca",
                    kind, shown.size()));
  }
  if (shown.size() == rows.rows()) {
    throw Error(
        fmt::format("embedding {}: every class has one train row: expected a class with at least 2, as "
                    "what rows of a class have in common is learnt; use pca",
                    kind));
  }
  const Embedding components = fit_pca(rows, {}, warn, parallel).truncated(options.inputs);
  const std::size_t inputs = components.dims();
  if (options.dims > inputs) {
    warn(fmt::format("embedding {}: {} outputs were wanted, but there are {} components: {} are taken", kind,
                     options.dims, inputs, inputs));
  }
  const std::size_t dims = std::min(options.dims, inputs);

  const std::vector<std::size_t> sample = drawn(rows.rows(), options.rows, options.seed);
  std::vector<std::int32_t> labels;
  for (const std::size_t r : sample) labels.push_back(rows.labels()[r]);
  const std::vector<float> features = learning::rows_at(rows, sample, parallel);
  std::vector<float> outputs(sample.size() * inputs);
  components.apply(sample.size(), features.data(), outputs.data());
  std::vector<double> x(outputs.begin(), outputs.end());
  const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  const double unit = 1 / std::sqrt(squares / static_cast<double>(labels.size()));
  for (double& v : x) v *= unit;

  std::vector<double> b = start(x, inputs, labels, dims);
  const std::size_t used = labels.size();
  LinearLoss loss(std::move(x), inputs, std::move(labels), options, dims, parallel);
  std::vector<double> gradient(b.size());
  const double before = loss(b, gradient);
  numeric::LbfgsOptions how;
  how.max_iterations = options.max_iterations;
  how.gradient_tolerance = 1e-6;
  const numeric::LbfgsResult result =
      numeric::minimize([&](std::span<const double> at, std::span<double> g) { return loss(at, g); }, b, how);

  Embedding out = Embedding::affine(kind, components.mean(), composed(b, dims, unit, components));
  out.note("components", static_cast<std::int64_t>(inputs));
  out.note("rows", static_cast<std::int64_t>(used));
  out.note("loss_before", before);
  out.note("loss", result.objective);
  out.note("iterations", result.iterations);
  out.note("stop", numeric::to_string(result.stop));
  return out;
}

}  // namespace graft::embedding
