// What knn warns of and refuses.

#include <gmock/gmock.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <graft/random.h>
#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <learning/testing/fixtures.h>
#include <learning/testing/random_rows.h>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using learning::Data;
using learning::kThree;
using learning::kTwo;
using learning::random_data;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::StrEq;

TEST(KnnMessages, TellsWhatItsEmbeddingKeeps) {
  const MemoryRows train = random_data(90, 6, 3, 1).rows(), val = random_data(30, 6, 3, 2).rows();
  StageHarness knn("knn", "{k: 5, embedding: {pca: {dims: 10}}}");
  const LearnerResult result = knn.fit(train, val, kThree);
  EXPECT_EQ(result.summary.find("embedding")->find("dims")->as_int(), 6);
  EXPECT_NEAR(result.summary.find("embedding")->find("retained_energy")->as_double(), 1, 1e-9);
  EXPECT_EQ(result.summary.find("refit")->find("embedding")->find("kind")->as_string(), "pca");
  EXPECT_THAT(knn.warnings(),
              ElementsAre("embedding pca: 10 outputs were wanted, but the 90 train rows vary in 6 "
                          "directions: 6 are taken"));
  EXPECT_THAT(
      error_of([&] {
        StageHarness("knn", "{embedding: pca}").fit(MemoryRows({1, 2}, 2, {0}), MemoryRows({}, 2, {}), kTwo);
      }),
      StrEq("embedding pca: 1 labelled train row: expected at least 2"));
  EXPECT_THAT(error_of([] { StageHarness("knn", "{embedding: {pca: {dim: 3}}}"); }),
              StrEq("embedding.pca.dim: unknown parameter 'dim'; did you mean 'dims'? (allowed: dims, "
                    "energy, whiten)"));
}

TEST(KnnMessages, NamesTheRowThatOverflowsAnEmbedding) {
  const MemoryRows train = random_data(60, 4, 2, 1).rows();
  const MemoryRows val({0, 0, 0, 0, 3e38F, 3e38F, 3e38F, 3e38F}, 4, {0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn", "{embedding: {pca: {whiten: true}}}").fit(train, val, kTwo); }),
      StrEq("row '" + std::string(val.key(1)) +
            "': its features are so far from those of training that the embedding (pca) overflows; look at "
            "this input, or scale the features"));
}

TEST(KnnMessages, RefusesADamagedBundle) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  StageHarness knn("knn");
  Bundle good;
  knn.fit(train, MemoryRows({}, 3, {}), kThree).predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { knn.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.large.erase("rows"); }),
              StrEq("bundle without the tensor 'rows': expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                b.large["rows"] = std::make_shared<learning::CountedTensor>(std::vector<float>(40), 4);
              }),
              StrEq("tensor 'rows' of the bundle is f32 [10,4]: expected f32 [10,3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                std::vector<float> rows(30);
                rows[29] = std::numeric_limits<float>::infinity();
                b.large["rows"] = std::make_shared<learning::CountedTensor>(rows, 3);
              }),
              StrEq("tensor 'rows' of the bundle has values that are not finite" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts = Value::map(); }), StrEq("bundle without 'classes'" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["k"] = 0; }),
              StrEq("'k' of the bundle is 0: expected a whole number from 1 to 2147483647" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["classes"] = 2; }),
              StrEq("tensor 'labels' of the bundle has class 2: expected 0 to 1" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["metric"] = "manhattan"; }),
              StrEq("metric 'manhattan': expected cosine or euclidean"));
  EXPECT_THAT(load([](Bundle& b) {
                b.facts["embedding"] = "pca";
                b.facts["embedding_inputs"] = 4;
                b.facts["embedding_dims"] = 1;
                b.tensors["embedding.mean"] = StageHarness::tensor({4}, {0, 0, 0, 0});
                b.tensors["embedding.directions"] = StageHarness::tensor({1, 4}, {1, 0, 0, 0});
              }),
              StrEq("'embedding_inputs' of the bundle is 4: expected 3, as 'dim'" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["temperature"] = 0.0; }),
              StrEq("'temperature' of the bundle is 0: expected a number above 0" + cure));
}

