// Packed models of strangers: what they say leads to no file but their own parts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <graft/testing/error_of.h>

#include "fake_plugins.h"
#include "packed_file.h"
#include "program.h"
#include "run/packed_model.h"
#include "run/trained_model.h"
#include "stripes.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::error_of;
using ::testing::HasSubstr;
using Parts = std::vector<std::pair<std::string, std::string>>;

const json kFacts{{"graft_model", 1}, {"learner", "probe"}};

class ForeignModelTest : public StripesTest {
 protected:
  static ProgramResult graft(const std::vector<std::string>& arguments) {
    return run_program(arguments, folder_->path());
  }
  /// The parts of `probe`, packed.
  static Parts parts() {
    const fs::path file = *folder_ / "probe.graft";
    const ProgramResult r = graft({"model", "pack", "run", "--learner", "probe", "--out", file, "--quiet"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    const Unpacked whole = unpack_model(file, Code::Refused);
    const fs::path root = whole.folder->path();
    Parts out;
    for (const auto& entry : fs::recursive_directory_iterator(root))
      if (const std::string name = fs::relative(entry.path(), root).string();
          entry.is_regular_file() && name != "graft-model.json")
        out.emplace_back(name, slurp(entry.path()));
    return out;
  }
  /// What predicting with these parts says, with a config that `change` has changed.
  static ProgramResult predicted(Parts parts, const std::function<void(json& config)>& change,
                                 const std::vector<std::string>& options = {}) {
    for (auto& part : parts)
      if (part.first == "config.yaml") {
        json config = json::parse(part.second);
        change(config);
        part.second = config.dump();
      }
    std::vector<std::string> words{"predict", folder_->write("odd.graft", packed(kFacts, parts)).string(),
                                   "photos/test", "--quiet"};
    words.insert(words.end(), options.begin(), options.end());
    return graft(words);
  }
};

TEST(ForeignParts, StayInTheirFolder) {
  const TempFolder folder;
  for (const std::string& name :
       {std::string("../out"), std::string("/tmp/out"), std::string("a/../../out"), std::string("a//b/./c"),
        std::string(), std::string("${N:-..}/out"), std::string(300, 'x')}) {
    const auto file = folder.write("odd.graft", packed(kFacts, {{name, "x"}}));
    EXPECT_THAT(error_of([&] { unpack_model(file, Code::Refused); }),
                HasSubstr("names a part '" + name + "' of 1 bytes, which graft does not write"));
  }
}

TEST(ForeignParts, AreFilesOfTheirOwn) {
  const TempFolder folder;
  for (const Parts& parts : {Parts{{"a", "x"}, {"a/b", "y"}}, Parts{{"a/b/c", "x"}, {"a/b", "y"}},
                             Parts{{"a/b", "x"}, {"a/b", "y"}}}) {
    const auto file = folder.write("odd.graft", packed(kFacts, parts));
    EXPECT_THAT(error_of([&] { unpack_model(file, Code::Refused); }),
                HasSubstr(file.string() + ": graft-model.json names a part '" + parts[1].first + "' of 1 "));
  }
}

TEST_F(ForeignModelTest, ItsConfigNamesNoFileBesideItsParts) {
  const fs::path network = folder_->write("elsewhere.safetensors", slurp(*folder_ / "net.safetensors"));
  const std::string up = "../../../../../../../../..", variables = "${N:-..}/${N:-..}/${N:-..}/${N:-..}";
  for (const std::string& other : {up + network.string(), network.string(), variables + network.string()}) {
    // In a config "$${" stands for "${".
    for (const std::string& written : {other, "$" + other}) {
      const ProgramResult r =
          predicted(parts(), [&](json& config) { config["stages"]["features"]["with"]["model"] = written; });
      EXPECT_EQ(r.exit_code, 1);
      EXPECT_THAT(r.err, HasSubstr(", which is not a part of it; pack the model again")) << written;
    }
  }
}

TEST_F(ForeignModelTest, ErrorsNameTheFile) {
  const auto same = [](json&) {};
  const std::string file = (*folder_ / "odd.graft").string();
  Parts without = parts();
  std::erase_if(without, [](const auto& part) { return part.first == "config.yaml"; });
  EXPECT_EQ(predicted(without, same).err,
            "error: " + file +
                ": config.yaml is missing: a model is used with the config of its run, which says how images "
                "become its features\n");
  Parts damaged = parts();
  for (auto& [name, content] : damaged)
    if (name == "models/probe/bundle.json") content = "{}";
  EXPECT_THAT(predicted(damaged, same).err,
              ::testing::StartsWith("error: " + file + ": models/probe/bundle.json: class_names: expected "));
  folder_->write("odd.graft", packed({{"graft_model", 1.5}}, {}));
  EXPECT_EQ(graft({"model", "show", "odd.graft"}).err,
            "error: odd.graft: graft-model.json: expected an integer as 'graft_model', got number; pack the "
            "model again\n");
}

TEST_F(ForeignModelTest, AStageOfANameThatGraftAddsItselfNamesPartsAlone) {
  const fs::path network = folder_->write("elsewhere.safetensors", slurp(*folder_ / "net.safetensors"));
  const ProgramResult r = predicted(parts(), [&](json& config) {
    json& stages = config["stages"];
    stages["graft-decode"] = stages["pixels"];
    stages["graft-decode"]["with"]["network"] = network.string();
    stages["features"]["from"] = "graft-decode";
  });
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err,
              HasSubstr("odd.graft: its network is " + network.string() + ", which is not a part of "));
}

TEST_F(ForeignModelTest, WhatItsUserNamesIsUsedButForCode) {
  const std::string wanted = graft({"predict", "run", "--learner", "probe", "photos/test", "--quiet"}).out;
  const auto same = [](json&) {};
  folder_->write("elsewhere.safetensors", slurp(*folder_ / "net.safetensors"));
  const ProgramResult r = predicted(parts(), same, {"--set", "features.model=elsewhere.safetensors"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, wanted);
  folder_->write("script.pt", zipped({{"script/code/__torch__.py", "x"}}));
  EXPECT_THAT(predicted(parts(), same, {"--set", "features.model=script.pt"}).err,
              HasSubstr("features.model of " + (*folder_ / "odd.graft").string() + " is TorchScript (" +
                        (*folder_ / "script.pt").string() + "), which is code"));
}

TEST(ForeignPlan, FoldersAreParts) {
  std::vector<PluginSchema> plugins = FakePlugins::usual();
  for (PluginSchema& plugin : plugins)
    if (plugin.name == "files") plugin.params = {list("paths", text("")).doc("Files.")};
  plugins.push_back(FakePlugins::named("words", PluginSchema::batch_transform("Reads.")
                                                    .input(PortType::Image, "Pixels.")
                                                    .output("out", PortType::Tensor, "f32[?]", "Features.")
                                                    .param(folder("root").required().doc("Words."))));
  const FakePlugins installed(plugins);
  const TempFolder other, work;
  const auto unpacked = std::make_shared<TemporaryFolder>("graft-model-test");
  TrainedModel model;
  model.run = unpacked->path();
  model.stage = "probe";
  model.from = "m.graft";
  model.unpacked = unpacked;
  model.bundle.facts = Value::from_json(R"({"plugin": "learn", "class_names": ["a", "b"]})");
  fs::create_directories(unpacked->path() / "files/words");
  const auto planned = [&](const std::string& root) {
    json config = {{"name", "same"}, {"seed", 1}};
    config["stages"] = {{"images", {{"plugin", "files"}}},
                        {"pixels", {{"plugin", "decode"}, {"from", "images"}}},
                        {"features", {{"plugin", "words"}, {"from", "pixels"}, {"with", {{"root", root}}}}},
                        {"table", {{"plugin", "table"}, {"from", "features"}}},
                        {"probe", {{"plugin", "learn"}, {"from", "table"}}}};
    std::ofstream(unpacked->path() / "config.yaml") << config.dump();
    return error_of([&] { prediction_plan(model, {"-"}, {}, installed.registry(), work.path()); });
  };
  EXPECT_EQ(planned((unpacked->path() / "files/words").string()), "no error");
  EXPECT_EQ(planned(other.path().string()), "m.graft: its features.root is " + other.path().string() +
                                                ", which is not a part of it; pack the model again");
}

/// A folder and a file whose names look like variables are used, packed and unpacked as they are.
TEST(LiteralVariables, InThePathOfANetworkAreNone) {
  const TempFolder folder;
  write_photographs(folder);
  folder.write("${HOME}/$${N:-..}.safetensors",
               slurp(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors"));
  folder.write("config.yaml", R"(name: stripes
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 14, crop: 12}}
  features: {plugin: backbone, from: pixels, with: {model: "$${HOME}/$$${N:-..}.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
)");
  const auto graft = [&](const std::vector<std::string>& arguments) {
    return run_program(arguments, folder.path());
  };
  ASSERT_EQ(graft({"run", "config.yaml", "--out", "run", "--quiet"}).exit_code, 0);
  const ProgramResult run = graft({"predict", "run", "photos/test", "--quiet"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const ProgramResult packing = graft({"model", "pack", "run", "--out", "m.graft", "--quiet"});
  EXPECT_EQ(packing.exit_code, 0) << packing.err;
  fs::rename(folder / "${HOME}", folder / "gone");
  const ProgramResult packed = graft({"predict", "m.graft", "photos/test", "--quiet"});
  EXPECT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_EQ(packed.out, run.out);
  EXPECT_THAT(graft({"predict", "run", "photos/test"}).err,
              HasSubstr((folder / "${HOME}/$${N:-..}.safetensors").string()));
}

}  // namespace
}  // namespace graft::test
