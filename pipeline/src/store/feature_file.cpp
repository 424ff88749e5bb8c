#include "store/feature_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include <graft/csv.h>
#include <graft/error.h>

#include "base/attempt.h"
#include "base/bytes.h"
#include "base/files.h"
#include "base/paged_memory.h"
#include "store/hdf5_dataset.h"

namespace graft {
namespace fs = std::filesystem;

/// A kind of file. Rows come in blocks, after their number of elements is known.
class FeatureFile::Format {
 public:
  virtual ~Format() = default;
  virtual void begin(const Shape& shape) = 0;
  /// What is known of the next row; its values are in the block that follows.
  virtual void describe(const FeatureRow& row) = 0;
  virtual void write(std::span<const float> values) = 0;
  virtual void finish(std::uint64_t rows) = 0;
};

namespace {

std::span<const std::uint8_t> as_bytes(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

/// Format 1.0 of the NumPy enhancement proposal 1: magic, header padded to 64 bytes, values in C order.
class Npy final : public FeatureFile::Format {
 public:
  explicit Npy(fs::path path) : path_(std::move(path)), file_(create_without_name(path_)) {}
  void begin(const Shape& shape) override {
    shape_ = shape;
    // As long as that of any number of rows, which is known in the end.
    head_bytes_ = header(std::numeric_limits<std::uint64_t>::max(), 0).size();
    write_all(file_.get(), std::vector<std::uint8_t>(head_bytes_), path_);
  }
  void describe(const FeatureRow&) override {}
  void write(std::span<const float> values) override { write_all(file_.get(), as_bytes(values), path_); }
  void finish(std::uint64_t rows) override {
    const std::string head = header(rows, head_bytes_);
    if (::lseek(file_.get(), 0, SEEK_SET) != 0) throw Error(file_error("write", path_, errno));
    write_all(file_.get(), {reinterpret_cast<const std::uint8_t*>(head.data()), head.size()}, path_);
    give_name(file_, path_);
  }

 private:
  /// Of `bytes` or more.
  std::string header(std::uint64_t rows, std::size_t bytes) const {
    std::string shape = std::to_string(rows) + ",";
    for (const std::int64_t e : shape_) shape += fmt::format(" {},", e);
    std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape);
    constexpr std::size_t kBefore = 10;
    text.append(63 - (kBefore + text.size()) % 64, ' ');
    if (kBefore + text.size() + 1 < bytes) text.append(bytes - kBefore - text.size() - 1, ' ');
    text += '\n';
    std::string out("\x93NUMPY\x01\x00", 8);
    out += static_cast<char>(text.size() & 0xff);
    out += static_cast<char>(text.size() >> 8);
    return out + text;
  }

  const fs::path path_;
  const FileHandle file_;
  Shape shape_;
  std::size_t head_bytes_ = 0;
};

class Csv final : public FeatureFile::Format {
 public:
  Csv(fs::path path, std::vector<std::string> classes)
      : path_(std::move(path)), file_(create_without_name(path_)), classes_(std::move(classes)) {}
  void begin(const Shape& shape) override {
    dim_ = static_cast<std::size_t>(elements(shape));
    std::string line = "key,split,label,view";
    for (std::size_t i = 0; i < dim_; ++i) line += fmt::format(",f{}", i);
    put(line + '\n');
  }
  void describe(const FeatureRow& row) override {
    std::string labels;
    for (const std::int32_t label : row.labels)
      labels += (labels.empty() ? "" : ";") + classes_[static_cast<std::size_t>(label)];
    heads_.push_back(
        fmt::format("{},{},{},{}", csv_field(row.key), to_string(row.split), csv_field(labels), row.view));
  }
  void write(std::span<const float> values) override {
    std::string lines;
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      lines += heads_[i];
      for (std::size_t f = 0; f < dim_; ++f)
        fmt::format_to(std::back_inserter(lines), ",{:.9g}", values[i * dim_ + f]);
      lines += '\n';
    }
    heads_.clear();
    put(lines);
  }
  void finish(std::uint64_t) override { give_name(file_, path_); }

