#include <graft/table_file.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/hdf5_dataset.h"
#include "store/hdf5_text.h"
#include "store/widen.h"

namespace graft {
namespace {

constexpr hsize_t kMaxRows = hsize_t{1} << 31;
constexpr hsize_t kMaxRowElements = hsize_t{1} << 24;
constexpr hsize_t kMaxClasses = hsize_t{1} << 20;
constexpr double kMaxLabel = 2147483647;
constexpr std::size_t kMaxAxes = 8;  // of a row, as in the row log
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;

std::string shown(const std::vector<hsize_t>& extents) {
  return fmt::format("[{}]", fmt::join(extents, ","));
}

/// Integers, booleans and floats: what HDF5 turns into float64.
bool is_number(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  return kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_ENUM;
}

Hdf5Id type_of(const Hdf5Dataset& set) {
  return {H5Dget_type(set.id), H5Tclose, "open " + set.label};
}

/// IEEE floats of 2, 4 or 8 bytes, in either byte order.
bool is_ieee_float(hid_t type) {
  Hdf5Id half = hdf5_type(DType::F16);
  if (H5Tequal(type, half) > 0) return true;
  hdf5_check(H5Tset_order(half, H5T_ORDER_BE), "make a type");
  return H5Tequal(type, half) > 0 || H5Tequal(type, H5T_IEEE_F32LE) > 0 ||
         H5Tequal(type, H5T_IEEE_F32BE) > 0 || H5Tequal(type, H5T_IEEE_F64LE) > 0 ||
         H5Tequal(type, H5T_IEEE_F64BE) > 0;
}

std::vector<double> read_numbers(const Hdf5Dataset& set, std::size_t first, std::size_t count) {
  const std::size_t width = set.extents.size() > 1 ? set.extents[1] : 1;
  std::vector<double> out(count * width);
  read_rows(set, H5T_NATIVE_DOUBLE, first, count, out.data());
  return out;
}

}  // namespace

struct TableFile::Impl {
  std::string path;
  Hdf5Id file;
  Hdf5Dataset features;
  std::optional<Hdf5Dataset> labels, keys, splits;
  Shape shape;
  bool is_half = false;  ///< Converted here: HDF5 goes bit field by bit field.
  bool label_texts = false, split_texts = false;
  std::vector<std::string> classes;

  std::size_t rows() const { return static_cast<std::size_t>(features.extents[0]); }
  /// Columns of a row's labels; 0: one label a row.
  std::size_t label_columns() const {
    return labels->extents.size() == 2 && labels->extents[1] > 1
               ? static_cast<std::size_t>(labels->extents[1])
               : 0;
  }

  void open_features(const std::string& name) {
    features = open_dataset(file, path, name);
    const Hdf5Id type = type_of(features);
    if (!is_ieee_float(type))
      throw Error(features.label + ": expected float16, float32 or float64, got another type");
    is_half = H5Tequal(type, hdf5_type(DType::F16)) > 0;
    const std::vector<hsize_t>& extents = features.extents;
    if (extents.size() < 2 || extents.size() > kMaxAxes + 1)
      throw Error(fmt::format("{}: expected shape [rows,features], got {}", features.label, shown(extents)));
    hsize_t one = 1;
    for (std::size_t axis = 1; axis < extents.size(); ++axis) {
      if (__builtin_mul_overflow(one, extents[axis], &one)) one = kMaxRowElements + 1;
      shape.push_back(static_cast<std::int64_t>(extents[axis]));
    }
    if (extents[0] == 0 || extents[0] > kMaxRows || one == 0 || one > kMaxRowElements)
      throw Error(fmt::format("{}: expected 1 to {} rows of 1 to {} features, got {}", features.label,
                              kMaxRows, kMaxRowElements, shown(extents)));
  }

