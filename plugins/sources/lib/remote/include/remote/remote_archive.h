#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include <remote/transfer.h>
#include <source/archive_input.h>

namespace graft::remote {

/// An archive that is read where it is, by ranges. What is read on is fetched in blocks of 64 KiB and then
/// twice as many up to 4 MiB; who skips more than 256 KiB begins with 64 KiB again. So members smaller than
/// a request is worth are read through, and of larger ones only the headers. A few blocks are held. All of it
/// is of one version: an archive that is changed meanwhile is a FatalError. With a cache, whole pieces of
/// 64 KiB are fetched and kept there, as long as the server names the version by a strong ETag.
class RemoteArchive final : public source::ArchiveInput {
 public:
  /// `name`: for messages, the URL without what may be secret in it. `known`: what it must still be; nothing:
  /// whatever it is. `cache`: outlives this; null: none. Sends the first request where the version is not
  /// known. Throws what fetch_range does.
  RemoteArchive(std::string url, std::string name, TransferLimits limits, FetchCache* cache,
                std::optional<FileVersion> known);

  const FileVersion& version() const { return version_; }

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return version_.size; }
  std::span<const std::uint8_t> read(std::uint64_t offset) override;
  void expect(std::uint64_t offset, std::uint64_t bytes) override;

 private:
  struct Block {
    std::uint64_t begin = 0;
    FetchedBytes bytes;
    std::uint64_t end() const { return begin + bytes->size(); }
  };
  const Block* held(std::uint64_t offset) const;
  const Block& hold(Block block);
  const Block& fetch_block(std::uint64_t begin, std::uint64_t size);
  bool can_cache() const { return cache_ != nullptr && !version_.tag.empty(); }
  std::string cache_name(std::uint64_t piece) const;
  std::uint64_t size_of_piece(std::uint64_t piece) const;
  /// Nothing where the cache does not have it.
  const Block* cached(std::uint64_t offset);
  void keep_in_cache(const Block& block);

  const std::string url_, name_;
  const TransferLimits limits_;
  FetchCache* const cache_;
  FileVersion version_;
  bool is_known_ = false;
  std::deque<Block> blocks_;   ///< The newest first.
  std::uint64_t ahead_;        ///< Size of the next block that is read on.
  std::uint64_t reached_ = 0;  ///< Where the last block ended that was read on.
  std::uint64_t expected_begin_ = 0, expected_end_ = 0;
};

/// A URL as keys and messages have it: without the query, which may be a signature.
std::string name_of_url(const std::string& url);

}  // namespace graft::remote
