#include "config/planner.h"

#include <algorithm>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/resources.h>

#include "fake_plugins.h"

namespace graft {
namespace {

using test::FakePlugins;
using ::testing::HasSubstr;

class PlannerTest : public ::testing::Test {
 protected:
  struct Result {
    Plan plan;
    std::string faults;
  };
  Result plan(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    folder_.write("model.pt", "weights");
    std::filesystem::create_directories(folder_ / "data");
    const auto path = folder_.write("a.yaml", yaml);
    Diagnostics diagnostics;
    const ConfigFile config(path, overrides, diagnostics);
    const Registry registry = plugins_->registry();
    Result r{make_plan(config, registry, diagnostics), diagnostics.render()};
    // Folders differ from test to test; messages are compared without them.
    for (std::size_t at; (at = r.faults.find(folder_.path().string() + "/")) != std::string::npos;)
      r.faults.erase(at, folder_.path().string().size() + 1);
    return r;
  }
  test::TempFolder folder_;
  std::optional<FakePlugins> plugins_{FakePlugins::usual()};
};

constexpr const char* kGood = R"(name: good
run: {threads: 2}
stages:
  judge: {plugin: judge, from: learn}
  learn: {plugin: learn, from: table}
  table: {plugin: table, from: net}
  net: {plugin: net, from: pixels, with: {model: model.pt, normalize: {mean: 0.1}}}
  pixels: {plugin: decode, from: images, with: {crop: 32}}
  images: {plugin: files, with: {root: data}}
)";

TEST_F(PlannerTest, OrdersStagesWhateverTheOrderInTheFile) {
  const Result r = plan(kGood);
  ASSERT_EQ(r.faults, "");
  std::vector<std::string> ids;
  for (const StagePlan& s : r.plan.stages) ids.push_back(s.id);
  EXPECT_THAT(ids, ::testing::ElementsAre("images", "pixels", "net", "table", "learn", "judge"));
  EXPECT_EQ(r.plan.stages[3].source, 0u);
}

TEST_F(PlannerTest, APlanIsAskedForItsStages) {
  const Result r = plan(std::string(kGood) + R"(  others: {plugin: files, with: {root: data}}
  small: {plugin: decode, from: others, with: {crop: 16}}
  early: {plugin: net, from: small, with: {model: model.pt, batch: 4}}
  left: {plugin: table, from: early}
  right: {plugin: table, from: early.early}
  second: {plugin: learn, from: left}
)");
  ASSERT_EQ(r.faults, "");
  const auto names = [&](const std::vector<std::size_t>& stages) {
    std::vector<std::string> out;
    for (const std::size_t i : stages) out.push_back(r.plan.stages[i].id);
    return out;
  };
  using ::testing::ElementsAre;
  const std::vector<std::size_t> sources = r.plan.stages_of(StageKind::Source);
  ASSERT_THAT(names(sources), ElementsAre("images", "others"));
  EXPECT_THAT(names(r.plan.stages_of(StageKind::Learner)), ElementsAre("learn", "second"));
  EXPECT_THAT(names(r.plan.stream(sources[0])), ElementsAre("images", "pixels", "net", "table"));
  EXPECT_THAT(names(r.plan.stream(sources[1])), ElementsAre("others", "small", "early", "left", "right"));
  EXPECT_THAT(names(r.plan.collectors(sources[1])), ElementsAre("left", "right"));
  EXPECT_THAT(names(r.plan.consumers(r.plan.stream(sources[1])[2])), ElementsAre("left", "right"));
  EXPECT_EQ(r.plan.batch_items(sources[0]), 8u);
  EXPECT_EQ(r.plan.batch_items(sources[1]), 4u);
}

TEST_F(PlannerTest, FillsInDefaultsAndMakesPathsAbsolute) {
  const Result r = plan(kGood);
  const StagePlan& net = r.plan.stages[2];
  EXPECT_EQ(net.params.get<std::string>("model"), (folder_ / "model.pt").string());
  EXPECT_EQ(net.params.get<int>("batch"), 8);
  EXPECT_EQ(net.params.object("normalize").get<std::vector<double>>("mean"), std::vector<double>{0.1});
  EXPECT_EQ(net.params.object("normalize").get<std::vector<double>>("std"), std::vector<double>{0.5});
  EXPECT_EQ(output_shape(r.plan.stages[1], 0), "u8[32,32,3]");
  EXPECT_EQ(bytes_of_shape("u8[32,32,3]"), 3072u);
  EXPECT_EQ(bytes_of_shape("f32[?]"), std::nullopt);
}

TEST_F(PlannerTest, TheResolvedConfigGivesTheSamePlanAgain) {
  const Result first = plan(kGood, {"pixels.crop=48", "seed=7", "run.max_rejects=3"});
  ASSERT_EQ(first.faults, "");
  const Result second = plan(to_yaml(first.plan));
  ASSERT_EQ(second.faults, "");
  EXPECT_EQ(to_yaml(first.plan), to_yaml(second.plan));
  EXPECT_EQ(second.plan.seed, 7u);
}

TEST_F(PlannerTest, OverridesReachParametersAndTheRunBlock) {
  const Result r =
      plan(kGood, {"pixels.crop=64", "net.normalize.mean=[0.1, 0.2, 0.3]", "run.threads=5", "name=other"});
  ASSERT_EQ(r.faults, "");
  EXPECT_EQ(r.plan.stages[1].params.get<int>("crop"), 64);
  EXPECT_EQ(r.plan.stages[2].params.object("normalize").get<std::vector<double>>("mean").size(), 3u);
  EXPECT_EQ(r.plan.run.threads, 5);
  EXPECT_EQ(r.plan.name, "other");
}

TEST_F(PlannerTest, AFaultyOverridePointsIntoTheArgument) {
  EXPECT_EQ(
      plan(kGood, {"pixls.crop=64"}).faults,
      "--set:1:1: error: no stage 'pixls'; did you mean 'pixels'? (stages: judge, learn, table, net, pixels, "
      "images)\n    pixls.crop=64\n    ^\n");
  EXPECT_EQ(plan(kGood, {"pixels.crop=big"}).faults,
            "--set:1:13: error: crop: expected integer, got text \"big\"\n    pixels.crop=big\n              "
            "  ^\n");
}

TEST_F(PlannerTest, AFormerNameOfAPluginStillWorksWithALineOfAdvice) {
  std::vector<PluginSchema> schemas = FakePlugins::usual();
  for (PluginSchema& schema : schemas)
    if (schema.name == "net") schema.formerly("torch_net");
  plugins_.emplace(schemas);
  std::string old = kGood;
  old.replace(old.find("plugin: net"), 11, "plugin: torch_net");
  const Result now = plan(kGood), before = plan(old);
  EXPECT_EQ(now.faults, "");
  EXPECT_EQ(before.faults,
            "a.yaml:7:17: warning: 'torch_net' is called 'net' now: write plugin: net; results and stored "
            "tables stay "
            "the same\n      net: {plugin: torch_net, from: pixels, with: {model: model.pt, normalize: "
            "{mean: 0.1}}}\n"
            "                    ^\n");
  EXPECT_EQ(to_yaml(before.plan), to_yaml(now.plan));
}

TEST_F(PlannerTest, ReportsEveryFaultAtOnce) {
  const Result r = plan(R"(name: Bad Name
run: {memory: lots}
stages:
  images: {plugin: files, with: {root: nowhere}}
  pixels: {plugin: decod, from: images}
  net: {plugin: net, from: images, with: {model: model.pt, bach: 4}}
  table: {plugin: table, from: nett}
  learn: {plugin: learn, from: table, with: {rate: 7}}
)");
  EXPECT_THAT(r.faults,
              HasSubstr("a.yaml:1:7: error: 'Bad Name' is not a valid run name: use a-z, 0-9, _ and -"));
  EXPECT_THAT(r.faults,
              HasSubstr("a.yaml:2:15: error: memory: expected a size such as 512MiB or 2GiB, got 'lots'"));
  EXPECT_THAT(r.faults, HasSubstr("a.yaml:4:40: error: root: no such folder: nowhere"));
  EXPECT_THAT(r.faults,
              HasSubstr("a.yaml:5:20: error: unknown plugin 'decod'; did you mean 'decode'? (allowed: "));
  EXPECT_THAT(r.faults,
              HasSubstr("a.yaml:6:60: error: unknown parameter 'bach'; did you mean 'batch'? (allowed: "
                        "architecture, batch, model, normalize)"));
  EXPECT_THAT(
      r.faults,
      HasSubstr("a.yaml:6:28: error: 'net' (net) takes image on port 'in', but 'images' (files) gives "
                "bytes on port 'out'; put one of these between: decode"));
  EXPECT_THAT(r.faults,
              HasSubstr("a.yaml:7:32: error: no stage 'nett'; did you mean 'net'? (stages: images, pixels, "
                        "net, learn)"));
  EXPECT_THAT(r.faults, HasSubstr("a.yaml:8:52: error: rate: 7 is out of range: expected from 0 to 1"));
}

TEST_F(PlannerTest, AListOfNamesMakesAnOutputOfEach) {
  const std::string head = R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
)";
  const Result r = plan(head + R"(  net: {plugin: taps, from: pixels, with: {taps: [layer2.0, layer3]}}
  low: {plugin: table, from: net.layer2.0}
  high: {plugin: table, from: net.layer3}
)");
  EXPECT_EQ(r.faults, "");
  EXPECT_EQ(r.plan.stages[3].inputs[0].port, 0u);
  EXPECT_EQ(r.plan.stages[4].inputs[0].port, 1u);
  EXPECT_THAT(
      plan(head + R"(  net: {plugin: taps, from: pixels, with: {taps: [layer2, layer3]}}
  high: {plugin: table, from: net.layer4}
)")
          .faults,
      HasSubstr("stage 'net' has no output 'layer4'; did you mean 'layer2'? (outputs: layer2, layer3)"));
  EXPECT_THAT(plan(head + R"(  net: {plugin: taps, from: pixels, with: {taps: [a, a]}}
  t: {plugin: table, from: net}
)")
                  .faults,
              HasSubstr("taps: 'a' occurs twice; give every output a different name"));
  const Result plain =
      plan(head + "  net: {plugin: taps, from: pixels}\n  t: {plugin: table, from: net.out}\n");
  EXPECT_EQ(plain.faults, "");
}