  /// A dataset with a row for each of the features; nothing where it is missing and need not be there.
  std::optional<Hdf5Dataset> open_column(const std::optional<std::string>& name, const char* default_name) {
    if (!name && !has_object(file, default_name)) return {};
    Hdf5Dataset set = open_dataset(file, path, name.value_or(default_name));
    if (set.extents[0] != features.extents[0])
      throw Error(fmt::format("{}: expected {} rows, as the features have, got {}", set.label,
                              features.extents[0], set.extents[0]));
    return set;
  }

  void open_labels(const std::optional<std::string>& name) {
    labels = open_column(name, "labels");
    if (!labels) return;
    const Hdf5Id type = type_of(*labels);
    label_texts = is_text(type);
    if (!label_texts && !is_number(type))
      throw Error(labels->label + ": expected integers, 0 and 1 for every class, or texts, got another type");
    const std::size_t rank = labels->extents.size();
    if (rank > 2 || (label_texts && rank > 1) ||
        (rank == 2 && (labels->extents[1] == 0 || labels->extents[1] > kMaxClasses)))
      throw Error(fmt::format("{}: expected shape [rows]{}, got {}", labels->label,
                              label_texts ? "" : " or [rows,classes]", shown(labels->extents)));
  }

  void read_classes() {
    if (has_object(file, "classes")) {
      const Hdf5Dataset set = open_dataset(file, path, "classes");
      if (!is_text(type_of(set)) || set.extents.size() != 1 || set.extents[0] > kMaxClasses)
        throw Error(set.label + ": expected a list of texts, the names of the classes");
      classes = read_texts(set, 0, static_cast<std::size_t>(set.extents[0]));
    } else {
      if (labels) classes = read_text_attribute(labels->id, "classes", labels->label);
      if (classes.empty()) classes = read_text_attribute(file, "classes", path);
    }
    std::vector<std::string> sorted = classes;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end())
      throw Error(fmt::format("{}: its list of classes has '{}' twice", path, *twice));
    if (!labels || label_columns() == 0) return;
    if (classes.empty())
      for (std::size_t c = 0; c < label_columns(); ++c) classes.push_back(std::to_string(c));
    if (classes.size() != label_columns())
      throw Error(fmt::format("{}: has {} columns, but the file names {} classes", labels->label,
                              label_columns(), classes.size()));
  }

  void open_texts_or_numbers() {
    if (keys && (!is_text(type_of(*keys)) || keys->extents.size() != 1))
      throw Error(keys->label + ": expected a text a row");
    if (!splits) return;
    const Hdf5Id type = type_of(*splits);
    split_texts = is_text(type);
    if ((!split_texts && !is_number(type)) || splits->extents.size() != 1)
      throw Error(splits->label + ": expected train, val, test or 0, 1, 2 a row");
  }

  std::string class_name(double label, std::size_t row) const {
    const double last = classes.empty() ? kMaxLabel : static_cast<double>(classes.size()) - 1;
    if (!(label >= 0 && label <= last) || label != std::floor(label))
      throw Error(
          fmt::format("{}: row {} has label {}; expected a whole number from 0 to {}, or -1 for a "
                      "row without a label",
                      labels->label, row, label, last));
    const auto number = static_cast<std::size_t>(label);
    return classes.empty() ? std::to_string(number) : classes[number];
  }

  void describe_labels(std::size_t first, std::vector<Row>& out) const {
    if (label_texts) {
      const auto texts = read_texts(*labels, first, out.size());
      for (std::size_t i = 0; i < out.size(); ++i)
        if (!texts[i].empty()) out[i].labels = {texts[i]};
      return;
    }
    const std::size_t columns = label_columns();
    if (columns == 0) {
      const auto numbers = read_numbers(*labels, first, out.size());
      for (std::size_t i = 0; i < out.size(); ++i)
        if (numbers[i] != -1) out[i].labels = {class_name(numbers[i], first + i)};
      return;
    }
    const std::size_t step = std::max<std::size_t>(1, kBlockBytes / sizeof(double) / columns);
    for (std::size_t begin = 0; begin < out.size(); begin += step) {
      const std::size_t count = std::min(step, out.size() - begin);
      const auto numbers = read_numbers(*labels, first + begin, count);
      for (std::size_t i = 0; i < count; ++i)
        for (std::size_t c = 0; c < columns; ++c) {
          const double has = numbers[i * columns + c];
          if (has != 0 && has != 1)
            throw Error(fmt::format("{}: row {} has {} in column {}; expected 0 or 1", labels->label,
                                    first + begin + i, has, c));
          if (has == 1) out[begin + i].labels.push_back(classes[c]);
        }
    }
  }