 private:
  void put(const std::string& text) const {
    write_all(file_.get(), {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, path_);
  }

  const fs::path path_;
  const FileHandle file_;
  const std::vector<std::string> classes_;
  std::size_t dim_ = 0;
  std::vector<std::string> heads_;  // of the lines of the next block
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

class Hdf5 final : public FeatureFile::Format {
 public:
  Hdf5(fs::path path, std::vector<std::string> classes, std::optional<std::uint64_t> rows)
      : path_(std::move(path)), classes_(std::move(classes)), wanted_(rows) {
    if (wanted_) {
      create_file();
      return;
    }
    spill_ = create_without_name(path_.string() + ".rows");
    ::unlink((path_.string() + ".rows").c_str());
  }
  ~Hdf5() override {
    const Hdf5Lock lock;  // for what is closed here
    features_.reset();
    file_ = Hdf5Id();
  }

  void begin(const Shape& shape) override {
    shape_ = shape;
    dim_ = static_cast<std::size_t>(elements(shape));
    if (wanted_) create_features(*wanted_);
  }
  void describe(const FeatureRow& row) override {
    Described described;
    described.key = arena_.keep(row.key);
    described.labels = arena_.keep(row.labels);
    described.split = row.split;
    described.negative = row.negative;
    described.view = row.view;
    longest_key_ = std::max(longest_key_, row.key.size());
    several_ = several_ || (!classes_.empty() && (row.labels.size() > 1 || row.negative));
    if (rows_.push_back(described); rows_.size() % kRowsPerPause == 0) arena_.release();
  }
  void write(std::span<const float> values) override {
    if (!wanted_) return write_all(spill_.get(), as_bytes(values), path_);
    const Hdf5Lock lock;
    features_->write(H5T_NATIVE_FLOAT, written_, values.size() / dim_, values.data());
    written_ += values.size() / dim_;
  }
  void finish(std::uint64_t rows) override {
    const Hdf5Lock lock;
    if (!wanted_) {
      create_file();
      create_features(rows);
      copy_features(rows);
    }
    features_->close();
    write_labels();
    write_texts("keys", rows_.size(), longest_key_, [&](std::size_t i) { return rows_[i].key; });
    write_column<std::uint32_t>("views", H5T_STD_U32LE, H5T_NATIVE_UINT32,
                                [](const Described& row) { return row.view; });
    write_texts("splits", rows_.size(), kLongestSplit,
                [&](std::size_t i) { return std::string_view(to_string(rows_[i].split)); });
    if (!classes_.empty()) {
      std::size_t longest = 0;
      for (const std::string& name : classes_) longest = std::max(longest, name.size());
      write_texts("classes", classes_.size(), longest,
                  [&](std::size_t i) { return std::string_view(classes_[i]); });
    }
    hdf5_check(H5Fflush(file_, H5F_SCOPE_GLOBAL), "write " + path_.string());
    file_.close("close " + path_.string());
  }

 private:
  static constexpr std::size_t kRowsPerPause = 65536;
  static constexpr std::size_t kLongestSplit = 5;  // "train"

  struct Described {
    std::string_view key;
    std::span<const std::int32_t> labels;
    Split split;
    bool negative;
    std::uint32_t view;
  };

  void create_file() {
    const Hdf5Lock lock;
    const Hdf5Id access = file_access_list();
    file_ = Hdf5Id(H5Fcreate(path_.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access), H5Fclose,
                   "create " + path_.string());
  }

  void create_features(std::uint64_t rows) {
    const Hdf5Lock lock;
    std::vector<hsize_t> extents{rows};
    for (const std::int64_t e : shape_) extents.push_back(static_cast<hsize_t>(e));
    features_.emplace(file_, "features", H5T_IEEE_F32LE, extents);
  }

  void copy_features(std::uint64_t rows) {
    const std::size_t step = std::max<std::size_t>(1, kBlockBytes / std::max<std::size_t>(1, dim_ * 4));
    std::vector<float> block(step * dim_);
    for (std::uint64_t first = 0; first < rows; first += step) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(step, rows - first));
      const std::size_t bytes = count * dim_ * sizeof(float);
      if (read_at(spill_.get(), block.data(), bytes, first * dim_ * sizeof(float), path_) != bytes)
        throw Error(path_.string() + ": its rows are no longer in its temporary file");
      features_->write(H5T_NATIVE_FLOAT, first, count, block.data());
    }
  }

  /// For loops over all rows, forwards: gives back what they have passed.
  void passed(std::size_t row) const {
    rows_.release_behind(row);
    if (row % kRowsPerPause == 0) arena_.release();
  }

  /// Calls `put` for every row, in blocks of `row_bytes` each, and `write` after each block.
  void in_blocks(std::size_t n, std::size_t row_bytes,
                 const std::function<void(std::size_t row, std::size_t in_block)>& put,
                 const std::function<void(std::size_t first, std::size_t count)>& write) const {
    const std::size_t step = std::max<std::size_t>(1, kBlockBytes / std::max<std::size_t>(1, row_bytes));
    for (std::size_t first = 0; first < n; first += step) {
      const std::size_t count = std::min(step, n - first);
      for (std::size_t i = 0; i < count; ++i) put(first + i, i);
      write(first, count);
    }
  }

  /// Texts of one length: what every reader of HDF5 takes.
  void write_texts(const char* name, std::size_t n, std::size_t longest,
                   const std::function<std::string_view(std::size_t)>& text) const {
    longest = std::max<std::size_t>(longest, 1);
    const Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose, "make a type");
    hdf5_check(H5Tset_size(type, longest), "make a type");
    hdf5_check(H5Tset_strpad(type, H5T_STR_NULLPAD), "make a type");
    hdf5_check(H5Tset_cset(type, H5T_CSET_UTF8), "make a type");
    Dataset set(file_, name, type, {n});
    std::vector<char> block;
    in_blocks(
        n, longest,
        [&](std::size_t row, std::size_t i) {
          if (block.size() < (i + 1) * longest) block.resize((i + 1) * longest, '\0');
          const std::string_view t = text(row);
          std::copy(t.begin(), t.end(), block.begin() + static_cast<std::ptrdiff_t>(i * longest));
          passed(row);
        },
        [&](std::size_t first, std::size_t count) {
          set.write(type, first, count, block.data());
          block.clear();
        });
    set.close();
  }

