#include "state_dict.h"

#include <fmt/format.h>

#include <graft/error.h>

#include "printable.h"

namespace graft::nn {

using graft::to_string;  // of a Shape

namespace {

using Kind = PickleValue::Kind;

const PickleValue* entry(const Pickle& pickle, const PickleValue& dict, std::string_view name) {
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue& key = pickle[dict.items[i]];
    if (key.kind == Kind::Text && key.text == name) return &pickle[dict.items[i + 1]];
  }
  return nullptr;
}

const PickleValue& state_dict_in(const Pickle& pickle) {
  const PickleValue& root = pickle.root();
  if (root.kind != Kind::Dict)
    throw Error(fmt::format("holds {}, expected a state_dict: names and tensors", to_string(root.kind)));
  for (const char* name : {"state_dict", "model"})
    if (const PickleValue* inner = entry(pickle, root, name); inner != nullptr && inner->kind == Kind::Dict)
      return *inner;
  return root;
}

Shape numbers(const Pickle& pickle, const PickleValue& list) {
  Shape out;
  for (const std::uint32_t id : list.items) out.push_back(pickle[id].integer);
  return out;
}

/// Whether the view lies within its storage; nothing here may overflow, whatever the numbers are.
bool is_inside(const StoredTensor& t) {
  if (t.shape.size() != t.strides.size() || t.offset < 0 || t.offset > t.storage_size) return false;
  std::int64_t last = t.offset, count = 1;
  bool empty = false;
  for (std::size_t i = 0; i < t.shape.size(); ++i) {
    std::int64_t step = 0;
    if (t.shape[i] < 0 || t.strides[i] < 0) return false;
    if (t.shape[i] == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &step) ||
        __builtin_add_overflow(last, step, &last) || __builtin_mul_overflow(count, t.shape[i], &count) ||
        count > INT64_MAX / 16)
      return false;
  }
  return empty || last < t.storage_size;
}

StoredTensor stored_tensor(const Pickle& pickle, std::string_view name, const PickleValue& value) {
  const PickleValue& storage = pickle[value.items[0]];
  StoredTensor t;
  t.name = name;
  t.type = element_type(pickle[storage.items[0]].text);
  t.storage = storage.text;
  t.storage_size = storage.integer;
  t.offset = value.integer;
  t.shape = numbers(pickle, pickle[value.items[1]]);
  t.strides = numbers(pickle, pickle[value.items[2]]);
  if (!is_inside(t))
    throw Error(fmt::format(
        "tensor '{}' of shape {} and strides {} lies outside its storage of {} elements: the file "
        "is damaged or hostile",
        printable(name), to_string(t.shape), to_string(t.strides), t.storage_size));
  return t;
}

}  // namespace

std::vector<StoredTensor> tensors_of(const Pickle& pickle) {
  const PickleValue& dict = state_dict_in(pickle);
  std::vector<StoredTensor> out;
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue& key = pickle[dict.items[i]];
    const PickleValue& value = pickle[dict.items[i + 1]];
    if (key.kind != Kind::Text)
      throw Error(
          fmt::format("has {} for a name, expected a state_dict: names and tensors", to_string(key.kind)));
    if (value.kind != Kind::Tensor)
      throw Error(fmt::format("'{}' is {}, expected a tensor; save model.state_dict() itself",
                              printable(key.text), to_string(value.kind)));
    out.push_back(stored_tensor(pickle, key.text, value));
  }
  return out;
}

}  // namespace graft::nn
