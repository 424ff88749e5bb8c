#include "run/stream_run.h"

#include <algorithm>
#include <bit>
#include <ctime>
#include <unordered_map>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/input_list.h"
#include "store/table_use.h"

namespace graft {
namespace {

constexpr std::size_t kMaxExamples = 3;

/// Rejects that say something of the moment, not of the input: never remembered.
bool is_passing(const std::string& code) {
  return code == "out-of-memory" || code == "unreadable" || code == "missing";
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

StreamRun::StreamRun(const Plan& plan, std::size_t source, const std::filesystem::path& store,
                     DigestMemo& memo, StageFactory& factory, Meter& meter,
                     const std::atomic<bool>& interrupted)
    : plan_(plan),
      source_index_(source),
      memo_(memo),
      factory_(factory),
      meter_(meter),
      interrupted_(interrupted) {
  listing_.source = source;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (plan.stages[i].source != source || plan.stages[i].schema.kind != StageKind::Collector) continue;
    RunTable table;
    table.stage = i;
    table.store = std::make_unique<TableStore>(store, fingerprint(plan, i, memo));
    tables_.push_back(std::move(table));
  }
  if (tables_.size() > 64) throw Error("a source may feed 64 tables at most");
  formats_.resize(tables_.size());
  claimed_.resize(tables_.size());
}

StreamRun::~StreamRun() = default;

void StreamRun::run(Workers& workers) {
  source_ = &factory_.get_as<Source>(source_index_);
  listing_.classes = source_->classes();
  total_ = source_->count();
  // Logs that an interrupted run has left become shards first: their rows need not be computed again.
  for (RunTable& table : tables_) table.store->prepare_to_write();
  for (std::size_t t = 0; t < tables_.size(); ++t)
    if (const auto& format = tables_[t].store->format()) formats_[t] = {*format, "the stored rows"};

  first_ = next();
  if (first_) {
    factory_.set_listed_inputs(total_);
    std::vector<Stage*> stages(plan_.stages.size(), nullptr), all;
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      if (plan_.stages[i].source != source_index_ || !is_streamed(plan_.stages[i].schema.kind)) continue;
      stages[i] = &factory_.get(i);
      all.push_back(stages[i]);
      if (const auto* t = dynamic_cast<Transform*>(stages[i]);
          t != nullptr && t->views() != declared_views(plan_.stages[i]))
        throw Error(fmt::format("{}: makes {} views, its parameters declare {}", plan_.stages[i].label(),
                                t->views(), declared_views(plan_.stages[i])));
    }
    std::vector<TableStore*> stores;
    for (RunTable& table : tables_) {
      table.collector = &factory_.get_as<Collector>(table.stage);
      table.store->set_compression(table.collector->compression());
      stores.push_back(table.store.get());
    }
    {
      const std::lock_guard lock(writer_mutex_);
      writer_ = std::make_unique<RowWriter>(stores);
    }
    workers.observe(all);
    workers.execute([&] {
      Flow flow(plan_, source_index_, stages, *this, *this, meter_, interrupted_);
      result_ = flow.run();
    });
    workers.observe({});
    writer_->finish();
    {
      const std::lock_guard lock(writer_mutex_);
      writer_.reset();
    }
    for (std::size_t i = 0; i < stages.size() && result_.fatal.empty(); ++i) try {
        if (stages[i] != nullptr) stages[i]->finish();
      } catch (const std::exception& e) {
        throw Error(fmt::format("{}: {}", plan_.stages[i].label(), e.what()));
      }
  } else {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i)
      if (plan_.stages[i].source == source_index_) factory_.inspect(i);
  }
  if (!result_.fatal.empty()) throw Error(result_.fatal);
  account();
}

