#include "run/learning.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include <graft/csv.h>
#include <graft/error.h>

#include "base/files.h"
#include "graph/check_output.h"
#include "plugin/plugin_call.h"
#include "run/bundle_file.h"
#include "run/model_files.h"
#include "run/reject_reasons.h"

namespace graft {
namespace {

using Key = std::pair<std::uint32_t, std::uint32_t>;  // input, view

}  // namespace

std::vector<std::vector<TableRow>> common_rows(const std::vector<const RunTable*>& tables,
                                               const std::function<bool(std::uint32_t input)>& wanted) {
  std::vector<Key> common;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    std::vector<Key> keys;
    for (const TableRow& row : tables[t]->rows)
      if (wanted(row.input)) keys.emplace_back(row.input, row.view);
    if (t == 0) {
      common = std::move(keys);
    } else {
      std::vector<Key> both;
      std::set_intersection(common.begin(), common.end(), keys.begin(), keys.end(), std::back_inserter(both));
      common = std::move(both);
    }
  }
  std::vector<std::vector<TableRow>> out;
  for (const RunTable* table : tables) {
    std::vector<TableRow> rows;
    rows.reserve(common.size());
    auto next = common.begin();
    for (const TableRow& row : table->rows) {
      if (next == common.end()) break;
      if (Key(row.input, row.view) != *next) continue;
      rows.push_back(row);
      ++next;
    }
    out.push_back(std::move(rows));
  }
  return out;
}

namespace {

/// The wanted inputs' rows of every table, cut down to those that all tables have.
std::vector<std::unique_ptr<TableRows>> aligned(const std::vector<Learning::Table>& tables,
                                                const std::function<bool(std::uint32_t input)>& wanted) {
  std::vector<const RunTable*> stored;
  for (const Learning::Table& t : tables) stored.push_back(t.table);
  std::vector<std::vector<TableRow>> rows = common_rows(stored, wanted);
  std::vector<std::unique_ptr<TableRows>> out;
  for (std::size_t t = 0; t < tables.size(); ++t)
    out.push_back(
        std::make_unique<TableRows>(*tables[t].table->store, *tables[t].listing, std::move(rows[t])));
  return out;
}

std::vector<const RowSet*> pointers(const std::vector<std::unique_ptr<TableRows>>& rows) {
  std::vector<const RowSet*> out;
  for (const auto& r : rows) out.push_back(r.get());
  return out;
}

/// The same, by the split of the input.
std::vector<std::unique_ptr<TableRows>> of_split(const std::vector<Learning::Table>& tables,
                                                 const std::function<bool(Split)>& wanted) {
  const Listing& listing = *tables[0].listing;
  return aligned(tables, [&](std::uint32_t input) { return wanted(listing.inputs[input].split); });
}

/// Such scores are the learner's to mend, and the run's to report: other learners are not their fault.
void warn_of_improper_scores(const char* label, const Predictions& of,
                             const std::function<void(const std::string&)>& warn) {
  for (const auto& [part, name] : {std::pair(&of.val, "val"), std::pair(&of.test, "test")})
    if (const auto improper = improper_scores(part->scores, of.multi_label))
      warn(fmt::format(
          "{}: scores of {} of {} {} inputs are not class probabilities, for example {}: expected numbers "
          "from 0 to 1{}; what needs probabilities, such as log loss, has no value; mend the plugin",
          label, improper->rows, part->scores.rows, name,
          improper->describe(part->keys[improper->first], of.classes),
          of.multi_label ? "" : " that add up to 1"));
}

void check_scores(const Scores& scores, std::size_t rows, std::size_t classes, const char* what) {
  if (const std::string fault = fault_of_scores(scores, rows, classes); !fault.empty())
    throw Error(fmt::format("gave {} for {}", fault, what));
}

}  // namespace

Tensor training_keys(const RowSet& rows) {
  std::string keys;
  for (std::size_t r = 0; r < rows.rows(); ++r) keys.append(rows.key(r)).push_back('\0');
  Tensor tensor = Tensor::allocate(DType::U8, {static_cast<std::int64_t>(keys.size())});
  std::copy(keys.begin(), keys.end(), tensor.as<char>());
  return tensor;
}

