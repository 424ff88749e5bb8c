#include <learning/features.h>

#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <cmath>
#include <limits>
#include <numeric>

#include <graft/random.h>

#include <learning/testing/fixtures.h>

namespace graft::learning {
namespace {

using graft::testing::error_of;
using ::testing::ElementsAre;
using ::testing::StrEq;

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

MemoryRows random_rows(std::size_t n, std::size_t dim, std::int32_t classes, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<float> values(n * dim);
  for (float& v : values) v = static_cast<float>(random.uniform(-2, 5));
  std::vector<std::int32_t> labels(n);
  for (std::size_t i = 0; i < n; ++i)
    labels[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(classes) + 1)) - 1;
  return MemoryRows(std::move(values), dim, labels);
}

std::vector<float> everything(const FeatureRows& rows) {
  std::vector<float> out, scratch;
  for (std::size_t b = 0; b < rows.blocks(); ++b) {
    const float* x = rows.block(b, scratch);
    out.insert(out.end(), x, x + rows.count(b) * rows.dim());
  }
  return out;
}

TEST(FeatureRows, IsTheSameInMemoryAndFromTheTable) {
  Sequential sequential;
  for (const char* scale : {"none", "l2", "standard"}) {
    const MemoryRows table = random_rows(3000, 5, 3);
    FeatureRows cached(table, 3, kAll, sequential);
    FeatureRows read(table, 3, 1000, sequential);
    EXPECT_TRUE(cached.cached());
    EXPECT_FALSE(read.cached());
    EXPECT_EQ(cached.labels(), read.labels());
    EXPECT_LT(cached.rows(), 2900U);  // the others are unlabelled
    for (FeatureRows* rows : {&cached, &read}) {
      const auto kind = RowScaler::kind_from(scale);
      rows->scale(kind == RowScaler::Kind::Standard ? rows->standard_scaler(sequential) : RowScaler(kind),
                  sequential);
    }
    EXPECT_EQ(everything(cached), everything(read)) << scale;
  }
}

TEST(FeatureRows, GivesTheRowsAtSomePositions) {
  Sequential sequential;
  const MemoryRows table = random_rows(3000, 5, 3);
  const FeatureRows cached(table, 3, kAll, sequential), read(table, 3, 0, sequential);
  const std::vector<float> all = everything(cached);
  std::vector<std::size_t> some = evenly_spaced(cached.rows(), 7);
  some.push_back(cached.rows() - 1);
  const std::vector<float> found = rows_at(read, some, sequential);
  EXPECT_EQ(found, rows_at(cached, some, sequential));
  ASSERT_EQ(found.size(), 8U * 5);
  for (std::size_t i = 0; i < some.size(); ++i) {
    for (std::size_t d = 0; d < 5; ++d) EXPECT_EQ(found[i * 5 + d], all[some[i] * 5 + d]);
  }
  EXPECT_THAT(evenly_spaced(10, 3), ElementsAre(0, 3, 6));
  EXPECT_THAT(evenly_spaced(3, 10), ElementsAre(0, 1, 2));
  EXPECT_THAT(evenly_spaced(0, 10), ElementsAre());
}

TEST(FeatureRows, LeavesOutUnlabelledRows) {
  Sequential sequential;
  const MemoryRows table({1, 2, 3, 4}, 1, {0, -1, 1, 0});
  const FeatureRows rows(table, 2, kAll, sequential);
  EXPECT_THAT(rows.labels(), ElementsAre(0, 1, 0));
  EXPECT_THAT(rows.positions(), ElementsAre(0, 2, 3));
  EXPECT_THAT(everything(rows), ElementsAre(1, 3, 4));
}

TEST(FeatureRows, HasSeveralLabelsARowWhereThatIsAllowed) {
  Sequential sequential;
  const SeveralLabelRows table({1, 2, 3, 4}, 1, {{2, 0}, {}, {1}, {1, 2, 1}}, {1});
  const FeatureRows rows(table, 3, kAll, sequential, metrics::LabelMode::Multi);
  EXPECT_THAT(rows.positions(), ElementsAre(0, 2, 3));
  EXPECT_THAT(rows.labels(), ElementsAre(0, 2, 1, 1, 2));
  EXPECT_THAT(rows.labels_of(0), ElementsAre(0, 2));
  EXPECT_THAT(rows.labels_of(1), ElementsAre(1));
  EXPECT_THAT(rows.labels_of(2), ElementsAre(1, 2));
  EXPECT_THAT(everything(rows), ElementsAre(1, 3, 4));
  const MemoryRows single({1, 2, 3}, 1, {1, -1, 0});
  EXPECT_THAT(FeatureRows(single, 2, kAll, sequential).labels_of(1), ElementsAre(0));
  EXPECT_THAT(
      error_of([&] { FeatureRows(table, 3, kAll, sequential); }),
      StrEq("row 'row0' has 2 labels: expected one label per row; this learner is single-label, give it a "
            "table with one label per row"));
}

TEST(FeatureRows, KeepsRowsThatShowNoneOfTheClassesWithoutLabels) {
  Sequential sequential;
  const SeveralLabelRows table({1, 2, 3, 4, 5}, 1, {{}, {1, 0}, {}, {1}, {}}, {2});
  const FeatureRows rows(table, 2, kAll, sequential, metrics::LabelMode::Multi);
  EXPECT_THAT(rows.positions(), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(rows.labels(), ElementsAre(0, 1, 1));
  EXPECT_THAT(rows.labels_of(0), ElementsAre());
  EXPECT_THAT(rows.labels_of(1), ElementsAre(0, 1));
  EXPECT_THAT(rows.labels_of(2), ElementsAre(1));
  EXPECT_THAT(rows.labels_of(3), ElementsAre());
  EXPECT_THAT(everything(rows), ElementsAre(1, 2, 4, 5));
  const SeveralLabelRows negatives({1, 2}, 1, {{}, {}});
  EXPECT_THAT(FeatureRows(negatives, 2, kAll, sequential, metrics::LabelMode::Multi).labels_of(1),
              ElementsAre());
  EXPECT_THAT(
      error_of([&] { FeatureRows(negatives, 2, kAll, sequential); }),
      StrEq("row 'row0' shows none of the classes: expected one label per row; this learner is single-label, "
            "give it a table with one label per row"));
}

TEST(FeatureRows, NamesTheRowOfABadFeature) {
  Sequential sequential;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const char* cure =
      ": expected finite numbers; look at this input, drop it from the source, or check the "
      "normalisation and precision of the backbone";
  const MemoryRows one({1, 2, 3, 4, nan, 6}, 2, {0, 1, 0});
  const std::string key(one.key(2));
  for (const std::size_t cache : {kAll, std::size_t{0}}) {
    EXPECT_THAT(error_of([&] { FeatureRows(one, 2, cache, sequential); }),
                StrEq("row '" + key + "' (view 0): feature 0 is nan" + cure));
  }
  const MemoryRows two({1, 2, 3, -inf}, 2, {0, 1});
  EXPECT_THAT(
      error_of([&] { read_blocks(two, 0, two.rows(), sequential, [](std::size_t, std::size_t, float*) {}); }),
      StrEq("row '" + std::string(two.key(1)) + "' (view 0): feature 1 is -inf" + cure));
}

TEST(FeatureRows, RefusesLabelsThatAreNoClass) {
  Sequential sequential;
  const MemoryRows table({1, 2}, 1, {0, 3});
  EXPECT_THAT(
      error_of([&] { FeatureRows(table, 2, kAll, sequential); }),
      StrEq("row '" + std::string(table.key(1)) +
            "' has label 3: expected 0 to 1 for the 2 classes of its source; check the labels there"));
}

/// Rows of one feature, their number, with any labels.
class LabelledRows final : public RowSet {
 public:
  explicit LabelledRows(std::vector<std::vector<std::int32_t>> labels) : labels_(std::move(labels)) {}
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t) const override { return "a.jpg"; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t r) const override { return labels_[r]; }
  void read(std::size_t first, std::size_t count, float* out) const override {
    std::iota(out, out + count, static_cast<float>(first));
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }

 private:
  std::vector<std::vector<std::int32_t>> labels_;
  Shape shape_ = {1};
};

TEST(FeatureRows, MayHoldRowsWithSeveralLabels) {
  Sequential sequential;
  const LabelledRows table({{2, 0}, {}, {1}, {3, 3, 1}});
  const FeatureRows rows(table, 4, kAll, sequential, metrics::LabelMode::Multi);
  EXPECT_EQ(rows.mode(), metrics::LabelMode::Multi);
  EXPECT_EQ(rows.rows(), 3U);
  EXPECT_THAT(rows.positions(), ElementsAre(0, 2, 3));
  EXPECT_THAT(everything(rows), ElementsAre(0, 2, 3));
  EXPECT_THAT(rows.labels_of(0), ElementsAre(0, 2));
  EXPECT_THAT(rows.labels_of(1), ElementsAre(1));
  EXPECT_THAT(rows.labels_of(2), ElementsAre(1, 3));
  EXPECT_THAT(error_of([&] { FeatureRows(table, 4, kAll, sequential); }),
              StrEq("row 'a.jpg' has 2 labels: expected one label per row; this learner is single-label, "
                    "give it a table with one label per row"));
  EXPECT_THAT(error_of([&] { FeatureRows(table, 3, kAll, sequential, metrics::LabelMode::Multi); }),
              StrEq("row 'a.jpg' has label 3: expected 0 to 2 for the 3 classes of its source; check the "
                    "labels there"));
  const LabelledRows unlabelled({{}, {}});
  const FeatureRows none(unlabelled, 4, kAll, sequential, metrics::LabelMode::Multi);
  EXPECT_EQ(none.rows(), 0U);
  EXPECT_EQ(none.mode(), metrics::LabelMode::Multi);
}

TEST(FeatureRows, GivesTheOneLabelOfARowAsAList) {
  Sequential sequential;
  const MemoryRows table({1, 2, 3}, 1, {1, -1, 0});
  const FeatureRows rows(table, 2, kAll, sequential);
  EXPECT_EQ(rows.mode(), metrics::LabelMode::Single);
  EXPECT_THAT(rows.labels_of(0), ElementsAre(1));
  EXPECT_THAT(rows.labels_of(1), ElementsAre(0));
}

TEST(StandardScaler, CentresEveryColumn) {
  Sequential sequential;
  const MemoryRows table = random_rows(5000, 4, 1);
  FeatureRows rows(table, 1, kAll, sequential);
  rows.scale(rows.standard_scaler(sequential), sequential);
  const std::vector<float> x = everything(rows);
  const double n = static_cast<double>(rows.rows());
  for (std::size_t d = 0; d < 4; ++d) {
    double sum = 0, squares = 0;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      sum += x[r * 4 + d];
      squares += static_cast<double>(x[r * 4 + d]) * x[r * 4 + d];
    }
    EXPECT_NEAR(sum / n, 0, 1e-6);
    EXPECT_NEAR(squares / n, 1, 1e-5);
  }
}

