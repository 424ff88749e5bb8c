#include "store/hdf5_table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "store/hdf5_text.h"
#include "store/widen.h"

namespace graft {
namespace {

constexpr hsize_t kMaxRows = hsize_t{1} << 31;
constexpr hsize_t kMaxRowElements = hsize_t{1} << 24;
constexpr hsize_t kMaxPackedRows = hsize_t{1} << 18, kPackedRowBytes = 4;
constexpr hsize_t kMaxClasses = hsize_t{1} << 20;
constexpr double kMaxLabel = 2147483647, kMaxView = 4294967295;
constexpr std::size_t kMaxAxes = 8;  // of a row, as in the row log
constexpr std::size_t kMaxListed = 1000;

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

/// "int64", "another float of 128 bits", "texts": for messages.
std::string name_of_type(hid_t type) {
  const std::size_t bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return fmt::format("{}int{}", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bits);
    case H5T_FLOAT:
      return fmt::format("another float of {} bits", bits);
    case H5T_STRING:
      return "texts";
    case H5T_COMPOUND:
      return "records of several fields";
    case H5T_ENUM:
      return "booleans or other enumerated values";
    default:
      return "another type";
  }
}

std::vector<double> read_numbers(const Hdf5Dataset& set, std::size_t first, std::size_t count) {
  const std::size_t width = set.extents.size() > 1 ? set.extents[1] : 1;
  std::vector<double> out(count * width);
  read_rows(set, H5T_NATIVE_DOUBLE, first, count, out.data());
  return out;
}

}  // namespace

Hdf5Table::Hdf5Table(std::span<const std::uint8_t> image, std::string path, const TableFile::Names& names)
    : image_(image), path_(std::move(path)) {
  const Hdf5Lock lock;
  file_ = open_hdf5_image(image_, path_);
  open_features(names.features);
  open_labels(names.labels);
  keys_ = open_column(names.keys, "keys");
  splits_ = open_column(names.splits, "splits");
  open_views(names.views);
  open_texts_or_numbers();
  read_classes();
  find_unread(names);
}

std::uint64_t Hdf5Table::label_columns() const {
  if (!labels_ || labels_->extents.size() != 2) return 0;
  return labels_->extents[1] > 1 || classes_.size() == 1 ? labels_->extents[1] : 0;
}

void Hdf5Table::open_features(const std::string& name) {
  features_ = open_dataset(file_, path_, name);
  const Hdf5Id type = type_of(features_);
  if (!is_ieee_float(type))
    throw Error(
        fmt::format("{}: expected float16, float32 or float64, got {}; convert the features to float32",
                    features_.label, name_of_type(type)));
  is_half_ = H5Tequal(type, hdf5_type(DType::F16)) > 0;
  const std::vector<hsize_t>& extents = features_.extents;
  if (extents.size() < 2 || extents.size() > kMaxAxes + 1)
    throw Error(fmt::format("{}: expected shape [rows,features], got {}", features_.label, shown(extents)));
  hsize_t one = 1;
  for (std::size_t axis = 1; axis < extents.size(); ++axis) {
    if (__builtin_mul_overflow(one, extents[axis], &one)) one = kMaxRowElements + 1;
    shape_.push_back(static_cast<std::int64_t>(extents[axis]));
  }
  if (extents[0] == 0 || extents[0] > kMaxRows || one == 0 || one > kMaxRowElements)
    throw Error(fmt::format("{}: expected 1 to {} rows of 1 to {} features, got {}", features_.label,
                            kMaxRows, kMaxRowElements, shown(extents)));
  const Hdf5Id properties(H5Dget_create_plist(features_.id), H5Pclose, "open " + features_.label);
  // Every row costs memory beside its features, and rows that are all alike pack to nothing.
  const hsize_t most = kMaxPackedRows + image_.size() / kPackedRowBytes;
  if (H5Pget_nfilters(properties) > 0 && extents[0] > most)
    throw Error(
        fmt::format("{}: {} packed rows in a file of {} bytes; expected at most {}: unpack it: h5repack -f "
                    "NONE IN OUT",
                    features_.label, extents[0], image_.size(), most));
}

/// A dataset with a row for each of the features; nothing where it is missing and need not be there.
std::optional<Hdf5Dataset> Hdf5Table::open_column(const std::optional<std::string>& name,
                                                  const char* default_name) const {
  if (!name && !has_object(file_, default_name)) return {};
  Hdf5Dataset set = open_dataset(file_, path_, name.value_or(default_name));
  if (set.extents[0] != features_.extents[0])
    throw Error(fmt::format("{}: expected {} rows, as the features have, got {}", set.label,
                            features_.extents[0], set.extents[0]));
  return set;
}