TEST(KnnMessages, RefusesATableOfAnotherWidth) {
  const MemoryRows train = random_data(10, 3, 3, 1).rows();
  const LearnerResult result = StageHarness("knn").fit(train, MemoryRows({}, 3, {}), kThree);
  const MemoryRows other({1, 2}, 2, {0});
  Sequential sequential;
  EXPECT_THAT(
      error_of([&] { result.predictor->predict({&other}, sequential); }),
      StrEq(
          "the table has 2 features per row: expected 3, as in training; make it with the same backbone and "
          "tap"));
}

TEST(KnnMessages, TellsWhenThereIsNothingToChooseOn) {
  const MemoryRows train = random_data(30, 4, 3, 1).rows();
  StageHarness knn("knn", "{k: [1, 15, 200], temperature: [0.01, 0.1]}");
  const LearnerResult result = knn.fit(train, MemoryRows({}, 4, {}), kThree);
  EXPECT_EQ(result.summary.find("k")->as_int(), 15);
  EXPECT_EQ(result.summary.find("temperature")->as_double(), 0.1);
  EXPECT_THAT(
      knn.warnings(),
      ElementsAre("table 'table' has no labelled val rows to choose k and temperature on: taking k = 15 "
                  "(nearest to 20), temperature = 0.1 (nearest to 0.07); give the source a val split, or "
                  "set each to one value"));
}

/// Classes that are apart in features with a large offset.
Data with_offset(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Data data{4, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % 2));
    for (std::size_t d = 0; d < 4; ++d)
      data.values.push_back(static_cast<float>(1e4 + random.uniform(-1, 1) + (d == i % 2 ? 3 : 0)));
  }
  return data;
}

TEST(KnnMessages, WarnsWhereCosinesAreRoundingErrorsAndWhatItNamesHelps) {
  const MemoryRows train = with_offset(60, 1).rows(), val = with_offset(20, 2).rows();
  StageHarness cosine("knn", "{k: 5}");
  cosine.fit(train, val, kTwo);
  EXPECT_THAT(cosine.warnings(),
              ElementsAre(AllOf(StartsWith("table 'table': 1 - cosine of its train rows is "),
                                HasSubstr("e-08 on average, expected at least 1.2e-05: "),
                                EndsWith(": use metric: euclidean, or take it away (embedding: pca)"))));
  for (const char* with : {"{k: 5, metric: euclidean}", "{k: 5, embedding: pca}"}) {
    StageHarness knn("knn", with);
    const LearnerResult result = knn.fit(train, val, kTwo);
    EXPECT_THAT(knn.warnings(), IsEmpty()) << with;
    for (std::size_t r = 0; r < 20; ++r) EXPECT_GT(result.val.row(r)[r % 2], 0.5F) << with;
  }
}

TEST(KnnMessages, LeavesOutUnlabelledRowsAndNamesAbsentClasses) {
  const MemoryRows train({1, 0, 0, 1, 1, 0.1F}, 2, {0, 1, -1});
  const MemoryRows val({1, 0, 0, 1}, 2, {-1, 1});
  StageHarness knn("knn", "{k: 1}");
  const LearnerResult result = knn.fit(train, val, kThree);
  EXPECT_THAT(knn.warnings(), ElementsAre("no train rows of wasps: the score of such a class is 0"));
  EXPECT_EQ(result.val.rows, 2U);  // scored all the same
  EXPECT_EQ(result.summary.find("val_rows")->as_int(), 1);
}

TEST(KnnMessages, RefusesTablesItCannotLearnFrom) {
  const MemoryRows none({1, 2}, 1, {-1, -1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn").fit(none, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("table 'table' has no labelled train rows: expected at least 1; check the labels, the splits and "
            "the rejected inputs"));
  const MemoryRows nan({1, std::numeric_limits<float>::quiet_NaN()}, 1, {0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("knn").fit(nan, MemoryRows({}, 1, {}), kTwo); }),
      StrEq("row '" + std::string(nan.key(1)) +
            "' (view 0): feature 0 is nan: expected finite numbers; look at this input, drop it from the "
            "source, or check the normalisation and precision of the backbone"));
}

}  // namespace
}  // namespace graft
