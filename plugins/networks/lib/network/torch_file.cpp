// The two formats of torch.save: since PyTorch 1.6 a zip archive of a pickle (`NAME/data.pkl`) and one file
// per storage (`NAME/data/KEY`), before that five pickles and the storages one after another
// (torch/serialization.py, _save and _legacy_save).

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>

#include <network/pickle.h>
#include <network/state_dict.h>
#include "foreign_file.h"
#include "printable.h"
#include "strided_copy.h"
#include "weight_formats.h"
#include "zip_reader.h"

namespace graft::nn {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;  // a multiple of every element's size
constexpr const char* kBigEndian =
    "was saved on a big-endian machine: expected little-endian numbers; save the weights there as "
    "safetensors, "
    "whose numbers are the same everywhere";

/// The tensors that are wanted of one storage, filled while it passes by.
struct Stream {
  const ElementType* type;
  std::int64_t size, at = 0;  ///< Elements.
  std::vector<StridedCopy> copies;

  std::uint64_t bytes() const { return static_cast<std::uint64_t>(size) * type->bytes; }
  void feed(const std::byte* block, std::size_t n) {
    const auto count = static_cast<std::int64_t>(n / type->bytes);
    for (StridedCopy& copy : copies) copy.feed(*type, block, at, count);
    at += count;
  }
};
using Streams = std::map<std::string, Stream>;  // by the storage's key

class TorchFile : public WeightFile {
 protected:
  using WeightFile::WeightFile;

  void set_tensors(StateDict stored) {
    stored_ = std::move(stored.tensors);
    taken_ = std::move(stored.taken);
    unusable_ = std::move(stored.unusable);
    std::map<std::string_view, const StoredTensor*> by_key;
    for (const StoredTensor& t : stored_) {
      const StoredTensor& first = *by_key.emplace(t.storage, &t).first->second;
      if (first.type != t.type || first.storage_size != t.storage_size)
        fail(fmt::format("tensors '{}' and '{}' do not agree on their storage", printable(first.name),
                         printable(t.name)));
    }
    for (const StoredTensor& t : stored_) tensors_.push_back({t.name, t.type->name, t.shape});
    index_names();
  }
  /// Feeds every stream with the whole of its storage.
  virtual void feed(Streams& streams) const = 0;

  std::vector<StoredTensor> stored_;

