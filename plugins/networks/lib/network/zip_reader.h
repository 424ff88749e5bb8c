#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <network/input_file.h>

struct archive;

namespace graft::nn {

/// The entries of a zip archive, one after the other. Nothing is ever extracted: names are only compared.
/// Reading ends where more comes out than `most` bytes, those of the file by default, as torch.save does not
/// compress tensors. Throws Error with the path.
class ZipReader {
 public:
  explicit ZipReader(const InputFile& file) : ZipReader(file, file.size()) {}
  ZipReader(const InputFile& file, std::uint64_t most);

  struct Entry {
    std::string name;
    std::uint64_t size = 0;  ///< In bytes, as the archive says; 0 where it does not.
  };
  /// Goes to the next entry; false after the last.
  bool next();
  const Entry& entry() const { return entry_; }
  /// Fewer bytes than asked for only at the end of the entry, where its checksum has been compared: read
  /// until there are none.
  std::size_t read(void* out, std::size_t size);

 private:
  struct Close {
    void operator()(archive* a) const;
  };
  struct Source;  ///< What libarchive's callbacks read from.
  [[noreturn]] void fail(const char* doing) const;

  const InputFile& file_;
  std::shared_ptr<Source> source_;
  std::unique_ptr<archive, Close> archive_;
  Entry entry_;
  const std::uint64_t most_;
  std::uint64_t unpacked_ = 0;
};

/// A small entry, read whole, its checksum compared.
std::string read_entry(ZipReader& zip, std::size_t limit);

}  // namespace graft::nn
