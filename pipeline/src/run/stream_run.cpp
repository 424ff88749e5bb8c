#include "run/stream_run.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include <graft/error.h>

#include "graph/check_output.h"
#include "plugin/plugin_call.h"
#include "run/isolated_stage.h"
#include "run/retry.h"
#include "run/row_encoder.h"

namespace graft {
namespace {

constexpr std::size_t kMaxExamples = 3;

/// Rejects that say something of the moment, not of the input: never remembered.
bool is_passing(const std::string& code) {
  return code == "out-of-memory" || code == "unreadable" || code == "missing";
}

/// Whether the content is in memory before a worker comes to it: another one must not join it there.
bool is_read(const InFlightEntry& entry) {
  return entry.read_ahead && !std::holds_alternative<FileRef>(*entry.read_ahead);
}

/// A table's bit in InFlightEntry::missing_in_tables.
constexpr std::uint64_t bit_of(std::size_t table) {
  return std::uint64_t{1} << table;
}

/// With the label of the stage, which is added elsewhere to errors of items.
void check_after_call(CallScope& scope) {
  try {
    scope.check_thread();
  } catch (...) {
    throw_as_stage_error(scope.label(), scope.function());
  }
}

/// What names a payload that the source did not name.
std::optional<Digest> content_of(const Payload& payload) {
  if (const auto* b = std::get_if<Bytes>(&payload)) return digest(b->data, b->size);
  if (const auto* t = std::get_if<Tensor>(&payload)) return digest(t->data, t->bytes());
  if (const auto* i = std::get_if<Image>(&payload)) {
    std::string rows = fmt::format("{}x{}/", i->width, i->height);
    for (int y = 0; y < i->height; ++y)
      rows.append(reinterpret_cast<const char*>(i->row(y)), static_cast<std::size_t>(i->width) * 3);
    return digest(rows);
  }
  return {};
}

}  // namespace

/// An entry, with what the list of inputs says of it.
struct StreamRun::ListedEntry : InFlightEntry {
  ListedInput* input = nullptr;
  Slot slot = 0;
  std::future<Bytes> ahead;  ///< The file's content, where it is read before a worker comes to it.
  std::atomic<std::uint32_t> ended{0}, lost{0};  ///< Views, and the rejected of them.
};

StreamRun::StreamRun(const Plan& plan, std::size_t source, const std::filesystem::path& store,
                     DigestMemo& memo, StageFactory& factory, Meter& meter,
                     const std::atomic<bool>& interrupted, MissingRows missing_rows, SlotWork* work)
    : plan_(plan),
      source_index_(source),
      memo_(memo),
      factory_(factory),
      meter_(meter),
      interrupted_(interrupted),
      missing_rows_(missing_rows),
      work_(work),
      read_ahead_(plan.run, interrupted),
      misbehaved_(std::make_unique<std::atomic_flag[]>(plan.stages.size())) {
  listing_.source = source;
  for (const std::size_t i : plan.collectors(source)) {
    RunTable table;
    table.stage = i;
    table.store = std::make_unique<TableStore>(store, fingerprint(plan, i, memo));
    table.views = count_views(plan, i);
    tables_.push_back(std::move(table));
  }
  if (tables_.size() > 64) throw Error("a source may feed 64 tables at most");
  formats_.resize(tables_.size());
  claims_.resize(tables_.size());
}

StreamRun::~StreamRun() = default;

void StreamRun::open_source() {
  source_ = &factory_.get_as<Source>(source_index_);
  const char* const label = factory_.label(source_index_);
  listing_.classes = call_plugin(label, "classes", [&] { return source_->classes(); });
  if (const std::string fault = fault_of_classes(listing_.classes); !fault.empty())
    throw StageError(label, fault);
  for (const std::string& name : listing_.classes)
    if (class_with_separator_.empty() && name.find(';') != std::string::npos) class_with_separator_ = name;
  reader_.emplace(*source_);
}

void StreamRun::run(Workers& workers) {
  const ProcessState before;
  try {
    compute(workers);
    if (const std::string change = before.restore(); !change.empty()) throw Error(fault_of_a_stage(change));
  } catch (...) {
    const std::string change = before.restore();  // paths may be relative
    try {
      finish_writer();  // keeps what has been written so far
    } catch (...) {     // the error that led here comes first
    }
    settle_outcomes();  // inputs.csv names what was finished, whatever ended the run
    if (!change.empty()) throw Error(fault_of_a_stage(change));
    throw;
  }
  verify_all_accounted();
}

void StreamRun::finish_writer() {
  const auto reset = [this] {
    const std::lock_guard lock(writer_mutex_);
    writer_.reset();
  };
  if (!writer_) return;
  require_same_files();
  try {
    writer_->finish();
  } catch (...) {
    reset();
    throw;
  }
  reset();
}

void StreamRun::compute(Workers& workers) {
  open_source();
  const std::optional<std::size_t> total =
      call_plugin(factory_.label(source_index_), "count", [&] { return source_->count(); });
  total_ = total.value_or(0);
  if (work_ != nullptr) {
    work_->expect(source_index_, total.value_or(0));
    total_ = static_cast<std::size_t>(work_->fraction() * static_cast<double>(total_));
  }
  // Logs that an interrupted run has left become shards first: their rows need not be computed again.
  for (RunTable& table : tables_) table.store->prepare_to_write();
  read_ahead_.begin_if_asked();
  first_ = next();
  if (!first_ && missing_.count > 0) return;
  if (!first_ && most_inputs_ > 0 && listed_all_) finish_stages();
  if (!first_) {
    for (const std::size_t i : plan_.stream(source_index_)) factory_.inspect(i);
    return;
  }
  factory_.set_listed_inputs(total);
  std::vector<Stage*> stages(plan_.stages.size(), nullptr);
  std::vector<Workers::Observed> observed;
  factory_.set_file_check([this] { memo_.require_unchanged(); });
  make_stages(stages, observed);
  memo_.require_unchanged();
  open_writer();
  Workers::Observation observation(workers, std::move(observed));
  workers.execute([&] {
    Flow flow(plan_, source_index_, stages, *this, *this, meter_, interrupted_);
    result_ = flow.run();
  });
  finish_writer();
  observation.end();
  if (!result_.fatal.empty()) throw Error(result_.fatal);
  if (!goes_on() || interrupted_) finish_stages();
}

/// Threads call many stages at once: which of them changed what belongs to the process cannot be known. It
/// was none that is isolated: those are looked at in their own processes.
std::string StreamRun::fault_of_a_stage(const std::string& what) const {
  constexpr const char* kRule = "what belongs to the process stays as it is";
  std::vector<std::string> labels, options;
  for (const std::size_t i : plan_.stream(source_index_)) {
    const StagePlan& stage = plan_.stages[i];
    if (stage.is_isolated) continue;
    labels.emplace_back(factory_.label(i));
    if (can_be_isolated(stage.schema.kind)) options.push_back("--isolate " + stage.id);
  }
  return fmt::format("one of these stages {}: {}: {}{}", what, kRule, fmt::join(labels, ", "),
                     options.empty() ? ""
                                     : fmt::format("; to find out which, run with an empty --store and {}",
                                                   fmt::join(options, " ")));
}

void StreamRun::finish_stages() {
  for (const std::size_t i : plan_.stream(source_index_))
    if (factory_.made(i) != nullptr)
      call_plugin(factory_.label(i), "finish", [&] { factory_.get(i).finish(); });
}

void StreamRun::make_stages(std::vector<Stage*>& stages, std::vector<Workers::Observed>& observed) {
  for (const std::size_t i : plan_.stream(source_index_)) {
    stages[i] = &factory_.get(i);
    observed.push_back({stages[i], factory_.label(i)});
  }
}

void StreamRun::open_writer() {
  std::vector<TableStore*> stores;
  for (RunTable& table : tables_) {
    table.collector = &factory_.get_as<Collector>(table.stage);
    table.store->set_compression(call_plugin(factory_.label(table.stage), "compression",
                                             [&] { return table.collector->compression(); }));
    stores.push_back(table.store.get());
  }
  const std::lock_guard lock(writer_mutex_);
  writer_ = std::make_unique<RowWriter>(stores);
}

std::vector<StreamRun::Survey> StreamRun::survey(
    const std::function<bool(const RunTable&, const Digest&)>& computed) {
  open_source();
  std::vector<Survey> out(tables_.size());
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const std::size_t stage = tables_[t].stage;
    out[t].stage = stage;
    out[t].fingerprint = tables_[t].store->fingerprint().hex();
    const StagePlan::Input& input = plan_.stages[stage].inputs[0];
    if (const auto& format = tables_[t].store->format())
      out[t].row_bytes = row_bytes(*format);
    else
      out[t].row_bytes = bytes_of_shape(output_shape(plan_.stages[input.stage], input.port));
  }
  while (next()) {
  }
  for (RowClaims& claims : claims_) claims.clear();
  std::size_t next_input = 0;
  for (const ListedInput& input : listing_.inputs) {
    const std::size_t i = next_input++;
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      const std::uint32_t rows = tables_[t].views_of(input);
      if (rows == 0) continue;
      Survey& survey = out[t];
      if (input.content && has_all(tables_[t], input)) {
        survey.stored += rows;
      } else if (claim(input, bit_of(t)) == 0) {
        survey.duplicates += rows;
      } else {
        survey.to_compute += rows;
        const auto before = [&] { return computed && computed(tables_[t], tables_[t].id(input, 0)); };
        Survey::Kind& kind = !input.content ? changed_[i] ? survey.changed : survey.unseen
                             : before()     ? survey.other
                                            : survey.fresh;
        if (++kind.count <= kMaxExamples) kind.examples.emplace_back(input.key);
      }
    }
  }
  return out;
}

