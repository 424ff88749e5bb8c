#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <graft/table.h>

#include <augment/augmentation.h>

#include <network/normalizer.h>

namespace graft {

/// Labelled rows of a pixel table as normalised batches. Rows without a label are left out. Tables of up to 1
/// GiB are read once and kept; larger ones are read row by row. Immutable; any number of threads.
class Pixels {
 public:
  /// Throws Error when the table does not hold images or a row has several labels or one out of range.
  /// `what` names the rows in messages: "train", "val".
  Pixels(const RowSet& rows, std::size_t classes, Normalizer normalizer, const std::string& what);

  std::size_t size() const { return rows_.size(); }
  std::size_t unlabelled() const { return unlabelled_; }
  int height() const { return height_; }
  int width() const { return width_; }
  std::int32_t label(std::size_t i) const { return labels_[i]; }

  /// Writes image i as planes [3,height,width].
  void pack(std::size_t i, float* out) const;
  /// The same after random changes, a pure function of the image, the seed, the row's key and view, and the
  /// epoch. Throws Error when they change the size.
  void pack(std::size_t i, const augment::Augmentation& augmentation, std::uint64_t seed, std::uint32_t epoch,
            float* out) const;

  /// Names the content: keys, labels, and the pixels themselves where they are kept.
  std::string identity() const;

 private:
  const std::uint8_t* fetch(std::size_t i, std::vector<std::uint8_t>& scratch) const;
  Image image_of(const std::uint8_t* pixels) const;

  const RowSet& table_;
  Normalizer normalizer_;
  std::vector<std::size_t> rows_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint8_t> kept_;  // all rows of the table, or nothing
  std::size_t unlabelled_ = 0;
  int height_ = 0, width_ = 0;
};

/// Height and width of an image row; throws Error for a table of anything else than u8[h,w,3].
std::pair<int, int> image_size(const RowSet& rows);

}  // namespace graft
