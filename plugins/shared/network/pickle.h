#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace graft::nn {

/// A value of a pickle; values refer to one another by number, so that nothing here is ever recursive.
struct PickleValue {
  enum class Kind { None, Bool, Int, Float, Text, Tuple, List, Dict, Function, StorageType, Storage, Tensor };
  Kind kind = Kind::None;
  std::int64_t integer = 0;          ///< Bool, Int; Storage: its elements; Tensor: its offset in elements.
  std::string_view text;             ///< Text; StorageType: element type; Storage: its key.
  std::vector<std::uint32_t> items;  ///< Tuple, List; Dict: key, value, key, ...; Storage: its type;
                                     ///< Tensor: storage, shape, strides.
};

const char* to_string(PickleValue::Kind kind);

/// Reads the pickles that torch.save writes for a state_dict (protocols 2 to 5, PEP 307 and 3154) and nothing
/// else. A pickle is a program; this machine knows tensors, storages, OrderedDict, dict, list, tuple, texts
/// and numbers. It has no way to import or to call anything: a pickle that names something else is refused by
/// that name. Memory is bounded by kMaxBytes and kMaxValues. Throws Error without a file name.
class Pickle {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
  static constexpr std::size_t kMaxValues = 400'000;

  /// Runs the pickle at the beginning of `bytes`, which must outlive this object; there may be more behind
  /// it.
  explicit Pickle(std::string_view bytes);

  const PickleValue& root() const { return (*this)[root_]; }
  const PickleValue& operator[](std::uint32_t value) const { return values_[value]; }
  /// How many bytes the pickle has.
  std::size_t size() const { return at_; }

 private:
  using Id = std::uint32_t;

  void step(unsigned char opcode);
  std::string_view take(std::size_t n);
  std::uint64_t take_unsigned(std::size_t bytes);
  std::int64_t take_signed(std::uint64_t bytes);
  std::string_view take_line();

  void push(Id value);
  Id pop();
  PickleValue& top(PickleValue::Kind kind);
  std::vector<Id> pop_to_mark();
  Id make(PickleValue value);
  void make_text(std::string_view text);
  void make_sequence(PickleValue::Kind kind, std::vector<Id> items);
  void append(PickleValue::Kind kind, std::vector<Id> items);
  void remember(std::uint64_t index);
  void recall(std::uint64_t index);

  void import_name(std::string_view module, std::string_view name);
  void find_storage();
  void call();
  void rebuild_tensor(const std::vector<Id>& arguments);

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Id> memo_;
  Id root_ = 0;
};

}  // namespace graft::nn
