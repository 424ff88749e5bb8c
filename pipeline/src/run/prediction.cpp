#include "run/prediction.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/learner.h>
#include <graft/printable.h>

#include "base/files.h"
#include "base/temporary_folder.h"
#include "config/planner.h"
#include "graph/check_output.h"
#include "graph/workers.h"
#include "plugin/plugin_call.h"
#include "run/learning.h"
#include "run/limits.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "run/watchdog.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Inputs that are scored together: their scores are all that is in memory.
constexpr std::size_t kTogether = 8192;

Plan plan_of(const TrainedModel& model, const PredictOptions& options, const Registry& registry,
             const fs::path& config) {
  write_file_atomically(config, prediction_config(model, options.inputs, registry).to_json_pretty());
  Diagnostics diagnostics;
  const ConfigFile file(config, options.overrides, diagnostics);
  Plan plan = make_plan(file, registry, diagnostics);
  if (diagnostics.has_errors())
    throw Error(fmt::format("the config of the model, made from {}, cannot be used:\n{}",
                            (model.run / "config.yaml").string(), diagnostics.render()));
  return plan;
}

class Prediction {
 public:
  Prediction(const TrainedModel& model, const PredictOptions& options, Registry& registry, Signals& signals)
      : model_(model),
        options_(options),
        signals_(signals),
        classes_(model.classes()),
        plan_(plan_of(model, options, registry, work_.path() / "config.yaml")),
        store_(options.store.empty() ? work_.path() / "store" : options.store),
        meter_(plan_.stages.size()),
        deadline_(signals, options.style.level, [this] { return leave(); }),
        watchdog_(plan_, meter_, signals, [this](const std::string&) { return leave(); }),
        factory_(plan_, registry, [this](const std::string& text) { warn(text); }) {
    require_limits(plan_, registry);
    make_folders(store_, "choose another folder with --store");
    memo_.emplace(store_ / "digests.memo");
    require_same_features(model, plan_, registry, *memo_);
    source_ = plan_.stages_of(StageKind::Source).at(0);
    for (std::size_t i = 0; i < plan_.stages.size(); ++i)
      if (plan_.stages[i].id == model.stage) stage_ = i;
  }

  PredictOutcome go(const std::function<void(const PredictedInput&)>& each) {
    load(stage_, model_.bundle);
    Workers workers(plan_.run.threads);
    StreamRun stream(plan_, source_, store_, *memo_, factory_, meter_, signals_.interrupted());
    {
      set_current(&stream);
      const Monitor monitor(plan_, stream, meter_, signals_, options_.style);
      stream.run(workers);
      set_current(nullptr);
    }
    PredictOutcome outcome;
    outcome.interrupted = signals_.interrupted() || !stream.complete();
    if (!outcome.interrupted) score(stream, workers, each, outcome);
    return outcome;
  }

 private:
  /// The learner from the innermost bundle, and the corrections around it.
  void load(std::size_t stage, const Bundle& bundle) {
    const StagePlan& plan = plan_.stages[stage];
    if (!plan.is(StageKind::Calibrator)) {
      learner_ = stage;
      auto& learner = factory_.get_as<Learner>(stage);
      call_plugin(factory_.label(stage), "enter_worker", [&] { learner.enter_worker(); });
      predictor_ = call_plugin(factory_.label(stage), "load", [&] { return learner.load(bundle); });
      if (!predictor_) throw StageError(factory_.label(stage), "load gave no predictor");
      return;
    }
    Bundle base = bundle;
    base.facts = *bundle.facts.find("base");
    load(plan.inputs.at(0).stage, base);
    auto& calibrator = factory_.get_as<Calibrator>(stage);
    calibrations_.emplace_back(
        stage, call_plugin(factory_.label(stage), "load", [&] { return calibrator.load(bundle); }));
    if (!calibrations_.back().second) throw StageError(factory_.label(stage), "load gave no calibration");
  }

