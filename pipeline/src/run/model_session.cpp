#include "run/model_session.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "base/assert.h"
#include "base/cpu_isa_limit.h"
#include "base/files.h"
#include "base/library_environment.h"
#include "graph/views.h"
#include "plugin/plugin_call.h"
#include "run/limits.h"
#include "run/model_files.h"
#include "run/row_encoder.h"
#include "store/digest_memo.h"
#include "store/widen.h"

namespace graft {
namespace {

/// The outcome of one view of one image in one table.
struct RowSlot {
  RowFormat format;
  std::vector<std::uint8_t> row;
  std::optional<StoredReject> reject;
  bool is_row() const { return !reject && !row.empty(); }
};

/// Rows of one format, as a learner sees them.
class SlotRows final : public RowSet {
 public:
  SlotRows(std::vector<const RowSlot*> slots, std::vector<std::string_view> keys,
           std::vector<std::uint32_t> views)
      : slots_(std::move(slots)), keys_(std::move(keys)), views_(std::move(views)) {
    for (const RowSlot* slot : slots_)
      GRAFT_ASSERT(to_string(slot->format) == to_string(slots_.front()->format) &&
                   slot->row.size() == row_bytes(slot->format));
  }

  std::size_t rows() const override { return slots_.size(); }
  const Shape& shape() const override { return slots_.front()->format.shape; }
  DType dtype() const override { return slots_.front()->format.dtype; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t row) const override { return views_[row]; }
  Split split(std::size_t) const override { return Split::Test; }
  std::span<const std::int32_t> labels(std::size_t) const override { return {}; }
  void read(std::size_t first, std::size_t count, float* out) const override {
    for (std::size_t r = first; r < first + count; ++r, out += dim())
      widen(dtype(), slots_[r]->row.data(), dim(), out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    auto* to = static_cast<std::uint8_t*>(out);
    for (std::size_t r = first; r < first + count; ++r)
      to = std::copy(slots_[r]->row.begin(), slots_[r]->row.end(), to);
  }

 private:
  std::vector<const RowSlot*> slots_;
  std::vector<std::string_view> keys_;
  std::vector<std::uint32_t> views_;
};

ImagePrediction::Rejection rejection_of(const StoredReject& reject) {
  return {reject.stage, reject.code, reject.text};
}

std::string checked_isa(std::string path) {
  if (const std::string fault = fault_of_cpu_isa_limit(); !fault.empty()) throw Error(fault);
  set_library_environment();
  return path;
}

}  // namespace

/// The images of one call, on their way through a graph of their own.
class ModelSession::Round final : private FlowInput, private FlowOutput {
 public:
  Round(ModelSession& session, std::span<const Request> requests)
      : session_(session), requests_(requests), slots_(session.tables_.size()) {
    for (std::size_t t = 0; t < slots_.size(); ++t) slots_[t].resize(requests.size() * session.views_[t]);
  }

  std::vector<ImagePrediction> run() {
    FlowResult result;
    session_.workers_.execute([&] {
      Flow flow(session_.plan_, session_.source_, session_.stages_, *this, *this, session_.meter_,
                session_.never_);
      result = flow.run();
    });
    if (!result.fatal.empty()) throw Error(result.fatal);
    std::vector<ImagePrediction> out(requests_.size());
    score(out);
    return out;
  }

 private:
  struct Entry final : InFlightEntry {
    const ImageInput* image = nullptr;
  };

  std::shared_ptr<InFlightEntry> next() override {
    if (next_ == requests_.size()) return nullptr;
    auto entry = std::make_shared<Entry>();
    entry->image = requests_[next_].image;
    entry->key = entry->image->name;
    entry->split = Split::Test;  // nothing that is done to train rows alone is done to it
    entry->sequence = next_++;
    return entry;
  }

  bool load(InFlightEntry& in_flight, Payload& payload) override {
    const ImageInput& image = *static_cast<Entry&>(in_flight).image;
    if (const auto* file = std::get_if<FileRef>(&image.content))
      payload = read_input_file(*file);
    else
      payload = std::get<Bytes>(image.content);
    return true;
  }

