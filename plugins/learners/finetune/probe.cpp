#include "probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <graft/random.h>
#include <graft/table.h>

#include <learning/features.h>
#include <learning/selection.h>
#include <linear/softmax_regression.h>

namespace graft {
namespace {

constexpr double kSpread = 0.01;
constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();  // the features are in memory anyway

/// Images as rows of a table. One without an output is of a class after the others.
class ImageRows final : public RowSet {
 public:
  ImageRows(const ProbeRows& images, std::size_t outputs)
      : images_(images),
        shape_({static_cast<std::int64_t>(images.dim)}),
        absent_(static_cast<std::int32_t>(outputs)) {}
  std::size_t rows() const override { return images_.labels.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t) const override { return "an image"; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override {
    return has_output(row) ? images_.labels[row] : std::span(&absent_, 1);
  }
  bool negative(std::size_t row) const override { return images_.labels[row].empty(); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    std::copy_n(images_.features.data() + first * images_.dim, count * images_.dim, out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }

  bool all_have_outputs() const {
    for (std::size_t r = 0; r < rows(); ++r)
      if (!has_output(r)) return false;
    return true;
  }

 private:
  bool has_output(std::size_t row) const { return negative(row) || images_.labels[row].front() >= 0; }

  const ProbeRows& images_;
  Shape shape_;
  std::int32_t absent_;
};

LinearHead empty_head(std::size_t outputs, std::size_t features) {
  LinearHead head{
      Tensor::allocate(DType::F32, {static_cast<std::int64_t>(outputs), static_cast<std::int64_t>(features)}),
      Tensor::allocate(DType::F32, {static_cast<std::int64_t>(outputs)})};
  std::fill_n(head.weight.as<float>(), head.weight.size(), 0.0f);
  std::fill_n(head.bias.as<float>(), head.bias.size(), 0.0f);
  return head;
}

LinearHead head_of(const linear::LinearModel& model, std::size_t outputs) {
  LinearHead head = empty_head(outputs, model.dim);
  const bool halves = model.outputs() < outputs;  // the second class against the first
  for (std::size_t k = 0; k < outputs; ++k) {
    const std::size_t from = halves ? 0 : k;
    const float factor = halves ? (k == 0 ? -0.5f : 0.5f) : 1.0f;
    std::transform(model.weight.data() + from * model.dim, model.weight.data() + (from + 1) * model.dim,
                   head.weight.as<float>() + k * model.dim, [=](float w) { return factor * w; });
    head.bias.as<float>()[k] = factor * model.bias[from];
  }
  return head;
}

/// A logistic regression on the train images for every c, each starting from the last.
class Regression {
 public:
  Regression(const learning::FeatureRows& train, std::size_t outputs, std::size_t classes,
             const ProbeOptions& options, Parallel& parallel)
      : train_(train), outputs_(outputs), classes_(classes), options_(options), counts_(outputs) {
    for (const std::int32_t label : train.labels()) ++counts_[static_cast<std::size_t>(label)];
    if (multi() && std::all_of(counts_.begin(), counts_.end(), [&](std::size_t n) { return constant(n); }))
      return;  // there is nothing to tell apart
    linear::RegressionOptions regression;
    regression.loss = multi() ? linear::Loss::Independent : linear::Loss::Softmax;
    regression_.emplace(train, classes, parallel, regression);
    solution_.resize(regression_->size());
  }

  linear::LinearModel fit(double c) {
    linear::LinearModel model;
    model.loss = linear::Loss::Independent;
    if (regression_) {
      if (regression_->fit(c, solution_).stop == numeric::LbfgsStop::MaxIterations)
        options_.warn(fmt::format("the probe with c = {} did not converge; its last solution is used", c));
      model = regression_->model(solution_, learning::RowScaler());
    }
    return multi() ? with_all_outputs(model) : model;
  }

 private:
  bool multi() const { return options_.mode == metrics::LabelMode::Multi; }
  bool constant(std::size_t images) const { return images == 0 || images == train_.rows(); }

  /// A class whose answer is the same for all of train gets its odds, with half an image on either side.
  linear::LinearModel with_all_outputs(const linear::LinearModel& model) const {
    linear::LinearModel all = model;
    all.dim = train_.dim();
    all.classes = classes_;
    all.fitted.clear();
    all.weight.assign(outputs_ * all.dim, 0);
    all.bias.assign(outputs_, 0);
    const auto n = static_cast<double>(train_.rows());
    std::size_t from = 0;  // output of the model
    for (std::size_t k = 0; k < outputs_; ++k) {
      all.fitted.push_back(static_cast<std::int32_t>(k));
      const bool fitted = from < model.fitted.size() && model.fitted[from] == all.fitted[k];
      if (constant(counts_[k])) {
        const auto with = static_cast<double>(counts_[k]);
        all.bias[k] = static_cast<float>(std::log((with + 0.5) / (n - with + 0.5)));
      } else {
        std::copy_n(model.weight.data() + from * all.dim, all.dim, all.weight.data() + k * all.dim);
        all.bias[k] = model.bias[from];
      }
      from += fitted ? 1 : 0;
    }
    return all;
  }

  const learning::FeatureRows& train_;
  std::size_t outputs_, classes_;
  const ProbeOptions& options_;
  std::vector<std::size_t> counts_;  ///< Train images of every output.
  std::optional<linear::SoftmaxRegression> regression_;
  std::vector<double> solution_;
};

}  // namespace

Probe fit_probe(const ProbeRows& train, const ProbeRows& val, std::size_t outputs,
                const ProbeOptions& options, Parallel& parallel) {
  const ImageRows train_images(train, outputs), val_images(val, outputs);
  const std::size_t classes = outputs + (val_images.all_have_outputs() ? 0 : 1);
  const learning::FeatureRows train_rows(train_images, classes, kAll, parallel, options.mode);
  const learning::FeatureRows val_rows(val_images, classes, kAll, parallel, options.mode);
  Regression regression(train_rows, outputs, classes, options, parallel);
  const bool has_val = val_rows.rows() > 0;
  const std::vector<double> grid =
      has_val ? options.c : std::vector{learning::nearest_by_ratio(options.c, 1)};
  learning::CandidateSelection selection(metrics::criterion_for(options.mode));
  Probe best;
  for (const double c : grid) {
    const linear::LinearModel model = regression.fit(c);
    Value parameters = Value::map();
    parameters["c"] = c;
    std::optional<metrics::Score> score;
    if (has_val) score = linear::measure(model, val_rows, parallel);
    if (selection.add(std::move(parameters), score)) best.head = head_of(model, outputs);
  }
  best.summary = Value::Map{{"c", grid[selection.best()]},
                            {"chosen_on", learning::chosen_on(has_val, grid.size())},
                            {"path", selection.path()}};
  return best;
}

LinearHead random_head(std::size_t outputs, std::size_t features, std::uint64_t seed) {
  LinearHead head = empty_head(outputs, features);
  Random random(seed, "head.weight", 0);
  for (std::int64_t i = 0; i < head.weight.size(); ++i)
    head.weight.as<float>()[i] = static_cast<float>(kSpread * random.normal());
  return head;
}

}  // namespace graft