  void describe_splits(std::size_t first, std::vector<Row>& out) const {
    const auto fail = [&](std::size_t i, const std::string& got) {
      throw Error(fmt::format("{}: row {} has '{}'; expected train, val, test or 0, 1, 2", splits->label,
                              first + i, got));
    };
    if (split_texts) {
      const auto texts = read_texts(*splits, first, out.size());
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i].split = split_from(texts[i]);
        if (!out[i].split && !texts[i].empty()) fail(i, texts[i]);
      }
      return;
    }
    const auto numbers = read_numbers(*splits, first, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (numbers[i] == 0 || numbers[i] == 1 || numbers[i] == 2)
        out[i].split = static_cast<Split>(static_cast<int>(numbers[i]));
      else if (numbers[i] != -1)
        fail(i, fmt::format("{}", numbers[i]));
    }
  }
};

TableFile::TableFile(std::string path, const Names& names) : impl_(std::make_unique<Impl>()) {
  const Hdf5Lock lock;
  Impl& t = *impl_;
  t.path = std::move(path);
  t.file = open_hdf5_file(t.path);
  t.open_features(names.features);
  t.open_labels(names.labels);
  t.keys = t.open_column(names.keys, "keys");
  t.splits = t.open_column(names.splits, "splits");
  t.open_texts_or_numbers();
  t.read_classes();
}

TableFile::~TableFile() {
  const Hdf5Lock lock;
  impl_.reset();
}
TableFile::TableFile(TableFile&&) noexcept = default;
TableFile& TableFile::operator=(TableFile&& other) noexcept {
  const Hdf5Lock lock;
  impl_ = std::move(other.impl_);
  return *this;
}

const std::string& TableFile::path() const {
  return impl_->path;
}
std::size_t TableFile::rows() const {
  return impl_->rows();
}
const Shape& TableFile::shape() const {
  return impl_->shape;
}
bool TableFile::has_keys() const {
  return impl_->keys.has_value();
}
bool TableFile::has_splits() const {
  return impl_->splits.has_value();
}
bool TableFile::has_numbered_labels() const {
  return impl_->labels && !impl_->label_texts;
}
const std::vector<std::string>& TableFile::classes() const {
  return impl_->classes;
}

std::vector<TableFile::Row> TableFile::describe(std::size_t first, std::size_t count) const {
  const Hdf5Lock lock;
  std::vector<Row> out(count);
  if (impl_->labels) impl_->describe_labels(first, out);
  if (impl_->splits) impl_->describe_splits(first, out);
  if (!impl_->keys) return out;
  std::vector<std::string> keys = read_texts(*impl_->keys, first, count);
  for (std::size_t i = 0; i < count; ++i) {
    if (keys[i].empty()) throw Error(fmt::format("{}: row {} has no key", impl_->keys->label, first + i));
    out[i].key = std::move(keys[i]);
  }
  return out;
}

void TableFile::read(std::size_t first, std::size_t count, float* out) const {
  const Hdf5Lock lock;
  if (!impl_->is_half) return read_rows(impl_->features, H5T_NATIVE_FLOAT, first, count, out);
  const Hdf5Id half = hdf5_type(DType::F16);
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / (2 * dim()));
  std::vector<std::uint8_t> raw;
  for (std::size_t n = 0; count > 0; first += n, count -= n, out += n * dim()) {
    n = std::min(step, count);
    raw.resize(n * dim() * 2);
    read_rows(impl_->features, half, first, n, raw.data());
    widen(DType::F16, raw.data(), n * dim(), out);
  }
}

}  // namespace graft
