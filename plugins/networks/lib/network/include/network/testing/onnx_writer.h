#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <graft/payload.h>

namespace graft::test {

/// Writes ONNX models for tests, as protocol buffers.
class OnnxWriter {
 public:
  using Ints = std::vector<std::int64_t>;
  /// An attribute of a node.
  struct Setting {
    std::string name;
    std::variant<std::int64_t, float, std::string, Ints> value;
  };
  static Setting number(const std::string& name, std::int64_t value) { return {name, value}; }
  static Setting real(const std::string& name, float value) { return {name, value}; }
  static Setting text(const std::string& name, const std::string& value) { return {name, value}; }
  static Setting numbers(const std::string& name, Ints value) { return {name, std::move(value)}; }

  explicit OnnxWriter(std::int64_t opset = 17) : opset_(opset) {}

  /// Axes below 1 are free.
  void input(const std::string& name, const Ints& shape, std::int64_t type = 1) {
    graph_ += field(11, value(name, shape, type));
  }
  void output(const std::string& name) { graph_ += field(12, value(name, {}, 1)); }
  void weight(const std::string& name, const Ints& shape, const std::vector<float>& values) {
    std::string raw(values.size() * sizeof(float), '\0');
    std::memcpy(raw.data(), values.data(), raw.size());
    tensor(name, shape, 1, field(9, raw));
  }
  void integers(const std::string& name, const Ints& values) {
    std::string raw(values.size() * sizeof(std::int64_t), '\0');
    std::memcpy(raw.data(), values.data(), raw.size());
    tensor(name, {static_cast<std::int64_t>(values.size())}, 7, field(9, raw));
  }
  /// `content`: further fields of the tensor, where its elements or their place are.
  void tensor(const std::string& name, const Ints& shape, std::int64_t type, const std::string& content) {
    std::string out;
    for (const std::int64_t n : shape) out += field(1, n);
    graph_ += field(5, out + field(2, type) + field(8, name) + content);
  }
  void node(const std::string& op, const std::vector<std::string>& inputs,
            const std::vector<std::string>& outputs, const std::vector<Setting>& settings = {},
            const std::string& name = "", const std::string& domain = "") {
    std::string out;
    for (const std::string& one : inputs) out += field(1, one);
    for (const std::string& one : outputs) out += field(2, one);
    if (!name.empty()) out += field(3, name);
    out += field(4, op);
    for (const Setting& one : settings) out += field(5, attribute(one));
    if (!domain.empty()) out += field(7, domain);
    graph_ += field(1, out);
  }

  std::string bytes() const {
    return field(1, 8) + field(2, std::string("graft")) +
           field(8, field(1, std::string()) + field(2, opset_)) + field(7, graph_);
  }

  static std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80U);
    return out + static_cast<char>(value);
  }
  static std::string field(int number, const std::string& content) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(content.size()) + content;
  }
  static std::string field(int number, std::int64_t value) {
    return varint(static_cast<std::uint64_t>(number) << 3) + varint(static_cast<std::uint64_t>(value));
  }

 private:
  static std::string attribute(const Setting& setting) {
    std::string out = field(1, setting.name);
    if (const auto* n = std::get_if<std::int64_t>(&setting.value)) return out + field(3, *n) + field(20, 2);
    if (const auto* s = std::get_if<std::string>(&setting.value)) return out + field(4, *s) + field(20, 3);
    if (const auto* r = std::get_if<float>(&setting.value)) {
      std::string raw(sizeof(float), '\0');
      std::memcpy(raw.data(), r, raw.size());
      return out + varint(2U << 3 | 5) + raw + field(20, 1);
    }
    for (const std::int64_t n : std::get<Ints>(setting.value)) out += field(8, n);
    return out + field(20, 7);
  }
  static std::string value(const std::string& name, const Ints& shape, std::int64_t type) {
    std::string axes;
    for (const std::int64_t n : shape) axes += field(1, n < 1 ? field(2, std::string("n")) : field(1, n));
    return field(1, name) + field(2, field(1, field(1, type) + field(2, axes)));
  }

  std::int64_t opset_;
  std::string graph_;
};

}  // namespace graft::test
