#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <graft/safetensors.h>
#include <graft/testing/stage_harness.h>
#include <network/initial_weights.h>

#include <training/testing/counting.h>
#include <training/testing/interrupting.h>
#include <training/testing/stripes.h>

namespace graft {
namespace {

using ::testing::HasSubstr;
using testing::StageHarness;
using ::testing::StartsWith;
using testing::Threads;

double accuracy(const Scores& scores, const RowSet& rows) {
  std::size_t hits = 0;
  for (std::size_t r = 0; r < scores.rows; ++r)
    hits += (scores.row(r)[1] > scores.row(r)[0]) == (rows.label(r) == 1) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(scores.rows);
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
}

class FinetuneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-finetune-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    save("resnet8", 4);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// A network with random weights, as if it had been trained.
  void save(const std::string& name, int width) {
    nn::Options options;
    options.classes = 7;
    if (width > 0) options.width = width;
    weights_ = nn::initial_weights(nn::make_architecture(name, options), 3);
    std::ofstream(model(), std::ios::binary) << to_safetensors(weights_);
  }
  std::string model() const { return folder_ + "/model.safetensors"; }
  /// Parameters for it.
  std::string with(const std::string& more = "") const {
    return "{model: \"" + model() + "\"" + (more.empty() ? "" : ", " + more) + "}";
  }