void Hdf5Table::open_labels(const std::optional<std::string>& name) {
  labels_ = open_column(name, "labels");
  if (!labels_) return;
  const Hdf5Id type = type_of(*labels_);
  label_texts_ = is_text(type);
  if (!label_texts_ && !is_number(type))
    throw Error(labels_->label + ": expected integers, 0 and 1 for every class, or texts, got " +
                name_of_type(type));
  const std::size_t rank = labels_->extents.size();
  if (rank > 2 || (label_texts_ && rank > 1) ||
      (rank == 2 && (labels_->extents[1] == 0 || labels_->extents[1] > kMaxClasses)))
    throw Error(fmt::format("{}: expected shape [rows]{}, got {}", labels_->label,
                            label_texts_ ? "" : " or [rows,classes]", shown(labels_->extents)));
}

void Hdf5Table::open_views(const std::optional<std::string>& name) {
  if (!keys_ && !name) return;  // without keys, no row is a view of another's image
  views_ = open_column(name, "views");
  if (!views_) return;
  if (!keys_)
    throw Error(views_->label +
                ": the file has no keys, which say whose views they are; add a dataset of keys");
  if (!is_number(type_of(*views_)) || views_->extents.size() != 1)
    throw Error(views_->label +
                ": expected a whole number per row, that of its view; rename a dataset of another kind");
}

void Hdf5Table::read_classes() {
  if (has_object(file_, "classes")) {
    const Hdf5Dataset set = open_dataset(file_, path_, "classes");
    if (!is_text(type_of(set)) || set.extents.size() != 1 || set.extents[0] > kMaxClasses)
      throw Error(set.label + ": expected a list of texts, the names of the classes");
    classes_ = read_texts(set, image_, 0, static_cast<std::size_t>(set.extents[0]));
  } else {
    if (labels_) classes_ = read_text_attribute(labels_->id, "classes", labels_->label);
    if (classes_.empty()) classes_ = read_text_attribute(file_, "classes", path_);
  }
  std::vector<std::string> sorted = classes_;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    throw Error(fmt::format("{}: its list of classes has '{}' twice", path_, *twice));
  if (!labels_ || label_columns() == 0) return;
  if (classes_.empty())
    for (std::size_t c = 0; c < label_columns(); ++c) classes_.push_back(std::to_string(c));
  if (classes_.size() != label_columns())
    throw Error(fmt::format("{}: has {} columns, but the file names {} classes", labels_->label,
                            label_columns(), classes_.size()));
}

void Hdf5Table::find_unread(const TableFile::Names& names) {
  std::vector<std::string> found;
  const auto note = [](hid_t, const char* name, const H5L_info_t* link, void* to) -> herr_t {
    auto& all = *static_cast<std::vector<std::string>*>(to);
    if (link->type == H5L_TYPE_HARD) all.emplace_back(name);
    return all.size() < kMaxListed ? 0 : 1;
  };
  H5Literate(file_, H5_INDEX_NAME, H5_ITER_INC, nullptr, note, &found);
  const std::vector<std::string> read{names.features,
                                      names.labels.value_or("labels"),
                                      names.keys.value_or("keys"),
                                      names.splits.value_or("splits"),
                                      views_ ? names.views.value_or("views") : "",
                                      "classes"};
  for (const std::string& name : found) {
    if (std::find(read.begin(), read.end(), name) != read.end()) continue;
    // What cannot be opened is none of this table's business.
    const hid_t id = H5Oopen(file_, name.c_str(), H5P_DEFAULT);
    if (id < 0) continue;
    const Hdf5Id object(id, H5Oclose, "open " + path_);
    if (H5Iget_type(object) != H5I_DATASET) continue;
    const hid_t space_id = H5Dget_space(object);
    if (space_id < 0) continue;
    const Hdf5Id space(space_id, H5Sclose, "open " + path_);
    const int rank = H5Sget_simple_extent_ndims(space);
    std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
    if (rank > 0 && H5Sget_simple_extent_dims(space, extents.data(), nullptr) == rank)
      unread_.push_back({name, extents[0]});
  }
}

void Hdf5Table::open_texts_or_numbers() {
  if (keys_ && (!is_text(type_of(*keys_)) || keys_->extents.size() != 1))
    throw Error(keys_->label + ": expected a text a row");
  if (!splits_) return;
  const Hdf5Id type = type_of(*splits_);
  split_texts_ = is_text(type);
  if ((!split_texts_ && !is_number(type)) || splits_->extents.size() != 1)
    throw Error(splits_->label + ": expected train, val, test or 0, 1, 2 a row");
}

