#include "run/bundle_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <span>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/safetensors.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/sha256.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFacts = "bundle.json";
constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kLarge = "large";
/// The digests of both files, so that a changed bit or files of two runs are no wrong prediction. That of the
/// facts is of their JSON without this member and without spaces.
constexpr const char* kSha256 = "sha256";

/// Bytes of one row.
std::size_t row_bytes(DType dtype, const Shape& shape) {
  return size_of(dtype) * static_cast<std::size_t>(elements({shape.begin() + 1, shape.end()}));
}

/// A tensor in a safetensors file, of which every reader keeps it open.
class FileTensor final : public TensorReader {
 public:
  FileTensor(std::shared_ptr<const FileHandle> file, fs::path path, std::uint64_t begin, DType dtype,
             Shape shape)
      : file_(std::move(file)),
        path_(std::move(path)),
        begin_(begin),
        dtype_(dtype),
        shape_(std::move(shape)) {}

  DType dtype() const override { return dtype_; }
  const Shape& shape() const override { return shape_; }
  void read(std::size_t first, std::size_t count, void* out) const override {
    const std::size_t bytes = row_bytes(dtype_, shape_);
    if (read_at(file_->get(), out, count * bytes, begin_ + first * bytes, path_) != count * bytes)
      throw Error(
          fmt::format("{}: ends before its tensors do: it was cut off while it was read", path_.string()));
  }

 private:
  std::shared_ptr<const FileHandle> file_;
  fs::path path_;
  std::uint64_t begin_;
  DType dtype_;
  Shape shape_;
};

std::span<const std::uint8_t> bytes_of(const void* data, std::size_t size) {
  return {static_cast<const std::uint8_t*>(data), size};
}

/// Takes the room of a large file before it is filled: that there is too little shows at once, and how much
/// is needed. File systems that cannot do that are not asked for it.
void reserve(int fd, std::uint64_t bytes, const fs::path& path) {
  if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0 && errno == ENOSPC)
    throw Error(fmt::format("{} ({} needed)", file_error("write", path, ENOSPC), human_bytes(bytes)));
}

using Write = std::function<void(std::span<const std::uint8_t>)>;

void copy(const TensorReader& tensor, const Write& write) {
  const std::size_t bytes = row_bytes(tensor.dtype(), tensor.shape());
  const auto rows = static_cast<std::size_t>(tensor.shape()[0]);
  const std::size_t step =
      std::clamp<std::size_t>(kBlockBytes / std::max<std::size_t>(bytes, 1), 1, rows + 1);
  std::vector<std::uint8_t> block(step * bytes);
  for (std::size_t r = 0; r < rows; r += step) {
    const std::size_t n = std::min(step, rows - r);
    tensor.read(r, n, block.data());
    write(bytes_of(block.data(), n * bytes));
  }
}

/// Gives the SHA-256 of the file.
std::string save_tensors(const fs::path& path, const Bundle& bundle) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, t] : bundle.tensors) entries.push_back({name, safetensors_type(t.dtype), t.shape});
  for (const auto& [name, t] : bundle.large)
    entries.push_back({name, safetensors_type(t->dtype()), t->shape()});
  const std::string header = begin_safetensors(entries);
  Sha256 hash;
  write_file_atomically(path, [&](int fd) {
    const Write write = [&](std::span<const std::uint8_t> bytes) {
      write_all(fd, bytes, path);
      hash.add(bytes.data(), bytes.size());
    };
    if (!bundle.large.empty()) reserve(fd, header.size() + entries.back().end, path);
    write(bytes_of(header.data(), header.size()));
    for (const auto& [name, t] : bundle.tensors) write(bytes_of(t.data, t.bytes()));
    for (const auto& [name, t] : bundle.large) copy(*t, write);
  });
  return hash.hex();
}

std::string sha256_of(const Value& facts) {
  const std::string text = facts.to_json();
  Sha256 hash;
  hash.add(text.data(), text.size());
  return hash.hex();
}

