#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <graft/testing/stage_harness.h>
#include <network/initial_weights.h>

#include <training/testing/interrupting.h>
#include <training/testing/stripes.h>

#include <libtorch/network_module.h>
#include "scripted_division.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::StageHarness;
using ::testing::StartsWith;
using torch::jit::Module;

/// Two convolutions with a sine between them, which no described network has. `more`: a line of code after
/// the sine.
Module sines(bool gradients = true, const std::string& more = {}) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  const auto part = [&](const std::string& name, at::IntArrayRef sizes) {
    Module module("__torch__." + name, unit);
    module.register_attribute("training", c10::BoolType::get(), true);
    at::Tensor weight = at::empty(sizes), bias = at::zeros({sizes[0]});
    nn::he_normal(weight.data_ptr<float>(), Shape(sizes.begin(), sizes.end()), 5, name);
    module.register_parameter("weight", weight, false);
    module.register_parameter("bias", bias, false);
    return module;
  };
  Module root("__torch__.Sines", unit);
  root.register_attribute("training", c10::BoolType::get(), true);
  root.register_module("first", part("First", {8, 3, 3, 3}));
  root.register_module("second", part("Second", {12, 8, 3, 3}));
  root.define(std::string(R"(def forward(self, x):
    y = torch.sin(torch.conv2d(x, self.first.weight, self.first.bias, [2, 2], [1, 1]))
)") + (gradients ? "" : "    y = y.detach()\n") +
              more +
              R"(    y = torch.relu(torch.conv2d(y, self.second.weight, self.second.bias, [1, 1], [1, 1]))
    return )" +
              (gradients ? "y\n" : "y.detach()\n"));
  return root;
}

class ScriptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "graft-finetune-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string model() const { return folder_ + "/model.pt"; }
  std::string with(const std::string& more) const { return "{model: \"" + model() + "\", " + more + "}"; }

  LearnerResult fit(const std::string& params, Parallel& parallel, std::atomic<bool>& interrupted) {
    StageHarness harness("finetune", params);
    Interruptible threads(parallel, interrupted);
    LearnerResult result = harness.as<Learner>().fit(
        {{{"pixels", &train_, &val_, &train_}}, {"lying", "upright"}, threads, folder_});
    EXPECT_TRUE(harness.warnings().empty()) << harness.warnings().front();
    return result;
  }
  LearnerResult fit(const std::string& params) {
    Sequential sequential;
    std::atomic<bool> no{false};
    std::filesystem::remove(folder_ + "/checkpoint.bin");
    return fit(params, sequential, no);
  }
  std::string error_of(const std::string& params) {
    try {
      fit(params);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  static double accuracy(const Scores& scores, const RowSet& rows) {
    double hits = 0;
    for (std::size_t r = 0; r < scores.rows; ++r)
      hits += (scores.row(r)[1] > scores.row(r)[0]) == (rows.label(r) == 1) ? 1 : 0;
    return hits / static_cast<double>(scores.rows);
  }

  std::string folder_;
  training::Stripes train_{128, 1}, val_{48, 2}, test_{100, 3};
};

TEST(PathBlocks, EndAtTheFirstNumber) {
  const auto names = [](const std::vector<std::pair<std::string, std::size_t>>& paths) {
    std::vector<std::string> out;
    for (const PathBlock& block : blocks_of_paths(paths)) out.push_back(block.name);
    return out;
  };
  EXPECT_THAT(names({{"conv1.weight", 4},
                     {"bn1.weight", 1},
                     {"bn1.bias", 1},
                     {"layer1.0.conv1.weight", 4},
                     {"layer1.0.bn1.weight", 1},
                     {"layer1.1.conv1.weight", 4},
                     {"fc.weight", 2},
                     {"fc.bias", 1}}),
              ElementsAre("conv1", "layer1.0", "layer1.1", "fc"));
  EXPECT_THAT(names({{"model.features.0.0.weight", 4}, {"model.features.0.1.weight", 1}, {"scale", 0}}),
              ElementsAre("model.features.0"));
  EXPECT_TRUE(names({}).empty());
}

TEST_F(ScriptTest, AFileThatCanBeDescribedIsTrainedLikeTheNetworkInIt) {
  nn::Options options;
  options.width = 4;
  options.classes = 0;
  const auto net = nn::make_architecture("resnet8", options);
  Module module = libtorch::make_module(net);
  libtorch::set_tensors(module, nn::initial_weights(net, 3));
  module.eval();
  module.save(model());
  const LearnerResult script = fit(with("epochs: 0, probe_c: 1"));
  EXPECT_EQ(script.summary.find("trained")->as_list().size(), 3u);
  Bundle bundle;
  script.predictor->save(bundle);
  EXPECT_NE(bundle.facts.find("network"), nullptr);
  std::filesystem::remove(model());  // the bundle has it all
  Sequential sequential;
  const auto loaded = StageHarness("finetune", "{}").as<Learner>().load(bundle);
  EXPECT_EQ(loaded->predict({&test_}, sequential).values,
            script.predictor->predict({&test_}, sequential).values);
}

TEST_F(ScriptTest, OtherCodeIsTrainedItself) {
  sines().save(model());
  const LearnerResult start = fit(with("epochs: 0, unfreeze: {last: 1}"));
  const LearnerResult result = fit(with(
      "epochs: 6, unfreeze: {last: 1}, learning_rate: 0.01, backbone_rate: 1, dropout: 0.1, operations: []"));
  EXPECT_EQ(result.summary.find("trained")->as_list().at(0).find("block")->as_string(), "second");
  EXPECT_EQ(result.summary.find("features")->as_int(), 12);
  EXPECT_GT(result.summary.find("best_epoch")->as_int(), 0);
  EXPECT_LT(result.summary.find("curve")->as_list().at(6).find("train_loss")->as_double(),
            result.summary.find("curve")->as_list().at(1).find("train_loss")->as_double());

  Bundle bundle;
  result.predictor->save(bundle);
  std::set<std::string> names;
  for (const auto& [name, tensor] : bundle.tensors) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"backbone.second.bias", "backbone.second.weight", "head.bias",
                                          "head.weight"}));
  Sequential sequential;
  const std::string moved = folder_ + "/moved.pt";
  std::filesystem::rename(model(), moved);
  StageHarness other("finetune", "{model: \"" + moved + "\"}");
  EXPECT_EQ(other.as<Learner>().load(bundle)->predict({&test_}, sequential).values,
            result.predictor->predict({&test_}, sequential).values);

  // A bundle of a stranger: what it says of a path is not followed.
  bundle.facts["torchscript"]["path"] = moved;
  StageHarness none("finetune", "{}");
  EXPECT_THAT([&] { none.as<Learner>().load(bundle); },
              ::testing::ThrowsMessage<Error>(HasSubstr("and `model` names none: name the file of then")));
  std::ofstream(moved, std::ios::app) << "x";
  EXPECT_THAT([&] { other.as<Learner>().load(bundle); },
              ::testing::ThrowsMessage<Error>(
                  ::testing::AllOf(HasSubstr("the model was trained on a TorchScript file of SHA-256 "),
                                   HasSubstr("put the file of then back; its code is not in the bundle"))));
}