constexpr const char* kServed = R"(name: served
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
  net: {plugin: runner, from: pixels}
  table: {plugin: table, from: net}
)";

TEST_F(PlannerTest, AStallEndsARunThatSaysHowLongOneMayTake) {
  const auto limit = [&](const std::vector<std::string>& overrides) {
    const Result r = plan(kGood, overrides);
    EXPECT_EQ(r.faults, "");
    // The resolved config has the value.
    EXPECT_THAT(to_yaml(r.plan), HasSubstr(r.plan.run.stall_limit ? "stall_limit: " : "stall_limit: never"));
    return r.plan.run.stall_limit;
  };
  EXPECT_EQ(limit({}), std::nullopt);
  EXPECT_EQ(limit({"run.stall_seconds=5"}), 10.0);
  EXPECT_EQ(limit({"run.stall_seconds=5", "run.stall_limit=never"}), std::nullopt);
  EXPECT_EQ(limit({"run.stall_limit=0.5"}), 0.5);
  EXPECT_THAT(plan(kGood, {"run.stall_limit=soon"}).faults,
              HasSubstr("stall_limit: expected auto, never, or seconds from 0.1 to 1000000, got 'soon'"));
}

TEST_F(PlannerTest, AParameterMayNameAnInstalledService) {
  const auto services = [&](const std::vector<std::string>& overrides) {
    const Result r = plan(kServed, overrides);
    EXPECT_EQ(r.faults, "");
    std::string out;
    for (const StagePlan::Service& s : r.plan.stages.at(2).services)
      out += s.plugin + " " + s.version + " " + s.libraries + ";";
    return out;
  };
  EXPECT_EQ(services({}), "engine_exact 1.0.0 ;engine_fast 1.0.0 lib 2;");
  EXPECT_EQ(services({"net.engine=exact"}), "engine_exact 1.0.0 ;");
  EXPECT_THAT(plan(kServed, {"net.engine=fust"}).faults,
              HasSubstr("engine: 'fust' is not allowed here; did you mean 'fast'? (allowed: exact, fast)"));
}

