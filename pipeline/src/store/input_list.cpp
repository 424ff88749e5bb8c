#include "store/input_list.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "base/files.h"
#include "store/crc32c.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr char kListMagic[8] = {'G', 'R', 'A', 'F', 'T', 'I', 'N', 'P'};
constexpr std::uint32_t kOldestListVersion = 2, kListVersion = 3;
constexpr std::size_t kListBufferBytes = std::size_t{1} << 20;
constexpr std::size_t kOutcomeBytes = 24;

}  // namespace

/// Takes numbers and texts from a part of a file; a length beyond its end is an error, not a crash.
class InputListReader::Cursor {
 public:
  Cursor(int file, const std::string& path, std::uint64_t begin, std::uint64_t end)
      : file_(file), path_(path), next_(begin), end_(end) {}
  template <typename T>
  T number() {
    std::uint8_t bytes[sizeof(T)];
    take_bytes(bytes, sizeof bytes);
    const std::uint8_t* at = bytes;
    return take<T>(at);
  }
  std::string text(std::size_t size) {
    need(size);
    std::string out(size, '\0');
    take_bytes(out.data(), size);
    return out;
  }
  std::uint64_t position() const { return next_ - (buffer_.size() - at_); }
  /// Whether so many things of at least `bytes` each can still come.
  bool may_hold(std::uint64_t n, std::size_t bytes) const { return n <= (end_ - position()) / bytes; }

 private:
  void need(std::size_t size) const {
    if (end_ - position() < size) throw Error(path_ + ": not a list of inputs: it ends too early");
  }
  void take_bytes(void* to, std::size_t size) {
    need(size);
    auto* out = static_cast<std::uint8_t*>(to);
    while (size > 0) {
      if (at_ == buffer_.size()) fill();
      const std::size_t n = std::min(size, buffer_.size() - at_);
      std::memcpy(out, buffer_.data() + at_, n);
      at_ += n;
      out += n;
      size -= n;
    }
  }
  void fill() {
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kListBufferBytes, end_ - next_)));
    at_ = 0;
    if (read_at(file_, buffer_.data(), buffer_.size(), next_, path_) != buffer_.size())
      throw Error(path_ + ": the list of inputs became shorter while it was read");
    next_ += buffer_.size();
  }

  const int file_;
  const std::string& path_;
  std::uint64_t next_;  // what the buffer is filled with next
  const std::uint64_t end_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0;
};

InputListReader::InputListReader(const fs::path& path)
    : path_(path.string()), file_(open_regular_file(path)) {
  if (!file_ && (errno == ENOENT || errno == ENXIO)) throw Error(file_error("open", path, errno));
  if (!file_) throw Unreadable(file_error("open", path, errno));
  constexpr std::size_t kBefore = sizeof kListMagic + 4, kChecksum = 4;
  std::vector<std::uint8_t> block(kListBufferBytes);
  std::uint32_t crc = 0, wanted = 0, version = 0;
  std::uint64_t size = 0;
  bool begins_as_list = false;
  // The last four bytes are the checksum of all before them: they are held back until there are more.
  std::vector<std::uint8_t> held;
  for (std::size_t n = block.size(); n == block.size(); size += n) {
    n = read_at(file_.get(), block.data(), block.size(), size, path);
    if (size == 0) {
      begins_as_list =
          n >= kBefore + kChecksum && std::memcmp(block.data(), kListMagic, sizeof kListMagic) == 0;
      const std::uint8_t* at = block.data() + sizeof kListMagic;
      if (begins_as_list) version = take<std::uint32_t>(at);
    }
    held.insert(held.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(n));
    const std::size_t known = held.size() - std::min(held.size(), kChecksum);
    crc = crc32c(held.data(), known, crc);
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(known));
  }
  if (!begins_as_list) throw Error(path_ + ": is not a list of inputs, or is truncated");
  std::memcpy(&wanted, held.data(), sizeof wanted);
  if (wanted != crc) throw Error(path_ + ": the list of inputs is damaged (its checksum is wrong)");
  if (version < kOldestListVersion || version > kListVersion)
    throw Error(fmt::format("{}: list of inputs, version {}; this graft reads versions {} to {}", path_,
                            version, kOldestListVersion, kListVersion));
  end_ = size - kChecksum;
  in_ = std::make_unique<Cursor>(file_.get(), path_, kBefore, end_);
  const auto classes = in_->number<std::uint32_t>();
  inputs_ = in_->number<std::uint64_t>();
  rows_ = in_->number<std::uint64_t>();
  rejects_ = in_->number<std::uint64_t>();
  refused_ = in_->number<std::uint64_t>();
  if (!in_->may_hold(classes, 4) || !in_->may_hold(inputs_, 8) || !in_->may_hold(rows_, kOutcomeBytes) ||
      !in_->may_hold(rejects_, kOutcomeBytes) || !in_->may_hold(rows_ + rejects_, kOutcomeBytes))
    fail("impossible counts");
  for (std::uint32_t i = 0; i < classes; ++i) classes_.push_back(in_->text(in_->number<std::uint32_t>()));
  outcomes_begin_ = end_ - (rows_ + rejects_) * kOutcomeBytes;
  rewind_outcomes();
  if (inputs_ == 0) require_end_of_inputs();
}

