#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/payload.h>

namespace graft {

enum class Split : std::uint8_t { Train, Val, Test };

GRAFT_API const char* to_string(Split split);  // "train", "val", "test"
/// A split by its usual names, in either case and without blanks around: train, training; val, valid,
/// validation, dev, development; test, testing.
GRAFT_API std::optional<Split> split_from(std::string_view text);

/// One line of a source's list: what an input is, before anything was computed from it.
struct Entry {
  std::string key;  ///< Stable name, unique within the source: a path relative to its root, an id.
  Split split = Split::Train;
  std::vector<std::int32_t> labels;  ///< Class indices: one, several (multi-label) or none (unlabelled).
  /// Names the content where the source knows it without reading; for a FileRef the runtime finds it.
  std::optional<Digest> content;
  Payload payload;  ///< FileRef, Bytes, or nothing when Source::load makes it.
  /// Labelled with none of the classes (multi-label): `labels` is then empty. Otherwise an input without
  /// labels is unlabelled.
  bool negative = false;
};

/// One image on its way through the graph, as a stage sees it. Owned by the runtime for the length of the
/// call.
struct Item {
  std::shared_ptr<const Entry> entry;
  std::uint32_t view = 0;  ///< Which view of the entry: 0 unless a stage makes several.
  Payload payload;

  const std::string& key() const { return entry->key; }

  /// Typed access; a wrong payload is a Reject with code `wrong-type` that names both types.
  const Bytes& bytes() const { return expect<Bytes>("bytes"); }
  const Image& image() const { return expect<Image>("image"); }
  const Tensor& tensor() const { return expect<Tensor>("tensor"); }

 private:
  template <typename T>
  const T& expect(const char* wanted) const {
    if (const T* p = std::get_if<T>(&payload)) return *p;
    throw Reject("wrong-type", std::string("expected ") + wanted + ", got " + kind_of(payload));
  }
};

}  // namespace graft
