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
#include "graph/workers.h"
#include "plugin/plugin_call.h"
#include "run/learning.h"
#include "run/limits.h"
#include "run/model_files.h"
#include "run/scorer.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "run/watchdog.h"
#include "store/export.h"
#include "store/table_use.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Inputs that are scored together: their scores are all that is in memory.
constexpr std::size_t kTogether = 8192;
/// Neighbours of inputs that are scored together, at most.
constexpr std::size_t kNeighboursTogether = std::size_t{1} << 20;

/// Inputs that are listed and whose rows are stored before they are scored. Between two portions the graph
/// runs empty for a moment.
constexpr std::size_t kPortion = std::size_t{1} << 16;

class Prediction {
 public:
  Prediction(const TrainedModel& model, const PredictOptions& options, Registry& registry, Signals& signals)
      : model_(model),
        options_(options),
        signals_(signals),
        plan_(prediction_plan(model, options.inputs, options.overrides, registry, work_.path())),
        store_(options.store.empty() ? work_.path() / "store" : options.store),
        meter_(plan_.stages.size()),
        deadline_(signals, options.style.level, [this] { return leave(); }),
        watchdog_(plan_, meter_, signals, [this](const std::string&) { return leave(); }),
        factory_(
            plan_, registry, [this](const std::string& text) { warn(text); }, &signals.interrupted()) {
    require_limits(plan_, registry);
    open_store();
    require_same_files(model, plan_, *memo_);
    require_same_features(model, plan_, registry, *memo_);
    source_ = plan_.stages_of(StageKind::Source).at(0);
  }

  PredictOutcome go(const std::function<void(const PredictedInput&)>& each) {
    scorer_.emplace(plan_, factory_, model_, options_.neighbours);
    if (options_.neighbours > 0) scorer_->load_neighbours();
    Workers workers(plan_.run.threads);
    PredictOutcome outcome;
    Monitor::Earlier earlier;
    for (bool more = true; more && !outcome.interrupted;) {
      if (outcome.inputs > 0 && options_.store.empty()) empty_store();
      StreamRun stream(plan_, source_, store_, *memo_, factory_, meter_, signals_.interrupted());
      if (options_.features.empty()) stream.stop_after(kPortion);
      {
        set_current(&stream);
        const Monitor monitor(plan_, stream, meter_, signals_, options_.style, earlier);
        stream.run(workers);
        set_current(nullptr);
      }
      outcome.interrupted = signals_.interrupted() || !stream.complete();
      if (outcome.interrupted && !options_.features.empty()) return outcome;
      if (!options_.features.empty()) export_features(stream, outcome);
      score(stream, workers, each, outcome);
      more = stream.goes_on();
      outcome.interrupted = outcome.interrupted || (more && signals_.interrupted());
      earlier = {earlier.done + stream.done(), earlier.reused + stream.reused(),
                 earlier.rejected + stream.rejected()};
    }
    return outcome;
  }

 private:
  void open_store() {
    make_folders(store_, "choose another folder with --store");
    memo_.emplace(store_ / "digests.memo");
  }

  /// Of the own store nothing is used twice, so it need not be larger than a portion.
  void empty_store() {
    memo_.reset();
    fs::remove_all(store_);
    open_store();
  }

  void export_features(const StreamRun& stream, PredictOutcome& outcome) const {
    const fs::path run = fs::absolute(work_.path() / "run").lexically_normal();
    stream.record_use(run);
    const std::size_t wanted = scorer_->inputs().at(0).stage;
    for (const RunTable& table : stream.tables())
      if (table.stage == wanted)
        for (const TableUse& use : read_uses(table.store->folder()))
          if (use.folder == run) {
            if (use.ok == 0) return;
            const Exported exported =
                export_table(table.store->folder(), use, options_.features, WithoutFeatures::Nan);
            outcome.feature_rows = exported.rows;
            outcome.nan_rows = exported.nan_rows;
            return;
          }
    throw Error(fmt::format("the store {} cannot be written to, so that the features cannot be exported",
                            store_.string()));
  }

  void score(StreamRun& stream, Workers& workers, const std::function<void(const PredictedInput&)>& each,
             PredictOutcome& outcome) {
    std::vector<const RunTable*> tables;
    for (const StagePlan::Input& input : scorer_->inputs())
      for (const RunTable& table : stream.tables())
        if (table.stage == input.stage) tables.push_back(&table);
    const std::vector<std::vector<TableRow>> rows = common_rows(tables, [](std::uint32_t) { return true; });
    const Listing& listing = stream.listing();
    // Of an interrupted stream those that it has finished, up to the first that it has not.
    std::size_t inputs = 0;
    while (inputs < listing.inputs.size() && stream.reached(listing.inputs[inputs])) ++inputs;
    Interruptible interruptible(workers, signals_.interrupted());
    Parallel& parallel = outcome.interrupted ? static_cast<Parallel&>(workers) : interruptible;
    const std::size_t each_has = std::max<std::size_t>(1, scorer_->rows_asked());
    const std::size_t together = std::clamp<std::size_t>(kNeighboursTogether / each_has, 1, kTogether);
    std::size_t row = 0;
    for (std::size_t first = 0; first < inputs; first += together) {
      const std::size_t end = std::min(inputs, first + together);
      std::size_t last = row;
      while (last < rows[0].size() && rows[0][last].input < end) ++last;
      const auto [scores, near] = score_rows(tables, listing, rows, row, last, parallel);
      std::size_t scored = 0;
      for (std::size_t i = first; i < end; ++i) {
        const ListedInput& input = listing.inputs[i];
        ++outcome.inputs;
        if (row < last && rows[0][row].input == i) {
          each({input.key,
                {scores.row(scored), scores.classes},
                nullptr,
                near.empty() ? std::span<const NearImage>() : std::span<const NearImage>(near[scored])});
          ++scored;
          while (row < last && rows[0][row].input == i) ++row;
        } else {
          ++outcome.rejected;
          each({input.key, {}, input.reject ? input.reject : &kNoRow});
        }
      }
    }
  }

  /// The scores of the inputs whose rows are [first, last), and the images that are like them.
  std::pair<Scores, std::vector<std::vector<NearImage>>> score_rows(
      const std::vector<const RunTable*>& tables, const Listing& listing,
      const std::vector<std::vector<TableRow>>& rows, std::size_t first, std::size_t last,
      Parallel& parallel) {
    std::vector<std::unique_ptr<TableRows>> sets;
    std::vector<const RowSet*> pointers;
    std::vector<std::uint32_t> input_of;
    for (std::size_t r = first; r < last; ++r) input_of.push_back(rows[0][r].input);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      sets.push_back(std::make_unique<TableRows>(
          *tables[t]->store, listing,
          std::vector<TableRow>(rows[t].begin() + static_cast<std::ptrdiff_t>(first),
                                rows[t].begin() + static_cast<std::ptrdiff_t>(last))));
      pointers.push_back(sets.back().get());
    }
    std::vector<std::vector<NearImage>> near;
    if (options_.neighbours > 0)
      near = scorer_->neighbours(pointers, input_of, options_.neighbours, parallel);
    return {scorer_->score(pointers, input_of, parallel), std::move(near)};
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
  std::size_t source_ = 0;
  std::optional<Scorer> scorer_;
};

}  // namespace

PredictOutcome predict(const TrainedModel& model, const PredictOptions& options, Registry& registry,
                       Signals& signals, const std::function<void(const PredictedInput&)>& each) {
  return Prediction(model, options, registry, signals).go(each);
}

}  // namespace graft