  /// A number for each row.
  template <typename T, typename Value>
  void write_column(const char* name, hid_t type, hid_t memory_type, const Value& value) const {
    Dataset set(file_, name, type, {rows_.size()});
    std::vector<T> block;
    in_blocks(
        rows_.size(), sizeof(T),
        [&](std::size_t row, std::size_t) {
          block.push_back(value(rows_[row]));
          passed(row);
        },
        [&](std::size_t first, std::size_t count) {
          set.write(memory_type, first, count, block.data());
          block.clear();
        });
    set.close();
  }

  void write_labels() const {
    const std::size_t n = rows_.size();
    if (!several_)
      return write_column<std::int64_t>("labels", H5T_STD_I64LE, H5T_NATIVE_INT64, [](const Described& row) {
        return row.labels.empty() ? std::int64_t{-1} : std::int64_t{row.labels.front()};
      });
    const std::size_t classes = classes_.size();
    Dataset set(file_, "labels", H5T_STD_I8LE, {n, classes});
    std::vector<std::int8_t> block;
    in_blocks(
        n, classes,
        [&](std::size_t row, std::size_t i) {
          const Described& described = rows_[row];
          const bool unlabelled = described.labels.empty() && !described.negative;
          block.resize((i + 1) * classes, static_cast<std::int8_t>(unlabelled ? -1 : 0));
          for (const std::int32_t label : described.labels)
            block[i * classes + static_cast<std::size_t>(label)] = 1;
          passed(row);
        },
        [&](std::size_t first, std::size_t count) {
          set.write(H5T_NATIVE_INT8, first, count, block.data());
          block.clear();
        });
    set.close();
  }

  const fs::path path_;
  const std::vector<std::string> classes_;
  const std::optional<std::uint64_t> wanted_;
  FileHandle spill_;
  Hdf5Id file_;
  std::optional<Dataset> features_;
  Shape shape_;
  std::size_t dim_ = 0, written_ = 0, longest_key_ = 0;
  bool several_ = false;
  PagedArena arena_;
  PagedVector<Described> rows_;
};

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

void FeatureFile::require_name(const fs::path& path) {
  if (const std::string fault = fault_of_export_name(path); !fault.empty()) throw Error(fault);
  if (fs::exists(path))
    throw Error(fmt::format("{}: exists; remove it first, or choose another name", path.string()));
}

FeatureFile::FeatureFile(fs::path path, std::vector<std::string> classes, std::optional<std::uint64_t> rows)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.tmp", path_.string(), new_attempt())) {
  require_name(path_);
  if (path_.extension() == ".npy")
    format_ = std::make_unique<Npy>(temporary_);
  else if (path_.extension() == ".csv")
    format_ = std::make_unique<Csv>(temporary_, std::move(classes));
  else
    format_ = std::make_unique<Hdf5>(temporary_, std::move(classes), rows);
}

FeatureFile::~FeatureFile() {
  if (!format_) return;
  format_.reset();
  ::unlink(temporary_.c_str());
}

void FeatureFile::add(const FeatureRow& row, const Shape& shape, std::span<const float> values) {
  if (!has_rows()) {
    shape_ = shape;
    format_->begin(shape);
    add_nan(std::exchange(nan_before_, 0));
  } else if (shape != *shape_) {
    throw Error(fmt::format("{} was not written: '{}' has a row of {}, others have {}", path_.string(),
                            row.key, to_string(shape), to_string(*shape_)));
  }
  format_->describe(row);
  block_.insert(block_.end(), values.begin(), values.end());
  ++written_.rows;
  if (block_.size() * sizeof(float) >= kBlockBytes) flush();
}

void FeatureFile::add_without_features() {
  if (path_.extension() != ".npy") return;
  if (has_rows())
    add_nan(1);
  else
    ++nan_before_;
}

void FeatureFile::add_nan(std::uint64_t rows) {
  const auto dim = static_cast<std::size_t>(elements(*shape_));
  written_.rows += rows;
  written_.nan_rows += rows;
  for (; rows > 0; --rows) {
    block_.insert(block_.end(), dim, std::numeric_limits<float>::quiet_NaN());
    if (block_.size() * sizeof(float) >= kBlockBytes) flush();
  }
}

void FeatureFile::flush() {
  if (!block_.empty()) format_->write(block_);
  block_.clear();
}

Exported FeatureFile::finish() {
  if (!has_rows()) throw Error(fmt::format("{} was not written: no input has features", path_.string()));
  flush();
  format_->finish(written_.rows);
  {
    const FileHandle handle(::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!handle) throw Error(file_error("open", temporary_, errno));
    sync_file(handle.get(), temporary_);
  }
  if (!link_without_replacing(temporary_, path_)) throw Error(file_error("create", path_, EEXIST));
  format_.reset();
  return written_;
}

}  // namespace graft