const MissingInputs& StreamRun::find_missing() {
  identify_ = false;
  open_source();
  while (next()) {
  }
  return missing_;
}

bool StreamRun::commit_now() noexcept {
  const std::lock_guard lock(writer_mutex_);
  return !writer_ || writer_->commit_now();
}

bool StreamRun::has_all(const RunTable& table, const ListedInput& input) const {
  const RowIds ids = table.ids(input);
  const std::uint32_t n = table.views_of(input);
  for (std::uint32_t view = 0; view < n; ++view) {
    const Digest id = ids.of(view);
    if (table.store->find_row(id)) continue;
    const StoredReject* reject = table.store->find_reject(id);
    if (reject == nullptr) return false;
    // With `on_error: fail` a known reject must fail again, with the full message: let it through.
    for (const StagePlan& s : plan_.stages)
      if (s.id == reject->stage && s.on_error == OnError::Fail) return false;
  }
  return true;
}

std::uint64_t StreamRun::missing_in_tables(const ListedInput& input) const {
  std::uint64_t missing = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if (tables_[t].views_of(input) == 0) continue;
    if (!input.content || !has_all(tables_[t], input)) missing |= bit_of(t);
  }
  return missing;
}

/// Of the tables that lack the input, those in which no other input of the same content is on its way. An
/// input of unknown content claims nothing yet.
std::uint64_t StreamRun::claim(const ListedInput& input, std::uint64_t missing) {
  if (!input.content) return missing;
  const std::lock_guard lock(claim_mutex_);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if ((missing & bit_of(t)) == 0) continue;
    if (!claims_[t].claim(tables_[t].id(input, 0), tables_[t])) missing &= ~bit_of(t);
  }
  return missing;
}

