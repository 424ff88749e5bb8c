#include "run/live_run.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/text.h>

#include "run/stream_run.h"
#include "run/trace_file.h"

namespace graft {
namespace {

constexpr std::size_t kMostWarnings = 50;

double seconds_from(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A label of Prometheus: quotes, backslashes and line feeds are escaped.
std::string label_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

double seconds_of(const Meter::Counts& counts) {
  return static_cast<double>(counts.busy_ns) * 1e-9;
}

}  // namespace

void LiveRun::begin(const Plan& plan, const Meter& meter) {
  const std::lock_guard lock(mutex_);
  plan_ = &plan;
  meter_ = &meter;
  name_ = plan.name;
  start_ = stream_start_ = Clock::now();
}

void LiveRun::set_phase(std::string text) {
  const std::lock_guard lock(mutex_);
  phase_ = std::move(text);
}

void LiveRun::set_stream(const StreamRun* stream) {
  const std::lock_guard lock(mutex_);
  before_ = counts_locked();
  stream_ = stream;
  if (stream != nullptr) stream_start_ = Clock::now();
}

void LiveRun::add_step(const std::string& learner, const FitStep& step) {
  const std::lock_guard lock(mutex_);
  auto at = std::find_if(curves_.begin(), curves_.end(), [&](const auto& c) { return c.first == learner; });
  if (at == curves_.end()) at = curves_.insert(at, {learner, {}});
  Curve& curve = at->second;
  if (curve.what != step.what || step.done <= curve.done) curve = {};  // the next training begins
  curve.what = step.what;
  curve.done = step.done;
  curve.total = step.total;
  if (curve.every > 1 && step.done % curve.every != 0) return;
  Value point = Value::map();
  point["step"] = static_cast<std::int64_t>(step.done);
  for (const auto& [name, value] : step.scores) point[name] = value;
  curve.points.push(std::move(point));
  Value::List& points = curve.points.as_list();
  if (points.size() < kMostPoints) return;
  for (std::size_t i = 0; 2 * i < points.size(); ++i) points[i] = std::move(points[2 * i]);
  points.resize((points.size() + 1) / 2);
  curve.every *= 2;
}

void LiveRun::add_warning(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (warnings_.size() < kMostWarnings) warnings_.push_back(text);
}

void LiveRun::end(const std::string& state, const std::string& text, const std::filesystem::path& report) {
  const std::lock_guard lock(mutex_);
  before_ = counts_locked();
  last_stages_ = stages_locked();
  stream_ = nullptr;
  plan_ = nullptr;
  meter_ = nullptr;
  state_ = state;
  phase_ = state;
  text_ = text;
  report_ = report;
}

std::filesystem::path LiveRun::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

bool LiveRun::has_ended() const {
  const std::lock_guard lock(mutex_);
  return state_ != "running";
}

LiveRun::Counts LiveRun::counts_locked() const {
  Counts counts = before_;
  if (stream_ == nullptr) return counts;
  counts.total += stream_->total();
  counts.done += stream_->done();
  counts.reused += stream_->reused();
  counts.rejected += stream_->rejected();
  return counts;
}

std::vector<LiveRun::StageCounts> LiveRun::stages_locked() const {
  if (plan_ == nullptr) return last_stages_;
  std::vector<StageCounts> out;
  for (std::size_t i = 0; i < plan_->stages.size(); ++i) {
    const StagePlan& stage = plan_->stages[i];
    out.push_back(
        {stage.id, stage.schema.name, to_string(stage.schema.kind), stage.is_streamed(), meter_->counts(i)});
  }
  return out;
}

Value LiveRun::status() const {
  const std::lock_guard lock(mutex_);
  const Counts counts = counts_locked();
  Value v = Value::Map{{"name", name_},
                       {"state", state_},
                       {"phase", phase_},
                       {"text", text_},
                       {"seconds", seconds_from(start_)},
                       {"memory", Value(resident_bytes())}};
  Value& inputs = v["inputs"] = Value::map();
  inputs["total"] = Value(counts.total);
  inputs["done"] = Value(counts.done);
  inputs["reused"] = Value(counts.reused);
  inputs["rejected"] = Value(counts.rejected);
  v["seconds_left"] = Value();
  if (stream_ != nullptr) {
    const double computed =
        static_cast<double>(stream_->done() - std::min(stream_->reused(), stream_->done()));
    const double seconds = seconds_from(stream_start_);
    if (computed > 0 && seconds > 0 && stream_->total() > stream_->done())
      v["seconds_left"] = static_cast<double>(stream_->total() - stream_->done()) * seconds / computed;
  }
  v["stages"] = Value::list();
  for (const StageCounts& stage : stages_locked())
    v["stages"].push(Value::Map{{"id", stage.id},
                                {"plugin", stage.plugin},
                                {"kind", stage.kind},
                                {"streamed", stage.streamed},
                                {"running", Value(stage.counts.running())},
                                {"queued", Value(stage.counts.queued())},
                                {"finished", Value(stage.counts.finished)},
                                {"rejected", Value(stage.counts.rejected)},
                                {"busy_seconds", seconds_of(stage.counts)}});
  v["curves"] = Value::list();
  for (const auto& [learner, curve] : curves_) {
    v["curves"].push(Value::Map{{"learner", learner},
                                {"what", curve.what},
                                {"done", static_cast<std::int64_t>(curve.done)},
                                {"total", static_cast<std::int64_t>(curve.total)},
                                {"points", curve.points}});
  }
  v["warnings"] = Value::List(warnings_.begin(), warnings_.end());
  v["report"] = !report_.empty();
  return v;
}

std::string LiveRun::metrics() const {
  const std::lock_guard lock(mutex_);
  const Counts counts = counts_locked();
  std::string out = fmt::format(
      "# HELP graft_run_inputs Inputs of the run, by what became of them.\n# TYPE graft_run_inputs gauge\n"
      "graft_run_inputs{{outcome=\"listed\"}} {}\ngraft_run_inputs{{outcome=\"done\"}} {}\n"
      "graft_run_inputs{{outcome=\"reused\"}} {}\ngraft_run_inputs{{outcome=\"rejected\"}} {}\n"
      "# HELP graft_run_seconds Time since the start of the run.\n# TYPE graft_run_seconds gauge\n"
      "graft_run_seconds {:.3f}\n"
      "# HELP graft_run_memory_bytes Memory of the process.\n# TYPE graft_run_memory_bytes gauge\n"
      "graft_run_memory_bytes {}\n",
      counts.total, counts.done, counts.reused, counts.rejected, seconds_from(start_), resident_bytes());
  const std::vector<StageCounts> stages = stages_locked();
  const auto series = [&](const char* metric, const char* type, const char* help, const auto& value_of) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", metric, help, type);
    for (const StageCounts& stage : stages)
      if (stage.streamed)
        out += fmt::format("{}{{stage=\"{}\"}} {}\n", metric, label_text(stage.id), value_of(stage.counts));
  };
  using Of = Meter::Counts;
  series("graft_stage_items_total", "counter", "Items that a stage has finished.",
         [](const Of& c) { return c.finished; });
  series("graft_stage_rejected_total", "counter", "Items that a stage has rejected.",
         [](const Of& c) { return c.rejected; });
  series("graft_stage_busy_seconds_total", "counter", "Time that threads have spent in a stage.", seconds_of);
  series("graft_stage_queued", "gauge", "Items that wait for a stage.",
         [](const Of& c) { return c.queued(); });
  series("graft_stage_running", "gauge", "Items that a stage works on.",
         [](const Of& c) { return c.running(); });
  return out;
}

}  // namespace graft
