// `graft check` opens the model files that parameters name: every error at its place, within a second,
// without LibTorch. `graft plan` shows what the rows look like and how long they take.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kBackbone = GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors";

class CheckTest : public ::testing::Test {
 protected:
  /// A config whose stage 'features' has these parameters.
  ProgramResult graft(const std::string& command, const std::string& with, int size = 32,
                      const std::vector<std::string>& more = {}, const std::vector<std::string>& env = {}) {
    folder_.write("c.yaml",
                  "name: check\n"
                  "stages:\n"
                  "  images: {plugin: synthetic, with: {size: " +
                      std::to_string(size) +
                      ", train: 100, val: 0, test: 50}}\n"
                      "  features:\n"
                      "    plugin: backbone\n"
                      "    from: images\n"
                      "    with: " +
                      with +
                      "\n"
                      "  table: {plugin: feature_table, from: features}\n");
    std::vector<std::string> arguments{command, "c.yaml", "--store", "s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, folder_.path(), env);
  }
  /// The first line that check prints, without the location "c.yaml:7:".
  std::string fault(const std::string& with, int size = 32) {
    const ProgramResult r = graft("check", with, size);
    EXPECT_EQ(r.exit_code, 2) << with << "\n" << r.err;
    EXPECT_EQ(r.out, "") << with;
    std::string line = r.err.substr(0, r.err.find('\n'));
    const std::string place = "c.yaml:7:";
    return line.starts_with(place) ? line.substr(place.size()) : line;
  }
  /// A copy of the quickstart's weights under other names.
  std::string renamed(
      const std::string& name, const std::function<std::string(const std::string&)>& rename,
      const std::function<void(json&)>& change = [](json&) {}) {
    const std::string whole = slurp(kBackbone);
    std::uint64_t length = 0;
    std::memcpy(&length, whole.data(), sizeof length);
    json header = json::parse(whole.substr(8, length)), out;
    for (const auto& [key, entry] : header.items()) out[rename(key)] = entry;
    change(out);
    const std::string text = out.dump();
    const std::uint64_t n = text.size();
    folder_.write(name, std::string(reinterpret_cast<const char*>(&n), 8) + text + whole.substr(8 + length));
    return name;
  }

  TempFolder folder_;
};

TEST_F(CheckTest, WhatIsNoModelIsAnErrorAtTheParameterThatNamesIt) {
  EXPECT_EQ(fault("{batch: 4}"),
            "11: error: model: expected a file with weights, got none; or give `architecture` with "
            "`untrained: true`");
  folder_.write("page.pth", "<!doctype html><title>Sign in</title>");
  EXPECT_THAT(fault("{batch: 4, model: page.pth}"),
              AllOf(StartsWith(
                  "29: error: model: " + (folder_ / "page.pth").string() +
                  ": expected weights as safetensors or as a state_dict of torch.save, got an HTML page: ")));
  folder_.write("lfs.pth", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  EXPECT_THAT(fault("{model: lfs.pth}"), HasSubstr("got a git-LFS pointer, "));
  folder_.write("cut.safetensors", slurp(kBackbone).substr(0, 10'000));
  EXPECT_THAT(fault("{model: cut.safetensors}"), HasSubstr("it is truncated or damaged"));
  folder_.write("cut.pt", "PK\x03\x04 this was a TorchScript archive");
  EXPECT_THAT(fault("{model: cut.pt}"), HasSubstr("it is truncated or damaged: copy it again"));
}

TEST_F(CheckTest, WeightsOfAnotherArchitecture) {
  EXPECT_EQ(fault("{model: \"" + kBackbone + "\", architecture: resnet18}").substr(0, 12),
            std::to_string(37 + kBackbone.size()) + ": error: a");
  EXPECT_THAT(fault("{model: \"" + kBackbone + "\", architecture: resnet18}"),
              HasSubstr(": error: architecture: " + kBackbone + ": does not fit resnet18"));
  EXPECT_THAT(
      fault("{architecture: resnet81, untrained: true}"),
      StartsWith("26: error: architecture: unknown architecture 'resnet81'; did you mean 'resnet18'?"));
  const std::string odd = renamed("odd.safetensors", [](const std::string& n) { return "x" + n; });
  EXPECT_THAT(
      fault("{model: odd.safetensors}"),
      StartsWith(
          "19: error: model: " + (folder_ / odd).string() +
          ": these weights fit no architecture that graft knows (graft model list) and no family (graft "
          "model list --families); export the model as TorchScript"));
}

TEST_F(CheckTest, TapsThatTheNetworkDoesNotHave) {
  EXPECT_THAT(
      fault("{model: \"" + kBackbone + "\", taps: [layer2, layre3]}"),
      HasSubstr(": error: taps: resnet14 has no layer 'layre3'; did you mean 'layer3'?: expected conv1, "));
  EXPECT_THAT(fault("{model: \"" + kBackbone + "\", taps: lyer1}"), HasSubstr("did you mean 'layer1'?"));
  EXPECT_THAT(fault("{model: \"" + kBackbone + "\", concatenate: [layer1, nothing]}"),
              HasSubstr(": error: concatenate: resnet14 has no layer 'nothing'"));
}

TEST_F(CheckTest, IntervalsNeedEnoughResamples) {
  const auto check = [&](const std::string& resamples) {
    folder_.write(
        "c.yaml",
        "name: check\nstages:\n  images: {plugin: synthetic}\n  rows: {plugin: pixel_table, from: images}\n"
        "  means: {plugin: prototypes, from: rows}\n"
        "  report: {plugin: evaluate, from: means, with: {resamples: " +
            resamples + "}}\n");
    return run_program({"check", "c.yaml", "--store", "s"}, folder_.path());
  };
  for (const char* enough : {"0", "100", "1000"}) EXPECT_EQ(check(enough).exit_code, 0) << enough;
  for (const char* few : {"1", "99"}) {
    const ProgramResult r = check(few);
    EXPECT_EQ(r.exit_code, 2) << few;
    EXPECT_THAT(r.err,
                StartsWith(std::string("c.yaml:6:61: error: resamples: expected 0 for no intervals but those "
                                       "of accuracy, or at least 100, got ") +
                           few + ": fewer samples are too few for a 95 % interval"));
  }
}

TEST_F(CheckTest, ImagesThatTheNetworkDoesNotTake) {
  const ProgramResult r = graft("check", "{architecture: vgg11, untrained: true}", 16);
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err,
              StartsWith("c.yaml:4:3: error: the network does not take images of 16 x 16 px, which come from "
                         "upstream: vgg11: layer features.20 (MaxPool) takes at least 2 x 2 px with its "
                         "padding, gets [512,1,1] from features.19 for an image of 16 x 16 px; it was "
                         "trained on 224 x 224 px\n"));
  // Layers before have an image that is large enough.
  EXPECT_EQ(graft("check", "{architecture: vgg11, untrained: true, taps: features.3}", 16).exit_code, 0);
  EXPECT_THAT(
      graft("check", "{architecture: lenet, untrained: true}", 40).err,
      HasSubstr("layer fc1 (Linear) takes 2048 values, gets [3200] from flatten for an image of 40 x 40 px"));
}

TEST_F(CheckTest, DigestsAndDevices) {
  EXPECT_THAT(fault("{model: \"" + kBackbone + "\", sha256: abc}"),
              HasSubstr(": error: sha256: expected 64 hexadecimal digits, got 'abc'"));
  EXPECT_THAT(fault("{model: \"" + kBackbone + "\", sha256: \"" + std::string(64, '0') + "\"}"),
              HasSubstr("this is another file, or it was damaged"));
  EXPECT_EQ(fault("{architecture: resnet8, untrained: true, device: gpu}"),
            "60: error: device: expected auto, cpu, cuda or cuda:NUMBER, got 'gpu'");
}

TEST_F(CheckTest, EveryErrorAtOnce) {
  folder_.write("empty.pth", "");
  const ProgramResult r = graft("check", "{model: empty.pth, device: tpu, batch: 0}");
  EXPECT_THAT(r.err, HasSubstr("error: batch: 0 "));
  const ProgramResult sound = graft("check", "{model: empty.pth, device: tpu}");
  EXPECT_THAT(sound.err,
              AllOf(HasSubstr("c.yaml:7:19: error: model: "), HasSubstr("c.yaml:7:38: error: device: "),
                    HasSubstr("2 errors in c.yaml; nothing was run\n")));
  for (const char* command : {"plan", "run"})
    EXPECT_EQ(graft(command, "{model: empty.pth}").exit_code, 2) << command;
  const ProgramResult sweep =
      run_program({"sweep", "c.yaml", "--grid", "features.batch=[4, 8]"}, folder_.path());
  EXPECT_EQ(sweep.exit_code, 2);
  EXPECT_THAT(sweep.err, HasSubstr("c.yaml:7:19: error: model: "));
  const json line = json::parse(graft("check", "{model: empty.pth}", 32, {"--json"}).err);
  EXPECT_EQ(line["line"], 7);
  EXPECT_EQ(line["column"], 19);
}

TEST_F(CheckTest, WhatWasTakenOfACheckpointIsOneLine) {
  renamed("p.safetensors", [](const std::string& n) { return "model." + n; });
  const ProgramResult r = graft("check", "{model: p.safetensors}");
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, "c.yaml:4:3: note: features: " + (folder_ / "p.safetensors").string() +
                       ": all 65 tensors fit resnet14 under the prefix model.\n");
  EXPECT_EQ(graft("check", "{model: p.safetensors}", 32, {"--quiet"}).err, "");
}

TEST_F(CheckTest, StrangersNeedAWordOfTheUser) {
  renamed(
      "s.safetensors", [](const std::string& n) { return n == "bn1.bias" ? "se.bias" : n; },
      [](json& header) { header["bn1.bias"] = header["se.bias"]; });
  // Two tensors with one range make the file invalid, so the stranger has its own, at the end.
  renamed(
      "s.safetensors", [](const std::string& n) { return n; },
      [](json& header) {
        std::uint64_t end = 0;
        for (const auto& entry : header) end = std::max(end, entry["data_offsets"][1].get<std::uint64_t>());
        header["extra.buffer"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {end, end}}};
      });
  EXPECT_EQ(
      fault("{model: s.safetensors}"),
      "19: error: model: " + (folder_ / "s.safetensors").string() +
          ": has all tensors of resnet14, and 1 more that resnet14 does not have (extra.buffer): if its "
          "features do not need them, write `architecture: resnet14`; otherwise export the model as "
          "TorchScript");
  const ProgramResult named = graft("check", "{model: s.safetensors, architecture: resnet14}");
  EXPECT_EQ(named.exit_code, 0);
  EXPECT_THAT(named.err, HasSubstr("not used, not part of resnet14: extra.buffer\n"));
}

TEST_F(CheckTest, TakesLessThanASecondAndNoLibTorch) {
  for (const char* command : {"check", "plan"}) {
    const auto start = std::chrono::steady_clock::now();
    const ProgramResult r = graft(
        command, "{architecture: resnet101, untrained: true}", 64,
        command == std::string("plan") ? std::vector<std::string>{"--no-sample"} : std::vector<std::string>{},
        {"LD_DEBUG=files"});
    EXPECT_EQ(r.exit_code, 0);
    EXPECT_NE(r.err.find("backbone.so"), std::string::npos);
    EXPECT_EQ(r.err.find("libtorch"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

TEST_F(CheckTest, WhatAPluginSaysOfItselfBecomesErrorsOfItsStage) {
  const auto check = [&](const std::string& with) {
    folder_.write("i.yaml",
                  "name: i\nstages:\n  images: {plugin: synthetic}\n  odd:\n    plugin: inspected\n    from: "
                  "images\n    with: " +
                      with + "\n  table: {plugin: pixel_table, from: odd}\n");
    return run_program({"check", "i.yaml", "--plugin-dir", GRAFT_TEST_PLUGINS}, folder_.path()).err;
  };
  EXPECT_EQ(check("{what: shape}"), "i.yaml:4:3: note: odd: takes u8[32,32,3]\n");
  EXPECT_THAT(check("{what: error}"), StartsWith("i.yaml:4:3: error: 'odd' (inspected): the file is gone\n"));
  EXPECT_THAT(
      check("{what: bad_alloc}"),
      StartsWith(
          "i.yaml:4:3: error: 'odd' (inspected): inspect: out of memory: no setting of the run limits what "
          "this takes; "));
  EXPECT_THAT(
      check("{what: number}"),
      StartsWith(
          "i.yaml:4:3: error: 'odd' (inspected): inspect threw a value of type int, not a graft::Error\n"));
  EXPECT_THAT(
      check("{what: shapes}"),
      StartsWith("i.yaml:4:3: error: 'odd' (inspected): its `inspect` gives 2 shapes for 1 outputs\n"));
  EXPECT_THAT(check("{what: faults, sides: [3, 4]}"),
              AllOf(HasSubstr("i.yaml:4:3: error: of the stage\n"),
                    HasSubstr("i.yaml:7:37: error: sides: of an item\n"),
                    HasSubstr("i.yaml:7:11: error: other: not given\n"),
                    HasSubstr("i.yaml:7:11: error: nowhere: no such\n")));
}

// --- plan ------------------------------------------------------------------------------------------------

TEST_F(CheckTest, PlanShowsRowsOfDescribedNetworks) {
  const auto shape = [&](const std::string& with) {
    const json plan = json::parse(graft("plan", with, 64, {"--json", "--no-sample"}).out);
    return plan["tables"][0]["row_shape"].get<std::string>() + " " + plan["tables"][0]["row_bytes"].dump();
  };
  const std::string net = "{architecture: resnet18, untrained: true";
  EXPECT_EQ(shape(net + "}"), "f32[512] 2048");
  EXPECT_EQ(shape(net + ", taps: fc}"), "f32[1000] 4000");
  EXPECT_EQ(shape(net + ", taps: layer2}"), "f32[128] 512");
  EXPECT_EQ(shape(net + ", taps: layer2, pool: flatten}"), "f32[8192] 32768");
  EXPECT_EQ(shape(net + ", taps: layer2, pool: none}"), "f32[128,8,8] 32768");
  EXPECT_EQ(shape(net + ", concatenate: [layer1, layer3]}"), "f32[320] 1280");
}

TEST_F(CheckTest, PlanMeasuresTimeAndLeavesNothing) {
  const std::string net = "{architecture: resnet8, untrained: true}";
  const json plan = json::parse(graft("plan", net, 32, {"--json"}).out);
  const json& table = plan["tables"][0];
  EXPECT_EQ(table["to_compute"], 150);
  ASSERT_TRUE(table["seconds"].is_number()) << table["time"];
  EXPECT_GT(table["seconds"].get<double>(), 0);
  EXPECT_THAT(table["time"].get<std::string>(),
              ::testing::MatchesRegex("(under|about) [0-9]+ s, measured on [0-9]+ inputs"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s/tables"));
  const ProgramResult text = graft("plan", net, 32, {"--no-sample"});
  EXPECT_THAT(text.out, AllOf(HasSubstr(" f32[64] "), HasSubstr("not measured: --no-sample")));
  // Stored rows take no time.
  ASSERT_EQ(graft("run", net).exit_code, 0);
  const json again = json::parse(graft("plan", net, 32, {"--json"}).out)["tables"][0];
  EXPECT_EQ(again["to_compute"], 0);
  EXPECT_EQ(again["time"], "");
  EXPECT_TRUE(again["seconds"].is_null());
  EXPECT_EQ(again["row_shape"], "f32[64]");
}

TEST_F(CheckTest, PlanKnowsTheTypeOfRows) {
  const std::string net = "{architecture: resnet8, untrained: true}";
  const json plan =
      json::parse(graft("plan", net, 32, {"--json", "--no-sample", "--set", "table.dtype=f16"}).out);
  EXPECT_EQ(plan["tables"][0]["row_shape"], "f16[64]");
  EXPECT_EQ(plan["tables"][0]["row_bytes"], 128);
  EXPECT_EQ(plan["tables"][0]["disk_bytes"], 128 * 150);
}

#if GRAFT_HAS_TORCH
TEST_F(CheckTest, PlanDoesNotLoadLibTorchForASample) {
  const ProgramResult r =
      graft("plan", "{model: \"" GRAFT_SOURCE_DIR "/plugins/networks/lib/network/testdata/script.pt\"}", 32,
            {"--json"}, {"LD_DEBUG=files"});
  ASSERT_EQ(r.exit_code, 0) << r.out;
  const json table = json::parse(r.out)["tables"][0];
  EXPECT_THAT(table["time"].get<std::string>(), HasSubstr("engine_torch needs LibTorch"));
  EXPECT_EQ(table["row_shape"], "f32[?]");
  EXPECT_EQ(r.err.find("libtorch"), std::string::npos);
}

TEST_F(CheckTest, FinetuneIsCheckedWithoutLibTorch) {
  folder_.write("page.pth", "<html>");
  const auto check = [&](const std::string& with) {
    folder_.write("f.yaml",
                  "name: f\nstages:\n  images: {plugin: synthetic}\n  pixels: {plugin: pixel_table, from: "
                  "images}\n  net: {plugin: finetune, from: pixels, with: " +
                      with + "}\n  report: {plugin: evaluate, from: net}\n");
    return run_program({"check", "f.yaml"}, folder_.path(), {"LD_DEBUG=files"});
  };
  const ProgramResult page = check("{model: page.pth}");
  EXPECT_EQ(page.exit_code, 2);
  EXPECT_THAT(page.err, HasSubstr("f.yaml:5:55: error: model: "));
  EXPECT_EQ(page.err.find("libtorch"), std::string::npos);
  EXPECT_THAT(check("{batch: 8}").err, HasSubstr("error: model: expected a file with weights, got none"));
  EXPECT_THAT(check("{model: \"" + kBackbone + "\", unfreeze: {blocks: [layer9]}}").err,
              HasSubstr("error: unfreeze: "));
  EXPECT_EQ(check("{model: \"" + kBackbone + "\"}").exit_code, 0);
}

TEST_F(CheckTest, FinetuneIsToldOfImagesThatTheNetworkDoesNotTake) {
  const auto check = [&](int size) {
    folder_.write("f.yaml",
                  "name: f\nstages:\n  images: {plugin: synthetic, with: {size: " + std::to_string(size) +
                      "}}\n  pixels: {plugin: pixel_table, from: images}\n  net: {plugin: finetune, from: "
                      "pixels, with: {architecture: lenet, untrained: true}}\n  report: {plugin: evaluate, "
                      "from: net}\n");
    return run_program({"check", "f.yaml"}, folder_.path(), {});
  };
  const ProgramResult small = check(16);
  EXPECT_EQ(small.exit_code, 2);
  EXPECT_THAT(small.err,
              StartsWith("f.yaml:5:3: error: the network does not take images of 16 x 16 px, which "
                         "come from upstream: lenet: layer fc1 (Linear) takes "));
  EXPECT_EQ(check(32).exit_code, 0);
}
#endif

}  // namespace
}  // namespace graft::test