std::shared_ptr<InFlightEntry> StreamRun::next() {
  if (first_) return std::exchange(first_, nullptr);
  // A forward source may have read the entry when it came by.
  while (!pulled_all_ && ahead_.size() <= read_ahead_.depth() &&
         (ahead_.empty() || !is_read(*ahead_.back()))) {
    if (auto entry = pull())
      ahead_.push_back(std::move(entry));
    else
      pulled_all_ = true;
  }
  if (ahead_.empty()) return nullptr;
  auto entry = std::move(ahead_.front());
  ahead_.pop_front();
  return entry;
}

/// The next entry that somebody needs.
std::shared_ptr<InFlightEntry> StreamRun::pull() {
  const char* const label = factory_.label(source_index_);
  for (;;) {
    if (most_inputs_ > 0 && listing_.inputs.size() == most_inputs_) return nullptr;
    auto in_flight = std::make_shared<ListedEntry>();
    Entry& entry = *in_flight;
    if (!call_plugin(label, "next", [&] { return source_->next(entry); })) {
      if (work_ != nullptr) work_->listed_all(source_index_, position_);
      listed_all_ = true;
      return nullptr;
    }
    if (const std::string fault = fault_of_entry(entry, listing_.classes.size()); !fault.empty())
      throw StageError(label, fault);
    if (!class_with_separator_.empty() && (entry.labels.size() > 1 || entry.negative))
      throw StageError(
          label,
          fmt::format("class '{}': input '{}' may have several labels, which ';' separates in inputs.csv "
                      "and in predictions; rename the class",
                      class_with_separator_, entry.key));
    in_flight->sequence = position_++;
    if (work_ != nullptr || missing_rows_ == MissingRows::Refuse) in_flight->slot = slot_of_entry(entry);
    if (work_ != nullptr && !work_->takes(in_flight->slot)) {
      if (interrupted_) return nullptr;
      continue;
    }
    if (work_ != nullptr) work_->listed(in_flight->slot);
    ListedInput& input = listing_.add(entry.key, entry.split, entry.labels, entry.negative);
    in_flight->input = &input;
    if (keys_.repeats(listing_))
      throw StageError(
          label, fmt::format("two inputs have the key '{}': the key is what names an input", input.key));
    input.content = entry.content;
    const auto* file = std::get_if<FileRef>(&entry.payload);
    bool changed = false;
    if (!input.content && file != nullptr) input.content = memo_.find(*file, &changed);
    changed_.push_back(changed);
    if (!input.content) input.content = content_of(entry.payload);
    if (!input.content) identify(*in_flight);
    if (!input.reject) in_flight->missing_in_tables = claim_missing(input);
    if (in_flight->missing_in_tables != 0 && missing_rows_ == MissingRows::Refuse) {
      note_missing(*in_flight);
      continue;
    }
    if (in_flight->missing_in_tables != 0) {
      check_writable(*in_flight);
      CallScope scope(label, reader_->function(), entry.key);
      reader_->pass(*in_flight);
      check_after_call(scope);
      if (file != nullptr && file->member.empty()) in_flight->ahead = read_ahead_.start(*file);
      return in_flight;
    }
    ++(input.reject ? rejected_inputs_ : reused_inputs_);
    finished(*in_flight, input.reject || is_stored_reject(input));
    if (interrupted_) return nullptr;
  }
}

