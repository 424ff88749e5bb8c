#include "run/sample.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/files.h"
#include "graph/flow.h"
#include "graph/workers.h"
#include "plugin/plugin_call.h"
#include "run/input_reader.h"
#include "run/stage_factory.h"
#include "store/row.h"

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSeconds = 2;            // of measuring
constexpr std::size_t kMostInputs = 256;  // as many as a tiny network computes meanwhile tell enough

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// The stages of a source's stream, made for the sample alone.
class SampledStages {
 public:
  SampledStages(const Plan& plan, std::size_t source, const Registry& registry, bool libtorch)
      : plan_(plan), registry_(registry), libtorch_(libtorch), stages_(plan.stages.size()) {
    for (const std::size_t i : plan.stream(source)) make(i);
  }

  std::vector<Stage*> all() const {
    std::vector<Stage*> out;
    for (const auto& stage : stages_) out.push_back(stage.get());
    return out;
  }

 private:
  StageContext context(const std::string& id, const Params& params) {
    return {id,
            params,
            plan_.seed,
            plan_.run.threads,
            [](const std::string&) {},  // the run says it
            [this](const std::string& plugin) -> Service& { return service(plugin); },
            {},
            {}};
  }

  void make(std::size_t index) {
    const StagePlan& stage = plan_.stages[index];
    refuse_libtorch(stage.schema.name, stage.schema.libraries);
    StageContext made_from = context(stage.id, stage.params);
    if (!stage.inputs.empty())
      made_from.input_shape = output_shape(plan_.stages[stage.inputs[0].stage], stage.inputs[0].port);
    try {
      stages_[index].reset(registry_.open(stage.schema.name).create(made_from));
    } catch (const std::exception& e) {
      throw Error(fmt::format("{}: {}", stage.id, e.what()));
    }
    if (!stages_[index]) throw Error(fmt::format("{}: the plugin made no stage", stage.id));
  }

  Service& service(const std::string& plugin) {
    if (const Registry::Plugin* found = registry_.find(plugin))
      refuse_libtorch(plugin, found->schema.libraries);
    return open_service(registry_, services_, plugin,
                        [this](const std::string& id, const Params& params) { return context(id, params); });
  }

  void refuse_libtorch(const std::string& plugin, const std::string& libraries) const {
    if (!libtorch_ && libraries.find("libtorch") != std::string::npos)
      throw Error(fmt::format("{} needs LibTorch, which is not loaded for a sample", plugin));
  }

  const Plan& plan_;
  const Registry& registry_;
  const bool libtorch_;
  std::map<std::string, std::unique_ptr<Stage>> services_;  // first, so that they outlive who calls them
  std::vector<std::unique_ptr<Stage>> stages_;
};

/// Lets inputs through until there are enough, and counts what arrives.
class Sample final : private FlowInput, private FlowOutput {
 public:
  Sample(Plan plan, std::size_t source, const Registry& registry, bool libtorch)
      : plan_(std::move(plan)),
        source_index_(source),
        made_(plan_, source, registry, libtorch),
        stages_(made_.all()),
        source_(stage_as<Source>(*stages_[source], "the source")),
        reader_(source_),
        collectors_(plan_.collectors(source)) {
    result_.formats.resize(collectors_.size());
  }

  SpeedSample go() {
    source_.classes();
    Workers workers(plan_.run.threads);
    std::vector<Workers::Observed> observed;
    for (std::size_t i = 0; i < stages_.size(); ++i)
      if (stages_[i] != nullptr) observed.push_back({stages_[i], keep_for_ever(plan_.stages[i].label())});
    Workers::Observation observation(workers, std::move(observed));
    Meter meter(plan_.stages.size());
    FlowResult flow;
    workers.execute([&] { flow = Flow(plan_, source_index_, stages_, *this, *this, meter, stop_).run(); });
    observation.end();
    if (!flow.fatal.empty()) throw Error(flow.fatal);
    evaluate();
    return std::move(result_);
  }