 private:
  void read_into(const Wanted& wanted) const override {
    Streams streams;
    for (const auto& [index, out] : wanted) {
      const StoredTensor& t = stored_[index];
      Stream& stream = streams.try_emplace(t.storage, Stream{t.type, t.storage_size, 0, {}}).first->second;
      try {
        stream.copies.emplace_back(out, t.shape, t.strides, t.offset);
      } catch (const Error& fault) {
        fail(fmt::format("tensor '{}' {}", t.name, fault.what()));
      }
    }
    feed(streams);
    for (const auto& [key, stream] : streams)
      if (stream.at != stream.size || !std::all_of(stream.copies.begin(), stream.copies.end(),
                                                   [](const StridedCopy& c) { return c.done(); }))
        fail(fmt::format("storage '{}' has {} of its {} elements: the file is damaged; copy it again",
                         printable(key), stream.at, stream.size));
  }
};

/// The part after the archive's top folder, whose name is free.
std::string_view below_top(std::string_view name) {
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
}

/// Of a TorchScript archive that holds a network which is known: its weights, and nothing of its code. Empty
/// for any other.
StateDict weights_of_script(const std::string& pickle) {
  try {
    StateDict found = state_dict_of_script(Pickle(pickle, Pickle::Attributes::Kept));
    if (!is_clip_of_openai(found)) return {};
    found.taken = "a TorchScript archive, of which the weights alone are used: nothing in it is executed";
    return found;
  } catch (const Error&) {
    return {};
  }
}

class TorchZip final : public TorchFile {
 public:
  explicit TorchZip(std::unique_ptr<InputFile> file) : TorchFile(std::move(file), "PyTorch state_dict") {
    ZipReader zip(*file_);
    std::map<std::string, std::uint64_t> storages;  // key -> bytes
    std::vector<std::string> names;                 // of the first entries
    std::string pickle;
    bool has_pickle = false, is_script = false;
    while (zip.next()) {
      const std::string_view name = below_top(zip.entry().name);
      if (names.size() < 100) names.push_back(zip.entry().name);
      if (name == "constants.pkl" || name.starts_with("code/")) is_script = true;
      if (name == "data.pkl") {
        if (has_pickle) fail("has two entries data.pkl");
        has_pickle = true;
        pickle = read_entry(zip, Pickle::kMaxBytes);
      } else if (name == "byteorder") {
        if (read_entry(zip, 16) != "little") fail(kBigEndian);
      } else if (name.starts_with("data/")) {
        if (!storages.emplace(name.substr(5), zip.entry().size).second)
          fail(fmt::format("has two entries '{}'", printable(name)));
      }
    }
    if (const std::string other = foreign_zip(names); !has_pickle && !other.empty()) fail(other);
    if (!has_pickle)
      fail("is a zip archive without a data.pkl: expected a state_dict of torch.save, or a safetensors file");
    StateDict stored;
    if (is_script) stored = weights_of_script(pickle);
    if (is_script && stored.tensors.empty())
      fail(
          "is a TorchScript archive, which is code and no weights; give it as the model of backbone "
          "(`model:`) if you trust it, or save model.state_dict()");
    if (!is_script) try {
        stored = state_dict_of(Pickle(pickle));
      } catch (const Error& fault) {
        fail(fault.what());
      }
    set_tensors(std::move(stored));
    for (const StoredTensor& t : stored_) {
      const auto storage = storages.find(t.storage);
      const std::uint64_t got = storage == storages.end() ? 0 : storage->second;
      // The size comes from a file: it is compared by division, which cannot overflow.
      if (storage == storages.end() || got / t.type->bytes != static_cast<std::uint64_t>(t.storage_size) ||
          got % t.type->bytes != 0)
        fail(fmt::format(
            "tensor '{}' needs {} elements of {} in data/{}, which has {} bytes: the file is damaged or "
            "hostile",
            t.name, t.storage_size, t.type->name, printable(t.storage), got));
    }
  }

 private:
  void feed(Streams& streams) const override {
    ZipReader zip(*file_);
    std::vector<std::byte> block(kBlock);
    while (zip.next()) {
      const std::string_view name = below_top(zip.entry().name);
      if (!name.starts_with("data/")) continue;
      const auto stream = streams.find(std::string(name.substr(5)));
      if (stream == streams.end()) continue;
      while (const std::size_t n = zip.read(block.data(), block.size())) stream->second.feed(block.data(), n);
    }
  }
};

class TorchLegacy final : public TorchFile {
 public:
  explicit TorchLegacy(std::unique_ptr<InputFile> file)
      : TorchFile(std::move(file), "PyTorch state_dict (old format)") {
    const std::string start = file_->read_some(0, 2 * Pickle::kMaxBytes);
    std::string_view rest = std::string_view(start).substr(legacy_magic_size(start));
    const auto next = [&]() -> Pickle {
      try {
        Pickle pickle(rest);
        rest.remove_prefix(pickle.size());
        return pickle;
      } catch (const Error& fault) {
        fail(fault.what());
      }
    };
    next();  // the version of the format: only one was ever written
    check_byte_order(next());
    const Pickle state_dict = next(), keys = next();
    StateDict stored;
    try {
      stored = state_dict_of(state_dict);
    } catch (const Error& fault) {
      fail(fault.what());
    }
    set_tensors(std::move(stored));
    find_storages(state_dict, keys, start.size() - rest.size());
  }

 private:
  void check_byte_order(const Pickle& machine) const {
    const PickleValue& facts = machine.root();
    for (std::size_t i = 0; i + 1 < facts.items.size(); i += 2)
      if (machine[facts.items[i]].text == "little_endian" && machine[facts.items[i + 1]].integer == 0)
        fail(kBigEndian);
  }

  /// A storage that the pickle refers to: of the weights, or of what else the checkpoint has.
  struct Storage {
    std::int64_t size;  ///< Elements.
    const ElementType* type;
  };
  static std::map<std::string_view, Storage> storages_in(const Pickle& pickle) {
    std::map<std::string_view, Storage> out;
    for (const PickleValue& value : pickle.values())
      if (value.kind == PickleValue::Kind::Storage)
        out.emplace(value.text, Storage{value.integer, element_type(pickle[value.items[0]].text)});
    return out;
  }

