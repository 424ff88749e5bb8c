#include <graft/safetensors.h>

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <graft/error.h>
#include <graft/value.h>

namespace graft {
namespace {

using Json = nlohmann::json;

struct ElementType {
  const char* name;
  std::uint64_t bytes;
};
constexpr ElementType kElementTypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
                                         {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                                         {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};

/// NumPy's limit; more is not a tensor.
constexpr std::size_t kMaxRank = 32;

/// Builds the header while it is parsed: nothing but its own texts and numbers is ever held, however deep or
/// repetitive the JSON is, and a key that comes twice is seen.
class HeaderHandler final : public nlohmann::json_sax<Json> {
 public:
  SafetensorsHeader header;

  bool start_object(std::size_t) override {
    if (depth_ == 1 && in_entry_) {
      entry_ = {};
      entry_.name = key_;
      seen_ = {};
    } else if (depth_ > 1 || in_array_) {
      refuse("a map");
    }
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && in_entry_) {
      if (!seen_[Dtype] || !seen_[Extents] || !seen_[Offsets])
        throw Error(fmt::format("tensor '{}' lacks dtype, shape or data_offsets", entry_.name));
      header.tensors.push_back(std::move(entry_));
    }
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ == 1) {
      key_ = name;
      in_entry_ = name != "__metadata__";
      if (!names_.insert(name).second) throw Error(fmt::format("the name '{}' comes twice", name));
      return true;
    }
    field_ = name;
    if (!in_entry_) return true;
    const auto known = std::find(std::begin(kFields), std::end(kFields), name);
    if (known == std::end(kFields))
      throw Error(fmt::format("tensor '{}' has the unknown key '{}'", entry_.name, name));
    bool& seen = seen_[static_cast<std::size_t>(known - std::begin(kFields))];
    if (seen) throw Error(fmt::format("tensor '{}' has the key '{}' twice", entry_.name, name));
    seen = true;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_array_ || !in_entry_ || field_ == kFields[Dtype]) refuse("a list");
    in_array_ = true;
    offsets_ = 0;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    if (field_ == kFields[Offsets] && offsets_ != 2)
      throw Error(fmt::format("tensor '{}': expected two data_offsets, got {}", entry_.name, offsets_));
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && !in_entry_)
      header.metadata.emplace_back(field_, text);
    else if (depth_ == 2 && !in_array_ && field_ == kFields[Dtype])
      entry_.dtype = text;
    else
      refuse("a text");
    return true;
  }
  bool number_unsigned(Json::number_unsigned_t value) override {
    if (!in_array_ || value > std::uint64_t{INT64_MAX}) refuse("a number");
    if (field_ == kFields[Extents]) {
      if (entry_.shape.size() == kMaxRank)
        throw Error(fmt::format("tensor '{}' has more than {} dimensions", entry_.name, kMaxRank));
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (++offsets_ <= 2) {
      (offsets_ == 1 ? entry_.begin : entry_.end) = value;
    }
    return true;
  }
  bool number_integer(Json::number_integer_t) override { return refuse("a negative number"); }
  bool number_float(Json::number_float_t, const std::string&) override { return refuse("a fraction"); }
  bool boolean(bool) override { return refuse("a boolean"); }
  bool null() override { return refuse("null"); }
  bool binary(Json::binary_t&) override { return refuse("binary data"); }
  bool parse_error(std::size_t at, const std::string&, const Json::exception&) override {
    throw Error(fmt::format("its header is not valid JSON at byte {}", at));
  }

 private:
  enum Field { Dtype, Extents, Offsets };
  static constexpr std::array<std::string_view, 3> kFields{"dtype", "shape", "data_offsets"};

  [[noreturn]] bool refuse(const char* got) const {
    if (depth_ == 0) throw Error(fmt::format("its header is {}, expected a map of tensors", got));
    throw Error(fmt::format("{} where the header's '{}' does not have one", got,
                            depth_ == 1 ? key_ : key_ + "." + field_));
  }

  std::size_t depth_ = 0, offsets_ = 0;
  bool in_entry_ = false, in_array_ = false;
  std::string key_, field_;
  std::set<std::string> names_;
  SafetensorsEntry entry_;
  std::array<bool, 3> seen_{};
};