TEST_F(ScriptTest, BitsStayOnAnyNumberOfThreadsAndAcrossAnInterruption) {
  sines().save(model());
  const std::string params = with("epochs: 3, unfreeze: {gradual: 1}, mixup: 0.3, clip: 1");
  const LearnerResult whole = fit(params);
  std::filesystem::remove(folder_ + "/checkpoint.bin");
  testing::Threads four(4);
  std::atomic<bool> flag{false};
  EXPECT_EQ(fit(params, four, flag).val.values, whole.val.values);
  std::filesystem::remove(folder_ + "/checkpoint.bin");
  int interruptions = 0;
  for (int rounds = 7;; rounds += 4) {
    flag = false;
    training::Interrupting interrupting(rounds, flag);
    try {
      EXPECT_EQ(fit(params, interrupting, flag).summary, whole.summary);
      break;
    } catch (const Error& e) {
      ASSERT_STREQ(e.what(), "interrupted");
      ++interruptions;
    }
  }
  EXPECT_GT(interruptions, 0);
}

TEST_F(ScriptTest, TheHeadAloneCanBeTrainedOnAnyFile) {
  Module module = sines();
  module.eval();
  torch::jit::freeze(module).save(model());
  EXPECT_GE(accuracy(fit(with("epochs: 2, unfreeze: head, operations: []")).val, val_), 0.4);
  EXPECT_EQ(error_of(with("unfreeze: all")),
            model() +
                ": the model has no parameters that could be trained: it was frozen before it was saved; use "
                "`unfreeze: head`, or export it without torch.jit.freeze");
}

TEST_F(ScriptTest, AFileThatWasExportedInTrainingModeIsRefused) {
  const std::string cure =
      "; call model.eval() before torch.jit.trace or torch.jit.script, and export it again";
  for (const char* unfreeze : {"unfreeze: head", "unfreeze: all"}) {
    sines(true, "    y = torch.batch_norm(y, None, None, None, None, True, 0.1, 1e-05, False)\n")
        .save(model());
    EXPECT_THAT(
        error_of(with(unfreeze)),
        ::testing::AllOf(
            StartsWith(model() + ": the features of an image depend on its neighbours in the batch (image 1 "
                                 "of a batch of 8 is off by "),
            EndsWith("): it was probably traced in training mode" + cure)));
    sines(true, "    y = torch.dropout(y, 0.5, True)\n").save(model());
    EXPECT_THAT(error_of(with(unfreeze)),
                ::testing::AllOf(
                    StartsWith(model() + ": the features of an image change from call to call (image 1 of a "
                                         "batch of 1 is off by "),
                    EndsWith("): dropout is active, it was probably exported in training mode" + cure)));
  }
}

TEST_F(ScriptTest, WhatCannotBeTrainedIsNamed) {
  sines().save(model());
  EXPECT_EQ(error_of(with("unfreeze: {blocks: [secnd]}")),
            "the model has no block 'secnd'; did you mean 'second'? (blocks: first, second)");
  EXPECT_EQ(error_of(with("unfreeze: {last: 3}")),
            "unfreeze.last: " + model() + " has 2 blocks, got 3; use `unfreeze: all`");
  EXPECT_THAT(error_of(with("unfreeze: {last: 1}, batch_norm: train")), HasSubstr("use `frozen`"));
  sines(false).save(model());
  EXPECT_EQ(error_of(with("unfreeze: {last: 1}")),
            model() +
                ": no gradient reaches the model's parameters: its forward switches them off; use "
                "`unfreeze: head`");
  std::filesystem::resize_file(model(), 200);
  EXPECT_THAT(error_of(with("unfreeze: head")), HasSubstr(model() + ": "));
}

}  // namespace
}  // namespace graft
