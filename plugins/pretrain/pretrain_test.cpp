#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include "torch_engine.h"

namespace graft {
namespace {

using ::testing::HasSubstr;
using testing::StageHarness;
using testing::Threads;

constexpr int kSide = 16;

/// Images of stripes, upright or lying, in random colours under noise: the label is the direction.
class Stripes final : public RowSet {
 public:
  Stripes(std::size_t rows, std::uint64_t seed, int side = kSide) : shape_{side, side, 3} {
    Random random(seed);
    for (std::size_t r = 0; r < rows; ++r) {
      keys_.push_back(std::to_string(seed) + "/" + std::to_string(r));
      labels_.push_back(static_cast<std::int32_t>(r % 2));
      const int phase = static_cast<int>(random.below(4));
      const double base = random.uniform(60, 130), strength = random.uniform(40, 60);
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
          const bool bright = (((r % 2 ? x : y) + phase) / 2) % 2 == 0;
          for (int c = 0; c < 3; ++c)
            pixels_.push_back(static_cast<std::uint8_t>(
                std::clamp(base + (bright ? strength : 0.0) + random.uniform(-25, 25), 0.0, 255.0)));
        }
    }
  }
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::U8; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override {
    return {labels_.data() + row, labels_[row] < 0 ? 0u : 1u};
  }
  void read(std::size_t first, std::size_t count, float* out) const override {
    for (std::size_t i = 0; i < count * dim(); ++i) out[i] = pixels_[first * dim() + i];
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    std::memcpy(out, pixels_.data() + first * dim(), count * dim());
  }
  void set_label(std::size_t row, std::int32_t label) { labels_[row] = label; }

 private:
  Shape shape_;
  std::vector<std::string> keys_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint8_t> pixels_;
};

const char* const kTiny =
    "{architecture: resnet8, width: 4, epochs: 4, batch: 64, learning_rate: 0.1,"
    " operations: [flip, {random_crop: {padding: 2, padding_mode: edge}}]}";

double accuracy(const Scores& scores, const RowSet& rows) {
  std::size_t hits = 0;
  for (std::size_t r = 0; r < scores.rows; ++r)
    hits += (scores.row(r)[1] > scores.row(r)[0]) == (rows.label(r) == 1) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(scores.rows);
}

class PretrainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-pretrain-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Like StageHarness::fit, in a folder that stays.
  LearnerResult fit(const std::string& params, Parallel& parallel, std::atomic<bool>& interrupted) {
    StageHarness harness("pretrain", params);
    return harness.as<Learner>().fit(
        {{{"pixels", &train_, &val_, &train_}}, {"lying", "upright"}, parallel, folder_, interrupted});
  }
  LearnerResult fit(const std::string& params = kTiny) {
    Sequential sequential;
    std::atomic<bool> no{false};
    return fit(params, sequential, no);
  }
  std::string error_of(const std::string& params, const RowSet& train, const RowSet& val,
                       std::vector<std::string> classes = {"a", "b"}) {
    try {
      StageHarness("pretrain", params).fit(train, val, std::move(classes));
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  std::string folder_;
  Stripes train_{256, 1}, val_{64, 2}, test_{100, 3};
};

TEST_F(PretrainTest, LearnsTheDirectionOfStripes) {
  const LearnerResult result = fit();
  Sequential sequential;
  EXPECT_GE(accuracy(result.predictor->predict({&test_}, sequential), test_), 0.95);
  EXPECT_EQ(result.val.rows, 64u);
  for (std::size_t r = 0; r < result.val.rows; ++r)
    EXPECT_NEAR(result.val.row(r)[0] + result.val.row(r)[1], 1.0f, 1e-5f);
  const Value& curve = *result.summary.find("curve");
  ASSERT_EQ(curve.as_list().size(), 4u);
  EXPECT_LT(curve.as_list()[3].find("train_loss")->as_double(),
            curve.as_list()[0].find("train_loss")->as_double());
  EXPECT_EQ(result.summary.find("features")->as_int(), 16);
}

TEST_F(PretrainTest, ThreadsDoNotChangeBits) {
  std::atomic<bool> no{false};
  Threads four(4);
  const LearnerResult parallel = fit("{architecture: resnet8, width: 4, epochs: 2, batch: 128}", four, no);
  std::filesystem::remove(folder_ + "/checkpoint.bin");
  const LearnerResult sequential = fit("{architecture: resnet8, width: 4, epochs: 2, batch: 128}");
  EXPECT_EQ(parallel.val.values, sequential.val.values);
  EXPECT_EQ(parallel.summary, sequential.summary);
}

/// Runs bodies in turn, and raises a flag after so many rounds.
class Interrupting final : public Parallel {
 public:
  Interrupting(int rounds, std::atomic<bool>& flag) : rounds_(rounds), flag_(flag) {}
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = 0; i < n; ++i) body(i);
    if (--rounds_ == 0) flag_ = true;
  }
  int threads() const override { return 1; }

