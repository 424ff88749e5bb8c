#include "run/sweep.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "base/files.h"
#include "config/file_parameters.h"
#include "config/planner.h"
#include "run/run_folder.h"
#include "run/sweep_report.h"
#include "store/table_check.h"
#include "store/table_use.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Where a combination's folder says that it is finished, and of what.
constexpr const char* kDone = "sweep_done.json";

/// A value as YAML on one line, close to how it was written.
std::string as_written(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::Scalar) return node.scalar;
  return to_value(node).to_json();
}

/// The stage and the declaration of a parameter that a key names; null when it names something else.
const ParamSpec* spec_of(const Plan& plan, const std::string& key, const Value** value) {
  const std::size_t dot = key.find('.');
  const std::string id = key.substr(0, dot);
  const auto stage =
      std::find_if(plan.stages.begin(), plan.stages.end(), [&](const StagePlan& s) { return s.id == id; });
  if (dot == std::string::npos || stage == plan.stages.end()) return nullptr;
  const std::vector<ParamSpec>* specs = &stage->schema.params;
  const Value* at = &stage->params.value();
  const ParamSpec* spec = nullptr;
  for (std::size_t start = dot + 1; start <= key.size() && at != nullptr;) {
    const std::size_t end = std::min(key.find('.', start), key.size());
    const std::string name = key.substr(start, end - start);
    const auto found =
        std::find_if(specs->begin(), specs->end(), [&](const ParamSpec& s) { return s.name == name; });
    if (found == specs->end()) return nullptr;
    spec = &*found;
    specs = &spec->fields;
    at = at->find(name);
    start = end + 1;
  }
  *value = at;
  return at == nullptr ? nullptr : spec;
}

