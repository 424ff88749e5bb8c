#include "store/row_writer.h"

#include <chrono>
#include <utility>

#include <graft/error.h>

#include "base/assert.h"
#include "plugin/plugin_call.h"

namespace graft {
namespace {

constexpr std::uint64_t kRowsPerCommit = 256;
constexpr std::chrono::seconds kCommitInterval{2};
/// A log is sealed when it has grown to either: sealing holds it in memory once, and some hundred bytes for
/// each of its rows.
constexpr std::uint64_t kShardBytes = 64ULL << 20, kShardRows = 65536;
/// So many may wait: they are on disk twice while they do.
constexpr std::size_t kMaxFullLogs = 4;

}  // namespace

RowWriter::RowWriter(const std::vector<TableStore*>& tables) {
  for (TableStore* store : tables) {
    Table table;
    table.store = store;
    tables_.push_back(std::move(table));
  }
  thread_ = std::thread([this] { work(); });
  sealer_ = std::thread([this] { seal_logs(); });
}

RowWriter::~RowWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = no_more_logs_ = true;
    full_.clear();  // the next run seals them
  }
  wake_.notify_all();
  log_full_.notify_all();
  log_sealed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (sealer_.joinable()) sealer_.join();
}

void RowWriter::push(Job job) {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  GRAFT_ASSERT(!stop_);
  queue_.push_back(std::move(job));
  if (queue_.size() == 1) wake_.notify_one();
}

bool RowWriter::commit_now() noexcept {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++commit_requests_;
  wake_.notify_one();
  done_.wait_for(lock, std::chrono::seconds(2), [&] { return commits_served_ >= mine || failure_; });
  return commits_served_ >= mine && !failure_;
}

void RowWriter::work() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_commit = Clock::now();
  std::vector<Job> batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, kCommitInterval,
                   [&] { return stop_ || !queue_.empty() || commit_requests_ > commits_served_; });
    batch.swap(queue_);
    const bool stopping = stop_;
    const std::uint64_t requests = commit_requests_;
    const bool asked = requests > commits_served_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      for (Job& job : batch) write(job);
      const bool due = unsynced_ >= kRowsPerCommit || Clock::now() - last_commit >= kCommitInterval;
      if (unsynced_ > 0 && (due || stopping || asked)) {
        sync_all();
        last_commit = Clock::now();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    if (!batch.empty()) note_progress();
    batch.clear();  // gives the credits back
    lock.lock();
    if (failure && !failure_) failure_ = failure;
    commits_served_ = requests;
    done_.notify_all();
    if (failure_) {
      // Let go of whatever still comes, so that nobody waits for its credits.
      queue_.clear();
      if (stop_) return;
      continue;
    }
    if (stopping && queue_.empty()) return;
  }
}

void RowWriter::write(Job& job) {
  Table& table = tables_[job.table];
  if (table.log && job.ok && job.format != table.format) {
    // The log was begun for a reject, when only rows of earlier runs had told their format.
    table.log->sync();
    enqueue_for_sealing(table);
  }
  if (!table.log) {
    const std::optional<RowFormat> format = job.ok ? std::optional(job.format) : table.store->format();
    if (!format) {
      job.keep.reset();
      table.early.push_back(std::move(job));
      return;
    }
    table.log = std::make_unique<RowLog>(RowLog::create(table.store->new_log_path(), *format));
    table.format = *format;
    for (const Job& e : table.early) table.log->append({e.id, e.sequence, e.ok, e.payload});
    unsynced_ += table.early.size();
    table.early.clear();
  }
  table.log->append({job.id, job.sequence, job.ok, job.payload});
  ++unsynced_;
  job.keep.reset();
  if (table.log->bytes() >= kShardBytes || table.log->records() >= kShardRows) {
    table.log->sync();
    enqueue_for_sealing(table);
  }
}

void RowWriter::enqueue_for_sealing(Table& table) {
  GRAFT_ASSERT(table.log->is_synced());  // a shard holds committed rows only
  std::unique_lock lock(mutex_);
  log_sealed_.wait(lock, [&] { return full_.size() < kMaxFullLogs || failure_ || no_more_logs_; });
  full_.emplace_back(table.store, std::move(table.log));
  log_full_.notify_one();
}

void RowWriter::seal_logs() {
  std::unique_lock lock(mutex_);
  for (;;) {
    log_full_.wait(lock, [&] { return !full_.empty() || no_more_logs_; });
    if (full_.empty()) return;
    const auto [store, log] = std::move(full_.front());
    full_.pop_front();
    const bool failed = failure_ != nullptr;
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (!failed) store->seal(log->path());
    } catch (...) {
      failure = std::current_exception();
    }
    note_progress();
    lock.lock();
    if (failure && !failure_) failure_ = failure;
    log_sealed_.notify_all();
    done_.notify_all();
  }
}

void RowWriter::sync_all() {
  for (Table& table : tables_)
    if (table.log) table.log->sync();
  ++commits_;
  committed_ += std::exchange(unsynced_, 0);
}

void RowWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  const auto failed = [&] {
    const std::lock_guard lock(mutex_);
    return failure_ != nullptr;
  };
  for (Table& table : tables_) {
    if (failed()) break;
    if (!table.log && !table.early.empty()) {
      // Nothing but rejects so far: a log of empty rows holds them.
      table.log = std::make_unique<RowLog>(RowLog::create(table.store->new_log_path(), {DType::U8, {0}}));
      for (const Job& e : table.early) table.log->append({e.id, e.sequence, e.ok, e.payload});
      table.log->sync();
      committed_ += table.early.size();
    }
    if (table.log) enqueue_for_sealing(table);
  }
  {
    const std::lock_guard lock(mutex_);
    no_more_logs_ = true;
  }
  log_full_.notify_all();
  sealer_.join();
  if (failure_) std::rethrow_exception(failure_);
  GRAFT_ASSERT(full_.empty() && queue_.empty() && unsynced_ == 0);
}

}  // namespace graft
