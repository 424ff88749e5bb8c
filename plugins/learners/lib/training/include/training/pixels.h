#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <graft/learner.h>
#include <graft/table.h>

#include <augment/augmentation.h>

#include <network/normalizer.h>

namespace graft::training {

/// Which labels rows may have, and what a learner makes of them.
struct LabelRule {
  std::size_t classes = 0;
  bool several = false;  ///< A row may have any number of labels, none as well (RowSet::negative).
  /// The learner's output for each class, -1 for one that it has none for; empty: the class itself.
  std::vector<std::int32_t> output_of = {};
};

/// Labelled rows of a pixel table as normalised batches. Unlabelled rows are left out. Tables of up to 1
/// GiB are read once and kept; larger ones are read row by row. Immutable; any number of threads.
class Pixels {
 public:
  /// Throws Error when the table does not hold images or a row has labels that the rule forbids or one out of
  /// range. `what` names the rows in messages: "train", "val".
  Pixels(const RowSet& rows, const LabelRule& rule, Normalizer normalizer, const std::string& what);

  std::size_t size() const { return rows_.size(); }
  int height() const { return height_; }
  int width() const { return width_; }
  /// Outputs of the learner that image i belongs to. A single label is always there: -1 for a class without
  /// an output; of several, those without are left out.
  std::span<const std::int32_t> labels(std::size_t i) const {
    return std::span(labels_).subspan(label_begins_[i], label_begins_[i + 1] - label_begins_[i]);
  }

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
  std::vector<std::size_t> label_begins_ = {0};
  std::vector<std::uint8_t> kept_;  // all rows of the table, or nothing
  int height_ = 0, width_ = 0;
};

/// The images that a learner trains on and those that it chooses on.
struct TrainingPixels {
  /// Throws Error as Pixels does, for no labelled image in train, and for images of several sizes.
  TrainingPixels(const TrainingTable& table, const LabelRule& rule, const Normalizer& normalizer);
  Pixels train, val;
};

/// Height and width of an image row; throws Error for a table of anything else than u8[h,w,3].
std::pair<int, int> image_size(const RowSet& rows);

}  // namespace graft::training