TEST_F(PlannerTest, AServiceIsNoStage) {
  EXPECT_THAT(
      plan("name: a\nstages:\n  x: {plugin: engine_fast}\n").faults,
      HasSubstr("a.yaml:3:15: error: 'engine_fast' is not a stage: it serves stages that name it in a "
                "parameter"));
}

constexpr const char* kFollowing = R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
  more: {plugin: views, from: pixels}
  net: {plugin: net, from: more, with: {model: model.pt}}
  table: {plugin: table, from: net}
)";

TEST_F(PlannerTest, AParameterThatWasLeftOutFollowsTheStagesBehind) {
  const auto pixels = [&](const std::vector<std::string>& overrides) {
    const Result r = plan(kFollowing, overrides);
    EXPECT_EQ(r.faults, "");
    return r.plan.stages.at(1).params.value().to_json();
  };
  const std::string file = (folder_ / "model.pt").string();
  EXPECT_EQ(pixels({}), R"({"network":")" + file + R"("})");
  EXPECT_EQ(pixels({"net.architecture=resnet18"}), R"({"network":"resnet18"})");
  EXPECT_EQ(pixels({"pixels.filter=bicubic"}), R"({"network":")" + file + R"(","filter":"bicubic"})");
  EXPECT_EQ(pixels({"pixels.crop=64"}), R"({"network":null,"crop":64,"filter":"bilinear"})");
  EXPECT_EQ(pixels({"pixels.network=null"}), R"({"network":null,"crop":224,"filter":"bilinear"})");
  EXPECT_EQ(pixels({"pixels.network=vgg16", "pixels.crop=64"}), R"({"network":"vgg16","crop":64})");
}

