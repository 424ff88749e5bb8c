#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace graft::nn {

/// A value of a pickle; values refer to one another by number, so that nothing here is ever recursive.
struct PickleValue {
  enum class Kind {
    None,
    Bool,
    Int,
    Float,
    Text,
    Tuple,
    List,
    Dict,
    Function,
    StorageType,
    Storage,
    Tensor,
    Object  ///< Of a class that this machine does not know, or that class itself; never made, never called.
  };
  static constexpr std::int64_t kModel = 1;
  Kind kind = Kind::None;
  std::int64_t integer = 0;  ///< Bool, Int; Storage: its elements; Tensor: its offset in elements; Object:
                             ///< kModel where it has the attributes of a torch.nn.Module.
  std::string_view text;     ///< Text; StorageType: element type; Storage: its key; Object: "module.name".
  std::vector<std::uint32_t> items;  ///< Tuple, List; Dict: key, value, key, ...; Storage: its type;
                                     ///< Tensor: storage, shape, strides; Object: as Dict, what was put in.
};

const char* to_string(PickleValue::Kind kind);

/// Reads the pickles that torch.save writes for weights and checkpoints (protocols 2 to 5, PEP 307 and 3154).
/// A pickle is a program; this machine knows tensors, storages, OrderedDict, dict, list, tuple, texts and
/// numbers. It cannot import or call anything: anything else that a pickle names becomes an Object, of which
/// only that name is known, and, where they are wanted, its attributes. Memory is bounded by kMaxBytes,
/// kMaxValues and kMaxNames. Throws Error without a file name.
class Pickle {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
  static constexpr std::size_t kMaxValues = 400'000;
  static constexpr std::size_t kMaxNames = 1000;  ///< Of classes that are not known.

  /// What is kept of the attributes of an Object: nothing, or all, as if they had been put in.
  enum class Attributes { Dropped, Kept };

  /// Runs the pickle at the beginning of `bytes`, which must outlive this object; there may be more after
  /// it.
  explicit Pickle(std::string_view bytes, Attributes attributes = Attributes::Dropped);
  Pickle(Pickle&&) = default;

  const PickleValue& root() const { return (*this)[root_]; }
  const PickleValue& operator[](std::uint32_t value) const { return values_[value]; }
  /// Every value that the pickle makes, also those that the root does not lead to.
  const std::vector<PickleValue>& values() const { return values_; }
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
  /// The last value on the stack since the last mark. With a kind, throw Error for a value of another one.
  Id peek() const;
  PickleValue& peek(PickleValue::Kind kind);
  Id pop();
  const PickleValue& pop(PickleValue::Kind kind);
  std::vector<Id> pop_to_mark();
  Id make(PickleValue value);
  void make_text(std::string_view text);
  void make_sequence(PickleValue::Kind kind, std::vector<Id> items);
  void append(PickleValue::Kind kind, std::vector<Id> items);
  void make_object(std::string_view name);
  void remember(std::uint64_t index);
  void recall(std::uint64_t index);

  void import_name(std::string_view module, std::string_view name);
  void find_storage();
  void call();
  void call_new(bool with_keywords);
  void set_attributes();
  void rebuild_tensor(const std::vector<Id>& arguments);
  void rebuild_from_type(const std::vector<Id>& arguments);

  std::string_view bytes_;
  Attributes attributes_;
  std::size_t at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Id> memo_;
  std::set<std::string, std::less<>> names_;  ///< Of objects; nodes, so that they stay where they are.
  Id root_ = 0;
};

}  // namespace graft::nn