 private:
  int rounds_;
  std::atomic<bool>& flag_;
};

TEST_F(PretrainTest, AnInterruptedRunContinuesToTheSameBits) {
  const LearnerResult whole = fit();
  for (const int rounds : {1, 6, 11}) {  // within an epoch, and right after one
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    std::atomic<bool> flag{false};
    Interrupting interrupting(rounds, flag);
    try {
      fit(kTiny, interrupting, flag);
      FAIL() << "not interrupted";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "interrupted");
    }
    const LearnerResult resumed = fit();
    EXPECT_EQ(resumed.val.values, whole.val.values) << rounds;
    EXPECT_EQ(resumed.summary, whole.summary) << rounds;
  }
}

const char* const kMixed =
    "{architecture: resnet8, width: 4, epochs: 4, batch: 96, learning_rate: 0.1, mixup: 0.2, cutmix: 1, "
    "operations: []}";

TEST_F(PretrainTest, LearnsFromMixedImages) {
  const LearnerResult result =
      fit("{architecture: resnet8, width: 4, epochs: 12, batch: 64, operations: [], mixup: 0.2, cutmix: 1}");
  Sequential sequential;
  EXPECT_GE(accuracy(result.predictor->predict({&test_}, sequential), test_), 0.95);
}

TEST_F(PretrainTest, AMixedImageBelongsToBothItsClasses) {
  // Halves of two images; every second pair has different labels, and nothing below log 2 can be had for it.
  const LearnerResult result =
      fit("{architecture: resnet8, width: 4, epochs: 12, batch: 64, operations: [], mixup: 100, "
          "label_smoothing: 0}");
  for (const Value& epoch : result.summary.find("curve")->as_list())
    EXPECT_GT(epoch.find("train_loss")->as_double(), 0.4 * std::log(2.0));
  Sequential sequential;
  EXPECT_GE(accuracy(result.predictor->predict({&test_}, sequential), test_), 0.9);
}

TEST_F(PretrainTest, MixingKeepsBitsOnAnyNumberOfThreadsAndAcrossAnInterruption) {
  const LearnerResult whole = fit(kMixed);
  std::filesystem::remove(folder_ + "/checkpoint.bin");
  std::atomic<bool> flag{false};
  Threads three(3);
  EXPECT_EQ(fit(kMixed, three, flag).val.values, whole.val.values);
  std::filesystem::remove(folder_ + "/checkpoint.bin");
  Interrupting interrupting(9, flag);
  EXPECT_THAT([&] { fit(kMixed, interrupting, flag); }, ::testing::ThrowsMessage<Error>("interrupted"));
  const LearnerResult resumed = fit(kMixed);
  EXPECT_EQ(resumed.val.values, whole.val.values);
  EXPECT_EQ(resumed.summary, whole.summary);
}

TEST_F(PretrainTest, OperationsMustKeepTheSize) {
  EXPECT_EQ(
      error_of("{operations: [{random_crop: {size: 12}}]}", train_, val_),
      "operations: expected images of 16 x 16, the size of the table's, got 12 x 12; give the operation that "
      "changes it (`size`, `expand`) another value");
  EXPECT_EQ(error_of("{operations: [{rotate: {degrees: -1}}]}", train_, val_),
            "operations.0.rotate.degrees: expected [low, high], or one number of at least 0, got -1");
}

TEST_F(PretrainTest, TheDefaultOperationsAreWrittenOut) {
  const auto params = StageHarness("pretrain").schema().params;
  const auto operations =
      std::find_if(params.begin(), params.end(), [](const ParamSpec& p) { return p.name == "operations"; });
  ASSERT_NE(operations, params.end());
  EXPECT_EQ(
      operations->default_value.to_json(),
      R"([{"flip":{"p":0.5}},{"random_crop":{"size":null,"padding":4,"padding_mode":"edge","fill":[0]}}])");
}

TEST_F(PretrainTest, AFinishedRunIsNotRepeatedAndAnotherConfigStartsAnew) {
  const LearnerResult first = fit();
  std::atomic<bool> flag{true};  // the first step would end here
  Sequential sequential;
  EXPECT_EQ(fit(kTiny, sequential, flag).val.values, first.val.values);
  EXPECT_THROW(fit("{architecture: resnet8, width: 4, epochs: 5}", sequential, flag), Error);
}

TEST_F(PretrainTest, ADamagedCheckpointIsNamed) {
  fit("{architecture: resnet8, width: 4, epochs: 1}");
  const std::string path = folder_ + "/checkpoint.bin";
  const auto size = std::filesystem::file_size(path);
  for (const auto cut : {std::uintmax_t{0}, size / 2, size - 1}) {
    std::filesystem::resize_file(path, cut);
    try {
      fit("{architecture: resnet8, width: 4, epochs: 1}");
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()), path + ": the checkpoint is damaged; delete it to start anew");
    }
  }
}

