// The rules for stages that learn from tables and report on scores.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <set>

#include <graft/random.h>

#include "contract_rules.h"
#include "work_folder.h"

namespace graft::testing {
namespace {

constexpr std::uint64_t kDataSeed = 21;

/// Rows with one centre per class, so that there is something to learn: vectors, or images of 8-bit pixels.
/// Where there are several labels, some rows have two and some are of none of the classes.
class DrawnRows final : public RowSet {
 public:
  DrawnRows(const ContractTrial& trial, std::size_t count, std::uint64_t seed, Split split)
      : shape_(trial.row), split_(split), labels_(count) {
    Random random(seed);
    const bool has_pixels = dtype() == DType::U8;
    for (std::size_t r = 0; r < count; ++r) {
      keys_.push_back(std::to_string(seed) + "/" + std::to_string(r));
      const std::size_t label = r % trial.classes;
      if (!trial.multi_label || r % 7 != 3) labels_[r].push_back(static_cast<std::int32_t>(label));
      if (trial.multi_label && r % 4 == 0 && label + 1 < trial.classes)
        labels_[r].push_back(static_cast<std::int32_t>(label + 1));
      for (std::size_t d = 0; d < dim(); ++d) {
        const double value = random.normal() + (d % trial.classes == label ? 2 : 0);
        values_.push_back(
            static_cast<float>(has_pixels ? std::clamp(std::round(100 + 30 * value), 0.0, 255.0) : value));
      }
    }
  }

  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return shape_.size() == 3 ? DType::U8 : DType::F32; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return split_; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return labels_[row]; }
  bool negative(std::size_t row) const override { return labels_[row].empty(); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first * dim()), count * dim(), out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    if (dtype() == DType::F32) return read(first, count, static_cast<float*>(out));
    for (std::size_t i = 0; i < count * dim(); ++i)
      static_cast<std::uint8_t*>(out)[i] = static_cast<std::uint8_t>(values_[first * dim() + i]);
  }

 private:
  Shape shape_;
  Split split_;
  std::vector<std::vector<std::int32_t>> labels_;
  std::vector<std::string> keys_;
  std::vector<float> values_;
};

std::vector<std::string> class_names(const ContractTrial& trial) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < trial.classes; ++c) out.push_back("class" + std::to_string(c));
  return out;
}

void check_scores(const Scores& scores, std::size_t rows, const ContractTrial& trial,
                  const std::string& whose, Violations& out) {
  if (scores.rows != rows || scores.classes != trial.classes || scores.values.size() != rows * trial.classes)
    return out.add(whose + " are " + std::to_string(scores.rows) + " x " + std::to_string(scores.classes) +
                   ": expected " + std::to_string(rows) + " x " + std::to_string(trial.classes));
  for (std::size_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < trial.classes; ++c) {
      const float score = scores.row(r)[c];
      if (!std::isfinite(score) || score < 0 || score > 1)
        return out.add(whose + " contain " + std::to_string(score) + ": expected numbers from 0 to 1");
      sum += static_cast<double>(score);
    }
    if (!trial.multi_label && std::abs(sum - 1) > 1e-4)
      return out.add(whose + " of a row add up to " + std::to_string(sum) + ": expected 1");
  }
}

/// Scores as a learner would hand them on.
Predictions drawn_predictions(const ContractTrial& trial, std::size_t count) {
  Predictions out;
  out.learner = "learner";
  out.classes = class_names(trial);
  out.multi_label = trial.multi_label;
  Random random(kDataSeed);
  for (Predictions::Part* part : {&out.val, &out.test}) {
    part->scores = Scores(count, trial.classes);
    for (std::size_t r = 0; r < count; ++r) {
      part->keys.push_back("input" + std::to_string(r));
      part->labels.push_back({static_cast<std::int32_t>(random.below(trial.classes))});
      float sum = 0;
      for (std::size_t c = 0; c < trial.classes; ++c)
        sum += part->scores.row(r)[c] = static_cast<float>(random.uniform(0.01, 1));
      if (trial.multi_label) continue;
      for (std::size_t c = 0; c < trial.classes; ++c) part->scores.row(r)[c] /= sum;
    }
  }
  return out;
}

