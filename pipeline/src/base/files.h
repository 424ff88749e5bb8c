#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <graft/export.h>
#include <graft/files.h>
#include <graft/payload.h>

namespace graft {

/// An open file descriptor that closes itself.
class GRAFT_API FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~FileHandle();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A file of graft's own, or a folder, is there and could not be read: what it holds is not known, so that
/// nothing may be concluded from it.
class GRAFT_API Unreadable : public Error {
 public:
  using Error::Error;
};

/// Reads an input of a source. Only a regular file is opened, and no more is read than it had then. Throws
/// Reject: `missing`, `unreadable`, `not-a-file`, `too-large` (over 1 GiB).
GRAFT_API Bytes read_input_file(const FileRef& file);

/// Whole content of a small file of graft's own. Throws Error with path and reason where there is no such
/// file, Unreadable where it cannot be read.
GRAFT_API std::string read_file(const std::filesystem::path& path);

/// write(2) until all is written; short writes and EINTR are gone on with. Throws Error naming `path`.
GRAFT_API void write_all(int fd, std::span<const std::uint8_t> data, const std::filesystem::path& path);

/// pread(2) until `size` bytes have come or the file ends; gives what came. Throws Unreadable naming `path`.
GRAFT_API std::size_t read_at(int fd, void* to, std::size_t size, std::uint64_t offset,
                              const std::filesystem::path& path);

/// fdatasync(2) of an open file. Throws Error naming `path`.
GRAFT_API void sync_file(int fd, const std::filesystem::path& path);

/// fsync of a folder, so that a name in it survives a power cut. Throws Error.
GRAFT_API void sync_folder(const std::filesystem::path& folder);

/// Gives a complete file its name, unless that name is taken: then false, and nothing has changed. The
/// temporary name is gone afterwards in either case. On a file system that has neither hard links nor renames
/// that do not replace, it is done under a lock of the folder: processes of one machine alone may then write
/// to it. Throws Error.
GRAFT_API bool link_without_replacing(const std::filesystem::path& temporary,
                                      const std::filesystem::path& path);

/// Makes a file that nobody sees half of: `write` fills a temporary one beside it, which is synced and linked
/// to `path`; then the folder is synced. False, and nothing has changed, when the name is taken. Throws
/// Error.
GRAFT_API bool write_new_file(
    const std::filesystem::path& path,
    const std::function<void(int fd, const std::filesystem::path& temporary)>& write);

/// When a temporary file gets the name that it has until it is complete.
enum class Naming {
  AtOnce,
  AtTheEnd,  ///< As create_without_name() does: for what takes long to write.
};
/// As graft::write_file_atomically, for content that comes in pieces: `write` fills the temporary file.
GRAFT_API void write_file_atomically(const std::filesystem::path& path,
                                     const std::function<void(int fd)>& write,
                                     Naming naming = Naming::AtOnce);

/// Throws Error where a file of that name is there, is not empty and begins with none of `begins`: "PATH
/// exists and is not KIND; choose another name". An output must not take the place of something else.
GRAFT_API void require_kind(const std::filesystem::path& path, std::initializer_list<std::string_view> begins,
                            std::string_view kind);

/// Throws Error where something has that name, if only a link that leads nowhere: "PATH exists: remove it, or
/// choose another file".
GRAFT_API void require_free_name(const std::filesystem::path& path);

/// Where a name leads: absolute, links followed as far as there is something. To compare places.
GRAFT_API std::filesystem::path place_of(const std::filesystem::path& path);

/// Whether a path is a folder or a place below it, through symbolic links, whatever of both exists. An empty
/// path lies nowhere.
GRAFT_API bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder);

/// A new file for reading and writing, without a name where the system can give it `path` later: a process
/// that is killed leaves nothing then, and nobody finds it in the folder. Throws Error.
GRAFT_API FileHandle create_without_name(const std::filesystem::path& path);
/// Gives such a file its name, unless it has it already. Throws Error.
GRAFT_API void give_name(const FileHandle& file, const std::filesystem::path& path);

/// Makes a folder and its parents, which survive a power cut then. Throws Error with the path and the reason,
/// and `cure`, such as "choose another folder with --out", unless the disk is full.
GRAFT_API void make_folders(const std::filesystem::path& folder, std::string_view cure = {});

/// "cannot write /a/b: No space left on device (4096 bytes needed)" and the like.
GRAFT_API std::string file_error(std::string_view doing, const std::filesystem::path& path, int error);

/// Whether an errno says that there is no room: a full disk, a quota, a limit on the size of files. Whatever
/// is written next would fail, too.
GRAFT_API bool is_out_of_disk(int error);

/// Throws FatalError where the errno says that there is no room, which fails whatever comes after, too, not
/// the one item or trial alone; Error otherwise.
[[noreturn]] GRAFT_API void fail_to_write(const std::string& text, int error);

}  // namespace graft