std::vector<StreamRun::Survey> StreamRun::survey(
    const std::function<bool(const RunTable&, const Digest&)>& computed) {
  source_ = &factory_.get_as<Source>(source_index_);
  listing_.classes = source_->classes();
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
  claimed_.assign(tables_.size(), {});
  for (std::size_t i = 0; i < listing_.inputs.size(); ++i)
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      const ListedInput& input = listing_.inputs[i];
      if (!plan_.stages[tables_[t].stage].handles(input.split)) continue;
      Survey& survey = out[t];
      const std::uint32_t rows = views(tables_[t], input.split);
      if (input.content && has_all(tables_[t], input)) {
        survey.stored += rows;
      } else if (claim(input, std::uint64_t{1} << t) == 0) {
        survey.duplicates += rows;
      } else {
        survey.to_compute += rows;
        const auto before = [&] {
          return computed && computed(tables_[t], row_id(*input.content, 0, qualifier(tables_[t], input)));
        };
        Survey::Kind& kind = !input.content ? changed_[i] ? survey.changed : survey.unseen
                             : before()     ? survey.other
                                            : survey.fresh;
        if (++kind.count <= kMaxExamples) kind.examples.emplace_back(input.key);
      }
    }
  return out;
}

void StreamRun::commit_now() noexcept {
  const std::lock_guard lock(writer_mutex_);
  if (writer_) writer_->commit_now();
}

std::uint32_t StreamRun::views(const RunTable& table, Split split) const {
  std::uint32_t n = 1;
  for (std::size_t at = table.stage; !plan_.stages[at].inputs.empty(); at = plan_.stages[at].inputs[0].stage)
    if (plan_.stages[at].handles(split)) n *= declared_views(plan_.stages[at]);
  return n;
}

std::string StreamRun::qualifier(const RunTable& table, const ListedInput& input) const {
  const Fingerprint& f = table.store->fingerprint();
  std::string out;
  if (f.depends_on_split) out += std::string(to_string(input.split)) + "/";
  if (f.depends_on_key) out += input.key;
  return out;
}

bool StreamRun::has_all(const RunTable& table, const ListedInput& input) const {
  const std::string q = qualifier(table, input);
  const std::uint32_t n = views(table, input.split);
  for (std::uint32_t view = 0; view < n; ++view) {
    const Digest id = row_id(*input.content, view, q);
    if (table.store->find_row(id)) continue;
    const StoredReject* reject = table.store->find_reject(id);
    if (reject == nullptr) return false;
    // With `on_error: fail` a known reject must fail again, with the full message: let it through.
    for (const StagePlan& s : plan_.stages)
      if (s.id == reject->stage && s.on_error == OnError::Fail) return false;
    if (view == 0) return true;  // refused as a whole: there are no other views
  }
  return true;
}

std::uint64_t StreamRun::wanted_by(const ListedInput& input) const {
  std::uint64_t wanted = 0;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    if (!plan_.stages[tables_[t].stage].handles(input.split)) continue;
    if (!input.content || !has_all(tables_[t], input)) wanted |= std::uint64_t{1} << t;
  }
  return wanted;
}

/// Of the tables that want the input, those in which no other input of the same content is on its way. An
/// input of unknown content claims nothing yet.
std::uint64_t StreamRun::claim(const ListedInput& input, std::uint64_t wanted) {
  if (!input.content) return wanted;
  const std::lock_guard lock(claim_mutex_);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const std::uint64_t bit = std::uint64_t{1} << t;
    if ((wanted & bit) == 0) continue;
    const Digest id = row_id(*input.content, 0, qualifier(tables_[t], input));
    if (claimed_[t].find(id) != nullptr)
      wanted &= ~bit;
    else
      claimed_[t].insert(id, {});
  }
  return wanted;
}