/// Fits the learners of drawn_predictions again: scores that depend on the rows alone.
class DrawnTrials final : public Trials {
 public:
  explicit DrawnTrials(const Predictions& predictions) : classes_(predictions.classes.size()) {
    const auto add = [&](const Predictions::Part& part, Split split, const char* prefix) {
      for (std::size_t i = 0; i < part.keys.size(); ++i)
        inputs_.push_back({prefix + part.keys[i], part.labels[i], split});
    };
    add(predictions.val, Split::Train, "train ");
    add(predictions.val, Split::Val, "");
    add(predictions.test, Split::Test, "");
  }
  const std::vector<Input>& inputs(const std::string&) override { return inputs_; }
  Result fit(const std::string& learner, const Rows& rows) override {
    Result out;
    out.scores.scores = Scores(rows.score.size(), classes_);
    for (std::size_t r = 0; r < rows.score.size(); ++r) {
      const Input& input = inputs_.at(rows.score[r]);
      out.scores.keys.push_back(input.key);
      out.scores.labels.push_back(input.labels);
      Random random(rows.train.size(), learner + input.key, 0);
      float sum = 0;
      for (std::size_t c = 0; c < classes_; ++c)
        sum += out.scores.scores.row(r)[c] = static_cast<float>(random.uniform(0.01, 1));
      for (std::size_t c = 0; c < classes_; ++c) out.scores.scores.row(r)[c] /= sum;
    }
    return out;
  }

 private:
  std::size_t classes_;
  std::vector<Input> inputs_;
};

/// Raises the flag of an Interruptible at the n-th body, as Ctrl-C in the middle of a fit does.
class Interrupting final : public Parallel {
 public:
  Interrupting(std::atomic<bool>& flag, std::size_t at) : flag_(flag), left_(at) {}
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = 0; i < n; ++i) {
      if (left_ == 0 || --left_ == 0) flag_ = true;
      body(i);
    }
  }
  int threads() const override { return 1; }

 private:
  std::atomic<bool>& flag_;
  std::size_t left_;
};

void check_interruption(StageHarness& stage, const ContractTrial& trial, Violations& out) {
  const DrawnRows train(trial, 60, kDataSeed, Split::Train), val(trial, 30, kDataSeed + 1, Split::Val);
  std::atomic<bool> flag{false};
  Interrupting threads(flag, 1);
  Interruptible parallel(threads, flag);
  try {
    const WorkFolder folder;
    stage.as<Learner>().fit(
        {{{"table", &train, &val, &train}}, class_names(trial), parallel, folder.path(), trial.multi_label});
  } catch (const Interrupted&) {
    return;
  } catch (const std::exception& e) {
    return out.add(std::string("fit turns Interrupted into another exception: ") + e.what());
  }
  if (flag) out.add("fit goes on to its end after an interruption: let Interrupted through");
}

}  // namespace

void check_learner(const MakeStage& make, const ContractTrial& trial, Violations& out) {
  const DrawnRows train(trial, 60, kDataSeed, Split::Train), val(trial, 30, kDataSeed + 1, Split::Val);
  const DrawnRows other(trial, 45, kDataSeed + 2, Split::Train), test(trial, 20, kDataSeed + 3, Split::Test);
  const std::vector<std::string> classes = class_names(trial);
  out.attempt("fit", [&] {
    const auto one = make(1), many = make(8);
    Sequential sequential;
    Threads threads(8);
    const LearnerResult first = one->fit(train, val, classes, &sequential, trial.multi_label);
    if (first.predictor == nullptr) return out.add("fit returns no predictor");
    check_scores(first.val, val.rows(), trial, "the scores of val", out);
    const Scores scores = first.predictor->predict({&test}, sequential);
    check_scores(scores, test.rows(), trial, "the scores of new rows", out);

    one->fit(other, val, classes, &sequential, trial.multi_label);
    const LearnerResult again = one->fit(train, val, classes, &sequential, trial.multi_label);
    if (again.predictor->predict({&test}, sequential).values != scores.values ||
        again.val.values != first.val.values)
      out.add("fit gives another model after it was called for other rows");
    const LearnerResult parallel = many->fit(train, val, classes, &threads, trial.multi_label);
    if (parallel.predictor->predict({&test}, threads).values != scores.values)
      out.add("fit or predict give other scores with 8 threads");

    Bundle bundle;
    first.predictor->save(bundle);
    const std::unique_ptr<Predictor> loaded = make(1)->as<Learner>().load(bundle);
    if (loaded->predict({&test}, sequential).values != scores.values)
      out.add("the model that load makes from save gives other scores");
    try {
      make(1)->as<Learner>().load(Bundle());
      out.add("load takes an empty bundle: name what is missing in an Error");
    } catch (const Error&) {
      // As it should.
    }
    one->fit(train, DrawnRows(trial, 0, kDataSeed, Split::Val), classes, &sequential, trial.multi_label);
    if (memory_grows(*one, [&] { first.predictor->predict({&test}, sequential); }))
      out.add("predict holds more memory after every call");
  });
  out.attempt("fit", [&] { check_interruption(*make(1), trial, out); });
}