  void collect(std::size_t stage, const Handle& message) override {
    const std::size_t input = static_cast<Entry&>(message->entry()).sequence;
    for (std::size_t t = 0; t < slots_.size(); ++t) {
      if (session_.tables_[t] != stage || message->item.view >= session_.views_[t]) continue;
      RowSlot& slot = slots_[t][input * session_.views_[t] + message->item.view];
      if (message->state != Message::State::Live)
        slot.reject = StoredReject{message->reject->stage, message->reject->code, message->reject->text};
      else
        encode_row(
            session_.plan_.stages[stage], session_.factory_.label(stage), *session_.collectors_.at(stage),
            message->item, [](const RowFormat&) {}, slot.format, slot.row, slot.reject);
    }
  }

  void misbehaved(std::size_t stage, const std::string& item, const std::string& text) override {
    session_.warn_(fmt::format("{}, item '{}': {}", session_.factory_.label(stage), item, text));
  }

  const RowSlot& slot(std::size_t table, std::size_t input, std::uint32_t view) const {
    return slots_[table][input * session_.views_[table] + view];
  }

  /// Views of which every table has a row.
  std::vector<std::uint32_t> complete_views(std::size_t input) const {
    std::vector<std::uint32_t> out;
    const std::uint32_t views = *std::min_element(session_.views_.begin(), session_.views_.end());
    for (std::uint32_t view = 0; view < views; ++view) {
      bool complete = true;
      for (std::size_t t = 0; t < slots_.size(); ++t) complete = complete && slot(t, input, view).is_row();
      if (complete) out.push_back(view);
    }
    return out;
  }

  /// The formats of a view's rows, by table.
  std::string formats_of(std::size_t input, std::uint32_t view) const {
    std::vector<std::string> formats;
    for (std::size_t t = 0; t < slots_.size(); ++t) formats.push_back(to_string(slot(t, input, view).format));
    return joined(formats);
  }

  ImagePrediction::Rejection why_incomplete(std::size_t input) const {
    for (std::size_t t = 0; t < slots_.size(); ++t)
      for (std::uint32_t view = 0; view < session_.views_[t]; ++view)
        if (slot(t, input, view).reject) return rejection_of(*slot(t, input, view).reject);
    return {"", "incomplete", "it has no row in one of the tables of the model"};
  }

  void score(std::vector<ImagePrediction>& out) {
    // Images of other sizes may give rows of other shapes: each shape is scored by itself, so that an image
    // that the learner does not take disturbs no other.
    std::map<std::string, std::vector<std::pair<std::size_t, std::uint32_t>>> groups;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const std::vector<std::uint32_t> views = complete_views(i);
      if (views.empty()) {
        out[i].rejected = why_incomplete(i);
        continue;
      }
      const std::string shapes = formats_of(i, views.front());
      const auto other = std::find_if(views.begin(), views.end(),
                                      [&](std::uint32_t view) { return formats_of(i, view) != shapes; });
      if (other != views.end()) {
        out[i].rejected = ImagePrediction::Rejection{
            session_.model_.stage, "model-input",
            fmt::format("its views have rows of different formats, {} and {}: a learner takes rows of one",
                        shapes, formats_of(i, *other))};
        continue;
      }
      for (const std::uint32_t view : views) groups[shapes].emplace_back(i, view);
    }
    for (const auto& [shapes, rows] : groups) score_group(rows, groups.size() > 1, out);
  }

