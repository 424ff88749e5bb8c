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
#include "graph/views.h"
#include "graph/workers.h"
#include "plugin/plugin_call.h"
#include "run/learning.h"
#include "run/limits.h"
#include "run/model_files.h"
#include "run/scorer.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "run/watchdog.h"
#include "store/feature_file.h"

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
    memo_->require_unchanged();
    Workers workers(plan_.run.threads);
    if (!options_.features.empty()) features_.emplace(options_.features, model_.classes());
    PredictOutcome outcome;
    std::optional<Monitor> monitor(std::in_place, plan_, meter_, signals_, options_.style, [this] {
      const std::lock_guard lock(mutex_);
      return progress();
    });
    for (bool more = true; more && !outcome.interrupted;) {
      if (outcome.inputs > 0 && options_.store.empty()) empty_store();
      StreamRun stream(plan_, source_, store_, *memo_, factory_, meter_, signals_.interrupted());
      stream.stop_after(kPortion);
      {
        const Watched watched(*this, stream);
        monitor->resume();
        stream.run(workers);
        more = stream.goes_on();
        outcome.interrupted = signals_.interrupted() || !stream.complete();
        if (more && !outcome.interrupted)
          monitor->pause();
        else
          monitor.reset();
      }
      score(stream, workers, each, outcome);
      outcome.interrupted = outcome.interrupted || (more && signals_.interrupted());
    }
    if (features_ && features_->has_rows() && !outcome.interrupted) outcome.features = features_->finish();
    return outcome;
  }

  /// Where the features lie meanwhile, unless they are kept.
  const TemporaryFolder& folder() const { return work_; }

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

  /// The stream that runs, for other threads; then it counts as one of the portions before.
  struct Watched {
    Watched(Prediction& prediction, StreamRun& stream) : prediction(prediction) {
      const std::lock_guard lock(prediction.mutex_);
      prediction.current_ = &stream;
    }
    ~Watched() {
      const std::lock_guard lock(prediction.mutex_);
      prediction.earlier_ = prediction.progress();
      prediction.current_ = nullptr;
    }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    Prediction& prediction;
  };

  /// Of all portions; under mutex_.
  ProgressCounts progress() const {
    ProgressCounts all = earlier_;
    if (current_ == nullptr) return all;
    const ProgressCounts now = counts_of(*current_);
    all.total = now.total;
    all.done += now.done;
    all.reused += now.reused;
    all.rejected += now.rejected;
    return all;
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
      if (features_) add_features(*tables[0], listing, rows[0], row, last, first, end);
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

  /// The rows [row, last) of the inputs [first, end), and what stands for those that are missing.
  void add_features(const RunTable& table, const Listing& listing, const std::vector<TableRow>& rows,
                    std::size_t row, std::size_t last, std::size_t first, std::size_t end) {
    const std::uint32_t views = count_views(plan_, table.stage)[static_cast<std::size_t>(Split::Test)];
    std::optional<TableRows> set;
    if (row < last)
      set.emplace(*table.store, listing,
                  std::vector<TableRow>(rows.begin() + static_cast<std::ptrdiff_t>(row),
                                        rows.begin() + static_cast<std::ptrdiff_t>(last)));
    std::vector<float> values(set ? set->dim() : 0);
    std::size_t at = 0;
    for (std::size_t i = first; i < end; ++i)
      for (std::uint32_t view = 0; view < views; ++view) {
        if (!set || at == set->rows() || set->input_index(at) != i || set->view(at) != view) {
          features_->add_without_features();
          continue;
        }
        set->read(at, 1, values.data());
        features_->add({listing.inputs[i].key, Split::Test, {}, false, view}, set->shape(), values);
        ++at;
      }
  }

  void warn(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (options_.style.level >= LogLevel::Warning && warned_.insert(text).second)
      print_to_terminal("warning: " + printable_lines(text, "  ") + "\n");
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
  ProgressCounts earlier_;  // of the portions before that of current_
  std::set<std::string> warned_;
  DrainDeadline deadline_;
  Watchdog watchdog_;
  StageFactory factory_;
  std::optional<DigestMemo> memo_;
  std::size_t source_ = 0;
  std::optional<Scorer> scorer_;
  std::optional<FeatureFile> features_;
};

}  // namespace

PredictOutcome predict(const TrainedModel& model, const PredictOptions& options, Registry& registry,
                       Signals& signals, const std::function<void(const PredictedInput&)>& each) {
  Prediction prediction(model, options, registry, signals);
  try {
    return prediction.go(each);
  } catch (const Error& e) {
    rethrow_with_cure_for_full_folder(prediction.folder(), e, "keep the features with --store DIR");
  }
}

}  // namespace graft