InputListReader::~InputListReader() = default;

void InputListReader::fail(const char* why) const {
  throw Error(fmt::format("{}: not a list of inputs: {}", path_, why));
}

void InputListReader::require_end_of_inputs() const {
  if (in_->position() < outcomes_begin_) fail("it has bytes too many");
  if (in_->position() > outcomes_begin_) fail("it ends too early");
}

bool InputListReader::next_input(InputList::Input& input) {
  if (inputs_read_ == inputs_) return false;
  const auto key = in_->number<std::uint32_t>();
  input.labels.resize(in_->number<std::uint16_t>());
  const auto split = in_->number<std::uint8_t>(), negative = in_->number<std::uint8_t>();
  if (split > 2) fail("an impossible split");
  if (negative > (input.labels.empty() ? 1 : 0)) fail("an impossible negative");
  input.split = static_cast<Split>(split);
  input.negative = negative == 1;
  for (std::int32_t& label : input.labels) {
    label = in_->number<std::int32_t>();
    if (label < 0 || static_cast<std::size_t>(label) >= classes_.size()) fail("an impossible label");
  }
  input.key = in_->text(key);
  if (++inputs_read_ == inputs_) require_end_of_inputs();
  return true;
}

bool InputListReader::next_outcome(InputList::Outcome& outcome) {
  if (outcomes_read_ == rows_ + rejects_) return false;
  outcome.id.high = outcomes_->number<std::uint64_t>();
  outcome.id.low = outcomes_->number<std::uint64_t>();
  outcome.input = outcomes_->number<std::uint32_t>();
  outcome.view = outcomes_->number<std::uint32_t>();
  if (outcome.input >= inputs_) fail("an outcome of no input");
  ++outcomes_read_;
  return true;
}

void InputListReader::rewind_outcomes() {
  outcomes_ = std::make_unique<Cursor>(file_.get(), path_, outcomes_begin_, end_);
  outcomes_read_ = 0;
}

InputList InputList::read(const fs::path& path) {
  InputListReader reader(path);
  InputList list;
  list.classes = reader.classes();
  list.refused = reader.refused();
  list.inputs.resize(reader.inputs());
  for (Input& input : list.inputs) reader.next_input(input);
  list.rows.resize(reader.rows());
  for (Outcome& row : list.rows) reader.next_outcome(row);
  list.rejects.resize(reader.rejects());
  for (Outcome& reject : list.rejects) reader.next_outcome(reject);
  return list;
}

InputListWriter::InputListWriter(const std::vector<std::string>& classes, const Counts& counts, Sink sink)
    : sink_(std::move(sink)) {
  buffer_.reserve(kListBufferBytes + 4096);
  put_bytes(kListMagic, sizeof kListMagic);
  put_number(kListVersion);
  put_number(static_cast<std::uint32_t>(classes.size()));
  for (const std::uint64_t n : {counts.inputs, counts.rows, counts.rejects, counts.refused}) put_number(n);
  for (const std::string& name : classes) {
    put_number(static_cast<std::uint32_t>(name.size()));
    put_bytes(name.data(), name.size());
  }
}

template <typename T>
void InputListWriter::put_number(T value) {
  put_bytes(&value, sizeof value);
}

void InputListWriter::put_bytes(const void* data, std::size_t size) {
  const auto* at = static_cast<const std::uint8_t*>(data);
  buffer_.insert(buffer_.end(), at, at + size);
  if (buffer_.size() >= kListBufferBytes) flush();
}

void InputListWriter::flush() {
  crc_ = crc32c(buffer_.data(), buffer_.size(), crc_);
  sink_(buffer_);
  buffer_.clear();
}

void InputListWriter::input(std::string_view key, Split split, std::span<const std::int32_t> labels,
                            bool negative) {
  put_number(static_cast<std::uint32_t>(key.size()));
  put_number(static_cast<std::uint16_t>(labels.size()));
  put_number(static_cast<std::uint8_t>(split));
  put_number(static_cast<std::uint8_t>(negative ? 1 : 0));
  put_bytes(labels.data(), labels.size_bytes());
  put_bytes(key.data(), key.size());
}

void InputListWriter::outcome(const Digest& id, std::uint32_t input, std::uint32_t view) {
  put_number(id.high);
  put_number(id.low);
  put_number(input);
  put_number(view);
}

void InputListWriter::finish() {
  flush();
  put_number(crc_);
  flush();
}

std::string write_input_list(const fs::path& folder, const std::vector<std::string>& classes,
                             const InputListWriter::Counts& counts,
                             const std::function<void(InputListWriter&)>& produce) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_128bits_reset(state.get());
  InputListWriter digester(classes, counts, [&](std::span<const std::uint8_t> bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  });
  produce(digester);
  digester.finish();
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  std::string name = Digest{hash.high64, hash.low64}.hex() + ".inputs";
  if (fs::exists(folder / name)) return name;
  make_folders(folder);
  write_new_file(folder / name, [&](int fd, const fs::path& temporary) {
    InputListWriter writer(classes, counts,
                           [&](std::span<const std::uint8_t> bytes) { write_all(fd, bytes, temporary); });
    produce(writer);
    writer.finish();
  });
  return name;
}

}  // namespace graft
