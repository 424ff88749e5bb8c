#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/files.h"
#include "store/hdf5_message.h"

namespace graft {

/// An HDF5 file from elsewhere and the process that reads it, the program graft-hdf5-reader: HDF5 crashes on
/// some damaged files, and follows what a file says to other files. That process gets two descriptors, the
/// file and a socket, and can open nothing else. It has 64 MiB and eight times the file's size of memory, at
/// most 2 GiB, and a minute of processor time for an answer. At most eight of them live at a time: the one
/// that was asked longest ago ends, and begins again when it is asked. Any thread, one at a time of all
/// readers.
class Hdf5Reader {
 public:
  /// Opens the file. Throws Error when it is no regular one.
  explicit Hdf5Reader(const std::filesystem::path& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  /// The answer to Hdf5Request::Open, which comes first. Throws Error, as ask does: what the reader refuses,
  /// or what has become of it, with the path.
  std::string open(const std::string& request);
  std::string ask(Hdf5Request kind, const std::string& request);
  /// For an answer of so many bytes.
  void ask(Hdf5Request kind, const std::string& request, std::span<std::uint8_t> answer);

 private:
  void start();
  void stop();
  void wake();
  void send(Hdf5Request kind, const std::string& request);
  std::uint64_t begin_answer();
  std::string whole_answer();
  void receive(void* to, std::size_t bytes);
  /// `silent`: it did not end, and did not answer either.
  [[noreturn]] void report_end(bool silent = false);

  const std::filesystem::path path_;
  FileHandle file_, socket_;
  pid_t pid_ = -1;
  std::string opening_, opened_;  ///< The first request and its answer.
};

}  // namespace graft