TEST_F(PlannerTest, WhatWasFollowedIsPartOfTheResolvedConfig) {
  const Result first = plan(kFollowing);
  ASSERT_EQ(first.faults, "");
  const StagePlan& pixels = first.plan.stages.at(1);
  EXPECT_EQ(output_shape(pixels, 0), "u8[?,?,3]");
  EXPECT_EQ(pixels.followed, (std::vector<std::pair<std::string, std::string>>{{"network", "net"}}));
  EXPECT_THAT(to_yaml(first.plan), HasSubstr("network: \"" + (folder_ / "model.pt").string() + "\""));
  const Result second = plan(to_yaml(first.plan));
  ASSERT_EQ(second.faults, "");
  EXPECT_EQ(to_yaml(first.plan), to_yaml(second.plan));
}

TEST_F(PlannerTest, StagesBehindThatDifferAreAFault) {
  const std::string second =
      "  other: {plugin: net, from: pixels, with: {model: model.pt, architecture: vgg16}}\n"
      "  rows: {plugin: table, from: other}\n";
  EXPECT_EQ(plan(kFollowing + second, {"net.architecture=resnet18"}).faults,
            "a.yaml:4:3: error: 'pixels' (decode) cannot take `network` from its downstream stages, which "
            "differ: 'net' has resnet18, 'other' has vgg16; write `network: resnet18`, or crop of your own\n"
            "      pixels: {plugin: decode, from: images}\n      ^\n");
  EXPECT_EQ(plan(kFollowing + second, {"net.architecture=vgg16"}).faults, "");
  EXPECT_EQ(plan(kFollowing + second, {"pixels.network=resnet18"}).faults, "");
  EXPECT_EQ(plan(kFollowing + second, {"pixels.crop=64"}).faults, "");
}