  /// Like StageHarness::fit, in a folder that stays.
  LearnerResult fit(const std::string& params, Parallel& parallel, std::atomic<bool>& interrupted) {
    StageHarness harness("finetune", params);
    Interruptible threads(parallel, interrupted);
    LearnerResult result = harness.as<Learner>().fit(
        {{{"pixels", &train_, &val_, &train_}}, {"lying", "upright"}, threads, folder_});
    warnings_ = harness.warnings();
    return result;
  }
  LearnerResult fit(const std::string& params) {
    Sequential sequential;
    std::atomic<bool> no{false};
    return fit(params, sequential, no);
  }
  LearnerResult fit_anew(const std::string& params) {
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    return fit(params);
  }
  std::map<std::string, Tensor> tensors_after(const std::string& params) {
    Bundle bundle;
    fit_anew(params).predictor->save(bundle);
    return bundle.tensors;
  }
  /// Tensors of the model that a training has changed.
  std::set<std::string> changed(const std::string& params) {
    std::set<std::string> out;
    for (const auto& [name, tensor] : tensors_after(params))
      if (const auto before = weights_.find(name);
          before != weights_.end() && values(before->second) != values(tensor))
        out.insert(name);
    return out;
  }
  std::string error_of(const std::string& params, const RowSet& train, const RowSet& val,
                       std::vector<std::string> classes = {"a", "b"}) {
    try {
      StageHarness("finetune", params).fit(train, val, std::move(classes));
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  std::string error_of(const std::string& params) { return error_of(params, train_, val_); }

  std::string folder_;
  std::map<std::string, Tensor> weights_;
  std::vector<std::string> warnings_;
  training::Stripes train_{128, 1}, val_{48, 2}, test_{100, 3};
};

const char* const kQuick = "epochs: 2, operations: [], unfreeze: {last: 1}";

TEST_F(FinetuneTest, StartsAsTheProbe) {
  const LearnerResult start = fit(with("epochs: 0, probe_c: 0.1"));
  EXPECT_EQ(start.summary.find("best_epoch")->as_int(), 0);

  // The same by the stages that everybody uses.
  StageHarness backbone("backbone", "{model: \"" + model() + "\", batch: 16}");
  const auto features = [&](const training::Stripes& rows) {
    std::vector<float> all;
    std::vector<std::int32_t> labels;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      Image image = Image::allocate(training::kSide, training::kSide);
      rows.read_raw(r, 1, image.data);
      const Payload payload = backbone.apply_batch({image}).at(0).payload;
      const auto vector = values(std::get<Tensor>(payload));
      all.insert(all.end(), vector.begin(), vector.end());
      labels.push_back(rows.label(r));
    }
    return MemoryRows(all, all.size() / rows.rows(), labels);
  };
  const auto probe =
      StageHarness("linear_probe", "{c: 0.1}").fit(features(train_), features(val_), {"lying", "upright"});
  ASSERT_EQ(start.val.values.size(), probe.val.values.size());
  for (std::size_t i = 0; i < probe.val.values.size(); ++i)
    EXPECT_NEAR(start.val.values[i], probe.val.values[i], 1e-4) << i;
  const Value& first = start.summary.find("curve")->as_list().at(0);
  EXPECT_EQ(first.find("epoch")->as_int(), 0);
  EXPECT_DOUBLE_EQ(first.find("val_accuracy")->as_double(), accuracy(start.val, val_));
}

TEST_F(FinetuneTest, TheStartIsKeptWhereNothingIsBetter) {
  const LearnerResult start = fit_anew(with("epochs: 0"));
  const LearnerResult ruined =
      fit_anew(with("epochs: 2, optimizer: sgd, learning_rate: 10, backbone_rate: 0, unfreeze: head"));
  EXPECT_EQ(ruined.summary.find("best_epoch")->as_int(), 0);
  EXPECT_EQ(ruined.val.values, start.val.values);
}

TEST_F(FinetuneTest, LearnsWhatTheFeaturesDoNotShow) {
  const LearnerResult result =
      fit(with("epochs: 8, unfreeze: all, learning_rate: 0.01, backbone_rate: 1, decay: 1, "
               "operations: [flip], batch_norm: train"));
  Sequential sequential;
  EXPECT_GE(accuracy(result.predictor->predict({&test_}, sequential), test_), 0.95);
  EXPECT_GT(result.summary.find("best_epoch")->as_int(), 0);
  const auto best = static_cast<std::size_t>(result.summary.find("best_epoch")->as_int());
  const Value& at_best = result.summary.find("curve")->as_list()[best];
  EXPECT_DOUBLE_EQ(accuracy(result.val, val_), at_best.find("val_accuracy")->as_double());
}

TEST_F(FinetuneTest, WhatIsFrozenStaysBitByBit) {
  val_ = training::Stripes(0, 1);  // the last epoch is taken
  EXPECT_FALSE(changed(with("epochs: 1, unfreeze: {last: 1}, init: random")).empty());
  EXPECT_TRUE(changed(with("epochs: 2, unfreeze: head")).empty());
  for (const std::string& name : changed(with("epochs: 2, unfreeze: {last: 1}, init: random"))) {
    EXPECT_THAT(name, StartsWith("layer3.0."));
    EXPECT_THAT(name, ::testing::Not(HasSubstr("running")));
  }
  const auto middle = changed(with("epochs: 2, unfreeze: {blocks: [layer2]}, init: random"));
  EXPECT_TRUE(middle.contains("layer2.0.conv1.weight"));
  EXPECT_TRUE(middle.contains("layer2.0.bn2.bias"));
  for (const std::string& name : middle) EXPECT_THAT(name, StartsWith("layer2.0."));
}

TEST_F(FinetuneTest, StatisticsAreThoseOfTheBatchesWhereTheConfigSaysSo) {
  val_ = training::Stripes(0, 1);
  const auto names = changed(with("epochs: 1, unfreeze: {last: 1}, init: random, batch_norm: train"));
  EXPECT_TRUE(names.contains("layer3.0.bn1.running_mean"));
  EXPECT_FALSE(names.contains("layer2.0.bn1.running_mean"));
}

TEST_F(FinetuneTest, BlocksThawOneAfterTheOther) {
  val_ = training::Stripes(0, 1);  // the last epoch is taken
  const auto outermost = [&](int epochs) {
    std::set<std::string> out;
    for (const std::string& name :
         changed(with("epochs: " + std::to_string(epochs) + ", unfreeze: gradual, init: random, decay: 1")))
      out.insert(name.substr(0, name.find('.')));
    return out;
  };
  EXPECT_EQ(outermost(1), (std::set<std::string>{}));
  EXPECT_EQ(outermost(2), (std::set<std::string>{"layer3"}));
  EXPECT_EQ(outermost(3), (std::set<std::string>{"layer3", "layer2"}));
  EXPECT_EQ(outermost(5), (std::set<std::string>{"layer3", "layer2", "layer1", "conv1", "bn1"}));
  const LearnerResult result = fit_anew(with("epochs: 1, unfreeze: {gradual: {epochs: 2, last: 2}}"));
  EXPECT_EQ(result.summary.find("trained")->to_json(),
            R"([{"block":"layer2.0","learning_rate":2.4e-05,"from_epoch":5},)"
            R"({"block":"layer3.0","learning_rate":3e-05,"from_epoch":3}])");
}

TEST_F(FinetuneTest, KeptValuesOfTheFrozenPartChangeNothing) {
  const LearnerResult kept = fit_anew(with(kQuick));
  const LearnerResult computed = fit_anew(with(std::string(kQuick) + ", cache: 0"));
  EXPECT_EQ(kept.val.values, computed.val.values);
  EXPECT_EQ(kept.summary, computed.summary);
}

const char* const kRuns[] = {
    kQuick,
    "epochs: 3, unfreeze: {gradual: {epochs: 1, last: 2}}, mixup: 0.2, cutmix: 1, dropout: 0.3, init: random",
    "epochs: 2, unfreeze: all, batch: 16, accumulate: 3, clip: 0.5, temperatures: [4, 1], label_smoothing: "
    "0.1, "
    "batch_norm: train",
    "epochs: 2, unfreeze: {last: 2}, precision: bf16, optimizer: sgd",
};

TEST_F(FinetuneTest, BitsStayOnAnyNumberOfThreadsAndAcrossAnInterruption) {
  for (const char* params : kRuns) {
    const LearnerResult whole = fit_anew(with(params));
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    std::atomic<bool> flag{false};
    Threads four(4);
    const LearnerResult parallel = fit(with(params), four, flag);
    EXPECT_EQ(parallel.val.values, whole.val.values) << params;
    EXPECT_EQ(parallel.summary, whole.summary) << params;
    // Over and over, until it comes to its end.
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    int interruptions = 0;
    for (int rounds = 7;; rounds += 4) {
      flag = false;
      training::Interrupting interrupting(rounds, flag);
      try {
        const LearnerResult resumed = fit(with(params), interrupting, flag);
        EXPECT_EQ(resumed.val.values, whole.val.values) << params;
        EXPECT_EQ(resumed.summary, whole.summary) << params;
        break;
      } catch (const Error& e) {
        ASSERT_STREQ(e.what(), "interrupted");
        ++interruptions;
      }
    }
    EXPECT_GT(interruptions, 0) << params;
  }
}

TEST_F(FinetuneTest, AFinishedRunIsNotRepeatedAndAnotherConfigStartsAnew) {
  std::atomic<bool> no{false};
  training::Counting trained, read, other, changed;
  const LearnerResult first = fit(with(kQuick), trained, no);
  const LearnerResult again = fit(with(kQuick), read, no);
  EXPECT_EQ(again.val.values, first.val.values);
  EXPECT_EQ(again.summary, first.summary);
  EXPECT_LT(2 * read.rounds(), trained.rounds());  // scoring alone
  fit(with("epochs: 3, operations: [], unfreeze: {last: 1}"), other, no);
  EXPECT_GT(other.rounds(), 2 * read.rounds());
  save("resnet8", 8);  // another model at the same path
  fit(with(kQuick), changed, no);
  EXPECT_GT(changed.rounds(), 2 * read.rounds());
}

TEST_F(FinetuneTest, TrainsOnceMoreOnTrainAndValForAsManyEpochs) {
  const std::vector<std::string> classes = {"lying", "upright"};
  Sequential sequential;
  const LearnerResult once =
      StageHarness("finetune", with(std::string(kQuick) + ", refit: false")).fit(train_, val_, classes);
  const LearnerResult twice = StageHarness("finetune", with(kQuick)).fit(train_, val_, classes);
  EXPECT_EQ(once.val.values, twice.val.values);  // of the model that was chosen
  EXPECT_EQ(once.summary.find("refit"), nullptr);
  const Value& refit = *twice.summary.find("refit");
  EXPECT_EQ(refit.find("train_images")->as_int(), 176);
  EXPECT_EQ(static_cast<std::int64_t>(refit.find("curve")->as_list().size()),
            twice.summary.find("best_epoch")->as_int() + 1);  // with that of the start
  EXPECT_NE(once.predictor->predict({&test_}, sequential).values,
            twice.predictor->predict({&test_}, sequential).values);
  // No epoch was better than the probe: it is fitted to all images, and that is all.
  const LearnerResult probe =
      StageHarness("finetune", with("epochs: 0, operations: []")).fit(train_, val_, classes);
  EXPECT_EQ(probe.summary.find("best_epoch")->as_int(), 0);
  EXPECT_EQ(probe.summary.find("refit")->find("curve")->as_list().size(), 1u);
}

TEST_F(FinetuneTest, AStageMayBeFittedAgainOnOtherRows) {
  StageHarness harness("finetune", with(kQuick));
  const training::Stripes other(64, 9);
  const auto once = harness.fit(other, val_, {"a", "b"});
  harness.fit(train_, val_, {"a", "b"});
  EXPECT_EQ(harness.fit(other, val_, {"a", "b"}).val.values, once.val.values);
}

TEST_F(FinetuneTest, BundlesGiveTheSameBits) {
  const LearnerResult result = fit(with("epochs: 1, unfreeze: {last: 1}, normalize: tf"));
  Bundle bundle;
  result.predictor->save(bundle);
  bundle.facts = Value::from_json(bundle.facts.to_json());
  StageHarness other("finetune", "{}");  // the bundle brings all that is needed
  const auto loaded = other.as<Learner>().load(bundle);
  Sequential sequential;
  EXPECT_EQ(loaded->predict({&test_}, sequential).values,
            result.predictor->predict({&test_}, sequential).values);

  const auto fault = [&](const std::function<void(Bundle&)>& change) -> std::string {
    Bundle changed = bundle;
    change(changed);
    try {
      other.as<Learner>().load(changed);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(fault([](Bundle& b) { b.tensors.erase("conv1.weight"); }), "tensor conv1.weight is missing");
  EXPECT_EQ(fault([](Bundle& b) {
              b.tensors["conv1.weight"] = Tensor::allocate(DType::F32, {2, 2});
            }),
            "tensor conv1.weight: expected f32[4,3,3,3], got f32[2,2]");
  EXPECT_EQ(fault([](Bundle& b) { b.facts = Value::map(); }),
            "the bundle does not say `network`: it was not written by finetune, or it was damaged");
  EXPECT_EQ(fault([](Bundle& b) {
              b.facts["outputs"] = Value::List{0, 2};
            }),
            "the bundle has an output for class 2: expected 0 to 1");
  EXPECT_EQ(fault([](Bundle& b) { b.facts["outputs"] = Value::List{0}; }),
            "the bundle has 1 outputs, and its classifier has another number");
}

TEST_F(FinetuneTest, AClassWithoutTrainImagesHasTheScoreZero) {
  StageHarness harness("finetune", with(kQuick));
  training::Stripes val(6, 2);
  val.set_label(0, 2);
  const auto result = harness.fit(train_, val, {"lying", "upright", "oblique"});
  EXPECT_THAT(harness.warnings(),
              ::testing::Contains("no train rows of oblique: the score of such a class is 0"));
  ASSERT_EQ(result.val.classes, 3u);
  for (std::size_t r = 0; r < result.val.rows; ++r) {
    EXPECT_EQ(result.val.row(r)[2], 0.0f);
    EXPECT_NEAR(result.val.row(r)[0] + result.val.row(r)[1], 1.0f, 1e-5f);
  }
}

/// Stripes that may be bright, lying, both or none of the two.
class SeveralStripes final : public RowSet {
 public:
  SeveralStripes(std::size_t rows, std::uint64_t seed) : stripes_(rows, seed) {
    std::vector<std::uint8_t> pixels(stripes_.dim());
    for (std::size_t r = 0; r < rows; ++r) {
      stripes_.read_raw(r, 1, pixels.data());
      double sum = 0;
      for (const std::uint8_t p : pixels) sum += p;
      labels_.push_back({});
      if (stripes_.label(r) == 0) labels_.back().push_back(0);
      if (sum / static_cast<double>(pixels.size()) > 120) labels_.back().push_back(1);
    }
  }
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return stripes_.shape(); }
  DType dtype() const override { return DType::U8; }
  std::string_view key(std::size_t row) const override { return stripes_.key(row); }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return labels_[row]; }
  bool negative(std::size_t row) const override { return labels_[row].empty(); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    stripes_.read(first, count, out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    stripes_.read_raw(first, count, out);
  }

 private:
  training::Stripes stripes_;
  std::vector<std::vector<std::int32_t>> labels_;
};

TEST_F(FinetuneTest, SeveralLabelsAreQuestionsOfTheirOwn) {
  const SeveralStripes train(256, 1), val(64, 2);
  StageHarness harness("finetune",
                       with("epochs: 6, unfreeze: all, learning_rate: 0.01, backbone_rate: 1, decay: 1, "
                            "operations: [], batch_norm: train"));
  const auto result = harness.fit(train, val, {"lying", "bright"}, nullptr, true);
  std::size_t right = 0, asked = 0, both = 0;
  for (std::size_t r = 0; r < val.rows(); ++r) {
    const auto labels = val.labels(r);
    for (std::int32_t c = 0; c < 2; ++c) {
      const bool is = std::find(labels.begin(), labels.end(), c) != labels.end();
      right += (result.val.row(r)[c] > 0.5f) == is ? 1 : 0;
      ++asked;
    }
    both += result.val.row(r)[0] > 0.5f && result.val.row(r)[1] > 0.5f ? 1 : 0;
  }
  EXPECT_GE(static_cast<double>(right) / static_cast<double>(asked), 0.9);
  EXPECT_GT(both, 0u);
  EXPECT_EQ(
      error_of(with(kQuick), train, val, {"lying", "bright"}).find("train: expected one label per image"),
      0u);
}

TEST_F(FinetuneTest, WorksWithoutVal) {
  StageHarness harness("finetune", with(kQuick));
  const auto result = harness.fit(train_, training::Stripes(0, 1), {"a", "b"});
  EXPECT_EQ(result.summary.find("best_epoch")->as_int(), 2);
  EXPECT_EQ(result.val.rows, 0u);
  EXPECT_THAT(harness.warnings(),
              ::testing::Contains(HasSubstr("no labelled val rows to choose an epoch on")));
}

TEST_F(FinetuneTest, TwoImagesAndFeaturesThatSayNothingAreEnoughForNumbers) {
  const auto check = [](const LearnerResult& result) {
    for (const float v : result.val.values) EXPECT_TRUE(std::isfinite(v));
    for (const Value& epoch : result.summary.find("curve")->as_list())
      EXPECT_TRUE(epoch.find("val_log_loss")->is_double());
  };
  check(StageHarness("finetune", with("epochs: 2, unfreeze: all"))
            .fit(training::Stripes(2, 1), training::Stripes(1, 2), {"a", "b"}));
  for (auto& [name, tensor] : weights_) std::fill_n(tensor.as<float>(), tensor.size(), 0.0f);
  std::ofstream(model(), std::ios::binary) << to_safetensors(weights_);
  const LearnerResult result = fit(with("epochs: 2, unfreeze: all"));
  check(result);
  for (const float v : result.val.values) EXPECT_NEAR(v, 0.5f, 0.1f);
}

TEST_F(FinetuneTest, OtherNetworksTrainToo) {
  const std::pair<const char*, const char*> cases[] = {{"lenet", "fc1"},

                                                       {"mobilenet_v1_025", "features.13"},
                                                       {"mobilenet_v2", "features.18"},
                                                       {"efficientnet_b0", "features.8"}};
  const training::Stripes few(8, 1, 32), some(4, 2, 32);
  for (const auto& [network, block] : cases) {
    StageHarness harness("finetune",
                         std::string("{architecture: ") + network +
                             ", untrained: true, epochs: 1, batch: 4, unfreeze: {last: 1}, engine: torch}");
    const auto result = harness.fit(few, some, {"a", "b"});
    EXPECT_EQ(result.summary.find("trained")->as_list().at(0).find("block")->as_string(), block);
    for (const float v : result.val.values) EXPECT_TRUE(std::isfinite(v)) << network;
    StageHarness rounded("finetune",
                         std::string("{architecture: ") + network +
                             ", untrained: true, epochs: 1, batch: 4, unfreeze: all, precision: bf16}");
    for (const float v : rounded.fit(few, some, {"a", "b"}).val.values)
      EXPECT_TRUE(std::isfinite(v)) << network;
  }
}

TEST_F(FinetuneTest, WhatCannotBeIsNamed) {
  EXPECT_EQ(error_of(with("unfreeze: {blocks: [layer4]}")),
            "resnet8 has no block 'layer4' (blocks: conv1, layer1.0, layer2.0, layer3.0)");
  EXPECT_EQ(error_of(with("unfreeze: {last: 5}")),
            "unfreeze.last: resnet8 has 4 blocks, got 5; use `unfreeze: all`");
  EXPECT_EQ(error_of(with("temperatures: [1, 4]")), "temperatures: expected them from high to low");
  EXPECT_EQ(error_of(with("epochs: 2, warmup_epochs: 3")),
            "warmup_epochs: expected at most `epochs`, the whole training");
  EXPECT_EQ(error_of("{}"),
            "model: expected a file with weights, got none; or give `architecture` with `untrained: true`");
  EXPECT_EQ(error_of(with(), train_, val_, {"one"}), "expected at least two classes, got 1");
  EXPECT_EQ(error_of(with(), train_, training::Stripes(4, 1, 24)), "images of train and val differ in size");
  const MemoryRows features(std::vector<float>(8), 4, {0, 1});
  EXPECT_EQ(
      error_of(with(), features, features),
      "expected a table of pixels, u8[height,width,3], got f32[4]; put `pixel_table` before this stage");
  training::Stripes same(4, 1);
  for (std::size_t r = 0; r < 4; ++r) same.set_label(r, 1);
  EXPECT_THAT(error_of(with(), same, val_),
              HasSubstr("has train rows of 1 of its 2 classes: expected at least 2"));
  EXPECT_EQ(
      error_of(with("operations: [{random_crop: {size: 12}}]")),
      "operations: expected images of 16 x 16, the size of the table's, got 12 x 12; give the operation that "
      "changes it (`size`, `expand`) another value");
  std::filesystem::resize_file(model(), 100);
  EXPECT_THAT(error_of(with()), StartsWith(model() + ": "));
  save("lenet", 4);
  EXPECT_THAT(error_of(with("unfreeze: all")),
              StartsWith("the model does not take images of 16 x 16: lenet: "));
}

TEST_F(FinetuneTest, PredictionsNeedImagesOfTheRightSize) {
  nn::Options options;
  options.width = 4;
  options.side = training::kSide;
  options.classes = 2;
  std::ofstream(model(), std::ios::binary)
      << to_safetensors(nn::initial_weights(nn::make_architecture("lenet", options), 1));
  const LearnerResult result = fit(with("epochs: 1, unfreeze: head"));
  Sequential sequential;
  const training::Stripes other(4, 1, 24);
  EXPECT_THAT([&] { result.predictor->predict({&other}, sequential); },
              ::testing::ThrowsMessage<Error>(
                  StartsWith("expected images of 16 x 16, as in training, got 24 x 24 (lenet: ")));
}

}  // namespace
}  // namespace graft
