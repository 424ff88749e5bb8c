#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <graft/testing/stage_harness.h>
#include <network/bind.h>

#include <training/testing/counting.h>
#include <training/testing/interrupting.h>
#include <training/testing/stripes.h>

#include <libtorch/torch_engine.h>

namespace graft {
namespace {

using ::testing::HasSubstr;
using testing::StageHarness;
using testing::Threads;

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
    Interruptible threads(parallel, interrupted);
    return harness.as<Learner>().fit(
        {{{"pixels", &train_, &val_, &train_}}, {"lying", "upright"}, threads, folder_});
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
  training::Stripes train_{256, 1}, val_{64, 2}, test_{100, 3};
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

TEST_F(PretrainTest, AnInterruptedRunContinuesToTheSameBits) {
  const LearnerResult whole = fit();
  for (const int rounds : {1, 6, 11}) {  // within an epoch, and right after one
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    std::atomic<bool> flag{false};
    training::Interrupting interrupting(rounds, flag);
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

const char* const kAverages =
    "{architecture: resnet8, width: 4, epochs: 3, batch: 96, optimizer: adamw, ema: 0.9, operations: [flip]}";
const char* const kDropout =
    "{architecture: mobilenet_v2, epochs: 2, batch: 96, optimizer: adamw, ema: 0.99, operations: []}";

TEST_F(PretrainTest, BitsStayOnAnyNumberOfThreadsAndAcrossAnInterruption) {
  for (const char* params : {kMixed, kAverages, kDropout}) {
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    const LearnerResult whole = fit(params);
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    std::atomic<bool> flag{false};
    Threads three(3);
    EXPECT_EQ(fit(params, three, flag).val.values, whole.val.values) << params;
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    training::Interrupting interrupting(
        5, flag);  // within the second epoch; within the first where images are mixed
    EXPECT_THAT([&] { fit(params, interrupting, flag); }, ::testing::ThrowsMessage<Error>("interrupted"));
    const LearnerResult resumed = fit(params);
    EXPECT_EQ(resumed.val.values, whole.val.values) << params;
    EXPECT_EQ(resumed.summary, whole.summary) << params;
  }
}

TEST_F(PretrainTest, AdamWLearnsToo) {
  const LearnerResult result =
      fit("{architecture: resnet8, width: 4, epochs: 8, batch: 64, optimizer: adamw, learning_rate: 0.01, "
          "ema: 0.9}");
  EXPECT_GE(accuracy(result.val, val_), 0.9);
  EXPECT_EQ(result.summary.find("weight_decay")->as_double(), 0.05);
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
  std::atomic<bool> no{false};
  training::Counting trained, read, other;
  const LearnerResult first = fit(kTiny, trained, no);
  EXPECT_EQ(fit(kTiny, read, no).val.values, first.val.values);
  EXPECT_LT(2 * read.rounds(), trained.rounds());  // scoring alone
  fit("{architecture: resnet8, width: 4, epochs: 5}", other, no);
  EXPECT_GT(other.rounds(), 2 * read.rounds());
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
      EXPECT_EQ(std::string(e.what()), path + ": the checkpoint is damaged; delete it to start from scratch");
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
              ::testing::ThrowsMessage<Error>("conv1.weight: expected f32[4,3,3,3], got f32[2,2]"));
  EXPECT_THAT([&] { other.as<Learner>().load(Bundle{}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("the bundle does not say `architecture`")));
}

TEST_F(PretrainTest, BackboneReadsTheSavedWeights) {
  for (const char* params :
       {"{architecture: resnet8, width: 4, epochs: 2, batch: 64}",
        "{architecture: lenet, width: 4, epochs: 1, batch: 64, save_weights: weights.safetensors}"}) {
    const LearnerResult result = fit(params);
    Bundle bundle;
    result.predictor->save(bundle);
    const auto file = nn::open_weights(folder_ + "/weights.safetensors");
    const auto found = nn::best_fit(*file);
    ASSERT_TRUE(found && found->fit.complete()) << params;
    EXPECT_EQ(found->architecture.name, bundle.facts.find("architecture")->as_string());

    // The network's own values: its weights as they are, layer by layer.
    nn::Model model;
    model.architecture = found->architecture;
    model.weights = bundle.tensors;
    model.architecture->layers.back().out = 2;
    nn::EngineOptions options;
    options.batch = 1;
    options.taps = {model.architecture->tap, model.architecture->layers.back().name};
    std::vector<float> images(3 * training::kSide * training::kSide);
    std::vector<std::uint8_t> pixels(images.size());
    test_.read_raw(0, 1, pixels.data());
    constexpr float kMean[] = {0.485f, 0.456f, 0.406f}, kDeviation[] = {0.229f, 0.224f, 0.225f};
    for (std::size_t i = 0; i < training::kSide * training::kSide; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        images[c * training::kSide * training::kSide + i] =
            (static_cast<float>(pixels[3 * i + c]) / 255 - kMean[c]) / kDeviation[c];
    const auto own =
        libtorch::make_torch_engine(model, options)->run(images.data(), training::kSide, training::kSide);

    StageHarness backbone("backbone", "{model: \"" + folder_ + "/weights.safetensors\"}");
    Image image = Image::allocate(training::kSide, training::kSide);
    for (int y = 0; y < training::kSide; ++y)
      std::copy_n(pixels.data() + 3 * training::kSide * y, 3 * training::kSide, image.row(y));
    const Payload payload = backbone.apply_batch({image}).at(0).payload;
    const auto& features = std::get<Tensor>(payload);
    ASSERT_EQ(features.size(), own[0].size()) << params;
    for (std::int64_t i = 0; i < features.size(); ++i)
      EXPECT_NEAR(features.as<float>()[i], own[0].as<float>()[i], 1e-5f) << params;
    // And the classifier is there, too: its logits give the scores.
    const float* logits = own[1].as<float>();
    Sequential sequential;
    const Scores scores = result.predictor->predict({&test_}, sequential);
    EXPECT_NEAR(scores.row(0)[1], 1 / (1 + std::exp(logits[0] - logits[1])), 1e-5) << params;
  }
}

TEST_F(PretrainTest, LeNetTrainsToo) {
  const LearnerResult result =
      fit("{architecture: lenet, width: 4, epochs: 6, batch: 32, learning_rate: 0.02}");
  EXPECT_GE(accuracy(result.val, val_), 0.8);
  Sequential sequential;
  const training::Stripes other(4, 1, 24);
  EXPECT_THAT([&] { result.predictor->predict({&other}, sequential); },
              ::testing::ThrowsMessage<Error>(
                  ::testing::StartsWith("expected images of 16 x 16, as in training, got 24 x 24 (lenet: ")));
}

TEST_F(PretrainTest, UnusableTablesAreNamed) {
  const MemoryRows features(std::vector<float>(8), 4, {0, 1});
  EXPECT_EQ(
      error_of(kTiny, features, features),
      "expected a table of pixels, u8[height,width,3], got f32[4]; put `pixel_table` before this stage");
  training::Stripes odd(4, 1), none(2, 1);
  odd.set_label(3, 2);
  EXPECT_EQ(error_of(kTiny, odd, val_), "train: label 2 of 1/3 is out of range: there are 2 classes");
  none.set_label(0, -1);
  none.set_label(1, -1);
  EXPECT_EQ(error_of(kTiny, none, val_), "expected labelled images in train, got none");
  EXPECT_EQ(error_of(kTiny, train_, val_, {"one"}), "expected at least two classes, got 1");
  EXPECT_EQ(error_of(kTiny, train_, training::Stripes(4, 1, 24)), "images of train and val differ in size");
  EXPECT_EQ(error_of("{epochs: 2, warmup_epochs: 3}", train_, val_),
            "warmup_epochs: expected at most `epochs`, the whole training");
  EXPECT_EQ(error_of("{architecture: resnet18, width: 8}", train_, val_),
            "resnet18 has no `width`: its layers are those of the published network; leave it out");
}

TEST_F(PretrainTest, WorksWithoutVal) {
  const LearnerResult result =
      StageHarness("pretrain", kTiny).fit(train_, training::Stripes(0, 1), {"a", "b"});
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