void require_digest(const fs::path& file, const std::string& got, const std::string& wanted) {
  if (got != wanted)
    throw Error(
        fmt::format("{}: changed since the run has written it: wanted the SHA-256 {}, got {}; bring it back, "
                    "or train the model again",
                    file.string(), wanted.empty() ? "that its facts have lost" : wanted, got));
}

void load_tensors(const fs::path& path, const std::set<std::string>& large, Bundle& bundle) {
  const auto file = std::make_shared<FileHandle>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!*file || ::fstat(file->get(), &info) != 0) throw Error(file_error("open", path, errno));
  const auto read = [&](void* to, std::size_t n, std::uint64_t offset) {
    if (read_at(file->get(), to, n, offset, path) != n) throw Error("it was cut off while it was read");
  };
  try {
    const auto size = static_cast<std::uint64_t>(info.st_size);
    std::uint64_t length = 0;
    if (!S_ISREG(info.st_mode) || size < sizeof length)
      throw Error("not a safetensors file: shorter than its header");
    read(&length, sizeof length, 0);
    if (length > size - sizeof length || length > kMaxSafetensorsHeader)
      throw Error("not a safetensors file: its header is longer than the file");
    std::string json(length, '\0');
    read(json.data(), length, sizeof length);
    const std::uint64_t data = sizeof length + length;
    for (const SafetensorsEntry& t : parse_safetensors_header(json, size - data).tensors) {
      const std::optional<DType> dtype = dtype_of_safetensors(t.dtype);
      if (!dtype)
        throw Error(fmt::format("tensor '{}' has type {}, expected U8, F16, F32 or I64", t.name, t.dtype));
      if (large.count(t.name) != 0 && !t.shape.empty()) {
        bundle.large[t.name] = std::make_shared<FileTensor>(file, path, data + t.begin, *dtype, t.shape);
        continue;
      }
      Tensor tensor = Tensor::allocate(*dtype, t.shape);
      read(tensor.data, tensor.bytes(), data + t.begin);
      bundle.tensors.emplace(t.name, std::move(tensor));
    }
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", path.string(), e.what()));
  }
}

std::set<std::string> large_of(const Value& facts) {
  std::set<std::string> names;
  const Value* list = facts.find(kLarge);
  if (list == nullptr) return names;
  for (const Value& name : list->as_list()) names.insert(name.as_string());
  return names;
}

}  // namespace

void save_bundle(const fs::path& folder, const Bundle& bundle) {
  make_folders(folder);
  const std::string weights = save_tensors(folder / kWeights, bundle);
  Value facts = bundle.facts;
  if (!bundle.large.empty()) {
    facts[kLarge] = Value::list();
    for (const auto& [name, t] : bundle.large) facts[kLarge].push(name);
  }
  // As a reader will see them: what is no number in JSON is null then.
  facts = Value::from_json(facts.to_json());
  const std::string digest = sha256_of(facts);
  facts[kSha256] = Value::Map{{"facts", digest}, {kWeights, weights}};
  write_file_atomically(folder / kFacts, facts.to_json_pretty());
}

Bundle load_bundle(const fs::path& folder) {
  Bundle bundle;
  const fs::path file = folder / kFacts;
  std::set<std::string> large;
  Value digests;
  bool has_digests = false;
  try {
    bundle.facts = Value::from_json(read_file(file));
    if (const Value* found = bundle.facts.find(kSha256)) {
      digests = *found;
      std::erase_if(bundle.facts.as_map(), [](const auto& fact) { return fact.first == kSha256; });
    }
    large = large_of(bundle.facts);
    const Value* format = bundle.facts.find(kFormatFact);
    has_digests = !digests.is_null() || (format != nullptr && *format == Value(kBundleFormat));
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
  if (has_digests) require_digest(file, sha256_of(bundle.facts), text_at(digests, {"facts"}));
  load_tensors(folder / kWeights, large, bundle);
  if (has_digests)
    require_digest(folder / kWeights, sha256_of_file(folder / kWeights), text_at(digests, {kWeights}));
  return bundle;
}

}  // namespace graft
