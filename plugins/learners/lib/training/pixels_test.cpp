#include <training/pixels.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

#include <training/testing/stripes.h>

namespace graft::training {
namespace {

using ::testing::ElementsAre;

/// Stripes with labels of their own.
class Labelled final : public RowSet {
 public:
  explicit Labelled(std::vector<std::vector<std::int32_t>> labels)
      : stripes_(labels.size(), 1), labels_(std::move(labels)) {}
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return stripes_.shape(); }
  DType dtype() const override { return DType::U8; }
  std::string_view key(std::size_t row) const override { return stripes_.key(row); }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return labels_[row]; }
  bool negative(std::size_t row) const override { return negatives && labels_[row].empty(); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    stripes_.read(first, count, out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    stripes_.read_raw(first, count, out);
  }

  bool negatives = false;  ///< Rows without labels show none of the classes; otherwise they are unlabelled.

 private:
  Stripes stripes_;
  std::vector<std::vector<std::int32_t>> labels_;
};

Normalizer imagenet() {
  std::vector<ParamFault> faults;
  return Normalizer(Params(resolve({Normalizer::parameter()}, Value::map(), faults)).object("normalize"));
}

TEST(Pixels, SeveralLabelsWhereTheRuleAllowsThem) {
  const Labelled rows({{0}, {}, {2, 1}});
  const Pixels pixels(rows, {3, true}, imagenet(), "train");
  ASSERT_EQ(pixels.size(), 2u);
  EXPECT_THAT(pixels.labels(0), ElementsAre(0));
  EXPECT_THAT(pixels.labels(1), ElementsAre(2, 1));
  try {
    const Pixels refused(rows, {3}, imagenet(), "train");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "train: expected one label per image, got 2 for 1/2; this learner is for single labels");
  }
}

TEST(Pixels, ImagesThatShowNoneOfTheClassesAreKept) {
  Labelled rows({{}, {0}, {}, {2, 1}});
  rows.negatives = true;
  const Pixels pixels(rows, {3, true}, imagenet(), "train");
  ASSERT_EQ(pixels.size(), 4u);
  EXPECT_THAT(pixels.labels(0), ElementsAre());
  EXPECT_THAT(pixels.labels(2), ElementsAre());
  EXPECT_THAT(pixels.labels(3), ElementsAre(2, 1));
  try {
    const Pixels refused(rows, {3}, imagenet(), "val");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "val: expected one label per image, got none of the classes for " +
                                         std::string(rows.key(0)) + "; this learner is for single labels");
  }
}

TEST(Pixels, AClassMayHaveNoOutput) {
  const Labelled rows({{0}, {1}, {2}});
  const Pixels one(rows, {3, false, {0, -1, 1}}, imagenet(), "val");
  EXPECT_THAT(one.labels(0), ElementsAre(0));
  EXPECT_THAT(one.labels(1), ElementsAre(-1));
  EXPECT_THAT(one.labels(2), ElementsAre(1));
  const Labelled many({{0, 1}, {1}});
  const Pixels several(many, {2, true, {0, -1}}, imagenet(), "val");
  EXPECT_THAT(several.labels(0), ElementsAre(0));
  EXPECT_THAT(several.labels(1), ElementsAre());
}

TEST(Pixels, IdentityIsThatOfKeysLabelsAndPixels) {
  const Labelled rows({{0}, {1}}), same({{0}, {1}}), other({{0}, {0}});
  const auto identity = [](const RowSet& r) { return Pixels(r, {2}, imagenet(), "train").identity(); };
  EXPECT_EQ(identity(rows), identity(same));
  EXPECT_NE(identity(rows), identity(other));
}

}  // namespace
}  // namespace graft::training