  void score(StreamRun& stream, Workers& workers, const std::function<void(const PredictedInput&)>& each,
             PredictOutcome& outcome) {
    std::vector<const RunTable*> tables;
    for (const StagePlan::Input& input : plan_.stages[learner_].inputs)
      for (const RunTable& table : stream.tables())
        if (table.stage == input.stage) tables.push_back(&table);
    const std::vector<std::vector<TableRow>> rows = common_rows(tables, [](std::uint32_t) { return true; });
    const Listing& listing = stream.listing();
    Interruptible parallel(workers, signals_.interrupted());
    std::size_t row = 0;
    for (std::size_t first = 0; first < listing.inputs.size(); first += kTogether) {
      const std::size_t end = std::min(listing.inputs.size(), first + kTogether);
      std::size_t last = row;
      while (last < rows[0].size() && rows[0][last].input < end) ++last;
      const Predictions::Part part = score_rows(tables, listing, rows, row, last, parallel);
      std::size_t scored = 0;
      for (std::size_t i = first; i < end; ++i) {
        const ListedInput& input = listing.inputs[i];
        ++outcome.inputs;
        if (row < last && rows[0][row].input == i) {
          each({input.key, {part.scores.row(scored++), classes_.size()}, nullptr});
          while (row < last && rows[0][row].input == i) ++row;
        } else {
          ++outcome.rejected;
          each({input.key, {}, input.reject ? input.reject.get() : &kNoRow});
        }
      }
    }
  }

  /// The scores of the inputs whose rows are [first, last).
  Predictions::Part score_rows(const std::vector<const RunTable*>& tables, const Listing& listing,
                               const std::vector<std::vector<TableRow>>& rows, std::size_t first,
                               std::size_t last, Parallel& parallel) {
    if (first == last) return {};
    std::vector<std::unique_ptr<TableRows>> sets;
    std::vector<const RowSet*> pointers;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      sets.push_back(std::make_unique<TableRows>(
          *tables[t]->store, listing,
          std::vector<TableRow>(rows[t].begin() + static_cast<std::ptrdiff_t>(first),
                                rows[t].begin() + static_cast<std::ptrdiff_t>(last))));
      pointers.push_back(sets.back().get());
    }
    const Scores scores = call_plugin(factory_.label(learner_), "predict",
                                      [&] { return predictor_->predict(pointers, parallel); });
    check(learner_, scores, last - first);
    Predictions::Part part = average_views(*sets[0], scores);
    for (const auto& [stage, calibration] : calibrations_) {
      const std::size_t inputs = part.scores.rows;
      call_plugin(factory_.label(stage), "apply", [&] { calibration->apply(part.scores); });
      check(stage, part.scores, inputs);
    }
    return part;
  }

  void check(std::size_t stage, const Scores& scores, std::size_t rows) const {
    if (const std::string fault = fault_of_scores(scores, rows, classes_.size()); !fault.empty())
      throw StageError(factory_.label(stage), fmt::format("gave {}", fault));
  }

  void warn(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (options_.style.level >= LogLevel::Warning && warned_.insert(text).second)
      print_to_terminal("warning: " + printable_lines(text, "  ") + "\n");
  }

  void set_current(StreamRun* stream) {
    const std::lock_guard lock(mutex_);
    current_ = stream;
  }

  /// The process is about to be ended: what was computed is kept where there is a store for it.
  std::string leave() {
    const std::lock_guard lock(mutex_);
    if (current_ == nullptr || options_.store.empty()) return {};
    return current_->commit_now() ? "the features that were computed are saved\n" : "";
  }

  static const inline StoredReject kNoRow{"", "incomplete",
                                          "it has no row in one of the tables of the model"};

  const TrainedModel& model_;
  const PredictOptions& options_;
  Signals& signals_;
  const std::vector<std::string> classes_;
  const TemporaryFolder work_{"graft-predict"};  // the config and, where features are not kept, the store
  const Plan plan_;
  const fs::path store_;
  Meter meter_;
  std::mutex mutex_;
  StreamRun* current_ = nullptr;
  std::set<std::string> warned_;
  DrainDeadline deadline_;
  Watchdog watchdog_;
  StageFactory factory_;
  std::optional<DigestMemo> memo_;
  std::size_t source_ = 0, stage_ = 0, learner_ = 0;
  std::unique_ptr<Predictor> predictor_;
  std::vector<std::pair<std::size_t, std::unique_ptr<Calibration>>> calibrations_;  // from the inside out
};

}  // namespace

PredictOutcome predict(const TrainedModel& model, const PredictOptions& options, Registry& registry,
                       Signals& signals, const std::function<void(const PredictedInput&)>& each) {
  return Prediction(model, options, registry, signals).go(each);
}

}  // namespace graft