  /// Each storage is the number of its elements (i64) and their bytes. Storages of an optimiser's tensors and
  /// the like are skipped.
  void find_storages(const Pickle& checkpoint, const Pickle& keys, std::uint64_t at) {
    const std::map<std::string_view, Storage> known = storages_in(checkpoint);
    for (const std::uint32_t id : keys.root().items) {
      const std::string key(keys[id].text);
      const auto found = known.find(key);
      if (found == known.end())
        fail(fmt::format(
            "has a storage '{}' of an unknown type, so the storages after it cannot be found; save "
            "model.state_dict() itself",
            printable(key)));
      std::int64_t size = 0;
      file_->read(at, &size, sizeof size);
      at += sizeof size;
      const Storage& wanted = found->second;
      if (size != wanted.size || at > bytes() ||
          static_cast<std::uint64_t>(size) > (bytes() - at) / wanted.type->bytes)
        fail(
            fmt::format("storage '{}' has {} elements where {} are wanted and {} bytes are left: the file is "
                        "truncated or damaged; copy it again",
                        printable(key), size, wanted.size, at > bytes() ? 0 : bytes() - at));
      if (!places_.emplace(key, at).second) fail(fmt::format("has storage '{}' twice", printable(key)));
      at += static_cast<std::uint64_t>(size) * wanted.type->bytes;
    }
    for (const StoredTensor& tensor : stored_)
      if (places_.count(tensor.storage) == 0)
        fail(fmt::format("tensor '{}' has no storage: the file is damaged", tensor.name));
    for (const StoredTensor& tensor : stored_)
      if (known.at(tensor.storage).type != tensor.type)
        fail(fmt::format("tensor '{}' has a storage of two types: the file is damaged", tensor.name));
  }

  void feed(Streams& streams) const override {
    std::vector<std::byte> block(kBlock);
    for (auto& [key, stream] : streams) {
      const std::uint64_t begin = places_.at(key);
      for (std::uint64_t done = 0; done < stream.bytes();) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, stream.bytes() - done));
        file_->read(begin + done, block.data(), n);
        stream.feed(block.data(), n);
        done += n;
      }
    }
  }

  std::map<std::string, std::uint64_t> places_;  ///< Key of a storage -> offset of its bytes in the file.
};

}  // namespace

std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<InputFile> file) {
  return std::make_unique<TorchZip>(std::move(file));
}

std::unique_ptr<WeightFile> open_torch_legacy(std::unique_ptr<InputFile> file) {
  return std::make_unique<TorchLegacy>(std::move(file));
}

std::optional<TorchScriptContents> inspect_torchscript(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.read_some(0, kZipMagic.size()) != kZipMagic) return {};
  ZipReader zip(file);
  TorchScriptContents contents;
  bool is_script = false;
  std::string pickle;
  while (zip.next()) {
    const std::string_view name = below_top(zip.entry().name);
    if (name == "data.pkl" && pickle.empty() && zip.entry().size <= Pickle::kMaxBytes)
      pickle = read_entry(zip, Pickle::kMaxBytes);
    if (name == "constants.pkl") is_script = true;
    if (name.starts_with("code/") && name.ends_with(".py")) {
      is_script = true;
      contents.code.emplace_back(printable(name), zip.entry().size);
    }
    if (name.starts_with("data/") || name.starts_with("constants/")) {
      ++contents.tensors;
      contents.tensor_bytes += zip.entry().size;
    }
  }
  if (!is_script || !weights_of_script(pickle).tensors.empty()) return {};
  return contents;
}

void require_whole_torchscript(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.read_some(0, kZipMagic.size()) != kZipMagic)
    throw Error(fmt::format(
        "{}: expected a TorchScript archive, got a file that is no zip archive; export the model with "
        "torch.jit.script or torch.jit.trace and .save(), or copy the file again",
        path.string()));
  // Code is compressed, and may be more than the rest of a file.
  ZipReader zip(file, std::numeric_limits<std::uint64_t>::max());
  std::vector<char> block(std::size_t{64} << 10);
  while (zip.next())
    while (zip.read(block.data(), block.size()) > 0) {
    }
}

}  // namespace graft::nn