/// Inputs without an outcome of their own have that of the input with their content that was computed for
/// them: a reject for a reason of the moment, of which the store keeps no record. Where that file was
/// replaced after it had been listed, nobody was computed for them.
void StreamRun::share_rejects(const std::vector<Unresolved>& unresolved) {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    std::unordered_map<Digest, const StoredReject*> rejects;
    const auto id_of = [&](const ListedInput& input) {
      return row_id(*input.content, 0, qualifier(tables_[t], input));
    };
    for (const Unresolved& u : unresolved) {
      ListedInput& input = listing_.inputs[u.input];
      if (u.table != t || input.reject) continue;
      if (rejects.empty())
        for (const ListedInput& other : listing_.inputs)
          if (other.content && other.reject) rejects.emplace(id_of(other), other.reject.get());
      if (const auto twin = rejects.find(id_of(input)); twin != rejects.end())
        input.reject = std::make_unique<StoredReject>(*twin->second);
      else if (replaced_.contains(*input.content))
        input.reject = std::make_unique<StoredReject>(
            StoredReject{plan_.stages[source_index_].id, "replaced",
                         "another file of the same content, which was to be computed for both, was replaced "
                         "meanwhile; run again"});
    }
  }
}

std::shared_ptr<Origin> StreamRun::next() {
  if (first_) return std::exchange(first_, nullptr);
  for (;;) {
    auto origin = std::make_shared<Origin>();
    Entry& entry = *origin;
    if (!source_->next(entry)) return nullptr;
    origin->sequence = listing_.inputs.size();
    ListedInput& input = listing_.inputs.emplace_back();
    input.key = listing_.keys.keep(entry.key);
    input.split = entry.split;
    input.labels = entry.labels;
    input.content = entry.content;
    const auto* file = std::get_if<FileRef>(&entry.payload);
    bool changed = false;
    if (!input.content && file != nullptr) input.content = memo_.find(*file, &changed);
    changed_.push_back(changed);
    if (!input.content) input.content = content_of(entry.payload);
    if (!input.content) identify(*origin, input);
    origin->listed = &input;
    origin->wanted = input.reject ? 0 : claim(input, wanted_by(input));
    if (origin->wanted != 0) {
      check_writable(*origin);
      if (source_->reads_forwards()) read_ahead(*origin);
      return origin;
    }
    ++(input.reject ? rejected_inputs_ : reused_inputs_);
    if (interrupted_) return nullptr;
  }
}

/// Reads an input whose path and times the memo does not know, where a table cannot be written to: contents
/// decide whether its row is there, and nothing can be computed anyway.
void StreamRun::identify(Origin& origin, ListedInput& input) {
  if (std::all_of(tables_.begin(), tables_.end(), [](const RunTable& t) { return t.store->can_write(); }))
    return;
  const StagePlan& source = plan_.stages[source_index_];
  const auto reject = [&](const std::string& code, const std::string& text) {
    if (source.on_error == OnError::Fail)
      throw Error(fmt::format("{}, item '{}': {} [{}]", source.label(), input.key, text, code));
    input.reject = std::make_unique<StoredReject>(StoredReject{source.id, code, text});
  };
  try {
    Payload payload = source_->load(origin);
    if (const auto* file = std::get_if<FileRef>(&payload)) {
      const FileRef whole = *file;
      payload = read_input_file(whole);
    }
    input.content = content_of(payload);
  } catch (const Reject& e) {
    reject(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    reject("out-of-memory", "not enough memory for this item");
  } catch (const std::exception& e) {
    reject("failed", e.what());
  }
}

void StreamRun::check_writable(const Origin& origin) const {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const TableStore& store = *tables_[t].store;
    if ((origin.wanted & (std::uint64_t{1} << t)) != 0 && !store.can_write())
      throw Error(fmt::format(
          "{}: '{}', for example, has no row in the table yet, and the store cannot be written to: {}; "
          "choose another one with --store",
          plan_.stages[tables_[t].stage].label(), origin.key, store.read_only_reason()));
  }
}

void StreamRun::read_ahead(Origin& origin) {
  try {
    origin.loaded = source_->load(origin);
  } catch (...) {  // becomes the item's reject record where others do
    origin.load_fault = std::current_exception();
  }
}

