#include "store/export.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include <graft/csv.h>
#include <graft/error.h>
#include <graft/value.h>

#include "base/attempt.h"
#include "base/bytes.h"
#include "store/hdf5_dataset.h"
#include "store/input_list.h"
#include "store/table_store.h"
#include "store/widen.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Parts of `count` rows of `row_bytes`, in order: the first row of each and how many it has.
template <typename Body>
void for_each_part(std::size_t count, std::size_t row_bytes, Body body) {
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / std::max<std::size_t>(1, row_bytes));
  for (std::size_t first = 0; first < count; first += step) body(first, std::min(step, count - first));
}

FileHandle created(const fs::path& path) {
  FileHandle file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) throw Error(file_error("create", path, errno));
  return file;
}

/// A table by its folder: the fingerprint is the name.
Fingerprint fingerprint_of(const fs::path& table) {
  const std::string name = table.filename().string();
  Fingerprint f;
  f.digest.high = std::stoull(name.substr(0, 16), nullptr, 16);
  f.digest.low = std::stoull(name.substr(16), nullptr, 16);
  return f;
}

/// The rows of a list in its order; with a null for every view of an input that has none, if they are wanted.
std::vector<const InputList::Outcome*> order_of(const InputList& list, WithoutFeatures are) {
  std::vector<const InputList::Outcome*> order;
  if (are == WithoutFeatures::LeftOut) {
    for (const InputList::Outcome& row : list.rows) order.push_back(&row);
    return order;
  }
  std::size_t views = 1;
  for (const InputList::Outcome& row : list.rows) views = std::max<std::size_t>(views, row.view + 1);
  order.resize(list.inputs.size() * views);
  for (const InputList::Outcome& row : list.rows) order[row.input * views + row.view] = &row;
  return order;
}

/// Rows of a list as float32; NaN for a null.
class ListedRows {
 public:
  ListedRows(const fs::path& table, const InputList& list, WithoutFeatures are)
      : store_(table.parent_path().parent_path(), fingerprint_of(table)),
        list_(list),
        order_(order_of(list, are)) {
    format_ = store_.format_of(place_of(list.rows[0]).part);
    bytes_ = row_bytes(format_);
    dim_ = bytes_ / size_of(format_.dtype);
  }
  std::size_t count() const { return order_.size(); }
  std::size_t nan_rows() const {
    return static_cast<std::size_t>(std::count(order_.begin(), order_.end(), nullptr));
  }
  const Shape& shape() const { return format_.shape; }
  std::size_t dim() const { return dim_; }

  /// In blocks, in order: their rows, row-major count x dim.
  void for_each_block(
      const std::function<void(std::size_t first, std::size_t count, const float* rows)>& body) {
    std::vector<float> block;
    for_each_part(count(), dim_ * sizeof(float), [&](std::size_t first, std::size_t rows) {
      block.resize(rows * dim_);
      read(first, rows, block.data());
      body(first, rows, block.data());
    });
  }

