#include "run/runner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>

#include <fmt/format.h>

#include <graft/error.h>

#include "run/leaks.h"
#include "run/learning.h"
#include "run/limits.h"
#include "run/run_files.h"
#include "run/table_changes.h"
#include "store/files.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void say(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

/// One run, from the first listing to the last file.
class Run {
 public:
  Run(const Plan& plan, Registry& registry, const RunOptions& options, Signals& signals)
      : plan_(plan),
        registry_(registry),
        options_(options),
        signals_(signals),
        out_(options.out.empty() ? fs::path("runs") / plan.name : options.out),
        factory_(plan, registry, [this](const std::string& text) { warn(text); }) {}

  RunOutcome go() {
    const Clock::time_point start = Clock::now();
    make_folders(out_);
    make_folders(options_.store);
    write_file_atomically(out_ / "config.yaml", to_yaml(plan_));
    DigestMemo memo(options_.store / "digests.memo");
    Workers workers(plan_.run.threads);
    const DrainDeadline deadline(signals_, options_.style.level, [this] {
      const std::lock_guard lock(current_mutex_);
      if (current_ != nullptr) current_->commit_now();
    });
    // What is wrong with a learner's files shows before hours of extraction, not after.
    for (std::size_t i = 0; i < plan_.stages.size(); ++i)
      if (const StageKind kind = plan_.stages[i].schema.kind;
          !is_streamed(kind) && kind != StageKind::Service)
        factory_.get(i);
    stream(memo, workers);
    if (signals_.interrupted()) return interrupted(start);
    learn(workers);
    if (signals_.interrupted()) return interrupted(start);
    report(workers);
    if (signals_.interrupted()) return interrupted(start);
    return finish(start);
  }

 private:
  void warn(const std::string& text) {
    const std::lock_guard lock(warnings_mutex_);
    if (std::find(warnings_.begin(), warnings_.end(), text) != warnings_.end()) return;
    warnings_.push_back(text);
    if (options_.style.level >= LogLevel::Warning) say("warning: " + text + "\n");
  }

  void stream(DigestMemo& memo, Workers& workers) {
    for (std::size_t i = 0; i < plan_.stages.size() && !signals_.interrupted(); ++i) {
      if (plan_.stages[i].schema.kind != StageKind::Source) continue;
      const Clock::time_point start = Clock::now();
      streams_.push_back(std::make_unique<StreamRun>(plan_, i, options_.store, memo, factory_, meter_,
                                                     signals_.interrupted()));
      StreamRun& run = *streams_.back();
      for (const RunTable& table : run.tables())
        for (const std::string& damage : table.store->warnings())
          warn(plan_.stages[table.stage].id + ": " + damage);
      say_what_is_new(run);
      set_current(&run);
      {
        const Monitor monitor(plan_, run, meter_, signals_, options_.style);
        run.run(workers);
      }
      set_current(nullptr);
      if (const std::string leaks = find_leaks(run.listing()); !leaks.empty())
        warn(plan_.stages[i].id + ": " + leaks);
      timings_["streams"][plan_.stages[i].id] = seconds_since(start);
      for (const RunTable& table : run.tables())
        if (options_.style.level >= LogLevel::Info && run.complete())
          say(fmt::format("{}: {} rows ({} computed, {} reused) in {:.1f} s\n", plan_.stages[table.stage].id,
                          table.rows.size(), table.computed, table.reused, seconds_since(start)));
      if (options_.style.level >= LogLevel::Debug) say(stage_snapshot(plan_, meter_));
    }
  }

  /// Somebody who changed a parameter by accident wants to know before hours of work.
  void say_what_is_new(StreamRun& run) const {
    if (options_.style.level < LogLevel::Info) return;
    for (const RunTable& table : run.tables())
      if (table.store->rows() + table.store->rejects() == 0)
        if (const auto why = why_new(options_.store, table.store->fingerprint()))
          say(fmt::format("{}: new table: {}\n", plan_.stages[table.stage].id, *why));
  }

  void set_current(StreamRun* run) {
    const std::lock_guard lock(current_mutex_);
    current_ = run;
  }

  void learn(Workers& workers) {
    std::map<std::size_t, Learning::Table> tables;
    for (const auto& stream : streams_)
      for (const RunTable& table : stream->tables()) tables[table.stage] = {&table, &stream->listing()};
    learning_ =
        std::make_unique<Learning>(plan_, factory_, workers, std::move(tables), out_, signals_.interrupted());
    learners_ = learning_->run([&](const std::string& id) { started("fitting", id); });
    for (const LearnerOutcome& l : learners_) timings_["learners"][plan_.stages[l.stage].id] = l.seconds;
  }

  void started(const char* what, const std::string& id) const {
    if (options_.style.level >= LogLevel::Info && options_.style.terminal)
      say(fmt::format("{} {}\n", what, id));
  }

