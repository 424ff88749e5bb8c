// What a stream does where a file that its stages read, a network above all, is another one before it ends.

#include <system_error>

#include <graft/error.h>

#include "base/attempt.h"
#include "run/stream_run.h"
#include "store/manifest.h"

namespace graft {
namespace {

/// Removes the logs that this process has written for the table and that are not sealed.
void drop_logs(const TableStore& store) {
  const std::filesystem::path log = store.new_log_path();
  std::error_code ignored;
  for (const std::filesystem::path& other : files_in(log.parent_path(), ".rows"))
    if (attempt_of(other) == attempt_of(log)) std::filesystem::remove(other, ignored);
}

}  // namespace

void StreamRun::require_same_files() try { memo_.require_unchanged(); } catch (const Error&) {
  // The logs go first: once the writer has let go of them, other processes would seal what is there.
  for (const RunTable& table : tables_) drop_logs(*table.store);
  {
    const std::lock_guard lock(writer_mutex_);
    writer_.reset();
  }
  for (const RunTable& table : tables_) drop_logs(*table.store);  // begun meanwhile
  throw;
}

}  // namespace graft
