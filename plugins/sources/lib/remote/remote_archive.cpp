#include <remote/remote_archive.h>

#include <algorithm>
#include <utility>

#include <graft/error.h>
#include <remote/s3.h>

namespace graft::remote {
namespace {

constexpr std::uint64_t kLeast = std::uint64_t{64} << 10, kMost = std::uint64_t{4} << 20,
                        kReadThrough = std::uint64_t{256} << 10;
/// The first, the end, and two of what is read on.
constexpr std::size_t kHeld = 4;
/// Behind the data of a member: what fills its last block, and the next header.
constexpr std::uint64_t kNextHeader = 2048;

}  // namespace

RemoteArchive::RemoteArchive(std::string url, std::string name, TransferLimits limits, FetchCache* cache,
                             std::optional<FileVersion> known)
    : url_(std::move(url)),
      name_(std::move(name)),
      limits_(std::move(limits)),
      cache_(cache),
      ahead_(kLeast / 2) {
  if (known) {
    version_ = std::move(*known);
    is_known_ = true;
  } else {
    reached_ = fetch_block(0, ahead_ = kLeast).end();
  }
}

const RemoteArchive::Block* RemoteArchive::held(std::uint64_t offset) const {
  const auto it = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return block.begin <= offset && offset < block.end();
  });
  return it == blocks_.end() ? nullptr : &*it;
}

const RemoteArchive::Block& RemoteArchive::fetch_block(std::uint64_t begin, std::uint64_t size) {
  FetchedRange range;
  try {
    range = fetch_range(url_, begin, size, limits_, is_known_ ? &version_ : nullptr);
  } catch (const FatalError& e) {
    throw FatalError(name_ + ": " + e.what());
  }
  version_ = std::move(range.version);
  is_known_ = true;
  const Block& block = hold({range.begin, std::move(range.bytes)});
  if (can_cache()) keep_in_cache(block);
  return block;
}

const RemoteArchive::Block& RemoteArchive::hold(Block block) {
  if (blocks_.size() == kHeld) blocks_.pop_back();
  blocks_.push_front(std::move(block));
  return blocks_.front();
}

/// By the place that the URL leads to, as a URL that is signed has another query every time.
std::string RemoteArchive::cache_name(std::uint64_t piece) const {
  return (is_s3(url_) ? s3_request(url_).url : name_) + " " + version_.tag + " " +
         std::to_string(version_.size) + " " + std::to_string(piece);
}

std::uint64_t RemoteArchive::size_of_piece(std::uint64_t piece) const {
  return std::min(kLeast, size() - piece * kLeast);
}

const RemoteArchive::Block* RemoteArchive::cached(std::uint64_t offset) {
  const std::uint64_t piece = offset / kLeast;
  auto found = cache_->find(cache_name(piece));
  if (!found || found->bytes->size() != size_of_piece(piece)) return nullptr;
  return &hold({piece * kLeast, std::move(found->bytes)});
}

void RemoteArchive::keep_in_cache(const Block& block) {
  for (std::uint64_t piece = (block.begin + kLeast - 1) / kLeast;
       piece * kLeast < size() && piece * kLeast + size_of_piece(piece) <= block.end(); ++piece) {
    const auto at = block.bytes->begin() + static_cast<std::ptrdiff_t>(piece * kLeast - block.begin);
    cache_->keep(cache_name(piece), version_.tag,
                 {at, at + static_cast<std::ptrdiff_t>(size_of_piece(piece))});
  }
}

std::span<const std::uint8_t> RemoteArchive::read(std::uint64_t offset) {
  if (offset >= size()) return {};
  const Block* block = held(offset);
  if (block == nullptr && can_cache()) {
    block = cached(offset);
    if (block != nullptr) reached_ = block->end();
  }
  if (block == nullptr) {
    const bool goes_on = offset >= reached_ && offset - reached_ <= kReadThrough;
    ahead_ = goes_on ? std::min(2 * ahead_, kMost) : kLeast;
    const bool is_expected = expected_begin_ <= offset && offset < expected_end_;
    const std::uint64_t wanted = is_expected ? std::min(expected_end_ - offset + kNextHeader, kMost) : 0;
    std::uint64_t begin = offset, end = offset + std::max(ahead_, wanted);
    if (can_cache()) {
      begin -= begin % kLeast;
      end = (end + kLeast - 1) / kLeast * kLeast;
    }
    end = std::min(end, size());
    for (const Block& other : blocks_)  // what is there already
      if (other.begin > offset) end = std::min(end, other.begin);
    block = &fetch_block(begin, end - begin);
    // A server may give less than it was asked for, but one byte at least.
    if (block->end() <= offset) block = &fetch_block(offset, end - offset);
    reached_ = block->end();
  }
  return std::span(*block->bytes).subspan(offset - block->begin);
}

void RemoteArchive::expect(std::uint64_t offset, std::uint64_t bytes) {
  expected_begin_ = offset;
  expected_end_ = offset + bytes;
}

std::string name_of_url(const std::string& url) {
  return is_s3(url) ? url : url.substr(0, url.find('?'));
}

}  // namespace graft::remote
