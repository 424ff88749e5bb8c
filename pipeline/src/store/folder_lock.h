#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/files.h"

namespace graft {

/// Keeps a folder of the store from being taken away while it is used. Whoever reads or writes the rows of a
/// table holds its folder together with others; `graft store gc` and `verify --repair` change nothing in a
/// folder that anybody holds.
///
/// It is a lock on the file `<folder>/lock` that belongs to the open file (fcntl(2), F_OFD_SETLK): it goes
/// with the process, however that ends, and process ids play no part, so that containers see each other. On a
/// file system that another machine may have mounted, where the lock may not be seen, holders keep a lease
/// beside it:
/// `<folder>/leases/<attempt>.lease`, which a thread touches every minute, and which counts for an hour.
///
/// Where the file cannot be made (no such folder, a read-only store), nothing is held. One thread at a time.
class GRAFT_API FolderLock {
 public:
  FolderLock();  ///< Holds nothing.
  FolderLock(FolderLock&&) noexcept;
  FolderLock& operator=(FolderLock&&) noexcept;
  ~FolderLock();

  /// Holds the folder together with others. Waits while one who has it alone takes it away, joins its shards
  /// or repairs it. `attempt` names the lease.
  static FolderLock share(const std::filesystem::path& folder, const std::string& attempt);
  /// Holds the folder alone; nothing where somebody else holds it, or where that cannot be known: a lock that
  /// this user may not open, a lease of another machine.
  static std::optional<FolderLock> exclude(const std::filesystem::path& folder);
  /// Whether somebody may hold it. Holds and changes nothing.
  static bool is_held(const std::filesystem::path& folder);
  /// Whether anybody keeps a lease of the folder.
  static bool has_leases(const std::filesystem::path& folder);
  /// Whether the holder of that name has kept its lease.
  static bool has_lease(const std::filesystem::path& folder, const std::string& attempt);

  /// Is called, from any thread, with what somebody has to know whom share() lets wait for more than a
  /// second: "waiting for ...".
  static void on_wait(void (*notice)(const std::string& text));

  explicit operator bool() const { return static_cast<bool>(file_); }
  /// Calls `action` where nobody else holds the folder, and keeps everybody out meanwhile; does nothing where
  /// somebody does, or this holds nothing.
  void while_alone(const std::function<void()>& action);

 private:
  class Lease;
  bool others_have_leases() const;

  std::filesystem::path folder_;
  FileHandle file_;
  bool locked_ = false;  ///< Whether the file system has such locks.
  bool local_ = false;   ///< Whether they tell of everybody.
  std::unique_ptr<Lease> lease_;
};

}  // namespace graft