Slot StreamRun::slot_of_entry(const Entry& entry) const {
  const auto* const file = std::get_if<FileRef>(&entry.payload);
  const bool part = reader_->goes_forward() && file != nullptr && !file->member.empty();
  return slot_of(part ? unit_of(entry.key, file->path) : std::string_view(entry.key));
}

void StreamRun::note_missing(const ListedEntry& entry) {
  missing_.slots.set(entry.slot);
  if (++missing_.count <= kMaxExamples) missing_.examples.push_back(entry.key);
}

/// For other processes: the input needs nothing more.
void StreamRun::finished(const ListedEntry& entry, bool rejected) {
  if (work_ != nullptr) work_->finished(entry.slot, rejected);
}

bool StreamRun::is_stored_reject(const ListedInput& input) const {
  return work_ != nullptr && input.content &&
         std::all_of(tables_.begin(), tables_.end(), [&](const RunTable& table) {
           return table.views_of(input) == 0 || !table.store->find_row(table.id(input, 0));
         });
}

/// Reads an input whose path and times the memo does not know, where a table cannot be written to, or must
/// have every row: contents decide whether its row is there, and nothing can be computed anyway.
void StreamRun::identify(ListedEntry& entry) {
  if (!identify_) return;
  if (missing_rows_ == MissingRows::Compute &&
      std::all_of(tables_.begin(), tables_.end(), [](const RunTable& t) { return t.store->can_write(); }))
    return;
  ListedInput& input = *entry.input;
  const StagePlan& source = plan_.stages[source_index_];
  const auto reject = [&](const std::string& code, const std::string& text) {
    if (source.on_error == OnError::Fail)
      throw Error(fmt::format("{}, item '{}': {} [{}]", source.label(), input.key, text, code));
    const std::lock_guard lock(reject_mutex_);
    input.reject = listing_.keep({source.id, code, text});
  };
  CallScope scope(factory_.label(source_index_), reader_->function(), entry.key);
  try {
    Payload payload = reader_->peek(entry);
    if (const auto* file = std::get_if<FileRef>(&payload)) {
      const FileRef whole = *file;
      payload = read_with_retries(whole, plan_.run, interrupted_);
    }
    input.content = content_of(payload);
  } catch (const Reject& e) {
    reject(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    reject("out-of-memory", "not enough memory for this item");
  } catch (...) {
    reject("failed", text_of_exception(reader_->function()));
  }
  check_after_call(scope);
}

void StreamRun::check_writable(const InFlightEntry& entry) const {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const TableStore& store = *tables_[t].store;
    if ((entry.missing_in_tables & bit_of(t)) != 0 && !store.can_write())
      throw Error(fmt::format(
          "{}: '{}', for example, has no row in the table yet, and the store cannot be written to: {}; "
          "choose another one with --store",
          plan_.stages[tables_[t].stage].label(), entry.key, store.read_only_reason()));
  }
}