bool StreamRun::load(Origin& origin, Payload& payload) {
  auto& input = *static_cast<ListedInput*>(origin.listed);
  if (origin.load_fault) std::rethrow_exception(std::exchange(origin.load_fault, nullptr));
  payload = origin.loaded ? std::move(*origin.loaded) : source_->load(origin);
  origin.loaded.reset();
  const auto* file = std::get_if<FileRef>(&payload);
  if (file != nullptr) {
    const FileRef whole = *file;
    payload = read_input_file(whole);
  } else if (input.content) {
    return true;
  }
  const std::optional<Digest> listed = input.content;
  input.content = content_of(payload);
  if (const auto* named = std::get_if<FileRef>(&origin.payload); named != nullptr && input.content)
    memo_.remember(*named, *input.content);
  if (listed && listed != input.content) {
    const std::lock_guard lock(claim_mutex_);
    replaced_.insert(*listed);
  }
  // The memo had not seen it, but the store may well know its content, or another input may have it.
  if (listed != input.content && (origin.wanted = claim(input, wanted_by(input))) == 0) {
    ++reused_inputs_;
    return false;
  }
  return true;
}

const RowFormat& StreamRun::check_format(std::size_t table, const RowFormat& format, const std::string& key) {
  const std::lock_guard lock(format_mutex_);
  auto& known = formats_[table];
  if (!known) known = {format, key};
  if (known->first != format)
    throw Error(fmt::format(
        "the rows of a table must have one shape: '{}' gives {}, {} gave {}; make them equal in a "
        "stage before (decode: crop, for one)",
        key, to_string(format), known->second, to_string(known->first)));
  return known->first;
}

void StreamRun::collect(std::size_t stage, const Handle& message) {
  std::size_t t = 0;
  while (tables_[t].stage != stage) ++t;
  const Origin& origin = message->origin();
  auto& input = *static_cast<ListedInput*>(origin.listed);
  // Another table may be the one that needs this item.
  if ((origin.wanted & (std::uint64_t{1} << t)) == 0) return;

  RowWriter::Job job;
  job.table = t;
  job.sequence = origin.sequence;
  std::shared_ptr<const RejectRecord> reject = message->reject;
  if (message->state == Message::State::Live) {
    const Collector& collector = *tables_[t].collector;
    try {
      job.format = collector.format(message->item);
      job.payload.resize(row_bytes(job.format));
      collector.encode(message->item, job.payload);
    } catch (const Reject& e) {
      reject = std::make_shared<const RejectRecord>(RejectRecord{plan_.stages[stage].id, e.code(), e.what()});
      if (plan_.stages[stage].on_error == OnError::Fail)
        throw Error(fmt::format("item '{}': {} [{}]", origin.key, e.what(), e.code()));
    }
    if (!reject) check_format(t, job.format, origin.key);
  }
  // Counted once for an item that several tables take.
  if (message->item.view == 0 && t == static_cast<std::size_t>(std::countr_zero(origin.wanted))) {
    ++finished_inputs_;
    if (reject) ++rejected_inputs_;
  }
  if (reject) {
    const StoredReject stored{reject->stage, reject->code, reject->text};
    {
      const std::lock_guard lock(reject_mutex_);
      if (!input.reject) input.reject = std::make_unique<StoredReject>(stored);
    }
    // What the source refuses says something of the place, not of the content.
    if (!input.content || is_passing(stored.code) || stored.stage == plan_.stages[source_index_].id) return;
    job.ok = false;
    job.payload = encode_reject(stored);
  }
  job.id = row_id(*input.content, message->item.view, qualifier(tables_[t], input));
  job.keep = message->item.entry;
  writer_->push(std::move(job));
}