std::vector<std::string> training_keys(const Bundle& bundle) {
  std::vector<std::string> keys;
  const auto found = bundle.tensors.find(kTrainingKeys);
  if (found == bundle.tensors.end() || found->second.dtype != DType::U8) return keys;
  const std::string_view text(found->second.as<char>(), found->second.bytes());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    keys.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return keys;
}

Scores average_views(std::span<const std::uint32_t> input_of, const Scores& scores) {
  Scores out(0, scores.classes);
  for (std::size_t r = 0; r < input_of.size();) {
    std::vector<double> sum(scores.classes, 0.0);
    std::size_t n = 0;
    for (; r + n < input_of.size() && input_of[r + n] == input_of[r]; ++n)
      for (std::size_t c = 0; c < scores.classes; ++c) sum[c] += static_cast<double>(scores.row(r + n)[c]);
    for (const double s : sum) out.values.push_back(static_cast<float>(s / static_cast<double>(n)));
    ++out.rows;
    r += n;
  }
  return out;
}

Predictions::Part average_views(const TableRows& rows, const Scores& scores) {
  Predictions::Part part;
  std::vector<std::uint32_t> input_of(rows.rows());
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    input_of[r] = rows.input_index(r);
    if (r > 0 && input_of[r] == input_of[r - 1]) continue;
    part.keys.emplace_back(rows.key(r));
    const auto labels = rows.labels(r);
    part.labels.emplace_back(labels.begin(), labels.end());
    part.negative.push_back(rows.negative(r));
  }
  part.scores = average_views(input_of, scores);
  return part;
}

std::string predictions_csv(const Predictions& predictions) {
  std::string out = "key,split,label,predicted";
  for (const std::string& name : predictions.classes) out += "," + csv_field(name);
  out += "\n";
  const auto append = [&](const Predictions::Part& part, const char* split) {
    for (std::size_t r = 0; r < part.keys.size(); ++r) {
      const float* scores = part.scores.row(r);
      // Where a score is not a number, none is the highest.
      const bool has_order =
          std::none_of(scores, scores + part.scores.classes, [](float s) { return std::isnan(s); });
      const auto best =
          has_order ? std::max_element(scores, scores + part.scores.classes) - scores : std::ptrdiff_t{-1};
      std::string labels, predicted;
      const auto append_name = [&](std::string& to, std::size_t c) {
        to += (to.empty() ? "" : ";") + predictions.classes[c];
      };
      for (const std::int32_t label : part.labels[r]) append_name(labels, static_cast<std::size_t>(label));
      for (std::size_t c = 0; c < part.scores.classes; ++c)
        if (predictions.multi_label ? scores[c] >= 0.5f : static_cast<std::ptrdiff_t>(c) == best)
          append_name(predicted, c);
      out +=
          fmt::format("{},{},{},{}", csv_field(part.keys[r]), split, csv_field(labels), csv_field(predicted));
      for (std::size_t c = 0; c < part.scores.classes; ++c) out += fmt::format(",{:.9g}", scores[c]);
      out += "\n";
    }
  };
  append(predictions.val, "val");
  append(predictions.test, "test");
  return out;
}

/// Fits stages of the run again, in a work folder that is emptied before and after.
class Learning::RunTrials final : public Trials {
 public:
  explicit RunTrials(Learning& learning) : learning_(learning) {}

  const std::vector<Input>& inputs(const std::string& learner) override {
    const std::size_t stage = trainer_of(stage_of(learner));
    Inputs& known = inputs_[stage];
    if (known.listed.empty()) {
      const auto tables = learning_.tables_of(stage);
      const StagePlan& plan = learning_.plan_.stages[stage];
      const auto rows = of_split(tables, [&](Split s) { return s == Split::Test || plan.handles(s); });
      for (std::size_t r = 0; r < rows[0]->rows(); ++r) {
        const std::uint32_t input = rows[0]->input_index(r);
        if (!known.positions.empty() && known.positions.back() == input) continue;  // another view of it
        const auto labels = rows[0]->labels(r);
        known.positions.push_back(input);
        known.listed.push_back({std::string(rows[0]->key(r)),
                                {labels.begin(), labels.end()},
                                rows[0]->split(r),
                                rows[0]->negative(r)});
      }
    }
    return known.listed;
  }