bool StreamRun::load(InFlightEntry& in_flight, Payload& payload) {
  ListedInput& input = *static_cast<ListedEntry&>(in_flight).input;
  payload = reader_->read(in_flight);
  if (const std::string fault = fault_of_payload(payload, true); !fault.empty()) {
    const std::string text = fmt::format("{} gave {}", reader_->function(), fault);
    misbehaved(source_index_, in_flight.key, text);
    throw Reject("invalid", text);
  }
  const auto* file = std::get_if<FileRef>(&payload);
  if (file != nullptr) {
    const FileRef whole = *file;
    payload = read_ahead_.take(whole, static_cast<ListedEntry&>(in_flight).ahead);
  } else if (input.content) {
    return true;
  }
  const std::optional<Digest> listed = input.content;
  input.content = content_of(payload);
  if (const auto* named = std::get_if<FileRef>(&in_flight.payload); named != nullptr && input.content)
    memo_.remember(*named, *input.content);
  if (listed && listed != input.content) {
    const std::lock_guard lock(claim_mutex_);
    replaced_.insert(*listed);
  }
  // The memo had not seen it, but the store may well know its content, or another input may have it.
  if (listed == input.content) return true;
  in_flight.missing_in_tables = claim_missing(input);
  if (in_flight.missing_in_tables != 0) return true;
  ++reused_inputs_;
  finished(static_cast<ListedEntry&>(in_flight), is_stored_reject(input));
  return false;
}

/// Claims the input for the tables that lack it. A table may hold rows of inputs of other sizes, which other
/// runs have had: those that this run takes from it are checked.
std::uint64_t StreamRun::claim_missing(const ListedInput& input) {
  const std::uint64_t missing = missing_in_tables(input);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const RunTable& table = tables_[t];
    if (table.views_of(input) == 0 || (missing & bit_of(t)) != 0) continue;
    if (const auto place = table.store->find_row(table.id(input, 0)))
      check_format(t, table.store->format_of(place->part), input.key);
  }
  return claim(input, missing);
}