 private:
  std::shared_ptr<InFlightEntry> next() override {
    while (!stop_) {
      auto entry = std::make_shared<InFlightEntry>();
      if (!source_.next(*entry)) return nullptr;
      for (std::size_t t = 0; t < collectors_.size(); ++t)
        if (plan_.stages[collectors_[t]].handles(entry->split))
          entry->missing_in_tables |= std::uint64_t{1} << t;
      if (entry->missing_in_tables == 0) continue;
      entry->sequence = listed_++;
      reader_.pass(*entry);
      return entry;
    }
    return nullptr;
  }

  bool load(InFlightEntry& entry, Payload& payload) override {
    payload = reader_.read(entry);
    if (const auto* file = std::get_if<FileRef>(&payload)) payload = read_input_file(FileRef(*file));
    return true;
  }

  void collect(std::size_t stage, const Handle& message) override {
    std::size_t t = 0;
    while (collectors_[t] != stage) ++t;
    if (message->state == Message::State::Live) {
      const auto& collector = dynamic_cast<const Collector&>(*stages_[stage]);
      const Collector::RowFormat format = collector.format(message->item);
      std::vector<std::uint8_t> row(row_bytes(format));
      collector.encode(message->item, row);
      const std::lock_guard lock(mutex_);
      result_.formats[t] = format;
    }
    const auto first = static_cast<std::size_t>(std::countr_zero(message->entry().missing_in_tables));
    if (t != first || message->item.view != 0) return;
    const std::lock_guard lock(mutex_);
    if (message->state == Message::State::Rejected) note_reject(*message);
    // The rest of a batch counts, too, also where its first item has ended the sample.
    finished_.push_back(Clock::now());
    if (finished_.size() >= std::max(kMostInputs, 4 * plan_.batch_items(source_index_)) ||
        seconds_between(finished_.front(), finished_.back()) > kSeconds)
      stop_ = true;
  }

  void note_reject(const Message& message) {
    if (++result_.rejected > 1 || !message.reject) return;
    result_.first_reject =
        fmt::format("{}: item '{}': {}", message.reject->stage, message.entry().key, message.reject->text);
  }

  /// The first batches are the start; what comes after them is measured.
  void evaluate() {
    const std::size_t skipped = std::max<std::size_t>(1, plan_.batch_items(source_index_));
    if (finished_.empty()) throw Error("no input came through");
    if (result_.rejected == finished_.size())
      throw Error(fmt::format("all of {} inputs were rejected, the first by {}", result_.rejected,
                              result_.first_reject));
    result_.start = seconds_between(start_, finished_[std::min(skipped, finished_.size()) - 1]);
    if (finished_.size() <= skipped)
      throw Error(fmt::format("it takes more than {} inputs, of which only {} came through", skipped,
                              finished_.size()));
    result_.inputs = finished_.size() - skipped;
    result_.seconds = seconds_between(finished_[skipped - 1], finished_.back());
  }

  const Plan plan_;
  const std::size_t source_index_;
  SampledStages made_;
  const std::vector<Stage*> stages_;
  Source& source_;
  InputReader reader_;
  const std::vector<std::size_t> collectors_;
  std::uint64_t listed_ = 0;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  std::vector<Clock::time_point> finished_;  ///< When each input was done.
  std::atomic<bool> stop_{false};
  SpeedSample result_;
};

}  // namespace

SpeedSample measure_speed(const Plan& plan, std::size_t source, const Registry& registry, bool libtorch) {
  SpeedSample nothing;
  try {
    Plan sampled = plan;
    for (StagePlan& stage : sampled.stages) stage.on_error = OnError::Reject;
    return Sample(std::move(sampled), source, registry, libtorch).go();
  } catch (const std::exception& e) {
    nothing.why_not = e.what();
  } catch (...) {
    nothing.why_not = "a plugin threw something that is not a std::exception";
  }
  return nothing;
}

}  // namespace graft