TEST(StandardScaler, LeavesConstantColumnsAlone) {
  Sequential sequential;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (int r = 0; r < 3000; ++r) {
    values.insert(values.end(), {0.1F, static_cast<float>(r % 2), 123456.7F});
    labels.push_back(0);
  }
  const MemoryRows table(values, 3, labels);
  const RowScaler scaler = FeatureRows(table, 1, kAll, sequential).standard_scaler(sequential);
  EXPECT_THAT(scaler.factor(), ElementsAre(1.0F, 2.0F, 1.0F));
  std::vector<float> row = {0.1F, 1, 123456.7F};
  scaler.apply(1, 3, row.data());
  EXPECT_THAT(row, ElementsAre(0, 1, 0));
}

TEST(StandardScaler, HasTheSameBitsForAnyNumberOfThreads) {
  Sequential one;
  graft::testing::Threads four(4);
  const MemoryRows table = random_rows(20000, 7, 2);
  const RowScaler a = FeatureRows(table, 2, kAll, one).standard_scaler(one);
  const RowScaler b = FeatureRows(table, 2, kAll, four).standard_scaler(four);
  EXPECT_EQ(a.mean(), b.mean());
  EXPECT_EQ(a.factor(), b.factor());
}

TEST(RowScaler, IsTheSameAfterSavingAndLoading) {
  for (const RowScaler& scaler :
       {RowScaler(), RowScaler(RowScaler::Kind::L2), RowScaler({0.1F, 2}, {1.5F, 1.0F / 3})}) {
    Bundle bundle;
    scaler.save(bundle);
    const RowScaler again = RowScaler::load(bundle, 2);
    EXPECT_EQ(again.kind(), scaler.kind());
    EXPECT_EQ(again.mean(), scaler.mean());
    EXPECT_EQ(again.factor(), scaler.factor());
  }
}

TEST(L2Scaler, KeepsZeroRowsAndHugeRows) {
  std::vector<float> rows = {0, 0, 3e38F, 3e38F, 3e-38F, 4e-38F};
  RowScaler(RowScaler::Kind::L2).apply(3, 2, rows.data());
  EXPECT_THAT(rows, ElementsAre(0, 0, ::testing::FloatNear(std::sqrt(0.5F), 1e-6F), ::testing::_,
                                ::testing::FloatNear(0.6F, 1e-6F), ::testing::FloatNear(0.8F, 1e-6F)));
}

}  // namespace
}  // namespace graft::learning
