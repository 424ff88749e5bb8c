#include <algorithm>
#include <numeric>

#include <graft/plugin.h>

namespace {

using namespace graft;

/// Multiplies the score of each class by its ratio and scales the row to 1.
class PriorShiftCalibration final : public Calibration {
 public:
  explicit PriorShiftCalibration(std::vector<double> ratios) : ratios_(std::move(ratios)) {}
  void apply(Scores& scores) const override {
    for (std::size_t r = 0; r < scores.rows; ++r) {
      double sum = 0;
      for (std::size_t c = 0; c < scores.classes; ++c)
        sum += static_cast<double>(scores.row(r)[c]) * ratios_[c];
      if (sum <= 0) continue;  // only classes that never occur: as it was
      for (std::size_t c = 0; c < scores.classes; ++c)
        scores.row(r)[c] = static_cast<float>(static_cast<double>(scores.row(r)[c]) * ratios_[c] / sum);
    }
  }
  void save(Bundle& bundle) const override {
    Value ratios = Value::list();
    for (const double ratio : ratios_) ratios.push(ratio);
    bundle.facts["ratios"] = ratios;
  }

 private:
  std::vector<double> ratios_;
};

class PriorShift final : public Calibrator {
 public:
  explicit PriorShift(const StageContext& context) : frequencies_(context.params.raw("frequencies")) {}

  CalibratorResult fit(const Predictions& predictions) override {
    if (predictions.multi_label)
      throw Error("expected one label per input, got several: classes then have no common sum");
    const std::vector<double> wanted = wanted_frequencies(predictions.classes);
    std::vector<double> counts(predictions.classes.size());
    for (const auto& labels : predictions.val.labels)
      if (!labels.empty()) ++counts[static_cast<std::size_t>(labels[0])];
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    if (all == 0)
      throw Error("'" + predictions.learner + "' has no labelled val inputs: give the source a val split");
    std::vector<double> ratios(counts.size());
    for (std::size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] == 0 && wanted[c] > 0)
        throw Error("class '" + predictions.classes[c] +
                    "' has no val inputs, so its frequency there is not known");
      ratios[c] = counts[c] == 0 ? 0 : wanted[c] / (counts[c] / all);
    }
    CalibratorResult out{std::make_unique<PriorShiftCalibration>(ratios), Value::map()};
    for (std::size_t c = 0; c < ratios.size(); ++c) out.summary["ratios"][predictions.classes[c]] = ratios[c];
    return out;
  }

  std::unique_ptr<Calibration> load(const Bundle& bundle) const override {
    const Value* ratios = bundle.facts.find("ratios");
    if (ratios == nullptr || !ratios->is_list()) throw Error("the bundle has no list 'ratios'");
    std::vector<double> values;
    for (const Value& ratio : ratios->as_list()) values.push_back(ratio.as_double());
    return std::make_unique<PriorShiftCalibration>(std::move(values));
  }

 private:
  /// By class, with a sum of 1; equal ones unless the config gives some.
  std::vector<double> wanted_frequencies(const std::vector<std::string>& classes) const {
    std::vector<double> out(classes.size(), 1.0);
    for (std::size_t c = 0; c < classes.size() && !frequencies_.as_map().empty(); ++c) {
      const Value* given = frequencies_.find(classes[c]);
      if (given == nullptr) throw Error("frequencies: class '" + classes[c] + "' is missing");
      out[c] = given->as_double();
    }
    for (const auto& [name, value] : frequencies_.as_map())
      if (std::find(classes.begin(), classes.end(), name) == classes.end())
        throw Error("frequencies: there is no class '" + name + "'");
    const double sum = std::accumulate(out.begin(), out.end(), 0.0);
    if (sum <= 0) throw Error("frequencies: expected a sum above 0");
    for (double& f : out) f /= sum;
    return out;
  }

  Value frequencies_;
};

}  // namespace

GRAFT_PLUGIN(
    prior_shift, "1.0.0", PriorShift,
    graft::PluginSchema::calibrator("Corrects scores for other frequencies of the classes.")
        .input(graft::PortType::Predictor, "A learner of inputs with one label.")
        .output("out", graft::PortType::Predictor, "f32[?]", "The same learner with corrected scores.")
        .param(graft::map("frequencies", graft::number("frequency").range(0, 1e9))
                   .doc("How frequent each class is where the model is used, in any unit; left out: all are "
                        "equally frequent.")))