  void score_group(const std::vector<std::pair<std::size_t, std::uint32_t>>& rows, bool of_several,
                   std::vector<ImagePrediction>& out) {
    std::vector<std::unique_ptr<SlotRows>> sets;
    std::vector<const RowSet*> pointers;
    std::vector<std::uint32_t> input_of, inputs;
    for (const auto& [input, view] : rows) {
      input_of.push_back(static_cast<std::uint32_t>(input));
      if (inputs.empty() || inputs.back() != input) inputs.push_back(static_cast<std::uint32_t>(input));
    }
    for (std::size_t t = 0; t < slots_.size(); ++t) {
      std::vector<const RowSlot*> slots;
      std::vector<std::string_view> keys;
      std::vector<std::uint32_t> views;
      for (const auto& [input, view] : rows) {
        slots.push_back(&slot(t, input, view));
        keys.emplace_back(requests_[input].image->name);
        views.push_back(view);
      }
      sets.push_back(std::make_unique<SlotRows>(std::move(slots), std::move(keys), std::move(views)));
      pointers.push_back(sets.back().get());
    }
    std::size_t wanted = 0;
    for (const std::uint32_t input : inputs) wanted = std::max(wanted, requests_[input].extras.neighbours);
    Scores scores;
    std::vector<std::vector<NearImage>> near;
    try {
      scores = session_.scorer_->score(pointers, input_of, session_.workers_);
      if (wanted > 0) near = session_.scorer_->neighbours(pointers, input_of, wanted, session_.workers_);
    } catch (const StageError& e) {
      if (!of_several && !session_.has_scored_) throw;  // it may take no image at all
      const std::string stage = session_.model_.stage;
      for (const std::uint32_t input : inputs)
        out[input].rejected = ImagePrediction::Rejection{stage, "model-input", e.text()};
      return;
    }
    session_.has_scored_ = true;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      for (std::size_t n = 0;
           wanted > 0 && n < std::min(near[i].size(), requests_[inputs[i]].extras.neighbours); ++n)
        out[inputs[i]].neighbours.push_back({near[i][n].key, near[i][n].similarity});
      out[inputs[i]].scores.assign(scores.row(i), scores.row(i) + scores.classes);
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
      if (!requests_[rows[r].first].extras.features) continue;
      std::vector<float>& to = out[rows[r].first].features;
      to.resize(to.size() + sets[0]->dim());
      sets[0]->read(r, 1, to.data() + to.size() - sets[0]->dim());
    }
  }

  ModelSession& session_;
  const std::span<const Request> requests_;
  std::size_t next_ = 0;
  std::vector<std::vector<RowSlot>> slots_;  // by table, then image and view
};

ModelSession::ModelSession(const std::string& path, const ModelOptions& options)
    : warn_(options.warn),
      registry_(Registry::search_path(options.plugin_folders)),
      model_(open_model(checked_isa(path), options.learner, registry_,
                        options.allow_code ? Code::Allowed : Code::Refused)),
      plan_(prediction_plan(model_, {"-"}, options.settings, registry_, work_.path())),
      meter_(plan_.stages.size()),
      factory_(plan_, registry_, warn_),
      workers_(plan_.run.threads) {
  require_limits(plan_, registry_);
  DigestMemo memo(work_.path() / "digests.memo");
  require_same_files(model_, plan_, memo);
  require_same_features(model_, plan_, registry_, memo);
  source_ = plan_.stages_of(StageKind::Source).at(0);
  scorer_ = std::make_unique<Scorer>(plan_, factory_, model_, kMostNeighbours);
  stages_.assign(plan_.stages.size(), nullptr);
  std::vector<Workers::Observed> observed;
  for (const std::size_t i : plan_.stream(source_)) {
    if (i == source_) continue;
    stages_[i] = &factory_.get(i);
    observed.push_back({stages_[i], factory_.label(i)});
  }
  for (const StagePlan::Input& input : scorer_->inputs()) {
    tables_.push_back(input.stage);
    views_.push_back(count_views(plan_, input.stage)[static_cast<std::size_t>(Split::Test)]);
    collectors_[input.stage] = &factory_.get_as<Collector>(input.stage);
  }
  memo.require_unchanged();
  workers_.observe(std::move(observed));
}

ModelSession::~ModelSession() {
  workers_.stop_observing();
}

std::vector<ImagePrediction> ModelSession::predict(std::span<const Request> requests) {
  if (requests.empty()) return {};
  return Round(*this, requests).run();
}

}  // namespace graft
