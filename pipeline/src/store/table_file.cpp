#include <graft/table_file.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "store/hdf5_reader.h"

namespace graft {
namespace {

// What the reader has made sure of is made sure of here again: it may be led astray by its file.
constexpr std::uint64_t kMaxRows = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxRowElements = std::uint64_t{1} << 24;
constexpr std::uint64_t kMaxClasses = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxAxes = 8;
constexpr std::uint64_t kMaxUnread = 1000;
constexpr std::uint32_t kMaxLabel = 2147483647;
constexpr std::uint32_t kMaxView = std::numeric_limits<std::uint32_t>::max();
/// Of one answer.
constexpr std::size_t kMaxDescribed = 4096, kMaxLabels = std::size_t{1} << 22;

std::string range(std::size_t first, std::size_t count) {
  MessageWriter message;
  message.number(first);
  message.number(count);
  return message.body();
}

}  // namespace

struct TableFile::Impl {
  explicit Impl(std::string file) : path(std::move(file)), reader(path) {}

  void open(const Names& names) {
    MessageWriter request;
    request.text(path);
    request.text(names.features);
    for (const auto* name : {&names.labels, &names.keys, &names.splits, &names.views})
      request.optional_text(*name);
    const std::string answer = reader.open(request.body());
    MessageParser in(answer);
    rows = static_cast<std::size_t>(in.number(kMaxRows));
    std::uint64_t dim = 1;
    for (std::uint64_t axes = in.number(kMaxAxes); axes > 0; --axes) {
      shape.push_back(static_cast<std::int64_t>(in.number(kMaxRowElements)));
      dim = std::min(dim * static_cast<std::uint64_t>(shape.back()), kMaxRowElements + 1);
    }
    has_labels = in.number(1) == 1;
    has_keys = in.number(1) == 1;
    has_splits = in.number(1) == 1;
    has_views = in.number(1) == 1;
    numbered = in.number(1) == 1;
    label_columns = static_cast<std::size_t>(in.number(kMaxClasses));
    for (std::uint64_t n = in.number(kMaxClasses); n > 0; --n) classes.push_back(in.text());
    for (std::uint64_t n = in.number(kMaxUnread); n > 0; --n) {
      std::string name = in.text();
      unread.push_back({std::move(name), in.number()});
    }
    in.end();
    if (rows == 0 || shape.empty() || dim == 0 || dim > kMaxRowElements)
      throw Error(path + ": the process that reads it gave a shape that makes no sense");
  }

  /// Of a class that a row has; numbers are those of classes in the list, where there is one.
  std::string label_of(std::uint64_t number) const {
    return classes.empty() ? std::to_string(number) : classes[static_cast<std::size_t>(number)];
  }

  void describe(std::size_t first, std::size_t count, std::vector<Row>& out) {
    const std::string answer = reader.ask(Hdf5Request::Describe, range(first, count));
    MessageParser in(answer);
    const std::uint64_t last = classes.empty() ? kMaxLabel : classes.size() - 1;
    for (; count > 0; --count) {
      Row& row = out.emplace_back();
      if (has_keys) row.key = in.text();
      if (has_splits)
        if (const std::uint64_t split = in.number(3); split > 0) row.split = static_cast<Split>(split - 1);
      if (has_views) row.view = static_cast<std::uint32_t>(in.number(kMaxView));
      if (!has_labels) continue;
      if (numbered) {
        row.negative = in.number(1) == 1;
        const std::size_t most = row.negative ? 0 : std::max<std::size_t>(1, label_columns);
        for (std::uint64_t n = in.number(most); n > 0; --n) row.labels.push_back(label_of(in.number(last)));
      } else if (std::string label = in.text(); !label.empty()) {
        row.labels.push_back(std::move(label));
      }
    }
    in.end();
  }

  std::string path;
  Hdf5Reader reader;
  std::size_t rows = 0;
  Shape shape;
  bool has_labels = false, has_keys = false, has_splits = false, has_views = false, numbered = false;
  std::size_t label_columns = 0;
  std::vector<std::string> classes;
  std::vector<Unread> unread;
};

TableFile::TableFile(std::string path, const Names& names) : impl_(std::make_unique<Impl>(std::move(path))) {
  impl_->open(names);
}

TableFile::~TableFile() = default;
TableFile::TableFile(TableFile&&) noexcept = default;
TableFile& TableFile::operator=(TableFile&& other) noexcept = default;

const std::string& TableFile::path() const {
  return impl_->path;
}
std::size_t TableFile::rows() const {
  return impl_->rows;
}
const Shape& TableFile::shape() const {
  return impl_->shape;
}
bool TableFile::has_labels() const {
  return impl_->has_labels;
}
bool TableFile::has_keys() const {
  return impl_->has_keys;
}
bool TableFile::has_splits() const {
  return impl_->has_splits;
}
bool TableFile::has_views() const {
  return impl_->has_views;
}
bool TableFile::has_numbered_labels() const {
  return impl_->numbered;
}
const std::vector<std::string>& TableFile::classes() const {
  return impl_->classes;
}
const std::vector<TableFile::Unread>& TableFile::unread() const {
  return impl_->unread;
}

std::vector<TableFile::Row> TableFile::describe(std::size_t first, std::size_t count) const {
  if (first > rows() || count > rows() - first)
    throw Error(fmt::format("{}: rows {} to {} of {} were asked for", path(), first, first + count, rows()));
  std::vector<Row> out;
  out.reserve(count);
  const std::size_t step =
      std::clamp<std::size_t>(kMaxLabels / std::max<std::size_t>(1, impl_->label_columns), 1, kMaxDescribed);
  for (const std::size_t end = first + count; first < end; first += step)
    impl_->describe(first, std::min(step, end - first), out);
  return out;
}

void TableFile::read(std::size_t first, std::size_t count, float* out) const {
  if (first > rows() || count > rows() - first)
    throw Error(fmt::format("{}: rows {} to {} of {} were asked for", path(), first, first + count, rows()));
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / sizeof(float) / dim());
  for (const std::size_t end = first + count; first < end; first += step) {
    const std::size_t rows = std::min(step, end - first);
    impl_->reader.ask(Hdf5Request::Read, range(first, rows),
                      {reinterpret_cast<std::uint8_t*>(out), rows * dim() * sizeof(float)});
    out += rows * dim();
  }
}

}  // namespace graft
