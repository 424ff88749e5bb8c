#include "record_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>

RecordFile::RecordFile(std::string path, std::size_t label_bytes)
    : path_(std::move(path)), label_bytes_(label_bytes) {
  const int file = graft::open_regular_file(path_);
  if (file < 0 && errno == ENXIO)
    throw graft::Error("expected a file of records, got no regular file: " + path_);
  if (file < 0) throw graft::Error("cannot open " + path_ + ": " + std::strerror(errno));
  file_ = std::shared_ptr<const int>(new int(file), [](const int* f) {
    ::close(*f);
    delete f;
  });
  struct stat info {};
  if (::fstat(file, &info) != 0) throw graft::Error("cannot look at " + path_ + ": " + std::strerror(errno));
  const auto bytes = static_cast<std::size_t>(info.st_size);
  const std::size_t whole = bytes / record_bytes() * record_bytes();
  if (bytes == 0 || whole != bytes)
    throw graft::Error("expected records of " + std::to_string(record_bytes()) + " bytes in " + path_ +
                       ", got " + std::to_string(bytes - whole) + " bytes at offset " +
                       std::to_string(whole) +
                       ", where the file ends; get the file again, or correct dataset");
  size_ = bytes / record_bytes();
}

std::uint8_t RecordFile::label(std::size_t record, std::size_t which) const {
  std::uint8_t label = 0;
  read(record * record_bytes() + which, &label, 1);
  return label;
}

RecordFile::Pixels RecordFile::pixels(std::size_t record) const {
  Pixels out;
  read(record * record_bytes() + label_bytes_, out.data(), out.size());
  return out;
}

void RecordFile::read(std::size_t offset, std::uint8_t* out, std::size_t n) const {
  for (std::size_t have = 0; have < n;) {
    const ssize_t got = ::pread(*file_, out + have, n - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw graft::Error("cannot read " + path_ + " at offset " + std::to_string(offset + have) + ": " +
                         (got < 0 ? std::strerror(errno) : "the file has become shorter"));
    have += static_cast<std::size_t>(got);
  }
}