void check_calibrator(const MakeStage& make, const ContractTrial& trial, Violations& out) {
  out.attempt("fit", [&] {
    Predictions predictions = drawn_predictions(trial, 60);
    const Scores test = predictions.test.scores;
    predictions.test = {};
    const auto one = make(1);
    const CalibratorResult first = one->calibrate(predictions);
    if (first.calibration == nullptr) return out.add("fit returns no calibration");
    Scores scores = test;
    first.calibration->apply(scores);
    check_scores(scores, test.rows, trial, "the calibrated scores", out);
    one->calibrate(drawn_predictions(trial, 25));
    Scores again = test;
    one->calibrate(predictions).calibration->apply(again);
    if (again.values != scores.values)
      out.add("fit gives another calibration after it was called for other scores");
    Bundle bundle;
    first.calibration->save(bundle);
    Scores loaded = test;
    make(1)->as<Calibrator>().load(bundle)->apply(loaded);
    if (loaded.values != scores.values)
      out.add("the calibration that load makes from save gives other scores");
    Scores none(0, trial.classes);
    first.calibration->apply(none);
    const auto apply = [&] {
      Scores more = test;
      first.calibration->apply(more);
    };
    if (memory_grows(*one, apply)) out.add("apply holds more memory after every call");
  });
}

void check_report(const MakeStage& make, const PluginSchema& schema, const ContractTrial& trial,
                  Violations& out) {
  out.attempt("report", [&] {
    std::vector<Predictions> predictions{drawn_predictions(trial, 60)};
    if (!schema.inputs.empty() && schema.inputs[0].many) {
      predictions.push_back(predictions[0]);
      predictions[1].learner = "another";
      std::rotate(predictions[1].test.scores.values.begin(), predictions[1].test.scores.values.begin() + 1,
                  predictions[1].test.scores.values.end());
    }
    DrawnTrials trials(predictions[0]);
    const auto one = make(1);
    const ReportOutput first = one->report(predictions, &trials);
    const ReportOutput again = one->report(predictions, &trials);
    if (again.text != first.text || again.files != first.files || again.learners != first.learners ||
        again.facts != first.facts)
      out.add("report gives another result in a second call");
    for (const ReportSection& section : first.sections)
      if (const std::string fault = fault_of_section(section); !fault.empty())
        out.add("report gave " + fault);
    for (const auto& [name, content] : first.files) {
      const std::filesystem::path path(name);
      bool leaves = name.empty() || path.is_absolute();
      for (const auto& part : path) leaves = leaves || part == "..";
      if (leaves) out.add("the file '" + name + "' is outside of the report's folder");
    }
    if (memory_grows(*one, [&] { one->report(predictions, &trials); }))
      out.add("report holds more memory after every call");
    for (Predictions& learner : predictions) {
      learner.test = {};
      learner.test.scores.classes = trial.classes;
    }
    DrawnTrials untested(predictions[0]);
    one->report(predictions, &untested);
  });
}

}  // namespace graft::testing
