#pragma once

#include <filesystem>
#include <string>

#include <graft/export.h>

namespace graft {

/// Files that a process is still at are named by an attempt, `<host>.<boot>.<64 random bits>`, so that no two
/// ever share a name: not two copies of a job, nor two containers, whose host names and process ids repeat.
/// `boot` stands for the running kernel.
GRAFT_API std::string new_attempt();

/// The attempt that a file is named by: the first three parts of its name.
GRAFT_API std::string attempt_of(const std::filesystem::path& file);

/// Whether only this machine can have mounted the file system of an open file, so that everybody who uses it
/// is seen by its locks.
GRAFT_API bool is_local(int fd);

/// Whether a lock that nobody holds on `file`, open as `fd`, proves that the writer that it is named by is
/// gone: on a local file system, and on a network one, whose locks may be known to one machine only, when
/// this kernel has run the writer.
GRAFT_API bool locks_tell_of(const std::filesystem::path& file, int fd);

/// Where locks do not tell: whether nothing has changed in the file for an hour. Writers that wait for long
/// keep a lease (TableLock).
GRAFT_API bool is_stale(const std::filesystem::path& file);

}  // namespace graft