 private:
  void read(std::size_t first, std::size_t count, float* out) {
    raw_.resize(bytes_);
    for (std::size_t i = 0; i < count; ++i) {
      if (order_[first + i] == nullptr) {
        std::fill_n(out + i * dim_, dim_, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const InputList::Outcome& row = *order_[first + i];
      const RowPlace place = place_of(row);
      if (store_.format_of(place.part) != format_)
        throw Error(fmt::format("'{}' has a row of {}, others have {}", list_.inputs[row.input].key,
                                to_string(store_.format_of(place.part)), to_string(format_)));
      store_.read(place.part, place.row, 1, raw_.data());
      widen(format_.dtype, raw_.data(), dim_, out + i * dim_);
    }
  }

  RowPlace place_of(const InputList::Outcome& row) const {
    if (const auto place = store_.find_row(row.id)) return *place;
    throw Error(fmt::format("'{}' has no row in the table any more; run the config again",
                            list_.inputs[row.input].key));
  }

  TableStore store_;
  const InputList& list_;
  const std::vector<const InputList::Outcome*> order_;
  RowFormat format_;
  std::size_t bytes_ = 0, dim_ = 0;
  std::vector<std::uint8_t> raw_;
};

/// One dataset of the file, written in blocks of rows along its first axis.
class Dataset {
 public:
  Dataset(hid_t file, const char* name, hid_t type, std::vector<hsize_t> extents)
      : doing_(fmt::format("write dataset '{}'", name)),
        extents_(std::move(extents)),
        space_(H5Screate_simple(static_cast<int>(extents_.size()), extents_.data(), nullptr), H5Sclose,
               doing_),
        set_(H5Dcreate2(file, name, type, space_, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose, doing_) {}
  void write(hid_t memory_type, std::size_t first, std::size_t count, const void* data) {
    if (count > 0) write_rows(set_, extents_, memory_type, first, count, data, doing_);
  }
  void close() { set_.close(doing_); }

 private:
  std::string doing_;
  std::vector<hsize_t> extents_;
  Hdf5Id space_, set_;
};

/// Texts of one length: what every reader of HDF5 takes.
void write_texts(hid_t file, const char* name, std::size_t n,
                 const std::function<std::string(std::size_t)>& text) {
  std::size_t longest = 1;
  for (std::size_t i = 0; i < n; ++i) longest = std::max(longest, text(i).size());
  const Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose, "make a type");
  hdf5_check(H5Tset_size(type, longest), "make a type");
  hdf5_check(H5Tset_strpad(type, H5T_STR_NULLPAD), "make a type");
  hdf5_check(H5Tset_cset(type, H5T_CSET_UTF8), "make a type");
  Dataset set(file, name, type, {n});
  std::vector<char> block;
  for_each_part(n, longest, [&](std::size_t first, std::size_t count) {
    block.assign(count * longest, '\0');
    for (std::size_t i = 0; i < count; ++i) {
      const std::string t = text(first + i);
      std::memcpy(block.data() + i * longest, t.data(), t.size());
    }
    set.write(type, first, count, block.data());
  });
  set.close();
}

void write_labels(hid_t file, const InputList& list) {
  const std::size_t n = list.rows.size();
  const auto input_of = [&](std::size_t row) -> const InputList::Input& {
    return list.inputs[list.rows[row].input];
  };
  const bool several =
      !list.classes.empty() && std::any_of(list.inputs.begin(), list.inputs.end(),
                                           [](const auto& i) { return i.labels.size() > 1 || i.negative; });
  if (!several) {
    std::vector<std::int64_t> labels(n, -1);
    for (std::size_t i = 0; i < n; ++i)
      if (!input_of(i).labels.empty()) labels[i] = input_of(i).labels.front();
    Dataset set(file, "labels", H5T_STD_I64LE, {n});
    set.write(H5T_NATIVE_INT64, 0, n, labels.data());
    return set.close();
  }
  const std::size_t classes = list.classes.size();
  Dataset set(file, "labels", H5T_STD_I8LE, {n, classes});
  std::vector<std::int8_t> block;
  for_each_part(n, classes, [&](std::size_t first, std::size_t count) {
    block.assign(count * classes, 0);
    for (std::size_t i = 0; i < count; ++i) {
      const InputList::Input& input = input_of(first + i);
      if (input.labels.empty() && !input.negative) std::fill_n(&block[i * classes], classes, -1);
      for (const std::int32_t label : input.labels) block[i * classes + static_cast<std::size_t>(label)] = 1;
    }
    set.write(H5T_NATIVE_INT8, first, count, block.data());
  });
  set.close();
}

void write_views(hid_t file, const InputList& list) {
  std::vector<std::uint32_t> views;
  views.reserve(list.rows.size());
  for (const InputList::Outcome& row : list.rows) views.push_back(row.view);
  Dataset set(file, "views", H5T_STD_U32LE, {views.size()});
  set.write(H5T_NATIVE_UINT32, 0, views.size(), views.data());
  set.close();
}

void write_hdf5(const fs::path& path, const InputList& list, ListedRows& rows) {
  const Hdf5Lock lock;
  const std::size_t n = list.rows.size();
  const Hdf5Id access = file_access_list();
  Hdf5Id file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access), H5Fclose,
              "create " + path.string());
  std::vector<hsize_t> extents{n};
  for (const std::int64_t e : rows.shape()) extents.push_back(static_cast<hsize_t>(e));
  Dataset features(file, "features", H5T_IEEE_F32LE, extents);
  rows.for_each_block([&](std::size_t first, std::size_t count, const float* block) {
    features.write(H5T_NATIVE_FLOAT, first, count, block);
  });
  features.close();
  write_labels(file, list);
  write_texts(file, "keys", n, [&](std::size_t i) { return list.inputs[list.rows[i].input].key; });
  write_views(file, list);
  write_texts(file, "splits", n,
              [&](std::size_t i) { return std::string(to_string(list.inputs[list.rows[i].input].split)); });
  if (!list.classes.empty())
    write_texts(file, "classes", list.classes.size(), [&](std::size_t i) { return list.classes[i]; });
  hdf5_check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write " + path.string());
  file.close("close " + path.string());
}

