#include "run/scorer.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

#include "graph/check_output.h"
#include "plugin/plugin_call.h"
#include "run/bundle_file.h"
#include "run/learning.h"

namespace graft {

namespace {

/// Rows of one image follow each other.
std::size_t most_rows_of_a_key(const std::vector<std::string>& keys) {
  std::size_t most = 1;
  for (std::size_t begin = 0, end = 0; begin < keys.size(); begin = end) {
    while (end < keys.size() && keys[end] == keys[begin]) ++end;
    most = std::max(most, end - begin);
  }
  return most;
}

}  // namespace

Scorer::Scorer(const Plan& plan, StageFactory& factory, const TrainedModel& model, std::size_t neighbours)
    : plan_(plan),
      factory_(factory),
      classes_(model.classes().size()),
      model_(model),
      neighbours_(neighbours) {
  know(training_keys(model.bundle));
  load(stage_named(plan, model.stage), model.bundle);
  comparing_ = learner_;
}

Scorer::~Scorer() {
  for (auto calibration = calibrations_.rbegin(); calibration != calibrations_.rend(); ++calibration) {
    const CallScope scope(factory_.label(calibration->first), "destructor");
    calibration->second.reset();
  }
  for (auto* predictor : {&predictor_, &comparer_}) {
    const CallScope scope(factory_.label(predictor == &predictor_ ? learner_ : comparing_), "destructor");
    predictor->reset();
  }
}

std::unique_ptr<Predictor> Scorer::load_learner(std::size_t stage, const Bundle& bundle) {
  const char* const label = factory_.label(stage);
  auto& learner = factory_.get_as<Learner>(stage);
  call_plugin(label, "enter_worker", [&] { learner.enter_worker(); });
  Bundle asked = bundle;
  if (rows_asked_ > 0 && asked.facts.find("neighbours") != nullptr)
    asked.facts["neighbours"] = Value(std::uint64_t{rows_asked_});
  std::unique_ptr<Predictor> predictor = call_plugin(label, "load", [&] { return learner.load(asked); });
  if (!predictor) throw StageError(label, "load gave no predictor");
  return predictor;
}

void Scorer::know(std::vector<std::string> keys) {
  training_keys_ = std::move(keys);
  // Rows of one image may be the nearest several times over.
  rows_asked_ = training_keys_.empty() ? 0 : neighbours_ * most_rows_of_a_key(training_keys_);
}

void Scorer::load_neighbours() {
  if (!training_keys_.empty()) return;
  if (!knows_neighbours()) fail_without_neighbours();
  model_.require_in_place();  // before, for the right reason, where what is there now cannot be loaded
  const Bundle bundle = load_bundle(model_.run / "models" / model_.neighbours);
  model_.require_in_place();
  comparing_ = stage_named(plan_, model_.neighbours);
  know(training_keys(bundle));
  comparer_ = load_learner(comparing_, bundle);
}

void Scorer::load(std::size_t stage, const Bundle& bundle) {
  const StagePlan& plan = plan_.stages[stage];
  const char* const label = factory_.label(stage);
  if (!plan.is(StageKind::Calibrator)) {
    learner_ = stage;
    predictor_ = load_learner(stage, bundle);
    return;
  }
  Bundle base = bundle;
  base.facts = *bundle.facts.find("base");
  load(plan.inputs.at(0).stage, base);
  auto& calibrator = factory_.get_as<Calibrator>(stage);
  calibrations_.emplace_back(stage, call_plugin(label, "load", [&] { return calibrator.load(bundle); }));
  if (!calibrations_.back().second) throw StageError(label, "load gave no calibration");
}

Scores Scorer::score(const std::vector<const RowSet*>& tables, std::span<const std::uint32_t> input_of,
                     Parallel& parallel) const {
  if (input_of.empty()) return Scores(0, classes_);
  const Scores by_row =
      call_plugin(factory_.label(learner_), "predict", [&] { return predictor_->predict(tables, parallel); });
  check(learner_, by_row, input_of.size());
  Scores scores = average_views(input_of, by_row);
  const std::size_t inputs = scores.rows;
  for (const auto& [stage, calibration] : calibrations_) {
    call_plugin(factory_.label(stage), "apply",
                [&, &calibrator = calibration] { calibrator->apply(scores); });
    check(stage, scores, inputs);
  }
  return scores;
}

void Scorer::fail_without_neighbours() const {
  throw Error(fmt::format(
      "'{}' keeps no training images to compare with: {}", model_.stage,
      model_.unpacked
          ? "pack the run again with --with-neighbors, which takes those of a learner such as knn on "
            "the same table"
          : "add a learner that does, such as knn, on the same table to the config, and run it "
            "again; the rows are reused"));
}

std::vector<std::vector<NearImage>> Scorer::neighbours(const std::vector<const RowSet*>& tables,
                                                       std::span<const std::uint32_t> input_of,
                                                       std::size_t count, Parallel& parallel) {
  load_neighbours();
  std::vector<std::vector<NearImage>> out;
  if (input_of.empty()) return out;
  const char* const label = factory_.label(comparing_);
  const Predictor& predictor = comparer_ ? *comparer_ : *predictor_;
  const Neighbours found =
      call_plugin(label, "neighbours", [&] { return predictor.neighbours(tables, parallel); });
  if (const std::string fault = fault_of_neighbours(found, input_of.size(), training_keys_.size());
      !fault.empty())
    throw StageError(label, "gave " + fault);
  for (std::size_t r = 0; r < input_of.size(); ++r) {
    if (r > 0 && input_of[r] == input_of[r - 1]) continue;
    std::vector<NearImage>& near = out.emplace_back();
    for (std::size_t n = 0; n < found.k && near.size() < count; ++n) {
      const std::string& key = training_keys_[found.rows[r * found.k + n]];
      if (std::none_of(near.begin(), near.end(), [&](const NearImage& image) { return image.key == key; }))
        near.push_back({key, found.similarity[r * found.k + n]});
    }
  }
  return out;
}

void Scorer::check(std::size_t stage, const Scores& scores, std::size_t rows) const {
  std::string fault = fault_of_scores(scores, rows, classes_);
  if (fault.empty()) fault = fault_of_values(scores);
  if (!fault.empty()) throw StageError(factory_.label(stage), fmt::format("gave {}", fault));
}

}  // namespace graft