  /// Every report, in order: metrics for results.json, files, text for the terminal.
  void report(Workers& workers) {
    for (std::size_t i = 0; i < plan_.stages.size() && !signals_.interrupted(); ++i) {
      const StagePlan& stage = plan_.stages[i];
      if (stage.schema.kind != StageKind::Report) continue;
      std::vector<Predictions> predictions;
      for (const StagePlan::Input& input : stage.inputs)
        for (const LearnerOutcome& l : learners_)
          if (l.stage == input.stage) predictions.push_back(l.predictions);
      const Clock::time_point start = Clock::now();
      started("comparing:", stage.id);
      auto& report = factory_.get_as<Report>(i);
      try {
        ReportOutput output =
            report.report({predictions, learning_->trials(), workers, signals_.interrupted()});
        for (auto& [learner, metrics] : output.learners.as_map())
          for (auto& [part, values] : metrics.as_map())
            reported_["learners"][learner][part] = std::move(values);
        if (!output.facts.is_null()) reported_["reports"][stage.id] = std::move(output.facts);
        for (const auto& [name, content] : output.files) {
          make_folders(out_ / "reports" / stage.id);
          write_file_atomically(out_ / "reports" / stage.id / name, content);
        }
        text_ += output.text;
      } catch (const std::exception& e) {
        if (signals_.interrupted()) return;
        throw Error(fmt::format("{}: {}", stage.label(), e.what()));
      }
      timings_["reports"][stage.id] = seconds_since(start);
    }
    for (const LearnerOutcome& l : learners_)
      reported_["learners"][plan_.stages[l.stage].id]["summary"] = l.predictions.summary;
  }

  void write_inputs() const {
    std::vector<const Listing*> listings;
    for (const auto& stream : streams_) listings.push_back(&stream->listing());
    write_inputs_csv(out_ / "inputs.csv", plan_, listings);
  }

  RunOutcome finish(Clock::time_point start) {
    RunOutcome outcome;
    outcome.results = make_results(plan_, streams_);
    for (auto& [name, values] : reported_.as_map()) outcome.results[name] = std::move(values);
    outcome.text = text_;
    timings_["total"] = seconds_since(start);
    outcome.results["timings"] = timings_;
    write_inputs();
    write_file_atomically(out_ / "manifest.json", make_manifest(plan_, registry_, options_.command, factory_,
                                                                streams_, timings_, warnings_)
                                                      .to_json_pretty());
    write_file_atomically(out_ / "results.json", outcome.results.to_json_pretty());
    for (const auto& stream : streams_) try {
        stream->record_use(out_);
      } catch (const Error& e) {  // a read-only store, for one: the rows are what counts
        if (options_.style.level >= LogLevel::Debug)
          say(fmt::format("the use of the table is not noted: {}\n", e.what()));
      }

    const auto total = static_cast<std::uint64_t>(outcome.results.find("inputs")->find("total")->as_int());
    const auto rejected =
        static_cast<std::uint64_t>(outcome.results.find("inputs")->find("rejected")->as_int());
    outcome.text += fmt::format(
        "inputs   {} of {} ok{}\n", total - rejected, total,
        rejected == 0 ? ""
                      : fmt::format(", {} rejected (why: {})", rejected, (out_ / "inputs.csv").string()));
    outcome.text += fmt::format("results  {}\n", (out_ / "results.json").string());
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
    return outcome;
  }

  RunOutcome interrupted(Clock::time_point start) {
    RunOutcome outcome;
    outcome.exit_code = signals_.exit_code();
    std::uint64_t rows = 0;
    for (const auto& stream : streams_)
      for (const RunTable& table : stream->tables()) rows += table.rows.size();
    write_inputs_if_complete();
    outcome.text = fmt::format("interrupted after {:.1f} s; {} rows are saved\nto go on: {}\n",
                               seconds_since(start), rows, options_.command);
    return outcome;
  }

  /// After an interruption while learning, the inputs are all accounted for.
  void write_inputs_if_complete() const {
    for (const auto& stream : streams_)
      if (!stream->complete()) return;
    write_inputs();
  }

  const Plan& plan_;
  Registry& registry_;
  const RunOptions& options_;
  Signals& signals_;
  const fs::path out_;
  std::mutex warnings_mutex_;
  std::vector<std::string> warnings_;
  StageFactory factory_;
  Meter meter_{plan_.stages.size()};
  std::mutex current_mutex_;
  StreamRun* current_ = nullptr;  // what the deadline would have to save
  std::vector<std::unique_ptr<StreamRun>> streams_;
  std::unique_ptr<Learning> learning_;
  std::vector<LearnerOutcome> learners_;
  Value reported_ = Value::map();  // what reports add to results.json
  std::string text_;               // and to the terminal
  Value timings_ = Value::map();
};

}  // namespace

RunOutcome run_plan(const Plan& plan, Registry& registry, const RunOptions& options, Signals& signals) {
  require_limits(plan, registry);
  return Run(plan, registry, options, signals).go();
}

}  // namespace graft