void StreamRun::check_format(std::size_t table, const RowFormat& format, std::string_view key) {
  const std::lock_guard lock(format_mutex_);
  auto& known = formats_[table];
  if (!known) {
    if (const std::string fault = fault_of_format(format); !fault.empty())
      throw StageError(factory_.label(tables_[table].stage),
                       fmt::format("item '{}': format gave {}", key, fault));
    known = {format, std::string(key)};
  }
  if (known->first != format)
    throw Error(fmt::format(
        "the rows of a table must have one shape: '{}' gives {}, '{}' gives {}; make them equal in a "
        "stage before (decode: crop, for one)",
        key, to_string(format), known->second, to_string(known->first)));
}

bool StreamRun::encode(std::size_t table, const Item& item, RowWriter::Job& job,
                       std::optional<StoredReject>& reject) {
  const std::size_t stage = tables_[table].stage;
  return encode_row(
      plan_.stages[stage], factory_.label(stage), *tables_[table].collector, item,
      [&](const RowFormat& format) { check_format(table, format, item.key()); }, job.format, job.payload,
      reject);
}

void StreamRun::misbehaved(std::size_t stage, const std::string& item, const std::string& text) {
  if (!misbehaved_[stage].test_and_set())
    factory_.warn(fmt::format("{}, item '{}': {}; items of which this is true are rejected",
                              factory_.label(stage), item, text));
}

/// For progress: an input counts when its last view has come, as rejected when none of them has a row.
void StreamRun::count_view(const RunTable& table, ListedEntry& entry, bool rejected) {
  const std::uint32_t n = table.views_of(*entry.input);
  if (rejected) ++entry.lost;
  if (++entry.ended != n) return;
  ++finished_inputs_;
  if (entry.lost == n) ++rejected_inputs_;
  finished(entry, entry.lost == n);
}

void StreamRun::collect(std::size_t stage, const Handle& message) {
  std::size_t t = 0;
  while (tables_[t].stage != stage) ++t;
  RunTable& table = tables_[t];
  auto& entry = static_cast<ListedEntry&>(message->entry());
  ListedInput& input = *entry.input;
  // Another table may be the one that needs this item.
  if ((entry.missing_in_tables & bit_of(t)) == 0) return;

  RowWriter::Job job;
  job.table = t;
  job.sequence = entry.sequence;
  std::optional<StoredReject> reject;
  if (message->state == Message::State::Live)
    job.ok = encode(t, message->item, job, reject);
  else
    reject = StoredReject{message->reject->stage, message->reject->code, message->reject->text};
  // Counted once for an item that several tables take.
  if (t == static_cast<std::size_t>(std::countr_zero(entry.missing_in_tables)))
    count_view(table, entry, reject.has_value());
  if (reject) {
    // What the source refuses says something of the place, not of the content.
    const bool momentary = is_passing(reject->code) || reject->stage == plan_.stages[source_index_].id;
    if (!input.content || momentary) {
      const std::lock_guard lock(reject_mutex_);
      if (input.reject == nullptr) input.reject = listing_.keep(*reject);
      if (input.content) table.momentary.emplace(table.id(input, message->item.view), std::move(*reject));
      return;
    }
    job.ok = false;
    job.payload = encode_reject(*reject);
  }
  job.id = table.id(input, message->item.view);
  job.keep = message->item.entry;
  writer_->push(std::move(job));
}

Unaccounted StreamRun::settle_outcomes() {
  claims_.clear();  // nothing more is computed, and of millions of rows it is large
  keys_.clear();
  settled_ = true;
  return settle(plan_, tables_, replaced_, listing_);
}

void StreamRun::verify_all_accounted() {
  const Unaccounted unaccounted = settle_outcomes();
  if (missing_.count > 0) return;  // for the caller to say, with what other streams lack
  complete_ = unaccounted.inputs == 0 && !interrupted_;
  if (unaccounted.inputs > 0 && !interrupted_)
    throw Error(fmt::format(
        "inputs and outcomes do not add up: {} of {} inputs ended neither as a row nor as a "
        "reject, for example '{}' ({} admitted, {} collected); this is a bug in graft, please report it",
        unaccounted.inputs, listing_.inputs.size(), unaccounted.example, result_.admitted,
        result_.collected));
}

}  // namespace graft
