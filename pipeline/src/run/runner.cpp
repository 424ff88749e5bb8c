#include "run/runner.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>
#include <graft/text.h>

#include "base/files.h"
#include "plugin/plugin_call.h"
#include "run/crash_report.h"
#include "run/given_reports.h"
#include "run/job.h"
#include "run/leaks.h"
#include "run/learning.h"
#include "run/limits.h"
#include "run/model_files.h"
#include "run/noted_uses.h"
#include "run/profile.h"
#include "run/reject_reasons.h"
#include "run/run_files.h"
#include "run/run_folder.h"
#include "run/run_log.h"
#include "run/run_record.h"
#include "run/table_changes.h"
#include "run/trace_file.h"
#include "run/watchdog.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

RunFolder::Options folder_options(const Plan& plan, const RunOptions& options) {
  RunFolder::Options out{options.keep, !options.out.empty(), options.store, {}};
  for (const std::size_t i : plan.stages_of(StageKind::Learner)) out.learners.push_back(plan.stages[i].id);
  return out;
}

fs::path place_of_run(const Plan& plan, const RunOptions& options) {
  return options.out.empty() ? fs::path("runs") / plan.name : options.out;
}

/// One run, from the first listing to the last file.
class Run {
 public:
  Run(const Plan& plan, Registry& registry, const RunOptions& options, Signals& signals)
      : plan_(plan),
        registry_(registry),
        options_(options),
        signals_(signals),
        live_(options.live != nullptr ? *options.live : unwatched_),
        trace_(trace_outside(options.trace, place_of_run(plan, options), plan)),
        folder_(place_of_run(plan, options), folder_options(plan, options)),
        log_(folder_.path() / "log.txt", options.style.level),
        reports_(folder_.path(), [this](const std::string& text) { warn(text); }),
        factory_(
            plan, registry, [this](const std::string& text) { warn(text); }, &signals.interrupted()) {
    set_crash_hint(
        keep_for_ever(fmt::format("what the run had is in {}; the next run of the name moves it to {}",
                                  folder_.path().string(), folder_.failed_place().string())));
    live_.begin(plan_, meter_);
    if (!trace_ && !options.trace.empty())
      trace_ = std::make_unique<TraceFile>(folder_.path() / kTraceOfRun, plan);
    if (trace_ == nullptr) return;
    meter_.write_to(&trace_->trace());
    trace_->watch(meter_);
  }
  ~Run() { set_crash_hint(nullptr); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunOutcome go() {
    try {
      RunOutcome outcome = work();
      live_.end(signals_.interrupted() ? "interrupted" : "complete", outcome.text,
                reports_.pages().empty() || signals_.interrupted() ? fs::path()
                                                                   : folder_.place() / reports_.pages()[0]);
      return outcome;
    } catch (const std::bad_alloc&) {
      throw Error(failed(fmt::format("{}: {}", doing_, out_of_memory(memory_use_))));
    } catch (const std::exception& e) {
      if (ends_the_run(e)) throw FatalError(failed(e.what()));
      throw Error(failed(e.what()));
    } catch (...) {
      failed("an exception that is not a std::exception");
      throw;
    }
  }

 private:
  RunOutcome work() {
    const Clock::time_point start = Clock::now();
    write_file_atomically(folder_.path() / "config.yaml", to_yaml(plan_));
    make_folders(options_.store, "choose another folder with --store");
    DigestMemo memo(options_.store / "digests.memo");
    Workers workers(plan_.run.threads);
    deadline_.emplace(signals_, options_.style.level,
                      [this] { return abandon("interrupted", signals_.exit_code(), {}); });
    watchdog_.emplace(plan_, meter_, signals_,
                      [this](const std::string& error) { return abandon("failed", 1, error); });
    if (options_.merge) refuse_another_job(memo);
    // The files of the models are those that are there now, whatever comes to their places later.
    for (const std::size_t i : plan_.stages_of(StageKind::Learner)) files_upstream(plan_, i, memo);
    // What is wrong with a learner's files shows before hours of extraction, not after.
    for (std::size_t i = 0; i < plan_.stages.size(); ++i)
      if (!plan_.stages[i].is_streamed()) factory_.get(i);
    memo.require_unchanged();
    stream(memo, workers);
    if (signals_.interrupted()) return interrupted(start);
    try {
      learn(memo, workers);
      if (signals_.interrupted()) return interrupted(start);
      report(workers);
      if (signals_.interrupted()) return interrupted(start);
      return finish(start, memo);
    } catch (const std::exception& e) {
      make_page_of_failure(e, workers);
      throw;
    }
  }

  /// What the threads have done so far, whatever the end, before the folder of the run gets its name:
  /// `folder`. The path of the file goes into `text`.
  void write_trace(std::string& text, const fs::path& folder) {
    if (trace_ == nullptr || std::exchange(is_traced_, true)) return;
    const auto key_of = [&](std::size_t stage, std::uint64_t item) -> std::string_view {
      for (const auto& stream : streams_)
        if (stream->listing().source == plan_.stages[stage].source && item < stream->listing().inputs.size())
          return stream->listing().inputs[item].key;
      return {};
    };
    try {
      text += printable_lines(trace_->write(
          key_of, lies_in(trace_->file(), folder_.path()) ? folder / kTraceOfRun : trace_->file()));
    } catch (const std::exception& e) {
      warn(fmt::format("the trace is not written: {}", e.what()));
    }
  }

  /// For people, and for the text of an error, should memory run out in the runner's own work.
  void now_doing(std::string what, MemoryUse use) {
    live_.set_phase(what);
    doing_ = std::move(what);
    memory_use_ = use;
  }

  void say(const std::string& text, LogLevel level = LogLevel::Info) { log_.say(text, level); }
  void warn(const std::string& text) {
    if (log_.warn(text)) live_.add_warning(text);
  }

  void stream(DigestMemo& memo, Workers& workers) {
    for (const std::size_t i : plan_.stages_of(StageKind::Source)) {
      if (signals_.interrupted()) return;
      const Clock::time_point start = Clock::now();
      now_doing(fmt::format("listing the inputs of '{}'", plan_.stages[i].id), MemoryUse::Other);
      streams_.push_back(std::make_unique<StreamRun>(
          plan_, i, options_.store, memo, factory_, meter_, signals_.interrupted(),
          options_.merge ? MissingRows::Refuse : MissingRows::Compute));
      StreamRun& run = *streams_.back();
      for (const RunTable& table : run.tables())
        for (const std::string& damage : table.store->warnings())
          warn(plan_.stages[table.stage].id + ": " + damage);
      say_what_is_new(run);
      {
        now_doing(fmt::format("computing the rows of '{}'", plan_.stages[i].id), MemoryUse::InFlight);
        const Current current(*this, run);
        const Monitor monitor(plan_, run, meter_, signals_, options_.style);
        run.run(workers);
      }
      if (run.missing().count > 0) refuse_missing(i, run.missing());
      const PagedVector<std::uint32_t> first = first_of_content(run.listing());
      if (const std::string leaks = find_leaks(run.listing(), first); !leaks.empty())
        warn(plan_.stages[i].id + ": " + leaks);
      if (const std::string contradictions = find_contradictions(run.listing(), first);
          !contradictions.empty())
        warn(plan_.stages[i].id + ": " + contradictions);
      if (run.complete())
        for (const std::string& lost : lost_classes(run.listing())) warn(plan_.stages[i].id + ": " + lost);
      if (run.complete() && is_learnt_from(i))
        for (const std::string& left_out : find_unlabelled(run.listing()))
          warn(plan_.stages[i].id + ": " + left_out);
      duplicates_[plan_.stages[i].id] = duplicates_in(run.listing(), first);
      for (const std::size_t at : plan_.stream(i))
        if (plan_.stages[at].is(StageKind::BatchTransform))
          timings_["waited"][plan_.stages[at].id] = static_cast<double>(meter_.counts(at).waited_ns()) * 1e-9;
      timings_["streams"][plan_.stages[i].id] = seconds_since(start);
      for (const RunTable& table : run.tables())
        if (run.complete())
          say(fmt::format("{}: {} rows ({} computed, {} reused) in {:.1f} s\n", plan_.stages[table.stage].id,
                          table.rows.size(), table.computed, table.reused, seconds_since(start)));
      say(stage_snapshot(plan_, meter_), LogLevel::Debug);
    }
  }

  /// The job of the name is that of another config: its rows would be missing, all of them.
  void refuse_another_job(DigestMemo& memo) const {
    const JobFolder job(options_.store, plan_.name);
    if (!job.exists() || !job.merged().empty()) return;
    const std::vector<std::string> differ = job_differences(job.description(), describe_job(plan_, memo));
    if (!differ.empty())
      throw Error(fmt::format("the shards of the job '{}' in {} were computed with other settings: {}",
                              plan_.name, job.path().string(), joined(differ)));
  }

  [[noreturn]] void refuse_missing(std::size_t source, const MissingInputs& missing) const {
    std::vector<std::string> examples;
    for (const std::string& key : missing.examples) examples.push_back("'" + key + "'");
    const std::string who = who_had(options_.store, plan_.name, missing.slots);
    throw Error(
        fmt::format("{}: {} of {} have no row yet, for example {}{}; compute them: graft launch again, which "
                    "computes only what is missing, or graft run without --merge",
                    plan_.stages[source].label(), missing.count,
                    plural(streams_.back()->listing().inputs.size(), "input"), joined(examples),
                    who.empty() ? "" : " (" + who + ")"));
  }

  /// The workers of the job of this name have done their part.
  void close_job(DigestMemo& memo) const {
    const JobFolder job(options_.store, plan_.name);
    if (!job.exists()) return;
    job.mark_merged(describe_job(plan_, memo), folder_.place());
  }

  bool is_learnt_from(std::size_t source) const {
    const std::vector<std::size_t> learners = plan_.stages_of(StageKind::Learner);
    return std::any_of(learners.begin(), learners.end(), [&](std::size_t i) {
      return plan_.stages[plan_.stages[i].inputs[0].stage].source == source;
    });
  }

  /// Somebody who changed a parameter by accident wants to know before hours of work.
  void say_what_is_new(StreamRun& run) {
    for (const RunTable& table : run.tables())
      if (table.store->rows() + table.store->rejects() == 0)
        if (const auto why = why_new(options_.store, table.store->fingerprint(),
                                     {plan_.name, plan_.stages[table.stage].id, folder_.place()}))
          say(fmt::format("{}: new table: {}\n", plan_.stages[table.stage].id, printable(*why)));
  }

  void set_current(StreamRun* run) {
    live_.set_stream(run);
    const std::lock_guard lock(current_mutex_);
    current_ = run;
  }
  /// The stream that would have to be saved, for as long as this lives.
  struct Current {
    Current(Run& run, StreamRun& stream) : run_(run) { run_.set_current(&stream); }
    ~Current() { run_.set_current(nullptr); }
    Run& run_;
  };

  void learn(DigestMemo& memo, Workers& workers) {
    now_doing("learning", MemoryUse::Tables);
    std::map<std::size_t, Learning::Table> tables;
    for (const auto& stream : streams_)
      for (const RunTable& table : stream->tables()) tables[table.stage] = {&table, &stream->listing()};
    learning_ = std::make_unique<Learning>(plan_, factory_, workers, memo, std::move(tables), folder_.path(),
                                           folder_.failed_place() / "inputs.csv", signals_.interrupted());
    FitLine line(options_.style);
    Clock::time_point begun = Clock::now();
    learning_->run(learners_, {[&](const std::string& id) {
                                 line.clear();
                                 started("fitting", id);
                                 begun = Clock::now();
                               },
                               [&](const std::string& id, const FitStep& step) {
                                 live_.add_step(id, step);
                                 line.draw(id, step, seconds_since(begun));
                               },
                               [&](const std::string& text) {
                                 line.clear();
                                 warn(text);
                               }});
    for (const LearnerOutcome& l : learners_) {
      timings_["learners"][plan_.stages[l.stage].id] = l.seconds();
      if (trace_ != nullptr) trace_->trace().add_stage(l.stage, l.begun, l.ended);
    }
  }

  void started(const char* what, const std::string& id) {
    const std::string phase = fmt::format("{} {}", what, id);
    live_.set_phase(phase);
    if (options_.style.level >= LogLevel::Info && options_.style.terminal) say(phase + "\n");
  }

  /// Of a run whose learners or reports have failed: who wants to see why looks at its page. What a report
  /// has made before the failure says that all is well.
  void make_page_of_failure(const std::exception& e, Workers& workers) noexcept {
    if (folder_.is_complete()) return;
    reports_.drop_pages();
    if (signals_.interrupted() || ends_the_run(e) || dynamic_cast<const std::bad_alloc*>(&e) != nullptr ||
        learning_ == nullptr)
      return;
    try {
      failure_ = with_final_paths(e.what());
      for (const std::size_t i : reports_in_order()) {
        if (!plan_.stages[i].schema.covers_whole_run || signals_.interrupted()) continue;
        try {
          reports_.keep_page(plan_.stages[i], report(i, predictions_for(i), workers));
        } catch (const std::exception& other) {  // the failure itself is what people have to know
          log_.add(fmt::format("no page of the failed run: {}\n", printable_lines(other.what())));
        }
      }
      reports_.write_pages();
    } catch (const std::exception&) {  // a full disk, for example
      reports_.drop_pages();
    }
  }

  /// Those on the whole run last.
  std::vector<std::size_t> reports_in_order() const {
    std::vector<std::size_t> reports = plan_.stages_of(StageKind::Report);
    std::stable_partition(reports.begin(), reports.end(),
                          [&](std::size_t i) { return !plan_.stages[i].schema.covers_whole_run; });
    return reports;
  }

  /// Scores for results.json, files, text for the terminal.
  void report(Workers& workers) {
    now_doing("making reports", MemoryUse::Tables);
    for (const std::size_t i : reports_in_order()) {
      if (signals_.interrupted()) break;
      const Clock::time_point start = Clock::now();
      started("evaluating:", plan_.stages[i].id);
      try {
        const std::vector<Predictions> predictions = predictions_for(i);
        reports_.keep(plan_.stages[i], predictions, report(i, predictions, workers));
      } catch (...) {
        if (signals_.interrupted()) return;
        throw_as_stage_error(factory_.label(i), "report");
      }
      timings_["reports"][plan_.stages[i].id] = seconds_since(start);
      if (trace_ != nullptr) trace_->trace().add_stage(i, start, Clock::now());
    }
  }

  std::vector<Predictions> predictions_for(std::size_t report) const {
    std::vector<Predictions> predictions;
    for (const StagePlan::Input& input : plan_.stages[report].inputs)
      for (const LearnerOutcome& l : learners_)
        if (l.stage == input.stage) predictions.push_back(l.predictions);
    return predictions;
  }

  ReportOutput report(std::size_t stage, const std::vector<Predictions>& predictions, Workers& workers) {
    CurrentRun record({plan_, factory_, meter_, streams_, reports_.figures(), reports_.sections(), timings_,
                       [this] { return results(); }, [this] { return manifest(); }});
    auto& report = factory_.get_as<Report>(stage);
    Interruptible parallel(workers, signals_.interrupted());
    return call_plugin_alone(factory_.label(stage), "report", [&] {
      return report.report({predictions, learning_->trials(), parallel, record, options_.style.columns});
    });
  }

  /// results.json, as far as it is known.
  Value results() const {
    Value results = make_results(plan_, streams_);
    reports_.add_to(results);
    for (const LearnerOutcome& l : learners_)
      results["learners"][plan_.stages[l.stage].id]["summary"] = l.predictions.summary;
    results["timings"] = timings_;
    results["reject_reasons"] = to_value(reasons());
    results["duplicates"] = duplicates_;
    return results;
  }

  Value manifest() {
    Value manifest =
        make_manifest(plan_, registry_, options_.command, factory_, streams_, timings_, log_.warnings());
    manifest["folder"] = folder_.name();
    manifest["attempt"] = folder_.attempt();
    if (!failure_.empty()) manifest["error"] = failure_;
    return manifest;
  }

  void write_inputs() const { write_inputs_csv(folder_.path() / "inputs.csv", plan_, streams_); }

  std::vector<RejectReason> reasons() const {
    std::vector<const Listing*> listings;
    for (const auto& stream : streams_) listings.push_back(&stream->listing());
    return reject_reasons(listings);
  }

  /// Keeps what there is of a failed run, then tells those who watch it. Returns the text of the error.
  std::string failed(std::string text) noexcept {
    std::string traced;
    try {
      if (!folder_.is_complete()) write_trace(traced, folder_.failed_place());
    } catch (const std::exception&) {  // no memory for that
    }
    text = fail(std::move(text));
    try {
      if (!traced.empty()) say(traced);
      live_.end("failed", text, {});
    } catch (const std::exception&) {  // no memory for that
    }
    return text;
  }

  /// Paths of the folder of the run as they are once it has failed.
  std::string with_final_paths(std::string text) const {
    const std::string was = folder_.path().string();
    for (std::size_t at = 0; (at = text.find(was, at)) != std::string::npos;)
      text.replace(at, was.size(), folder_.failed_place().string());
    return text;
  }

  /// Keeps what the failed run had, and why it failed. Returns the text of the error with the paths under
  /// which its files are now.
  std::string fail(std::string text) noexcept try {
    if (folder_.is_complete()) return text;
    std::size_t inputs = 0, rejected = 0;
    for (const auto& stream : streams_) inputs += stream->listing().inputs.size();
    const std::vector<RejectReason> why = reasons();
    for (const RejectReason& reason : why) rejected += reason.count;
    if (rejected > 0)
      say(fmt::format("rejected {} of {} inputs\n{}", rejected, inputs, frequent_reasons(why)),
          LogLevel::Warning);
    text = with_final_paths(std::move(text));
    log_.add("error: " + printable_lines(text, "  ") + "\n");
    const fs::path now = leave("failed", 1, text);
    if (!options_.passing)
      say(fmt::format("what the failed run had is in {}\n",
                      printable((reports_.pages().empty() ? now : now / reports_.pages()[0]).string())));
    return text;
  } catch (const std::exception&) {
    return text;
  }

  /// From a thread of its own, when the process is about to be ended because the run hangs: saves the rows
  /// and keeps the folder. Returns what to print. The list of inputs is left out: the run may be at it.
  std::string abandon(const char* status, int exit_code, const std::string& error) {
    const bool saved = [this] {
      const std::lock_guard lock(current_mutex_);
      return current_ == nullptr || current_->commit_now();
    }();
    if (!error.empty()) log_.add("error: " + error + "\n");
    const fs::path now = folder_.abandon(status, status_of(status, exit_code, error).to_json_pretty());
    if (options_.passing) return {};
    return fmt::format("{}\nwhat the run had is in {}\nresume with: {}\n",
                       saved ? "what was finished is saved"
                             : "not all that was finished could be saved: the next run computes it again",
                       now.string(), options_.command);
  }

  Value status_of(const char* status, int exit_code, const std::string& error) {
    Value v = Value::Map{{"status", status},
                         {"folder", folder_.name()},
                         {"run", plan_.name},
                         {"attempt", folder_.attempt()},
                         {"command", options_.command},
                         {"time", Value(static_cast<std::int64_t>(std::time(nullptr)))},
                         {"exit_code", exit_code}};
    if (!error.empty()) v["error"] = error;
    v["warnings"] = Value::list();
    for (const std::string& w : log_.warnings()) v["warnings"].push(w);
    return v;
  }

  /// Renames the folder of a run that did not come to its end; what cannot be written is left out.
  fs::path leave(const char* status, int exit_code, const std::string& error) {
    const Value v = status_of(status, exit_code, error);
    for (const auto& write : {std::function<void()>([&] {
                                write_file_atomically(folder_.path() / "status.json", v.to_json_pretty());
                              }),
                              std::function<void()>([&] { write_inputs(); })})
      try {
        write();
      } catch (const std::exception& e) {
        say(fmt::format("{}\n", e.what()), LogLevel::Debug);
      }
    return folder_.set_aside(status);
  }

  RunOutcome finish(Clock::time_point start, DigestMemo& memo) {
    now_doing("writing results.json and manifest.json", MemoryUse::Tables);
    RunOutcome outcome;
    timings_["total"] = seconds_since(start);
    outcome.results = results();
    outcome.text = reports_.text();
    outcome.profile = profile_line(plan_, meter_, timings_);
    const std::vector<RejectReason> why = reasons();
    const fs::path folder = folder_.path(), place = folder_.place();
    write_inputs();
    for (const auto& stream : streams_) uses_.note(plan_, *stream, place, folder_.attempt());
    write_file_atomically(folder / "manifest.json", manifest().to_json_pretty());
    write_file_atomically(folder / "results.json", outcome.results.to_json_pretty());

    const auto total = static_cast<std::uint64_t>(outcome.results.find("inputs")->find("total")->as_int());
    const auto rejected =
        static_cast<std::uint64_t>(outcome.results.find("inputs")->find("rejected")->as_int());
    const auto fewer = outcome.results.find("inputs_with_fewer_views")->as_int();
    outcome.text += fmt::format("inputs   {} of {} ok{}{}\n", total - rejected, total,
                                fewer == 0 ? "" : fmt::format(" ({} with fewer views)", fewer),
                                rejected == 0 ? ""
                                              : fmt::format(", {} rejected (why: {})", rejected,
                                                            printable((place / "inputs.csv").string())));
    outcome.text += frequent_reasons(why);
    outcome.text += fmt::format("results  {}\n", printable((place / "results.json").string()));
    for (const fs::path& page : reports_.pages())
      outcome.text += fmt::format("report   {}\n", printable((place / page).string()));
    const bool too_many =
        plan_.run.max_reject_count
            ? rejected > *plan_.run.max_reject_count
            : static_cast<double>(rejected) > plan_.run.max_reject_share * static_cast<double>(total);
    if (too_many) {
      outcome.exit_code = 3;
      outcome.text += fmt::format(
          "too many rejects: {} of {}, allowed {}; see inputs.csv for the reasons, or raise "
          "run.max_rejects\n",
          rejected, total,
          plan_.run.max_reject_count ? std::to_string(*plan_.run.max_reject_count)
                                     : fmt::format("{}%", plan_.run.max_reject_share * 100));
    }
    write_trace(outcome.text, place);
    log_.add(printable_lines(outcome.text));
    reports_.write_pages();
    folder_.complete([this] { uses_.confirm(); });
    try {
      close_job(memo);
    } catch (const Error& e) {
      say(fmt::format("the job is not marked as merged: {}\n", e.what()), LogLevel::Debug);
    }
    return outcome;
  }

  RunOutcome interrupted(Clock::time_point start) {
    RunOutcome outcome;
    outcome.exit_code = signals_.exit_code();
    std::uint64_t rows = 0;
    for (const auto& stream : streams_)
      for (const RunTable& table : stream->tables()) rows += table.rows.size();
    outcome.text = fmt::format("interrupted after {:.1f} s; {} rows are saved\nresume with: {}\n",
                               seconds_since(start), rows, printable(options_.command));
    write_trace(outcome.text, folder_.place_aside("interrupted"));
    log_.add(printable_lines(outcome.text));
    leave("interrupted", outcome.exit_code, {});
    return outcome;
  }

  const Plan& plan_;
  Registry& registry_;
  const RunOptions& options_;
  Signals& signals_;
  LiveRun unwatched_;
  LiveRun& live_;
  Meter meter_{plan_.stages.size()};
  std::unique_ptr<TraceFile> trace_;  // null: none is made
  RunFolder folder_;
  RunLog log_;
  GivenReports reports_;
  std::mutex current_mutex_;
  StreamRun* current_ = nullptr;  // what the deadline and the watchdog would have to save
  std::optional<DrainDeadline> deadline_;
  std::optional<Watchdog> watchdog_;  // outlives the stages: one may hang when it is destroyed
  StageFactory factory_;
  std::vector<std::unique_ptr<StreamRun>> streams_;
  std::unique_ptr<Learning> learning_;
  std::vector<LearnerOutcome> learners_;
  NotedUses uses_{[this](const std::string& text) { warn(text); }};
  Value timings_ = Value::map(), duplicates_ = Value::map();
  bool is_traced_ = false;
  std::string failure_;  // why learners could not be fitted, or reports not be made
  std::string doing_ = "starting the run";
  MemoryUse memory_use_ = MemoryUse::Other;
};

}  // namespace

RunOutcome run_plan(const Plan& plan, Registry& registry, const RunOptions& options, Signals& signals) {
  require_limits(plan, registry);
  return Run(plan, registry, options, signals).go();
}

}  // namespace graft