TEST_F(PlannerTest, WhatIsFollowedIsCheckedToo) {
  EXPECT_THAT(plan(kFollowing, {"net.architecture=resnet.18"}).faults,
              ::testing::StartsWith("a.yaml:6:3: error: network: no such file: resnet.18\n"));
  EXPECT_THAT(plan(kFollowing, {"pixels.network=./resnet18"}).faults, HasSubstr("network: no such file: "));
  EXPECT_THAT(
      plan(kFollowing, {"net.architecture=resnet81"}).faults,
      ::testing::StartsWith("a.yaml:6:3: error: network: 'resnet81' is not allowed here; did you mean "
                            "'resnet18'? (allowed: resnet18, resnet34, vgg16)\n"));
  // An error in either stage is reported once, and nothing is concluded from it.
  EXPECT_EQ(plan(kFollowing, {"net.batch=0"}).faults,
            "--set:1:11: error: batch: 0 is out of range: expected from 1 to 512\n"
            "    net.batch=0\n              ^\n");
  EXPECT_EQ(plan(kFollowing, {"net.model=/nowhere.pt"}).faults,
            "--set:1:11: error: model: no such file: /nowhere.pt\n"
            "    net.model=/nowhere.pt\n              ^\n");
}

TEST_F(PlannerTest, ACycleIsNamedAllTheWayRound) {
  const Result r = plan(R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  x: {plugin: views, from: z}
  y: {plugin: views, from: x}
  z: {plugin: views, from: y}
)");
  EXPECT_THAT(r.faults, HasSubstr("a.yaml:4:28: error: stages form a cycle: x -> y -> z -> x"));
}

TEST_F(PlannerTest, AnUnusedStreamStageIsAFault) {
  const Result r = plan("name: a\nstages:\n  images: {plugin: files, with: {root: data}}\n");
  EXPECT_THAT(r.faults,
              HasSubstr("nothing uses the output of stage 'images' (files); connect a stage with `from: "
                        "images`, or remove it"));
}

TEST_F(PlannerTest, TooFewCreditsForTheBatchesIsAFault) {
  const Result r = plan(kGood, {"run.in_flight=8"});
  EXPECT_THAT(r.faults, HasSubstr("in_flight: 8 items are too few for the batches (net: 8): they would wait "
                                  "for each other forever; use at least 9, or auto"));
  EXPECT_EQ(plan(kGood, {"run.in_flight=9"}).faults, "");
}

TEST_F(PlannerTest, TooLittleMemoryForTheBatchesIsAFault) {
  EXPECT_THAT(plan(kGood, {"run.memory=16KiB"}).faults,
              HasSubstr("memory: 16384 B is too little: 9 in flight of up to 3072 B each"));
}

TEST_F(PlannerTest, ThreadsAndMemoryAreThoseThatTheProcessMayUse) {
  const Result r = plan(kGood, {"run.threads=auto"});
  EXPECT_EQ(r.faults, "");
  EXPECT_EQ(r.plan.run.memory, std::min<std::uint64_t>(2ULL << 30, usable_memory() / 4));
  EXPECT_EQ(r.plan.run.threads, usable_processors());
}

TEST_F(PlannerTest, MoreMemoryThanTheProcessMayUseIsAWarning) {
  EXPECT_THAT(plan(kGood, {"run.memory=1048576TiB"}).faults,
              HasSubstr("warning: memory: 1152921504606846976 B are more than the " +
                        std::to_string(usable_memory()) +
                        " B that this process may use: the system may end the run; lower it, or use auto"));
}

