#include "store/input_list.h"

#include <xxhash.h>

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

/// Takes numbers and texts from a file in memory; a length beyond its end is an error, not a crash.
class Cursor {
 public:
  Cursor(const std::uint8_t* at, const std::uint8_t* end) : at_(at), end_(end) {}
  template <typename T>
  T number() {
    need(sizeof(T));
    return take<T>(at_);
  }
  std::string text(std::size_t size) {
    need(size);
    std::string out(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return out;
  }
  bool at_end() const { return at_ == end_; }
  /// Whether so many things of at least `bytes` each can still come.
  bool may_hold(std::uint64_t n, std::size_t bytes) const {
    return n <= static_cast<std::uint64_t>(end_ - at_) / bytes;
  }

 private:
  void need(std::size_t size) const {
    if (static_cast<std::size_t>(end_ - at_) < size) throw Error("it ends too early");
  }
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

InputList decode(Cursor in) {
  InputList list;
  const auto classes = in.number<std::uint32_t>();
  const auto inputs = in.number<std::uint64_t>(), rows = in.number<std::uint64_t>();
  const auto rejects = in.number<std::uint64_t>();
  list.refused = in.number<std::uint64_t>();
  if (!in.may_hold(classes, 4) || !in.may_hold(inputs, 8) || !in.may_hold(rows, 24) ||
      !in.may_hold(rejects, 24))
    throw Error("impossible counts");
  for (std::uint32_t i = 0; i < classes; ++i) list.classes.push_back(in.text(in.number<std::uint32_t>()));
  list.inputs.resize(inputs);
  for (InputList::Input& input : list.inputs) {
    const auto key = in.number<std::uint32_t>();
    input.labels.resize(in.number<std::uint16_t>());
    const auto split = in.number<std::uint8_t>(), negative = in.number<std::uint8_t>();
    if (split > 2) throw Error("an impossible split");
    if (negative > (input.labels.empty() ? 1 : 0)) throw Error("an impossible negative");
    input.split = static_cast<Split>(split);
    input.negative = negative == 1;
    for (std::int32_t& label : input.labels) {
      label = in.number<std::int32_t>();
      if (label < 0 || static_cast<std::uint32_t>(label) >= classes) throw Error("an impossible label");
    }
    input.key = in.text(key);
  }
  for (auto& [outcomes, n] : {std::pair(&list.rows, rows), std::pair(&list.rejects, rejects)}) {
    outcomes->resize(n);
    for (InputList::Outcome& o : *outcomes) {
      o.id.high = in.number<std::uint64_t>();
      o.id.low = in.number<std::uint64_t>();
      o.input = in.number<std::uint32_t>();
      o.view = in.number<std::uint32_t>();
      if (o.input >= inputs) throw Error("an outcome of no input");
    }
  }
  if (!in.at_end()) throw Error("it has bytes too many");
  return list;
}

}  // namespace

InputList InputList::read(const fs::path& path) {
  const std::string bytes = read_file(path);
  const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (bytes.size() < sizeof kListMagic + 8 || std::memcmp(data, kListMagic, sizeof kListMagic) != 0)
    throw Error(path.string() + ": is not a list of inputs, or is truncated");
  const std::uint8_t* at = data + bytes.size() - 4;
  if (take<std::uint32_t>(at) != crc32c(data, bytes.size() - 4))
    throw Error(path.string() + ": the list of inputs is damaged (its checksum is wrong)");
  at = data + sizeof kListMagic;
  if (const auto version = take<std::uint32_t>(at); version < kOldestListVersion || version > kListVersion)
    throw Error(fmt::format("{}: list of inputs, version {}; this graft reads versions {} to {}",
                            path.string(), version, kOldestListVersion, kListVersion));
  try {
    return decode({at, data + bytes.size() - 4});
  } catch (const Error& e) {
    throw Error(fmt::format("{}: not a list of inputs: {}", path.string(), e.what()));
  }
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