/// Of a file, or of the files in a folder that count; nothing where they cannot be examined.
std::optional<std::uint64_t> bytes_of(const ParamSpec& spec, const fs::path& path) {
  try {
    std::uint64_t all = 0;
    for (const fs::path& file : files_of(spec, path)) all += fs::file_size(file);
    return all;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::vector<SweepRow::File> varied_files(const SweepRun& run) {
  std::vector<SweepRow::File> out;
  for (const auto& [key, written] : run.set) {
    const Value* value = nullptr;
    const ParamSpec* spec = spec_of(run.plan, key, &value);
    if (spec == nullptr || spec->kind != ParamSpec::Kind::File || !value->is_string() ||
        !spec->is_path(value->as_string()))
      continue;
    if (const auto bytes = bytes_of(*spec, value->as_string())) out.push_back({key, *bytes});
  }
  return out;
}

/// What results.json says, but for the figures on test.
void read_results(const Value& results, const Plan& plan, const std::vector<FigureSpec>& specs,
                  SweepRow& row) {
  for (const auto& [id, seconds] : map_at(results, {"timings", "streams"}))
    row.stream_seconds += number_at(seconds, {}).value_or(0);
  for (const auto& [id, table] : map_at(results, {"tables"})) {
    row.computed += count_at(table, {"computed"});
    row.reused += count_at(table, {"reused"});
  }
  for (const StagePlan& stage : plan.stages)
    if (stage.is_fitted())
      row.learners.push_back({stage.id, figures_from(at_path(results, {"learners", stage.id, "val"}), specs),
                              number_at(results, {"timings", "learners", stage.id}).value_or(0)});
}

/// Everything that the figures of a combination depend on: its resolved config, the plugins, the files that
/// parameters name, the tables' fingerprints, and every input with its content. Nothing when an input has not
/// been read yet: then it is not finished either.
std::optional<std::string> state_of(const Plan& plan, Registry& registry, const fs::path& store) {
  std::string text = to_yaml(plan);
  StageFactory factory(plan, registry, [](const std::string&) {});
  DigestMemo memo(store / "digests.memo");
  for (const StagePlan& s : plan.stages)
    text += fmt::format("{} {} {} {}\n", s.schema.name, s.schema.version, s.schema.libraries,
                        parameters_by_content(s, memo).to_json());
  Meter meter(plan.stages.size());
  const std::atomic<bool> never{false};
  for (const std::size_t i : plan.stages_of(StageKind::Source)) {
    StreamRun stream(plan, i, store, memo, factory, meter, never);
    for (const StreamRun::Survey& s : stream.survey()) text += s.fingerprint + "\n";
    for (const std::string& name : stream.listing().classes) text += name + "\n";
    for (const ListedInput& input : stream.listing().inputs) {
      if (!input.content) return {};
      text += fmt::format("{} {} {}{} {}\n", input.key, to_string(input.split), input.negative ? "none" : "",
                          fmt::join(input.labels, ","), input.content->hex());
    }
  }
  return digest(text).hex();
}

class Sweep {
 public:
  Sweep(const std::vector<SweepRun>& runs, Registry& registry, const SweepOptions& options, Signals& signals)
      : runs_(runs),
        registry_(registry),
        options_(options),
        signals_(signals),
        specs_(figure_specs(runs)),
        out_(options.run.out.empty() ? fs::path("runs") / (runs.at(0).plan.name + "-sweep")
                                     : options.run.out) {}

  SweepOutcome go() {
    make_folders(out_, "choose another folder with --out");
    const FileHandle lock(::open(out_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      throw Error(
          fmt::format("another sweep writes to {}: wait until it has ended, or choose another folder "
                      "with --out",
                      out_.string()));
    put_former_aside();
    std::error_code ignored;
    fs::remove(out_ / "best.yaml", ignored);  // of a former sweep
    rows_.reserve(runs_.size());
    for (const SweepRun& run : runs_) {
      if (signals_.interrupted()) return stop();
      say(fmt::format("[{} of {}] {}\n", run.id, runs_.size(), in_words(run)));
      SweepRow row;
      row.run = &run;
      row.files = varied_files(run);
      if (!finished_before(row) && !execute(row)) return stop();
      if (!row.error.empty()) say("failed: " + printable_lines(row.error, "  ") + "\n", LogLevel::Error);
      rows_.push_back(std::move(row));
      leave(best_so_far());
      require_metric(rows_.back());
    }
    return finish();
  }

 private:
  void say(const std::string& text, LogLevel level = LogLevel::Info) const {
    if (options_.run.style.level >= level) print_to_terminal(text);
  }

  static std::string in_words(const SweepRun& run) {
    std::string out;
    for (const auto& [key, value] : run.set)
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value);
    return out;
  }

  std::optional<SweepBest> best_so_far() const { return best_of(rows_, specs_, options_.metric); }

  /// A score that reports declare may be one of the other kind of labels, or have no value for these inputs:
  /// then the combinations that are left would be run for nothing.
  void require_metric(const SweepRow& row) const {
    std::set<std::string> known;
    for (const SweepRow::Learner& learner : row.learners)
      if (learner.val)
        for (const auto& [name, value] : learner.val->values) known.insert(name);
    if (options_.metric.empty() || known.empty() || known.contains(options_.metric)) return;
    throw Error(
        fmt::format("--metric: no learner of combination {} has a value of '{}' on val, so that none would "
                    "be the best by it: choose a score that they have ({})",
                    row.run->id, options_.metric, fmt::join(known, ", ")));
  }

  fs::path folder(const SweepRun& run) const { return out_ / run.id; }

  /// Reads the results of an earlier call, where they are of the same.
  bool finished_before(SweepRow& row) const {
    const fs::path at = folder(*row.run);
    if (!fs::exists(at / kDone) || !fs::exists(at / "results.json")) return false;
    try {
      const Value done = Value::from_json(read_file(at / kDone));
      const auto now = state_of(row.run->plan, registry_, options_.run.store);
      if (!now || text_at(done, {"state"}) != *now) return false;
      row.exit_code = static_cast<int>(count_at(done, {"exit_code"}));
      read_results(Value::from_json(read_file(at / "results.json")), row.run->plan, specs_, row);
      say("  finished before; not run again\n");
      return true;
    } catch (const std::exception&) {  // whatever is wrong there, running it again tells or mends it
      row.learners.clear();
      return false;
    }
  }

  /// False when it was interrupted.
  bool execute(SweepRow& row) {
    const Plan& plan = row.run->plan;
    const fs::path at = folder(*row.run);
    RunOptions options = options_.run;
    options.out = at;
    options.keep = 0;
    try {
      const RunOutcome outcome = run_plan(plan, registry_, options, signals_);
      if (outcome.exit_code > 128) return false;
      row.exit_code = outcome.exit_code;
      read_results(outcome.results, plan, specs_, row);
      if (const auto state = state_of(plan, registry_, options.store)) {
        Value done = Value::Map{{"state", *state}, {"exit_code", row.exit_code}};
        write_file_atomically(at / kDone, done.to_json());
      }
    } catch (const FatalError& e) {
      if (signals_.interrupted()) return false;
      stop_for_good(std::move(row), e.what());
    } catch (const std::exception& e) {
      if (signals_.interrupted()) return false;
      row.error = e.what();
      row.learners.clear();
      RunFolder::discard(at);  // of a former sweep: the combination of this number has failed
    }
    return true;
  }

  /// The disk is full, for example: the combinations that are left would fail as well, and the user wants to
  /// mend that first.
  [[noreturn]] void stop_for_good(SweepRow row, const std::string& error) {
    const std::size_t finished = rows_.size();
    row.error = error;
    row.learners.clear();
    rows_.push_back(std::move(row));
    try {
      leave(best_so_far());
    } catch (const Error&) {  // no room for them: those of the combination before stay
    }
    throw FatalError(with_state(error, finished));
  }

  std::string with_state(const std::string& error, std::size_t finished) const {
    return fmt::format("{}\n{} of {} combinations are finished\nresume with: {}", error, finished,
                       runs_.size(), options_.run.command);
  }

  /// The tables so far.
  Value leave(const std::optional<SweepBest>& best) const {
    Value results = sweep_json(runs_[0].plan.name, specs_, rows_, best);
    try {
      write_file_atomically(out_ / "sweep.csv", sweep_csv(rows_, specs_));
      write_file_atomically(out_ / "sweep.json", results.to_json_pretty());
    } catch (const FatalError& e) {
      throw FatalError(with_state(e.what(), rows_.size()));
    }
    return results;
  }

  SweepOutcome stop() const {
    SweepOutcome outcome;
    outcome.exit_code = signals_.exit_code();
    const auto best = best_so_far();
    outcome.results = leave(best);
    if (!rows_.empty()) outcome.text = sweep_table(rows_, specs_, best, options_.run.style.columns) + "\n";
    outcome.text += fmt::format("interrupted: {} of {} combinations are finished\nresume with: {}\n",
                                rows_.size(), runs_.size(), options_.run.command);
    return outcome;
  }

  /// Notes the uses that the run at a place has of tables for another place, so that no gc takes the tables
  /// once it is there. Gives the files of those that are noted twice now.
  std::vector<fs::path> copy_uses(const fs::path& from, const fs::path& to) const {
    std::vector<fs::path> noted;
    const fs::path place = fs::absolute(from).lexically_normal();
    for (const fs::path& table : tables_in(options_.run.store))
      for (TableUse use : read_uses(table)) {
        if (use.folder != place) continue;
        use.folder = fs::absolute(to).lexically_normal();
        try {
          write_use(table, use);
          noted.push_back(use.file);
        } catch (const Error& e) {  // from a store that cannot be written to, nothing is removed either
          say(fmt::format("the use of a table is not noted: {}\n", e.what()), LogLevel::Debug);
        }
      }
    return noted;
  }

  /// Runs of a former sweep that had more combinations: they may have taken hours. With its tables they go to
  /// <out>.1, in place of what an earlier sweep has left there.
  void put_former_aside() const {
    std::error_code error;
    std::vector<fs::path> former;
    for (fs::directory_iterator it(out_, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string(), id = name.substr(0, name.find('.'));
      const bool numbered = id.size() >= 3 && id.find_first_not_of("0123456789") == std::string::npos;
      const bool ours =
          std::any_of(runs_.begin(), runs_.end(), [&](const SweepRun& run) { return run.id == id; });
      if (numbered && !ours) former.push_back(it->path());
    }
    if (former.empty()) return;
    const fs::path aside = out_.string() + ".1";
    make_folders(aside, "choose another folder with --out");
    for (const fs::path& run : former) {
      const fs::path to = aside / run.filename();
      if (fs::exists(to)) RunFolder::discard(to);
      const std::vector<fs::path> uses = copy_uses(run, to);
      fs::rename(run, to);
      for (const fs::path& use : uses) fs::remove(use, error);
    }
    for (const char* table : {"sweep.csv", "sweep.json", "best.yaml"})
      if (fs::exists(out_ / table))
        fs::copy_file(out_ / table, aside / table, fs::copy_options::overwrite_existing);
    say(fmt::format("warning: the sweep before had {} more: now in {}\n",
                    plural(former.size(), "combination"), aside.string()),
        LogLevel::Warning);
  }

  SweepOutcome finish() const {
    SweepOutcome outcome;
    auto best = best_so_far();
    if (best) {
      // The one look at test figures: of the line that val has chosen.
      const SweepRow& row = rows_[best->row];
      const Value results = Value::from_json(read_file(folder(*row.run) / "results.json"));
      best->test =
          figures_from(at_path(results, {"learners", row.learners[best->learner].id, "test"}), specs_);
      write_file_atomically(out_ / "best.yaml", read_file(folder(*row.run) / "config.yaml"));
    }
    outcome.results = leave(best);
    outcome.text = sweep_table(rows_, specs_, best, options_.run.style.columns) + "\n";
    std::set<std::uint64_t> val_rows;
    for (const SweepRow& row : rows_) {
      if (!row.error.empty()) {
        outcome.text += fmt::format("{} failed: {}\n", row.run->id, printable_lines(row.error, "  "));
        outcome.exit_code = 1;
      } else if (row.exit_code != 0) {
        outcome.text += fmt::format("{}: more rejects than run.max_rejects (why: {})\n", row.run->id,
                                    printable((folder(*row.run) / "inputs.csv").string()));
        if (outcome.exit_code == 0) outcome.exit_code = row.exit_code;
      }
      for (const SweepRow::Learner& learner : row.learners)
        if (learner.val) val_rows.insert(learner.val->n);
    }
    if (val_rows.size() > 1)
      outcome.text += fmt::format(
          "warning: scores are of {} val rows: not of the same, so that chance decides more than it seems\n",
          fmt::join(val_rows, ", "));
    if (best) {
      outcome.text += best_in_words(rows_, specs_, *best, out_ / "best.yaml");
    } else {
      outcome.exit_code = 1;
      outcome.text += fmt::format(
          "no learner has {} on val: give the source val rows (val_fraction), and name the "
          "learners in `from` of an evaluate stage\n",
          options_.metric.empty() ? "scores" : options_.metric);
    }
    outcome.text += fmt::format("table    {}\n", printable((out_ / "sweep.csv").string()));
    return outcome;
  }

  const std::vector<SweepRun>& runs_;
  Registry& registry_;
  const SweepOptions& options_;
  Signals& signals_;
  const std::vector<FigureSpec> specs_;
  const fs::path out_;
  std::vector<SweepRow> rows_;
};

bool has_judged_learner(const Plan& plan) {
  return std::any_of(plan.stages.begin(), plan.stages.end(),
                     [](const StagePlan& s) { return !s.schema.figures.empty() && !s.inputs.empty(); });
}

}  // namespace

std::vector<SweepRun> plan_sweep(const SweepOptions& options, const Registry& registry, SweepFaults& faults) {
  std::vector<SweepRun> runs;
  const std::size_t digits = std::max<std::size_t>(3, std::to_string(options.points.size()).size());
  std::set<std::string> told;
  for (std::size_t i = 0; i < options.points.size(); ++i) {
    SweepRun run;
    run.id = fmt::format("{:0{}}", i + 1, digits);
    for (const Override& o : options.points[i]) run.set.emplace_back(o.key, as_written(o.value));
    Diagnostics diagnostics;
    const ConfigFile config(options.config, options.overrides, diagnostics, options.points[i]);
    run.plan = make_plan(config, registry, diagnostics);
    if (!diagnostics.has_errors() && !has_judged_learner(run.plan))
      diagnostics.error({0, 0, 0},
                        "a sweep chooses by scores on val, and nothing makes them here; add a stage such as "
                        "`report: {plugin: evaluate, from: [probe]}`");
    for (const Diagnostics::Rendered& entry : diagnostics.rendered())
      if (told.insert(entry.text).second) {
        faults.text += entry.text;
        faults.json += entry.json;
        faults.errors += entry.severity == Diagnostics::Severity::Error ? 1 : 0;
      }
    runs.push_back(std::move(run));
  }
  return runs;
}

SweepOutcome run_sweep(const std::vector<SweepRun>& runs, Registry& registry, const SweepOptions& options,
                       Signals& signals) {
  return Sweep(runs, registry, options, signals).go();
}

std::vector<FigureSpec> figure_specs(const std::vector<SweepRun>& runs) {
  std::vector<FigureSpec> specs;
  for (const SweepRun& run : runs) add_new_figures(figure_specs(run.plan), specs);
  return specs;
}

std::optional<SweepBest> best_of(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs,
                                 std::string metric) {
  if (metric.empty()) {
    SplitFigures any;
    for (const SweepRow& row : rows)
      for (const SweepRow::Learner& learner : row.learners)
        if (learner.val) any.values.insert(learner.val->values.begin(), learner.val->values.end());
    if (const FigureSpec* criterion = criterion_of(any, specs)) metric = criterion->name;
  }
  std::optional<SweepBest> best;
  std::pair<double, double> best_rank;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t l = 0; l < rows[r].learners.size(); ++l) {
      const auto& val = rows[r].learners[l].val;
      const auto rank = val ? rank_by(metric, *val, specs) : std::nullopt;
      if (!rank || (best && *rank <= best_rank)) continue;
      best = SweepBest{r, l, metric, {}};
      best_rank = *rank;
    }
  return best;
}

}  // namespace graft