TEST_F(PlannerTest, PortsAreChosenByName) {
  const std::string yaml =
      std::string(kGood).replace(std::string(kGood).find("from: net}"), 10, "from: net.early}");
  const Result good = plan(yaml);
  ASSERT_EQ(good.faults, "");
  EXPECT_EQ(good.plan.stages[3].inputs[0].port, 1u);
  const std::string bad =
      std::string(kGood).replace(std::string(kGood).find("from: net}"), 10, "from: net.erly}");
  EXPECT_THAT(plan(bad).faults,
              HasSubstr("stage 'net' has no output 'erly'; did you mean 'early'? (outputs: out, early)"));
}

TEST_F(PlannerTest, ExtendsMergesStagesAndParameters) {
  folder_.write("base.yaml", kGood);
  const Result r =
      plan("extends: base.yaml\nname: child\nstages:\n  pixels: {with: {crop: 16}}\n  judge: null\n");
  ASSERT_EQ(r.faults, "");
  EXPECT_EQ(r.plan.name, "child");
  EXPECT_EQ(r.plan.stages.size(), 5u);
  EXPECT_EQ(r.plan.stages[1].params.get<int>("crop"), 16);
}

// What is missing may be in the config that could not be read.
TEST_F(PlannerTest, ExtendsThatFailsIsTheOnlyFault) {
  const auto first_line = [&](const std::string& yaml) {
    const std::string faults = plan(yaml).faults;
    EXPECT_EQ(faults.find("error:"), faults.rfind("error:")) << faults;
    return faults.substr(0, faults.find('\n'));
  };
  EXPECT_EQ(first_line("extends: a.yaml\n"), "a.yaml:1:10: error: this config extends itself");
  EXPECT_THAT(first_line("extends: nope.yaml\nrun: {threads: 0}\n"), HasSubstr("a.yaml:1:10: error: cannot"));
  for (const char* value : {"[b.yaml]", "{a: b}", ""})
    EXPECT_THAT(first_line(std::string("extends: ") + value + "\nname: x\n"),
                HasSubstr("error: `extends` takes the path of one config"));
}

TEST_F(PlannerTest, SplitsAreRefusedWhereTheyWouldDoNothingOrHarm) {
  const auto fault = [&](std::string yaml, const std::string& before, const std::string& with) {
    yaml.replace(yaml.find(before), before.size(), with);
    return plan(yaml).faults;
  };
  EXPECT_THAT(
      fault(kGood, "root: data}", "root: data}, splits: [train]"),
      HasSubstr("a.yaml:9:55: error: splits: 'images' (files) is a source, which works on all splits"));
  EXPECT_THAT(fault(kGood, "from: learn", "from: learn, splits: [test]"),
              HasSubstr("error: splits: 'judge' (judge) is a report"));
  EXPECT_THAT(fault(kGood, "from: net", "from: net, splits: []"),
              HasSubstr("error: splits: expected one or more of train, val, test, got an empty list"));
  EXPECT_THAT(fault(kGood, "from: table", "from: table, splits: [val, test]"),
              HasSubstr("error: splits: 'learn' (learn) learns from train, which its splits leave out; add"));
  EXPECT_EQ(fault(kGood, "from: table", "from: table, splits: [train]"), "");
  // Items of val would reach the network as bytes.
  EXPECT_THAT(fault(kGood, "from: images", "from: images, splits: [train]"),
              HasSubstr("a.yaml:8:50: error: splits: 'pixels' (decode) lets items of val pass as bytes, but "
                        "'net' (net) takes image; remove splits, or write the same splits at 'net'"));
  EXPECT_EQ(fault(kGood, "from: images", "from: images, splits: [train, val, test]"), "");
  // A table of train alone needs the pixels of train alone.
  std::string one = kGood;
  for (const char* from : {"from: images", "from: pixels", "from: net"})
    one.insert(one.find(from) + std::string(from).size(), ", splits: [train]");
  EXPECT_EQ(plan(one).faults, "");
}

