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

RemoteArchive::RemoteArchive(std::string url, std::string name, TransferLimits limits,
                             std::optional<FileVersion> known)
    : url_(std::move(url)), name_(std::move(name)), limits_(std::move(limits)), ahead_(kLeast / 2) {
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
  for (const Block& block : blocks_)
    if (block.begin > begin) size = std::min(size, block.begin - begin);
  FetchedRange range;
  try {
    range = fetch_range(url_, begin, size, limits_, is_known_ ? &version_ : nullptr);
  } catch (const FatalError& e) {
    throw FatalError(name_ + ": " + e.what());
  }
  version_ = std::move(range.version);
  is_known_ = true;
  if (blocks_.size() == kHeld) blocks_.pop_back();
  blocks_.push_front({range.begin, std::move(range.bytes)});
  return blocks_.front();
}

std::span<const std::uint8_t> RemoteArchive::read(std::uint64_t offset) {
  if (offset >= size()) return {};
  const Block* block = held(offset);
  if (block == nullptr) {
    const bool goes_on = offset >= reached_ && offset - reached_ <= kReadThrough;
    ahead_ = goes_on ? std::min(2 * ahead_, kMost) : kLeast;
    const bool is_expected = expected_begin_ <= offset && offset < expected_end_;
    const std::uint64_t wanted = is_expected ? std::min(expected_end_ - offset + kNextHeader, kMost) : 0;
    block = &fetch_block(offset, std::min(std::max(ahead_, wanted), size() - offset));
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