void check_range(const SafetensorsEntry& t, std::uint64_t data_bytes) {
  const auto type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                 [&](const ElementType& e) { return t.dtype == e.name; });
  if (t.begin > t.end || t.end > data_bytes)
    throw Error(fmt::format("tensor '{}' lies at bytes {} to {}, the file has {}: it is truncated or damaged",
                            t.name, t.begin, t.end, data_bytes));
  // One of a newer type, of 4 bits for example: whoever wants the tensor refuses the type.
  if (type == std::end(kElementTypes)) return;
  // Extents of nothing may not multiply to more than can be counted either.
  std::uint64_t bytes = type->bytes, most = data_bytes;
  const bool empty = std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end();
  if (empty) most = std::uint64_t{INT64_MAX};
  for (const std::int64_t extent : t.shape) {
    if (extent == 0) continue;
    if (bytes > most / static_cast<std::uint64_t>(extent))
      throw Error(
          fmt::format("tensor '{}' has shape {}, more than the file holds", t.name, to_string(t.shape)));
    bytes *= static_cast<std::uint64_t>(extent);
  }
  if (empty) bytes = 0;
  if (t.end - t.begin != bytes)
    throw Error(fmt::format("tensor '{}': {} of shape {} needs {} bytes, its range has {}", t.name, t.dtype,
                            to_string(t.shape), bytes, t.end - t.begin));
}

struct TypeName {
  DType dtype;
  const char* name;
};
constexpr TypeName kTypes[] = {
    {DType::U8, "U8"}, {DType::F16, "F16"}, {DType::F32, "F32"}, {DType::I64, "I64"}};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes) {
  HeaderHandler handler;
  Json::sax_parse(json, &handler);
  SafetensorsHeader header = std::move(handler.header);
  for (const SafetensorsEntry& t : header.tensors) check_range(t, data_bytes);
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  std::uint64_t next = 0;
  for (const SafetensorsEntry& t : header.tensors) {
    if (t.begin != next)
      throw Error(fmt::format("tensor '{}' does not begin where the one before ends", t.name));
    next = t.end;
  }
  if (next != data_bytes) throw Error(fmt::format("{} bytes belong to no tensor", data_bytes - next));
  return header;
}

const char* safetensors_type(DType dtype) {
  return std::find_if(std::begin(kTypes), std::end(kTypes),
                      [&](const TypeName& t) { return t.dtype == dtype; })
      ->name;
}

std::optional<DType> dtype_of_safetensors(std::string_view type) {
  for (const TypeName& known : kTypes)
    if (known.name == type) return known.dtype;
  return {};
}

std::string begin_safetensors(std::vector<SafetensorsEntry>& tensors) {
  Value header = Value::map();
  std::uint64_t offset = 0;
  for (SafetensorsEntry& t : tensors) {
    const DType dtype = dtype_of_safetensors(t.dtype).value();
    t.begin = offset;
    t.end = offset += static_cast<std::uint64_t>(elements(t.shape)) * size_of(dtype);
    Value& entry = header[t.name];
    entry["dtype"] = t.dtype;
    entry["shape"] = Value::list();
    for (const std::int64_t e : t.shape) entry["shape"].push(e);
    entry["data_offsets"] = Value(Value::List{Value(t.begin), Value(t.end)});
  }
  std::string json = header.to_json();
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + json;
}

std::string to_safetensors(const std::map<std::string, Tensor>& tensors) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, t] : tensors) entries.push_back({name, safetensors_type(t.dtype), t.shape});
  std::string out = begin_safetensors(entries);
  for (const auto& [name, t] : tensors) out.append(static_cast<const char*>(t.data), t.bytes());
  return out;
}

}  // namespace graft