std::uint32_t Hdf5Table::class_of(double label, std::size_t row) const {
  const double last = classes_.empty() ? kMaxLabel : static_cast<double>(classes_.size()) - 1;
  if (!(label >= 0 && label <= last) || label != std::floor(label))
    throw Error(
        fmt::format("{}: row {} has label {}; expected a whole number from 0 to {}, or -1 for a "
                    "row without a label",
                    labels_->label, row, label, last));
  return static_cast<std::uint32_t>(label);
}

void Hdf5Table::describe_labels(std::size_t first, std::vector<Row>& out) const {
  if (label_texts_) {
    auto texts = read_texts(*labels_, image_, first, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i].label = std::move(texts[i]);
    return;
  }
  const auto columns = static_cast<std::size_t>(label_columns());
  if (columns == 0) {
    const auto numbers = read_numbers(*labels_, first, out.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      if (numbers[i] != -1) out[i].classes = {class_of(numbers[i], first + i)};
    return;
  }
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / sizeof(double) / columns);
  for (std::size_t begin = 0; begin < out.size(); begin += step) {
    const std::size_t count = std::min(step, out.size() - begin);
    const auto numbers = read_numbers(*labels_, first + begin, count);
    for (std::size_t i = 0; i < count; ++i) {
      const double* const has = numbers.data() + i * columns;
      const bool unlabelled = has[0] == -1;
      Row& row = out[begin + i];
      for (std::size_t c = 0; c < columns; ++c) {
        if (unlabelled ? has[c] != -1 : has[c] != 0 && has[c] != 1)
          throw Error(fmt::format(
              "{}: row {} has {} in column {}{}; expected 0 or 1 in every column, or -1 in "
              "every column of a row without labels",
              labels_->label, first + begin + i, has[c], c, unlabelled ? " and -1 in column 0" : ""));
        if (has[c] == 1) row.classes.push_back(static_cast<std::uint32_t>(c));
      }
      row.negative = !unlabelled && row.classes.empty();
    }
  }
}

void Hdf5Table::describe_splits(std::size_t first, std::vector<Row>& out) const {
  const auto fail = [&](std::size_t i, const std::string& got) {
    throw Error(fmt::format("{}: row {} has '{}'; expected train, val, test or 0, 1, 2", splits_->label,
                            first + i, got));
  };
  if (split_texts_) {
    const auto texts = read_texts(*splits_, image_, first, out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i].split = split_from(texts[i]);
      if (!out[i].split && !texts[i].empty()) fail(i, texts[i]);
    }
    return;
  }
  const auto numbers = read_numbers(*splits_, first, out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (numbers[i] == 0 || numbers[i] == 1 || numbers[i] == 2)
      out[i].split = static_cast<Split>(static_cast<int>(numbers[i]));
    else if (numbers[i] != -1)
      fail(i, fmt::format("{}", numbers[i]));
  }
}

void Hdf5Table::describe_views(std::size_t first, std::vector<Row>& out) const {
  const auto numbers = read_numbers(*views_, first, out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(numbers[i] >= 0 && numbers[i] <= kMaxView) || numbers[i] != std::floor(numbers[i]))
      throw Error(fmt::format("{}: row {} has view {}; expected a whole number from 0 to {}", views_->label,
                              first + i, numbers[i], kMaxView));
    out[i].view = static_cast<std::uint32_t>(numbers[i]);
  }
}

std::vector<Hdf5Table::Row> Hdf5Table::describe(std::size_t first, std::size_t count) const {
  const Hdf5Lock lock;
  std::vector<Row> out(count);
  if (labels_) describe_labels(first, out);
  if (splits_) describe_splits(first, out);
  if (views_) describe_views(first, out);
  if (!keys_) return out;
  std::vector<std::string> keys = read_texts(*keys_, image_, first, count);
  for (std::size_t i = 0; i < count; ++i) {
    if (keys[i].empty()) throw Error(fmt::format("{}: row {} has no key", keys_->label, first + i));
    out[i].key = std::move(keys[i]);
  }
  return out;
}

void Hdf5Table::read(std::size_t first, std::size_t count, float* out) const {
  const Hdf5Lock lock;
  if (!is_half_) return read_rows(features_, H5T_NATIVE_FLOAT, first, count, out);
  const Hdf5Id half = hdf5_type(DType::F16);
  const auto dim = static_cast<std::size_t>(elements(shape_));
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / (2 * dim));
  std::vector<std::uint8_t> raw;
  for (std::size_t n = 0; count > 0; first += n, count -= n, out += n * dim) {
    n = std::min(step, count);
    raw.resize(n * dim * 2);
    read_rows(features_, half, first, n, raw.data());
    widen(DType::F16, raw.data(), n * dim, out);
  }
}

}  // namespace graft