TEST_F(PretrainTest, EarlyStoppingRestoresTheBestEpoch) {
  const LearnerResult result =
      fit("{architecture: resnet8, width: 4, epochs: 40, batch: 64, patience: 2, learning_rate: 0.2}");
  EXPECT_TRUE(result.summary.find("stopped_early")->as_bool());
  const auto best = result.summary.find("best_epoch")->as_int();
  EXPECT_EQ(result.summary.find("epochs")->as_int(), best + 2);
  const Value& at_best = result.summary.find("curve")->as_list()[static_cast<std::size_t>(best - 1)];
  EXPECT_DOUBLE_EQ(accuracy(result.val, val_), at_best.find("val_accuracy")->as_double());
}

TEST_F(PretrainTest, BundlesGiveTheSameBits) {
  const LearnerResult result = fit();
  Bundle bundle;
  result.predictor->save(bundle);
  StageHarness other("pretrain", "{architecture: lenet}");
  const auto loaded = other.as<Learner>().load(bundle);
  Sequential sequential;
  EXPECT_EQ(loaded->predict({&test_}, sequential).values,
            result.predictor->predict({&test_}, sequential).values);

  Bundle missing = bundle;
  missing.tensors.erase("conv1.weight");
  EXPECT_THAT([&] { other.as<Learner>().load(missing); },
              ::testing::ThrowsMessage<Error>("tensor conv1.weight is missing"));
  Bundle wrong = bundle;
  wrong.tensors["conv1.weight"] = Tensor::allocate(DType::F32, {2, 2});
  EXPECT_THAT([&] { other.as<Learner>().load(wrong); },
              ::testing::ThrowsMessage<Error>("tensor conv1.weight: expected f32[4,3,3,3], got f32[2,2]"));
  EXPECT_THAT([&] { other.as<Learner>().load(Bundle{}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("the bundle does not say `architecture`")));
}

TEST_F(PretrainTest, TheBackboneFileIsABackbone) {
  fit();
  nn::Model model;
  model.torchscript = folder_ + "/backbone.pt";
  nn::EngineOptions options;
  options.batch = 2;
  options.warn = [](const std::string& text) { ADD_FAILURE() << text; };
  const auto engine = make_fused_engine(model, options);
  const std::vector<float> images(2 * 3 * kSide * kSide, 0.25f);
  EXPECT_EQ(engine->run(images.data(), kSide, kSide).at(0).shape, Shape({2, 16}));
}

TEST_F(PretrainTest, LeNetTrainsToo) {
  const LearnerResult result =
      fit("{architecture: lenet, width: 4, epochs: 6, batch: 32, learning_rate: 0.02}");
  EXPECT_GE(accuracy(result.val, val_), 0.8);
  Sequential sequential;
  const Stripes other(4, 1, 24);
  EXPECT_THAT([&] { result.predictor->predict({&other}, sequential); },
              ::testing::ThrowsMessage<Error>("expected images of 16 x 16, as in training, got 24 x 24"));
}

TEST_F(PretrainTest, UnusableTablesAreNamed) {
  const MemoryRows features(std::vector<float>(8), 4, {0, 1});
  EXPECT_EQ(
      error_of(kTiny, features, features),
      "expected a table of pixels, u8[height,width,3], got f32[4]; put `pixel_table` before this stage");
  Stripes odd(4, 1), none(2, 1);
  odd.set_label(3, 2);
  EXPECT_EQ(error_of(kTiny, odd, val_), "train: label 2 of 1/3 is out of range: there are 2 classes");
  none.set_label(0, -1);
  none.set_label(1, -1);
  EXPECT_EQ(error_of(kTiny, none, val_), "expected labelled images in train, got none");
  EXPECT_EQ(error_of(kTiny, train_, val_, {"one"}), "expected at least two classes, got 1");
  EXPECT_EQ(error_of(kTiny, train_, Stripes(4, 1, 24)), "images of train and val differ in size");
  EXPECT_EQ(error_of("{epochs: 2, warmup_epochs: 3}", train_, val_),
            "warmup_epochs: expected at most `epochs`, the whole training");
}

TEST_F(PretrainTest, WorksWithoutVal) {
  const LearnerResult result = StageHarness("pretrain", kTiny).fit(train_, Stripes(0, 1), {"a", "b"});
  EXPECT_EQ(result.summary.find("best_epoch")->as_int(), 4);
  EXPECT_EQ(result.val.rows, 0u);
}

TEST_F(PretrainTest, ADivergingRunSaysWhy) {
  EXPECT_THAT(error_of("{architecture: lenet, width: 4, epochs: 20, learning_rate: 100, warmup_epochs: 0}",
                       train_, val_),
              ::testing::AllOf(::testing::StartsWith("the loss is no longer a number after "),
                               HasSubstr("learning_rate is too high")));
}

}  // namespace
}  // namespace graft
