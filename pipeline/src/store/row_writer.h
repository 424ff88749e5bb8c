#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "store/table_store.h"

namespace graft {

/// The one thread of a run that writes to the store: appends outcomes to a log per table, commits every 256
/// rows or 2 s, and seals full logs. Producers call push() from any thread; they are held back by the credit
/// that each job keeps alive until its record has been written.
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
  /// Stops the thread; what was written stays in the logs.
  ~RowWriter();

  /// Throws the Error that stopped the writer, if any.
  void push(Job job);
  /// Commits everything and seals every log. No push() may follow. Throws Error.
  void finish();
  /// Commits what has been pushed so far; waits for it. For leaving in a hurry; never throws.
  void commit_now() noexcept;
  std::uint64_t committed() const { return committed_; }

 private:
  struct Table {
    TableStore* store = nullptr;
    std::unique_ptr<RowLog> log;
    std::vector<Job> early;                   // rejects that came before any row told the format
    std::vector<std::filesystem::path> full;  // logs to seal
  };
  void work();
  void write(Job& job);
  void sync_all();

  std::vector<Table> tables_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<Job> queue_;
  bool stop_ = false;
  std::uint64_t commit_requests_ = 0, commits_served_ = 0;
  std::exception_ptr failure_;
  std::atomic<std::uint64_t> committed_{0};
  std::uint64_t unsynced_ = 0;
  std::thread thread_;
};

}  // namespace graft
