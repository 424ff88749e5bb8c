#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "store/table_store.h"

namespace graft {

/// The two threads of a run that write to the store: one appends outcomes to a log per table and commits
/// every 256 rows or 2 s, the other seals full logs. Producers call push() from any thread; they are held
/// back by the credit that each job keeps alive until its record has been written. The writer waits when too
/// many logs wait to be sealed.
class GRAFT_API RowWriter {
 public:
  struct Job {
    std::size_t table = 0;  ///< Index into the tables given to the constructor.
    Digest id;
    std::uint64_t sequence = 0;
    bool ok = true;
    RowFormat format;                   ///< ok: of the row. The same for every row of a table.
    std::vector<std::uint8_t> payload;  ///< The row, or encode_reject().
    std::shared_ptr<const void> keep;   ///< Released once the record is written.
  };

  explicit RowWriter(const std::vector<TableStore*>& tables);
  /// Stops the threads; what was written stays in the logs.
  ~RowWriter();

  /// Throws the Error that stopped the writer, if any.
  void push(Job job);
  /// Commits everything and seals every log. No push() may follow. Throws Error.
  void finish();
  /// Commits what has been pushed so far; waits for it. For leaving in a hurry; never throws.
  bool commit_now() noexcept;
  std::uint64_t committed() const { return committed_; }
  /// How often that was done: each is an fdatasync per table.
  std::uint64_t commits() const { return commits_; }

 private:
  struct Table {
    TableStore* store = nullptr;
    std::unique_ptr<RowLog> log;
    RowFormat format;        // of the log
    std::vector<Job> early;  // rejects that came before any row told the format
  };
  void work();
  void write(Job& job);
  void sync_all();
  void enqueue_for_sealing(Table& table);
  void seal_logs();

  std::vector<Table> tables_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<Job> queue_;
  bool stop_ = false;
  std::uint64_t commit_requests_ = 0, commits_served_ = 0;
  std::exception_ptr failure_;
  std::atomic<std::uint64_t> committed_{0}, commits_{0};
  std::uint64_t unsynced_ = 0;
  /// Full logs, oldest first. They stay open, and so locked, until they are sealed.
  std::deque<std::pair<TableStore*, std::unique_ptr<RowLog>>> full_;
  bool no_more_logs_ = false;
  std::condition_variable log_full_, log_sealed_;
  std::thread thread_, sealer_;
};

}  // namespace graft
