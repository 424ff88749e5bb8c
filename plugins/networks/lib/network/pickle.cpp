#include <network/pickle.h>

#include <array>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "printable.h"

namespace graft::nn {
namespace {

using Kind = PickleValue::Kind;

/// The functions that a state_dict calls; PickleValue::integer of a Function.
enum Function : std::int64_t { OrderedDict, RebuildTensor, RebuildParameter, RebuildFromType };

struct Known {
  std::string_view module, name;
  Kind kind;
  std::int64_t function;
  std::string_view element;
};
constexpr Known kKnown[] = {
    {"collections", "OrderedDict", Kind::Function, OrderedDict, {}},
    {"torch._utils", "_rebuild_tensor_v2", Kind::Function, RebuildTensor, {}},
    {"torch._utils", "_rebuild_tensor", Kind::Function, RebuildTensor, {}},
    {"torch._utils", "_rebuild_parameter", Kind::Function, RebuildParameter, {}},
    {"torch._utils", "_rebuild_parameter_with_state", Kind::Function, RebuildParameter, {}},
    {"torch._tensor", "_rebuild_from_type_v2", Kind::Function, RebuildFromType, {}},
    {"torch", "DoubleStorage", Kind::StorageType, 0, "F64"},
    {"torch", "FloatStorage", Kind::StorageType, 0, "F32"},
    {"torch", "HalfStorage", Kind::StorageType, 0, "F16"},
    {"torch", "BFloat16Storage", Kind::StorageType, 0, "BF16"},
    {"torch", "LongStorage", Kind::StorageType, 0, "I64"},
    {"torch", "IntStorage", Kind::StorageType, 0, "I32"},
    {"torch", "ShortStorage", Kind::StorageType, 0, "I16"},
    {"torch", "CharStorage", Kind::StorageType, 0, "I8"},
    {"torch", "ByteStorage", Kind::StorageType, 0, "U8"},
    {"torch", "BoolStorage", Kind::StorageType, 0, "BOOL"},
    {"torch", "ComplexFloatStorage", Kind::StorageType, 0, "C64"},
    {"torch", "ComplexDoubleStorage", Kind::StorageType, 0, "C128"},
};

/// Opcodes that look up other objects, or belong to protocols 0 and 1.
constexpr std::pair<unsigned char, const char*> kRefused[] = {
    {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"}, {'i', "INST"}, {'o', "OBJ"}, {'P', "PERSID"}};

const char* refused_name(unsigned char opcode) {
  for (const auto& [known, name] : kRefused)
    if (known == opcode) return name;
  return "unknown";
}

/// NumPy's limit; more is not a tensor.
constexpr std::size_t kMaxRank = 32;

// Values that need no memory of their own, by number.
constexpr std::uint32_t kNone = 0, kFalse = 1, kTrue = 2, kEmptyTuple = 3;

}  // namespace

const char* to_string(Kind kind) {
  static constexpr const char* kNames[] = {
      "None",   "a boolean",  "a whole number", "a number",  "a text",   "a tuple",  "a list",
      "a dict", "a function", "a storage type", "a storage", "a tensor", "an object"};
  return kNames[static_cast<int>(kind)];
}

Pickle::Pickle(std::string_view bytes, Attributes attributes)
    : bytes_(bytes.substr(0, kMaxBytes)), attributes_(attributes) {
  for (const auto& [kind, integer] : {std::pair(Kind::None, 0), std::pair(Kind::Bool, 0),
                                      std::pair(Kind::Bool, 1), std::pair(Kind::Tuple, 0)})
    make({kind, integer, {}, {}});
  for (;;) {
    const auto opcode = static_cast<unsigned char>(take(1)[0]);
    if (opcode == '.') break;
    step(opcode);
  }
  root_ = pop();
  if (!stack_.empty() || !marks_.empty()) throw Error("its pickle leaves more than one value");
}

void Pickle::step(unsigned char opcode) {
  switch (opcode) {
    case 0x80: {  // PROTO
      const std::uint64_t protocol = take_unsigned(1);
      if (protocol < 2 || protocol > 5)
        throw Error(fmt::format("its pickle has protocol {}, expected 2 to 5", protocol));
      return;
    }
    case 0x95:  // FRAME: only a hint for reading ahead
      take(8);
      return;
    case '(':
      if (marks_.size() >= kMaxValues) throw Error("its pickle nests too deep");
      marks_.push_back(stack_.size());
      return;
    case '0':
      pop();
      return;
    case '1':
      pop_to_mark();
      return;
    case '2':
      return push(peek());
    case 'N':
      return push(kNone);
    case 0x88:
      return push(kTrue);
    case 0x89:
      return push(kFalse);
    case ')':
      return push(kEmptyTuple);
    case 'J':
      return push(make({Kind::Int, take_signed(4), {}, {}}));
    case 'K':
      return push(make({Kind::Int, static_cast<std::int64_t>(take_unsigned(1)), {}, {}}));
    case 'M':
      return push(make({Kind::Int, static_cast<std::int64_t>(take_unsigned(2)), {}, {}}));
    case 0x8a: {  // LONG1; what is too long is the state of some random generator.
      const std::uint64_t bytes = take_unsigned(1);
      if (bytes > 8) return take(bytes), push(make({Kind::Float, 0, {}, {}}));
      return push(make({Kind::Int, take_signed(bytes), {}, {}}));
    }
    case 0x8b:  // LONG4
      return push(make({Kind::Int, take_signed(take_unsigned(4)), {}, {}}));
    case 'G':
      take(8);
      return push(make({Kind::Float, 0, {}, {}}));
    case 'U':   // SHORT_BINSTRING
    case 0x8c:  // SHORT_BINUNICODE
    case 'C':   // SHORT_BINBYTES
      return make_text(take(take_unsigned(1)));
    case 'T':  // BINSTRING
    case 'X':  // BINUNICODE
    case 'B':  // BINBYTES
      return make_text(take(take_unsigned(4)));
    case 0x8d:  // BINUNICODE8
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return make_text(take(take_unsigned(8)));
    case 't':
      return make_sequence(Kind::Tuple, pop_to_mark());
    case 'l':
    case 0x91:  // FROZENSET
      return make_sequence(Kind::List, pop_to_mark());
    case 'd':
      return make_sequence(Kind::Dict, pop_to_mark());
    case 0x85:  // TUPLE1, TUPLE2, TUPLE3
    case 0x86:
    case 0x87: {
      std::vector<Id> items(opcode - 0x84u);
      for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
      return make_sequence(Kind::Tuple, std::move(items));
    }
    case ']':
    case 0x8f:  // EMPTY_SET
      return make_sequence(Kind::List, {});
    case '}':
      return make_sequence(Kind::Dict, {});
    case 'a': {
      const Id value = pop();
      return append(Kind::List, {value});
    }
    case 'e':
    case 0x90:  // ADDITEMS
      return append(Kind::List, pop_to_mark());
    case 's': {
      const Id value = pop(), key = pop();
      return append(Kind::Dict, {key, value});
    }
    case 'u':
      return append(Kind::Dict, pop_to_mark());
    case 'q':
      return remember(take_unsigned(1));
    case 'r':
      return remember(take_unsigned(4));
    case 0x94:  // MEMOIZE
      return remember(memo_.size());
    case 'h':
      return recall(take_unsigned(1));
    case 'j':
      return recall(take_unsigned(4));
    case 'c': {
      const std::string_view module = take_line(), name = take_line();
      return import_name(module, name);
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string_view name = pop(Kind::Text).text, module = pop(Kind::Text).text;
      return import_name(module, name);
    }
    case 'Q':
      return find_storage();
    case 'R':
      return call();
    case 0x81:  // NEWOBJ, NEWOBJ_EX
      return call_new(false);
    case 0x92:
      return call_new(true);
    case 'b':
      return set_attributes();
    default:
      throw Error(
          fmt::format("its pickle has the opcode 0x{:02x} ({}) at byte {}, which no weights need; nothing "
                      "was executed; save the model's state_dict() again",
                      opcode, refused_name(opcode), at_ - 1));
  }
}

std::string_view Pickle::take(std::size_t n) {
  if (n > bytes_.size() - at_)
    throw Error(
        bytes_.size() == kMaxBytes
            ? fmt::format("its pickle is longer than {} bytes: names and sizes of tensors need less, so "
                          "it has values itself, such as NumPy arrays; save tensors, in "
                          "Python: torch.from_numpy(array)",
                          kMaxBytes)
            : fmt::format("its pickle ends early, at byte {}", bytes_.size()));
  at_ += n;
  return bytes_.substr(at_ - n, n);
}

std::uint64_t Pickle::take_unsigned(std::size_t n) {
  std::uint64_t value = 0;
  const std::string_view digits = take(n);
  for (std::size_t i = 0; i < n; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
  return value;
}

std::int64_t Pickle::take_signed(std::uint64_t n) {
  if (n > 8)
    throw Error(fmt::format("its pickle has a number of {} bytes at byte {}, expected at most 8", n, at_));
  if (n == 0) return 0;
  const int unused = 64 - 8 * static_cast<int>(n);
  return std::bit_cast<std::int64_t>(take_unsigned(n) << unused) >> unused;
}

std::string_view Pickle::take_line() {
  constexpr std::size_t kLongest = 256;
  const std::size_t length = bytes_.substr(at_, kLongest).find('\n');
  if (length == std::string_view::npos)
    throw Error(fmt::format("its pickle ends or has a name without end at byte {}", at_));
  return take(length + 1).substr(0, length);
}

void Pickle::push(Id value) {
  if (stack_.size() >= kMaxValues)
    throw Error(fmt::format("its pickle holds more than {} values", kMaxValues));
  stack_.push_back(value);
}

Pickle::Id Pickle::peek() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
    throw Error(fmt::format("its pickle takes a missing value at byte {}", at_));
  return stack_.back();
}

Pickle::Id Pickle::pop() {
  const Id value = peek();
  stack_.pop_back();
  return value;
}

PickleValue& Pickle::peek(Kind kind) {
  PickleValue& value = values_[peek()];
  if (value.kind != kind)
    throw Error(fmt::format("its pickle has {} where {} must be at byte {}; nothing was executed",
                            to_string(value.kind), to_string(kind), at_));
  return value;
}

const PickleValue& Pickle::pop(Kind kind) {
  const PickleValue& value = peek(kind);
  stack_.pop_back();
  return value;
}

std::vector<Pickle::Id> Pickle::pop_to_mark() {
  if (marks_.empty()) throw Error(fmt::format("its pickle takes values that are not there at byte {}", at_));
  const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Id> items(from, stack_.end());
  stack_.erase(from, stack_.end());
  marks_.pop_back();
  return items;
}

Pickle::Id Pickle::make(PickleValue value) {
  if (values_.size() >= kMaxValues)
    throw Error(fmt::format("its pickle holds more than {} values", kMaxValues));
  values_.push_back(std::move(value));
  return static_cast<Id>(values_.size() - 1);
}

void Pickle::make_text(std::string_view text) {
  push(make({Kind::Text, 0, text, {}}));
}

void Pickle::make_sequence(Kind kind, std::vector<Id> items) {
  push(make({kind, 0, {}, {}}));
  if (kind == Kind::Tuple)
    values_.back().items = std::move(items);
  else
    append(kind, std::move(items));
}

void Pickle::append(Kind kind, std::vector<Id> items) {
  if (kind == Kind::Dict && items.size() % 2 != 0) throw Error("its pickle has a key without a value");
  PickleValue& value = values_[peek()];
  if (value.kind == Kind::Object && kind == Kind::List) return;
  std::vector<Id>& to = value.kind == Kind::Object ? value.items : peek(kind).items;
  to.insert(to.end(), items.begin(), items.end());
}

void Pickle::make_object(std::string_view name) {
  push(make({Kind::Object, 0, name, {}}));
}

void Pickle::remember(std::uint64_t index) {
  if (memo_.size() >= kMaxValues)
    throw Error(fmt::format("its pickle remembers more than {} values", kMaxValues));
  memo_[index] = peek();
}

void Pickle::recall(std::uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end())
    throw Error(fmt::format("its pickle recalls value {}, which it never made", index));
  push(found->second);
}

void Pickle::import_name(std::string_view module, std::string_view name) {
  for (const Known& known : kKnown)
    if (known.module == module && known.name == name)
      return push(make({known.kind, known.function, known.element, {}}));
  constexpr std::size_t kLongest = 256;
  if (module.size() > kLongest || name.size() > kLongest)
    throw Error(fmt::format("its pickle names a class with more than {} characters", kLongest));
  if (names_.size() >= kMaxNames)
    throw Error(fmt::format("its pickle names more than {} classes", kMaxNames));
  make_object(*names_.insert(printable(module) + "." + printable(name)).first);
}

/// BINPERSID: ("storage", type, key, device, elements), in old files with a view after, which must be None;
/// ("module", class, file, source) of a whole model in an old file.
void Pickle::find_storage() {
  const std::vector<Id>& id = pop(Kind::Tuple).items;
  if (id.size() == 4 && values_[id[0]].text == "module" && values_[id[1]].kind == Kind::Object)
    return push(id[1]);
  if (id.size() >= 5 && values_[id[1]].kind == Kind::Object) return push(id[1]);  // of another type
  const bool fits = (id.size() == 5 || (id.size() == 6 && values_[id[5]].kind == Kind::None)) &&
                    values_[id[0]].text == "storage" && values_[id[1]].kind == Kind::StorageType &&
                    values_[id[2]].kind == Kind::Text && values_[id[4]].kind == Kind::Int &&
                    values_[id[4]].integer >= 0;
  if (!fits) throw Error("its pickle refers to something that is not the storage of a tensor");
  PickleValue storage{Kind::Storage, values_[id[4]].integer, values_[id[2]].text, {id[1]}};
  push(make(std::move(storage)));
}

void Pickle::call() {
  // A long list of arguments, called over and over, would cost time without end.
  if (peek(Kind::Tuple).items.size() > 8)
    throw Error("its pickle calls something with more than 8 arguments");
  const std::vector<Id> arguments = pop(Kind::Tuple).items;
  if (const PickleValue& called = values_[peek()]; called.kind == Kind::Object) {
    pop();
    return make_object(called.text);
  }
  const std::int64_t function = pop(Kind::Function).integer;
  if (function == OrderedDict) {
    if (!arguments.empty()) throw Error("its pickle makes an OrderedDict of something");
    return make_sequence(Kind::Dict, {});
  }
  if (function == RebuildTensor) return rebuild_tensor(arguments);
  if (function == RebuildFromType) return rebuild_from_type(arguments);
  const Kind of = arguments.empty() ? Kind::None : values_[arguments[0]].kind;
  if (of != Kind::Tensor && of != Kind::Object)
    throw Error("its pickle makes a parameter of something that is not a tensor");
  push(arguments[0]);
}

/// An object of an unknown class stays a name; for a known one this is not needed.
void Pickle::call_new(bool with_keywords) {
  const std::size_t at = at_ - 1;
  if (with_keywords) pop();
  pop(Kind::Tuple);
  const Id made = pop();
  if (values_[made].kind != Kind::Object)
    throw Error(
        fmt::format("its pickle has the opcode 0x{} at byte {}, which no weights need; nothing was executed; "
                    "save the model's state_dict() again",
                    with_keywords ? "92 (NEWOBJ_EX)" : "81 (NEWOBJ)", at));
  make_object(values_[made].text);
}

/// BUILD: attributes of an OrderedDict (a state_dict's _metadata) or of an object. They are not used, but
/// show that an object is a model.
void Pickle::set_attributes() {
  const PickleValue& attributes = values_[pop()];
  PickleValue& value = values_[peek()];
  if (value.kind != Kind::Object) {
    peek(Kind::Dict);
    return;
  }
  if (attributes.kind != Kind::Dict) return;
  if (attributes_ == Attributes::Kept) value.items = attributes.items;
  for (std::size_t i = 0; i < attributes.items.size() && i < 200; i += 2)
    if (values_[attributes.items[i]].text == "_modules") value.integer = PickleValue::kModel;
}

/// A tensor with attributes, or of a subclass. Arguments: the function that makes it, its type, the arguments
/// of that function, the attributes.
void Pickle::rebuild_from_type(const std::vector<Id>& arguments) {
  const bool fits = arguments.size() >= 3 && values_[arguments[0]].kind == Kind::Function &&
                    values_[arguments[0]].integer == RebuildTensor &&
                    values_[arguments[2]].kind == Kind::Tuple && values_[arguments[2]].items.size() <= 8;
  if (fits) return rebuild_tensor(std::vector<Id>(values_[arguments[2]].items));
  make_object("a tensor of a custom class");
}

/// Arguments: storage, offset, shape, strides, requires_grad, hooks, metadata.
void Pickle::rebuild_tensor(const std::vector<Id>& arguments) {
  constexpr std::array kWanted{Kind::Storage, Kind::Int, Kind::Tuple, Kind::Tuple};
  if (!arguments.empty() && values_[arguments[0]].kind == Kind::Object)
    return make_object(values_[arguments[0]].text);
  bool fits = arguments.size() >= kWanted.size();
  for (std::size_t i = 0; fits && i < kWanted.size(); ++i) fits = values_[arguments[i]].kind == kWanted[i];
  for (const std::size_t list : {2u, 3u}) {
    fits = fits && values_[arguments[list]].items.size() <= kMaxRank;
    if (fits)
      for (const Id extent : values_[arguments[list]].items) fits = fits && values_[extent].kind == Kind::Int;
  }
  if (!fits)
    throw Error("its pickle makes a tensor of something else than a storage, an offset, a shape and strides");
  push(make({Kind::Tensor, values_[arguments[1]].integer, {}, {arguments[0], arguments[2], arguments[3]}}));
}

}  // namespace graft::nn