  Result fit(const std::string& learner, const Rows& rows) override {
    const std::size_t stage = stage_of(learner);
    const std::size_t trainer = trainer_of(stage);
    inputs(learner);
    const StagePlan& plan = learning_.plan_.stages[trainer];
    const auto tables = learning_.tables_of(trainer);
    enum Use : std::uint8_t { Unused, Train, Val, Score };
    std::vector<Use> uses(tables[0].listing->inputs.size(), Unused);
    mark(inputs_[trainer], rows.train, uses, Train);
    mark(inputs_[trainer], rows.val, uses, Val);
    mark(inputs_[trainer], rows.score, uses, Score);
    const auto used = [&](auto... as) {
      return aligned(tables, [&uses, as...](std::uint32_t input) { return ((uses[input] == as) || ...); });
    };
    const Learning::Rows parts{used(Train), used(Val), used(Train, Val), used(Score)};

    const std::filesystem::path work = learning_.out_ / "work" / plan.id / "trial";
    struct Remove {
      const std::filesystem::path& work;
      ~Remove() {
        std::error_code ignored;
        std::filesystem::remove_all(work, ignored);
        std::filesystem::remove(work.parent_path(), ignored);
        std::filesystem::remove(work.parent_path().parent_path(), ignored);
      }
    } const remove{work};
    const auto start = std::chrono::steady_clock::now();
    Result result;
    try {
      std::filesystem::remove_all(work);
      LearnerResult trained = learning_.train(trainer, parts, work);
      result.scores = average_views(
          *parts.score[0],
          learning_.predict(trainer, *trained.predictor, parts.score, learning_.workers_, "score"));
      learning_.destroy(trainer, trained.predictor);
      if (stage != trainer) {
        Predictions seen;
        seen.classes = tables[0].listing->classes;
        seen.multi_label = is_multi_label(*tables[0].listing);
        seen.val = average_views(*parts.val[0], trained.val);
        correct(stage, seen, result.scores.scores);
      }
      const Listing& listing = *tables[0].listing;
      if (const auto improper = improper_scores(result.scores.scores, is_multi_label(listing)))
        throw Error("gave scores that are not class probabilities: " +
                    improper->describe(result.scores.keys[improper->first], listing.classes));
    } catch (const std::exception& e) {
      const auto* known = dynamic_cast<const StageError*>(&e);
      const std::string text = fmt::format(
          "in a trial with {} train and {} val inputs: {}", rows.train.size(), rows.val.size(),
          known != nullptr && known->label() == learning_.factory_.label(stage) ? known->text()
                                                                                : std::string(e.what()));
      // A full disk ends the run; a report may live with a trial that failed.
      if (ends_the_run(e))
        throw FatalError(fmt::format("{}: {}", learning_.plan_.stages[stage].label(), text));
      throw StageError(learning_.factory_.label(stage), text);
    }
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  struct Inputs {
    std::vector<Input> listed;
    std::vector<std::uint32_t> positions;  // in the listing
  };

  std::size_t stage_of(const std::string& id) const {
    const auto& stages = learning_.plan_.stages;
    const auto found =
        std::find_if(stages.begin(), stages.end(), [&](const StagePlan& s) { return s.id == id; });
    if (found == stages.end()) throw Error(fmt::format("no stage '{}' to fit again", id));
    return static_cast<std::size_t>(found - stages.begin());
  }

  /// The learner upstream of any calibrators.
  std::size_t trainer_of(std::size_t stage) const {
    while (learning_.plan_.stages[stage].is(StageKind::Calibrator))
      stage = learning_.plan_.stages[stage].inputs[0].stage;
    return stage;
  }

  void mark(const Inputs& inputs, const std::vector<std::size_t>& rows, auto& uses, auto use) const {
    for (const std::size_t r : rows) {
      if (r >= inputs.positions.size())
        throw Error(fmt::format("a trial names input {}, and there are {}", r, inputs.positions.size()));
      auto& slot = uses[inputs.positions[r]];
      if (static_cast<int>(slot) != 0)
        throw Error(fmt::format("input '{}' is used twice in one trial", inputs.listed[r].key));
      if (inputs.listed[r].split == Split::Test && static_cast<int>(use) != 3)
        throw Error(
            fmt::format("input '{}' is of test: it may be scored, never trained on", inputs.listed[r].key));
      slot = use;
    }
  }

  /// Fits the calibrators between the learner and the stage to the trial's val scores, and applies them.
  void correct(std::size_t stage, Predictions& seen, Scores& scores) {
    const StagePlan& plan = learning_.plan_.stages[stage];
    if (!plan.is(StageKind::Calibrator)) return;
    correct(plan.inputs[0].stage, seen, scores);
    seen.learner = learning_.plan_.stages[plan.inputs[0].stage].id;
    CalibratorResult fitted = learning_.fit_calibrator(stage, seen);
    learning_.apply(stage, *fitted.calibration, seen.val.scores);
    learning_.apply(stage, *fitted.calibration, scores);
    learning_.destroy(stage, fitted.calibration);
  }

  Learning& learning_;
  std::map<std::size_t, Inputs> inputs_;
};

Learning::Learning(const Plan& plan, StageFactory& factory, Workers& workers, DigestMemo& memo,
                   std::map<std::size_t, Table> tables, std::filesystem::path out, std::filesystem::path why,
                   const std::atomic<bool>& interrupted)
    : plan_(plan),
      factory_(factory),
      workers_(workers),
      memo_(memo),
      tables_(std::move(tables)),
      out_(std::move(out)),
      why_(std::move(why)),
      interrupted_(interrupted),
      trials_(std::make_unique<RunTrials>(*this)) {}

Learning::~Learning() = default;

void Learning::run(std::vector<LearnerOutcome>& done, const Watcher& watcher) {
  for (std::size_t i = 0; i < plan_.stages.size() && !interrupted_; ++i) {
    if (!plan_.stages[i].is_fitted()) continue;
    watcher.started(plan_.stages[i].id);
    try {
      if (plan_.stages[i].is(StageKind::Learner)) {
        done.push_back(fit(i, watcher));
      } else {
        const auto base = std::find_if(done.begin(), done.end(), [&](const LearnerOutcome& o) {
          return o.stage == plan_.stages[i].inputs[0].stage;
        });
        done.push_back(calibrate(i, base->predictions));
      }
      if (watcher.warn) warn_of_improper_scores(factory_.label(i), done.back().predictions, watcher.warn);
    } catch (...) {
      if (interrupted_) break;
      throw_as_stage_error(factory_.label(i), "fit");
    }
  }
}

Scores Learning::predict(std::size_t stage, const Predictor& predictor,
                         const std::vector<std::unique_ptr<TableRows>>& rows, Parallel& parallel,
                         const char* what) {
  const char* const label = factory_.label(stage);
  Scores scores =
      call_plugin_alone(label, "predict", [&] { return predictor.predict(pointers(rows), parallel); });
  check_scores(scores, rows[0]->rows(), tables_of(stage)[0].listing->classes.size(), what);
  return scores;
}

CalibratorResult Learning::fit_calibrator(std::size_t stage, const Predictions& seen) {
  auto& calibrator = factory_.get_as<Calibrator>(stage);
  CalibratorResult result =
      call_plugin_alone(factory_.label(stage), "fit", [&] { return calibrator.fit(seen); });
  if (!result.calibration) throw Error("the calibrator gave no calibration");
  return result;
}

void Learning::apply(std::size_t stage, const Calibration& calibration, Scores& scores) {
  const std::size_t rows = scores.rows, classes = scores.classes;
  call_plugin_alone(factory_.label(stage), "apply", [&] { calibration.apply(scores); });
  check_scores(scores, rows, classes, "corrected scores");
  if (scores.rows != rows || scores.classes != classes)
    throw Error("the calibration changed the size of the scores");
}

void Learning::save(std::size_t stage, const std::function<void()>& fill, Bundle& bundle) {
  const StagePlan& plan = plan_.stages[stage];
  // Large tensors are read from the plugin while they are written.
  call_plugin_alone(factory_.label(stage), "save", [&] {
    fill();
    if (const std::string fault = fault_of_bundle(bundle); !fault.empty()) throw Error("save gave " + fault);
    bundle.facts[kFormatFact] = kBundleFormat;
    bundle.facts["plugin"] = plan.schema.name;
    bundle.facts["plugin_version"] = plan.schema.version;
    save_bundle(out_ / "models" / plan.id, bundle);
  });
}

std::vector<Learning::Table> Learning::tables_of(std::size_t stage) const {
  std::vector<Table> tables;
  for (const StagePlan::Input& input : plan_.stages[stage].inputs) tables.push_back(tables_.at(input.stage));
  return tables;
}

std::string Learning::why_no_train_rows(std::size_t stage) const {
  const Listing& listing = *tables_of(stage)[0].listing;
  const auto is_train = [](const ListedInput& input) { return input.split == Split::Train; };
  const auto& inputs = listing.inputs;
  const auto train = static_cast<std::size_t>(std::count_if(inputs.begin(), inputs.end(), is_train));
  const auto rejected = static_cast<std::size_t>(std::count_if(
      inputs.begin(), inputs.end(), [](const ListedInput& input) { return input.reject != nullptr; }));
  const std::string& source = plan_.stages[listing.source].id;
  if (inputs.empty()) return fmt::format("'{}' lists no inputs", source);
  if (train == 0)
    return fmt::format("'{}' puts none of its {} inputs into train; see its parameters for splits", source,
                       inputs.size());
  const std::vector<RejectReason> reasons = reject_reasons({&listing}, is_train);
  std::size_t lost = 0;
  for (const RejectReason& reason : reasons) lost += reason.count;
  if (lost < train) return "no train input has a row in every table that this stage reads";
  return fmt::format("all {} {}inputs were rejected, e.g. {} (why: {})",
                     rejected == inputs.size() ? rejected : lost, rejected == inputs.size() ? "" : "train ",
                     in_words(reasons[0]), why_.string());
}

LearnerResult Learning::train(std::size_t stage, const Rows& rows, const std::filesystem::path& work,
                              std::function<void(const FitStep&)> progress) {
  if (tables_of(stage)[0].listing->classes.empty())
    throw Error("the source names no class: there is nothing to learn");
  if (rows.train[0]->rows() == 0) throw Error("there are no train rows: " + why_no_train_rows(stage));
  const StagePlan& plan = plan_.stages[stage];
  const Listing& listing = *tables_of(stage)[0].listing;
  make_folders(work);
  Interruptible parallel(workers_, interrupted_);
  LearnerInput input{
      {}, listing.classes, parallel, work.string(), is_multi_label(listing), std::move(progress)};
  for (std::size_t t = 0; t < rows.train.size(); ++t)
    input.tables.push_back({plan_.stages[plan.inputs[t].stage].id, rows.train[t].get(), rows.val[t].get(),
                            rows.train_val[t].get()});
  auto& learner = factory_.get_as<Learner>(stage);
  const char* const label = factory_.label(stage);
  call_plugin_alone(label, "enter_worker", [&] { learner.enter_worker(); });
  LearnerResult result = call_plugin_alone(label, "fit", [&] { return learner.fit(input); });
  if (!result.predictor) throw Error("the learner gave no predictor");
  check_scores(result.val, rows.val[0]->rows(), listing.classes.size(), "val");
  return result;
}

LearnerOutcome Learning::fit(std::size_t stage, const Watcher& watcher) {
  const StagePlan& plan = plan_.stages[stage];
  const std::vector<Table> tables = tables_of(stage);
  const auto handled = [&](Split s) { return plan.handles(s); };
  const Rows rows{of_split(tables, [&](Split s) { return s == Split::Train && handled(s); }),
                  of_split(tables, [&](Split s) { return s == Split::Val && handled(s); }),
                  of_split(tables, [&](Split s) { return s != Split::Test && handled(s); }),
                  of_split(tables, [](Split s) { return s == Split::Test; })};
  const std::filesystem::path work = out_ / "work" / plan.id;
  LearnerOutcome outcome;
  outcome.stage = stage;
  outcome.begun = std::chrono::steady_clock::now();
  LearnerResult result = train(stage, rows, work, [&](const FitStep& step) { watcher.step(plan.id, step); });

  Predictions& p = outcome.predictions;
  p.learner = plan.id;
  p.classes = tables[0].listing->classes;
  p.multi_label = is_multi_label(*tables[0].listing);
  p.summary = std::move(result.summary);
  p.val = average_views(*rows.val[0], result.val);
  // The one look at test: after every choice has been made.
  if (rows.score[0]->rows() > 0) {
    Interruptible parallel(workers_, interrupted_);
    p.test = average_views(*rows.score[0], predict(stage, *result.predictor, rows.score, parallel, "test"));
  }
  outcome.ended = std::chrono::steady_clock::now();

  Bundle bundle;
  save(
      stage,
      [&] {
        result.predictor->save(bundle);
        if (!bundle.facts.is_map()) return;  // an error, below
        bundle.facts["class_names"] = Value::List(p.classes.begin(), p.classes.end());
        bundle.facts["multi_label"] = p.multi_label;
        bundle.facts["tables"] = Value::list();
        for (const Table& t : tables) bundle.facts["tables"].push(t.table->store->fingerprint().description);
        bundle.facts["files"] = files_upstream(plan_, stage, memo_);
        // Its neighbours() are positions among these rows, also once it is loaded.
        if (bundle.facts.find(kNeighboursFact) != nullptr)
          bundle.tensors[kTrainingKeys] = training_keys(*rows.train_val[0]);
      },
      bundle);
  make_folders(out_ / "predictions");
  write_file_atomically(out_ / "predictions" / (plan.id + ".csv"), predictions_csv(p));
  save_neighbours(stage, *result.predictor, rows);
  destroy(stage, result.predictor);
  std::error_code ignored;
  std::filesystem::remove(work, ignored);  // goes when the learner left nothing in it
  std::filesystem::remove(out_ / "work", ignored);
  return outcome;
}

LearnerOutcome Learning::calibrate(std::size_t stage, const Predictions& base) {
  const StagePlan& plan = plan_.stages[stage];
  LearnerOutcome outcome;
  outcome.begun = std::chrono::steady_clock::now();
  Predictions seen = base;
  seen.test = {};
  CalibratorResult result = fit_calibrator(stage, seen);
  outcome.stage = stage;
  outcome.predictions = base;
  outcome.predictions.learner = plan.id;
  outcome.predictions.summary = result.summary;
  for (Predictions::Part* part : {&outcome.predictions.val, &outcome.predictions.test})
    apply(stage, *result.calibration, part->scores);
  outcome.ended = std::chrono::steady_clock::now();

  // The learner's bundle with the correction around it: enough to predict by itself.
  Bundle bundle = load_bundle(out_ / "models" / base.learner);
  Value facts = Value::map();
  facts["base"] = std::move(bundle.facts);
  bundle.facts = std::move(facts);
  save(
      stage, [&] { result.calibration->save(bundle); }, bundle);
  destroy(stage, result.calibration);
  write_file_atomically(out_ / "predictions" / (plan.id + ".csv"), predictions_csv(outcome.predictions));
  return outcome;
}

void Learning::save_neighbours(std::size_t stage, const Predictor& predictor, const Rows& rows) {
  const std::string& id = plan_.stages[stage].id;
  std::string out;
  const TableRows& known = *rows.train_val[0];
  for (const auto* part : {&rows.val, &rows.score}) {
    const TableRows& queries = *(*part)[0];
    if (queries.rows() == 0) continue;
    Interruptible parallel(workers_, interrupted_);
    const Neighbours found = call_plugin_alone(
        factory_.label(stage), "neighbours", [&] { return predictor.neighbours(pointers(*part), parallel); });
    if (found.k == 0) return;
    if (const std::string fault = fault_of_neighbours(found, queries.rows(), known.rows()); !fault.empty())
      throw Error("gave " + fault);
    for (std::size_t r = 0; r < queries.rows(); ++r)
      for (std::size_t n = 0, rank = 0; n < found.k; ++n) {
        const std::size_t at = r * found.k + n;
        // The refit predictor has learnt the rows of val: one that finds itself says nothing.
        if (known.input_index(found.rows[at]) == queries.input_index(r)) continue;
        out += fmt::format("{},{},{},{},{},{:.9g}\n", csv_field(queries.key(r)), queries.view(r),
                           to_string(queries.split(r)), ++rank, csv_field(known.key(found.rows[at])),
                           found.similarity[at]);
      }
  }
  if (out.empty()) return;
  make_folders(out_ / "neighbours");
  write_file_atomically(out_ / "neighbours" / (id + ".csv"),
                        "key,view,split,rank,neighbour,similarity\n" + out);
}

}  // namespace graft
