#include "store/row_writer.h"

#include <chrono>
#include <utility>

#include <graft/error.h>

namespace graft {
namespace {

constexpr std::uint64_t kRowsPerCommit = 256;
constexpr std::chrono::seconds kCommitInterval{2};
/// A log is sealed when it has grown to this: sealing holds it in memory once.
constexpr std::uint64_t kShardBytes = 64ULL << 20;

}  // namespace

RowWriter::RowWriter(const std::vector<TableStore*>& tables) {
  for (TableStore* store : tables) {
    Table table;
    table.store = store;
    tables_.push_back(std::move(table));
  }
  thread_ = std::thread([this] { work(); });
}

RowWriter::~RowWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void RowWriter::push(Job job) {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  queue_.push_back(std::move(job));
  if (queue_.size() == 1) wake_.notify_one();
}

void RowWriter::commit_now() noexcept {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++commit_requests_;
  wake_.notify_one();
  done_.wait_for(lock, std::chrono::seconds(2), [&] { return commits_served_ >= mine || failure_; });
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
  if (!table.log) {
    std::optional<RowFormat> format = table.store->format();
    if (!format && job.ok) format = job.format;
    if (!format) {
      job.keep.reset();
      table.early.push_back(std::move(job));
      return;
    }
    table.log = std::make_unique<RowLog>(RowLog::create(table.store->new_log_path(), *format));
    for (const Job& e : table.early) table.log->append({e.id, e.sequence, e.ok, e.payload});
    unsynced_ += table.early.size();
    table.early.clear();
  }
  table.log->append({job.id, job.sequence, job.ok, job.payload});
  ++unsynced_;
  job.keep.reset();
  if (table.log->bytes() >= kShardBytes) {
    table.log->sync();
    table.full.push_back(table.log->path());
    table.log.reset();
  }
}

void RowWriter::sync_all() {
  for (Table& table : tables_)
    if (table.log) table.log->sync();
  committed_ += std::exchange(unsynced_, 0);
}

void RowWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
  for (Table& table : tables_) {
    if (!table.log && !table.early.empty()) {
      // Nothing but rejects so far: a log of empty rows holds them.
      table.log = std::make_unique<RowLog>(RowLog::create(table.store->new_log_path(), {DType::U8, {0}}));
      for (const Job& e : table.early) table.log->append({e.id, e.sequence, e.ok, e.payload});
      table.log->sync();
      committed_ += table.early.size();
    }
    if (table.log) table.full.push_back(table.log->path());
    table.log.reset();
    for (const std::filesystem::path& log : table.full) table.store->seal(log);
    table.full.clear();
  }
}

}  // namespace graft
