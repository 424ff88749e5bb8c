#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <graft/payload.h>

#include <network/testing/zip_writer.h>

namespace graft::test {

/// Writes what torch.save writes, in both formats, for tests: pieces of a pickle of protocol 2, put together
/// by the test, and the storages of the tensors among them.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(bool legacy = false) : legacy_(legacy) {}

  using Items = std::vector<std::pair<std::string, std::string>>;  ///< Key and value, both pieces.

  static std::string text(const std::string& value) { return "X" + word(value.size()) + value; }
  static std::string number(std::int64_t value) { return "J" + word(static_cast<std::size_t>(value)); }
  static std::string dict(const Items& items) { return "}(" + joined(items) + "u"; }
  /// A dict with text keys.
  static std::string map(const Items& items) {
    Items out;
    for (const auto& [key, value] : items) out.emplace_back(text(key), value);
    return dict(out);
  }
  /// An object as Python keeps one of a class: argparse.Namespace(**attributes).
  static std::string object(const std::string& module, const std::string& name, const Items& attributes) {
    return "c" + module + "\n" + name + "\n)\x81" + map(attributes) + "b";
  }
  /// A class as such, and a call of a function.
  static std::string global(const std::string& module, const std::string& name) {
    return "c" + module + "\n" + name + "\n";
  }
  static std::string call(const std::string& module, const std::string& name, const std::string& arguments) {
    return global(module, name) + "(" + arguments + "tR";
  }

  /// A tensor of float32 with a storage of its own.
  std::string tensor(const Tensor& t) {
    const std::string key = std::to_string(storages_.size());
    storages_.emplace_back(key, std::string(static_cast<const char*>(t.data), t.bytes()));
    std::string shape, strides;
    std::int64_t step = t.size();
    for (const std::int64_t extent : t.shape) {
      step /= extent > 0 ? extent : 1;
      shape += number(extent);
      strides += number(step);
    }
    return call("torch._utils", "_rebuild_tensor_v2",
                "(" + text("storage") + global("torch", "FloatStorage") + text(key) + text("cpu") +
                    number(t.size()) + (legacy_ ? "N" : "") + "tQ" + number(0) + "(" + shape + "t(" +
                    strides + "t\x89" + call("collections", "OrderedDict", ""));
  }

  /// A vector that is the whole of a storage, which others may be, too.
  static std::string view(const std::string& type, const std::string& key, std::int64_t elements) {
    return call("torch._utils", "_rebuild_tensor_v2",
                "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + number(elements) +
                    "tQ" + number(0) + "(" + number(elements) + "t(" + number(1) + "t\x89" +
                    call("collections", "OrderedDict", ""));
  }

  /// The file, with this value.
  std::string file(const std::string& root) const { return legacy_ ? old_format(root) : zip(root); }

 private:
  static std::string word(std::size_t n) {
    std::string out(4, '\0');
    for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(n >> (8 * i));
    return out;
  }
  static std::string joined(const Items& items) {
    std::string out;
    for (const auto& [key, value] : items) out += key + value;
    return out;
  }
  static std::string pickle(const std::string& value) { return "\x80\x02" + value + "."; }

  std::string zip(const std::string& root) const {
    std::vector<std::pair<std::string, std::string>> entries = {{"archive/data.pkl", pickle(root)}};
    for (const auto& [key, bytes] : storages_) entries.emplace_back("archive/data/" + key, bytes);
    entries.emplace_back("archive/version", "3\n");
    return make_zip(entries);
  }
  std::string old_format(const std::string& root) const {
    std::string out = pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickle(number(1001)) +
                      pickle(map({{"protocol_version", number(1001)}, {"little_endian", "\x88"}})) +
                      pickle(root);
    std::string keys = "](";
    for (const auto& [key, bytes] : storages_) keys += text(key);
    out += pickle(keys + "e");
    for (const auto& [key, bytes] : storages_) {
      const std::int64_t elements = static_cast<std::int64_t>(bytes.size() / sizeof(float));
      out.append(reinterpret_cast<const char*>(&elements), sizeof elements);
      out += bytes;
    }
    return out;
  }

  bool legacy_;
  std::vector<std::pair<std::string, std::string>> storages_;  ///< Key and bytes.
};

}  // namespace graft::test