TEST_F(PlannerTest, ASeedThatIsTooLargeIsToldTheLimit) {
  EXPECT_THAT(plan("seed: 18446744073709551615\n" + std::string(kGood)).faults,
              HasSubstr("a.yaml:1:7: error: seed: expected an integer from 0 to 9223372036854775807, got "
                        "1.8446744073709552e+19"));
}

TEST_F(PlannerTest, AnInputThatOccursTwiceIsAFault) {
  std::string yaml = kGood;
  yaml.replace(yaml.find("from: learn"), 11, "from: [learn, learn]");
  EXPECT_EQ(plan(yaml).faults.substr(0, plan(yaml).faults.find('\n')),
            "a.yaml:4:40: error: from: 'learn' occurs twice; name each input once");
}

TEST_F(PlannerTest, EveryFaultOfTheRunBlockIsReported) {
  const std::string faults =
      plan(std::string(kGood).replace(std::string(kGood).find("threads: 2"), 10,
                                      "threads: 0, max_rejects: 200%, memory: much, in_flight: [3], foo: 1"))
          .faults;
  for (const char* key : {"threads: expected", "max_rejects: expected", "memory: expected",
                          "in_flight: expected text", "unknown parameter 'foo'"})
    EXPECT_THAT(faults, HasSubstr(std::string("error: ") + key));
}

TEST_F(PlannerTest, EnvironmentVariables) {
  ::setenv("GRAFT_TEST_CROP", "12", 1);
  ::unsetenv("GRAFT_TEST_NOTHING");
  const std::string yaml =
      std::string(kGood).replace(std::string(kGood).find("crop: 32"), 8, "crop: \"${GRAFT_TEST_CROP}\"");
  const Result r = plan(yaml);
  ASSERT_EQ(r.faults, "");
  EXPECT_EQ(r.plan.stages.at(1).params.get<int>("crop"), 12);
  std::vector<std::string> faults;
  EXPECT_EQ(expand_variables("a${GRAFT_TEST_NOTHING:-b/c}d$${x}", faults), "ab/cd${x}");
  for (const std::string text : {"${HOME}", "$${HOME}", "$$${a}${", "$", "{}", ""}) {
    const std::string escaped = escape_variables(text).as_string();
    EXPECT_EQ(expand_variables(escaped, faults), text);
    EXPECT_EQ(unescape_variables(escaped).as_string(), text);
  }
  EXPECT_TRUE(faults.empty());
  expand_variables("${GRAFT_TEST_NOTHING}", faults);
  expand_variables("${9-}", faults);
  expand_variables("${open", faults);
  EXPECT_THAT(faults, ::testing::ElementsAre("environment variable GRAFT_TEST_NOTHING is not set; set it, or "
                                             "write ${GRAFT_TEST_NOTHING:-default}",
                                             "'9-' is not the name of an environment variable",
                                             "'${' without '}'; write $${ for the characters themselves"));
}

TEST_F(PlannerTest, NoConfigMakesThePlannerThrow) {
  // Anything at all that parses, or does not: faults, never an exception.
  for (const char* yaml :
       {"", "[]", "x", "name: 1", "stages: 3", "stages: {a: }", "stages: {a: {plugin: [x]}}",
        "stages: {a: {plugin: files, from: {x: y}}}", "name: a\nstages: {a: {plugin: net, with: 3}}",
        "run: 7\nstages: {a: {plugin: net, with: {normalize: 3}}}", "extends: [a]",
        "name: a\nstages: {a: {plugin: net, from: a}}", "stages: {run: {plugin: files}}",
        "name: a\nrun: {max_rejects: many, threads: 0, in_flight: x, on_error: stop}\nstages: {a: b}"})
    EXPECT_NE(plan(yaml).faults, "") << yaml;
}

}  // namespace
}  // namespace graft