void StreamRun::account() {
  claimed_.clear();  // nothing more is computed, and of millions of rows it is large
  std::size_t missing = 0;
  std::string example;
  std::vector<Unresolved> unresolved;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    RunTable& table = tables_[t];
    for (std::size_t i = 0; i < listing_.inputs.size(); ++i) {
      ListedInput& input = listing_.inputs[i];
      if (!plan_.stages[table.stage].handles(input.split)) continue;
      if (!input.content) {
        missing += input.reject ? 0 : 1;
        continue;
      }
      const std::string q = qualifier(table, input);
      const std::uint32_t n = views(table, input.split);
      for (std::uint32_t view = 0; view < n; ++view) {
        const Digest id = row_id(*input.content, view, q);
        if (const auto place = table.store->find_row(id)) {
          table.rows.push_back({static_cast<std::uint32_t>(i), view, *place});
          ++(table.store->sealed_here(*place) ? table.computed : table.reused);
          continue;
        }
        if (const StoredReject* reject = table.store->find_reject(id)) {
          if (!input.reject) input.reject = std::make_unique<StoredReject>(*reject);
          if (view == 0) break;
        } else if (input.reject) {
          break;
        } else {
          unresolved.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(t)});
        }
      }
    }
  }
  share_rejects(unresolved);
  for (const Unresolved& u : unresolved) {
    if (listing_.inputs[u.input].reject) continue;
    ++missing;
    if (example.empty()) example = listing_.inputs[u.input].key;
  }
  complete_ = missing == 0 && !interrupted_;
  if (missing > 0 && !interrupted_)
    throw Error(fmt::format(
        "inputs and outcomes do not add up: {} of {} inputs ended neither as a row nor as a "
        "reject, '{}' for one ({} admitted, {} collected); this is a fault of graft, please report it",
        missing, listing_.inputs.size(), example, result_.admitted, result_.collected));
}

void StreamRun::record_use(const std::filesystem::path& folder) const {
  for (const RunTable& table : tables_) {
    TableUse use;
    use.run = plan_.name;
    use.stage = plan_.stages[table.stage].id;
    use.folder = std::filesystem::absolute(folder).lexically_normal();
    use.time = std::time(nullptr);
    InputListWriter::Counts counts;
    std::vector<InputList::Outcome> rejects;
    std::vector<bool> has_row(listing_.inputs.size(), false);
    for (const TableRow& row : table.rows) has_row[row.input] = true;
    counts.rows = table.rows.size();
    std::vector<std::uint32_t> position(listing_.inputs.size());  // among the inputs of this table
    for (std::uint32_t i = 0; i < listing_.inputs.size(); ++i) {
      const ListedInput& input = listing_.inputs[i];
      if (!plan_.stages[table.stage].handles(input.split)) continue;
      position[i] = static_cast<std::uint32_t>(counts.inputs++);
      ++(has_row[i] ? use.ok : use.rejected);
      if (has_row[i]) continue;
      const Digest id = input.content ? row_id(*input.content, 0, qualifier(table, input)) : Digest{};
      if (input.content && table.store->find_reject(id) != nullptr)
        rejects.push_back({id, position[i], 0});
      else
        ++counts.refused;
    }
    use.inputs = counts.inputs;
    counts.rejects = rejects.size();
    use.list = write_input_list(table.store->folder() / "inputs", listing_.classes, counts,
                                [&](InputListWriter& out) {
                                  for (const ListedInput& input : listing_.inputs)
                                    if (plan_.stages[table.stage].handles(input.split))
                                      out.input(input.key, input.split, input.labels);
                                  for (const TableRow& row : table.rows) {
                                    const ListedInput& input = listing_.inputs[row.input];
                                    out.outcome(row_id(*input.content, row.view, qualifier(table, input)),
                                                position[row.input], row.view);
                                  }
                                  for (const InputList::Outcome& reject : rejects)
                                    out.outcome(reject.id, reject.input, reject.view);
                                });
    write_use(table.store->folder(), use);
  }
}

}  // namespace graft
