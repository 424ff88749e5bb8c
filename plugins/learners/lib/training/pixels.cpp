#include <training/pixels.h>

#include <fmt/format.h>

#include <tuple>
#include <utility>

#include <graft/error.h>
#include <graft/hash.h>

namespace graft::training {
namespace {

constexpr std::size_t kKeepBytes = std::size_t{1} << 30;

}  // namespace

std::pair<int, int> image_size(const RowSet& rows) {
  const Shape& shape = rows.shape();
  if (rows.dtype() != DType::U8 || shape.size() != 3 || shape[2] != 3)
    throw Error(
        fmt::format("expected a table of pixels, u8[height,width,3], got {}{}; put `pixel_table` before this "
                    "stage",
                    to_string(rows.dtype()), to_string(shape)));
  return {static_cast<int>(shape[0]), static_cast<int>(shape[1])};
}

Pixels::Pixels(const RowSet& rows, const LabelRule& rule, Normalizer normalizer, const std::string& what)
    : table_(rows), normalizer_(normalizer) {
  if (rows.rows() == 0) return;
  std::tie(height_, width_) = image_size(rows);
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const auto labels = rows.labels(row);
    if (!rows.labelled(row)) continue;
    if (labels.size() != 1 && !rule.several)
      throw Error(fmt::format(
          "{}: expected one label per image, got {} for {}; this learner is for single labels", what,
          labels.empty() ? "none of the classes" : std::to_string(labels.size()), rows.key(row)));
    for (const std::int32_t label : labels) {
      if (label < 0 || static_cast<std::size_t>(label) >= rule.classes)
        throw Error(fmt::format("{}: label {} of {} is out of range: there are {} classes", what, label,
                                rows.key(row), rule.classes));
      const std::int32_t output =
          rule.output_of.empty() ? label : rule.output_of[static_cast<std::size_t>(label)];
      if (output >= 0 || !rule.several) labels_.push_back(output);
    }
    rows_.push_back(row);
    label_begins_.push_back(labels_.size());
  }
  const std::size_t bytes = rows.rows() * rows.dim();
  if (bytes <= kKeepBytes) {
    kept_.resize(bytes);
    rows.read_raw(0, rows.rows(), kept_.data());
  }
}

TrainingPixels::TrainingPixels(const TrainingTable& table, const LabelRule& rule,
                               const Normalizer& normalizer)
    : train(*table.train, rule, normalizer, "train"), val(*table.val, rule, normalizer, "val") {
  if (train.size() == 0) throw Error("expected labelled images in train, got none");
  if (val.size() > 0 && (val.height() != train.height() || val.width() != train.width()))
    throw Error("images of train and val differ in size");
}

const std::uint8_t* Pixels::fetch(std::size_t i, std::vector<std::uint8_t>& scratch) const {
  if (!kept_.empty()) return kept_.data() + rows_[i] * table_.dim();
  scratch.resize(table_.dim());
  table_.read_raw(rows_[i], 1, scratch.data());
  return scratch.data();
}

Image Pixels::image_of(const std::uint8_t* pixels) const {
  Image image;
  image.data = const_cast<std::uint8_t*>(pixels);
  image.width = width_;
  image.height = height_;
  image.stride = 3 * static_cast<std::ptrdiff_t>(width_);
  return image;
}

void Pixels::pack(std::size_t i, float* out) const {
  std::vector<std::uint8_t> scratch;
  normalizer_.pack(image_of(fetch(i, scratch)), out);
}

void Pixels::pack(std::size_t i, const augment::Augmentation& augmentation, std::uint64_t seed,
                  std::uint32_t epoch, float* out) const {
  std::vector<std::uint8_t> scratch;
  const std::size_t row = rows_[i];
  // The epoch takes the place of the view, so a view of the table needs numbers of its own.
  const std::uint64_t stream = seed + table_.view(row);
  const Image changed = augmentation.apply(image_of(fetch(i, scratch)), stream, table_.key(row), epoch);
  if (changed.width != width_ || changed.height != height_)
    throw Error(
        fmt::format("operations: expected images of {} x {}, the size of the table's, got {} x {}; give the "
                    "operation that changes it (`size`, `expand`) another value",
                    width_, height_, changed.width, changed.height));
  normalizer_.pack(changed, out);
}

std::string Pixels::identity() const {
  std::string text = fmt::format("{}x{}", height_, width_);
  for (std::size_t i = 0; i < rows_.size(); ++i)
    text += fmt::format("\n{}\t{}\t{}", table_.key(rows_[i]), table_.view(rows_[i]),
                        fmt::join(table_.labels(rows_[i]), ","));
  text += '\n' + digest(kept_.data(), kept_.size()).hex();
  return digest(text).hex();
}

}  // namespace graft::training