/// Format 1.0 of the NumPy enhancement proposal 1: magic, header padded to 64 bytes, values in C order.
void write_npy(const fs::path& path, ListedRows& rows) {
  const std::size_t n = rows.count();
  std::string shape = std::to_string(n) + ",";
  for (const std::int64_t e : rows.shape()) shape += fmt::format(" {},", e);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(header.size() & 0xff);
  head += static_cast<char>(header.size() >> 8);
  head += header;
  const FileHandle out = created(path);
  write_all(out.get(), {reinterpret_cast<const std::uint8_t*>(head.data()), head.size()}, path);
  rows.for_each_block([&](std::size_t, std::size_t count, const float* block) {
    write_all(out.get(), {reinterpret_cast<const std::uint8_t*>(block), count * rows.dim() * 4}, path);
  });
}

void write_csv(const fs::path& path, const InputList& list, ListedRows& rows) {
  const FileHandle out = created(path);
  std::string lines = "key,split,label,view";
  for (std::size_t i = 0; i < rows.dim(); ++i) lines += fmt::format(",f{}", i);
  lines += '\n';
  rows.for_each_block([&](std::size_t first, std::size_t count, const float* block) {
    for (std::size_t i = 0; i < count; ++i) {
      const InputList::Outcome& row = list.rows[first + i];
      const InputList::Input& input = list.inputs[row.input];
      std::string labels;
      for (const std::int32_t label : input.labels)
        labels += (labels.empty() ? "" : ";") + list.classes[static_cast<std::size_t>(label)];
      lines += fmt::format("{},{},{},{}", csv_field(input.key), to_string(input.split), csv_field(labels),
                           row.view);
      for (std::size_t f = 0; f < rows.dim(); ++f)
        fmt::format_to(std::back_inserter(lines), ",{:.9g}", block[i * rows.dim() + f]);
      lines += '\n';
    }
    write_all(out.get(), {reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()}, path);
    lines.clear();
  });
}

}  // namespace

std::string fault_of_export_name(const fs::path& file) {
  const fs::path extension = file.extension();
  for (const char* known : {".h5", ".hdf5", ".npy", ".csv"})
    if (extension == known) return {};
  std::string fault = fmt::format("expected FILE.h5, FILE.npy or FILE.csv, got '{}'", file.string());
  if (extension == ".parquet")
    fault +=
        "; Parquet needs Apache Arrow, which graft is built without: write FILE.csv, and in Python "
        "pandas.read_csv('FILE.csv').to_parquet('FILE.parquet')";
  return fault;
}

Exported export_table(const fs::path& table, const TableUse& use, const fs::path& path, WithoutFeatures are) {
  const bool npy = path.extension() == ".npy";
  if (const std::string fault = fault_of_export_name(path); !fault.empty()) throw Error(fault);
  if (fs::exists(path))
    throw Error(fmt::format("{}: exists; remove it first, or choose another name", path.string()));
  const InputList list = InputList::read(table / "inputs" / use.list);
  if (list.rows.empty()) throw Error(fmt::format("{} was not written: no input has features", path.string()));
  ListedRows rows(table, list, npy ? are : WithoutFeatures::LeftOut);
  const fs::path temporary = fmt::format("{}.{}.tmp", path.string(), new_attempt());
  try {
    if (npy)
      write_npy(temporary, rows);
    else if (path.extension() == ".csv")
      write_csv(temporary, list, rows);
    else
      write_hdf5(temporary, list, rows);
    const FileHandle handle(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
    if (!handle) throw Error(file_error("open", temporary, errno));
    sync_file(handle.get(), temporary);
    if (!link_without_replacing(temporary, path)) throw Error(file_error("create", path, EEXIST));
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  return {rows.count(), rows.nan_rows()};
}

}  // namespace graft
