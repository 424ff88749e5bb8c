#include "store/fingerprint.h"

#include <functional>

#include <gtest/gtest.h>

#include "config/planner.h"
#include "fake_plugins.h"
#include "store/row.h"

namespace graft {
namespace {

class FingerprintTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("model.pt", "weights");
    folder_.write("copy/model.pt", "weights");
    std::filesystem::create_directories(folder_ / "data");
    std::filesystem::create_directories(folder_ / "other");
  }
  std::string print(const std::vector<std::string>& overrides, const std::function<void(Plan&)>& change = {},
                    const std::string& extra = "") {
    const auto path = folder_.write("a.yaml", R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
  more: {plugin: views, from: pixels}
  net: {plugin: net, from: more, with: {model: model.pt}}
  table: {plugin: table, from: net}
)" + extra);
    Diagnostics diagnostics;
    const ConfigFile config(path, overrides, diagnostics);
    const Registry registry = plugins_.registry();
    Plan plan = make_plan(config, registry, diagnostics);
    EXPECT_EQ(diagnostics.render(), "");
    if (change) change(plan);
    DigestMemo memo(folder_ / "memo");
    return fingerprint(plan, 4, memo).hex();
  }
  test::TempFolder folder_;
  test::FakePlugins plugins_{test::FakePlugins::usual()};
};

TEST_F(FingerprintTest, ChangesWithWhateverChangesTheRows) {
  const std::string base = print({});
  EXPECT_NE(print({"pixels.crop=192"}), base);
  EXPECT_NE(print({"pixels.filter=bicubic"}), base);
  EXPECT_NE(print({"net.normalize.mean=[0.1,0.2,0.3]"}), base);
  EXPECT_NE(print({"more.views=2"}), base);
  EXPECT_NE(print({"seed=7"}), base) << "an augmenting stage depends on the seed";
  EXPECT_NE(print({}, [](Plan& p) { p.stages[1].schema.version = "1.0.1"; }), base);
  EXPECT_NE(print({}, [](Plan& p) { p.stages[3].schema.libraries = "libtorch 2.0"; }), base);
  EXPECT_NE(print({}, [](Plan& p) { p.stages[4].inputs[0].port = 1; }), base);
  EXPECT_NE(print({}, [](Plan& p) { p.stages[2].splits = {Split::Train}; }), base);
  folder_.write("model.pt", "weightz");
  EXPECT_NE(print({}), base) << "one byte of the model file";
}

TEST_F(FingerprintTest, APluginThatIsCalledOtherwiseNowKeepsItsTables) {
  const auto called = [](const char* name, const char* former) {
    return [=](Plan& p) {
      p.stages[3].schema.name = name;
      p.stages[3].schema.former_name = former;
    };
  };
  EXPECT_EQ(print({}, called("network", "net")), print({}));
  EXPECT_NE(print({}, called("network", "")), print({}));
}

TEST_F(FingerprintTest, OfASourceOfTensorsTheFilesCount) {
  folder_.write("a.h5", "eight features");
  folder_.write("b.h5", "one feature");
  folder_.write("copy/a.h5", "eight features");
  const auto of = [&](const std::string& table, PortType type) {
    return print({}, [&](Plan& p) {
      StagePlan& source = p.stages[0];
      source.schema.outputs[0].type = type;
      source.schema.params.push_back(list("tables", file("table")));
      Value value = source.params.value();
      value["tables"].push((folder_ / table).string());
      source.params = Params(value);
    });
  };
  EXPECT_NE(of("a.h5", PortType::Tensor), of("b.h5", PortType::Tensor));
  EXPECT_EQ(of("a.h5", PortType::Tensor), of("copy/a.h5", PortType::Tensor));
  EXPECT_EQ(of("a.h5", PortType::Image), of("b.h5", PortType::Image));
}

TEST_F(FingerprintTest, ChangesWithTheServicesThatAStageCalls) {
  const std::string base = print({});
  const auto served = [&](const std::string& version, const std::string& libraries) {
    return print({}, [&](Plan& p) { p.stages[3].services = {{"engine_fast", version, libraries}}; });
  };
  EXPECT_NE(served("1.0.0", "lib 2"), base);
  EXPECT_NE(served("1.0.0", "lib 2"), served("1.0.1", "lib 2"));
  EXPECT_NE(served("1.0.0", "lib 2"), served("1.0.0", "lib 3"));
}

TEST_F(FingerprintTest, ANameStandsForItselfAndAFileForItsContent) {
  const std::string by_name = print({"pixels.network=resnet18"}), by_file = print({});
  EXPECT_NE(by_name, by_file);
  EXPECT_NE(print({"pixels.network=resnet34"}), by_name);
  EXPECT_NE(print({"pixels.network=null"}), by_name);
  EXPECT_EQ(print({"pixels.network=" + (folder_ / "model.pt").string()}), by_file);
  EXPECT_EQ(print({"pixels.network=" + (folder_ / "copy/model.pt").string()}), by_file);
  folder_.write("copy/model.pt", "weightz");
  EXPECT_NE(print({"pixels.network=" + (folder_ / "copy/model.pt").string()}), by_file);
}

TEST_F(FingerprintTest, OfAFolderTheFilesThatDecideCount) {
  const auto with_folder = [&](const std::string& name) {
    return print({}, [&](Plan& p) {
      p.stages[3].schema.params = {file("model").or_folder({"config.json", "*.bin"})};
      Value values = Value::map();
      values["model"] = (folder_ / name).string();
      p.stages[3].params = Params(values);
    });
  };
  for (const std::string at : {"published/", "elsewhere/"}) {
    folder_.write(at + "config.json", "{}");
    folder_.write(at + "model.bin", "weights");
  }
  const std::string base = with_folder("published");
  EXPECT_EQ(with_folder("elsewhere"), base) << "where the folder lies does not count";
  folder_.write("elsewhere/README.md", "downloaded on Monday");
  EXPECT_EQ(with_folder("elsewhere"), base);
  folder_.write("elsewhere/config.json", R"({"layer_norm_eps": 1})");
  EXPECT_NE(with_folder("elsewhere"), base);
  folder_.write("published/model.bin", "weightz");
  EXPECT_NE(with_folder("published"), base);
  EXPECT_NE(with_folder("model.pt"), base);
}

TEST_F(FingerprintTest, AnOutputKeepsItsRowsWhenOthersAreAdded) {
  const auto tap = [&](const std::string& taps, const std::string& port) {
    const auto path = folder_.write("taps.yaml", R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
  net: {plugin: taps, from: pixels, with: {taps: )" + taps +
                                                     R"(}}
  table: {plugin: table, from: net.)" + port + "}\n");
    Diagnostics diagnostics;
    const ConfigFile config(path, {}, diagnostics);
    const Registry registry = plugins_.registry();
    const Plan plan = make_plan(config, registry, diagnostics);
    EXPECT_EQ(diagnostics.render(), "");
    DigestMemo memo(folder_ / "memo");
    return fingerprint(plan, 3, memo).hex();
  };
  EXPECT_EQ(tap("[high]", "high"), tap("[low, high]", "high"));
  EXPECT_NE(tap("[low, high]", "low"), tap("[low, high]", "high"));
  EXPECT_NE(tap("[]", "out"), tap("[high]", "high"));
}

TEST_F(FingerprintTest, StaysWithWhateverDoesNot) {
  const std::string base = print({});
  EXPECT_EQ(print({"run.threads=7", "run.memory=1GiB", "name=b"}), base);
  EXPECT_EQ(print({"net.batch=3"}), base);
  EXPECT_EQ(print({"images.root=" + (folder_ / "other").string()}), base) << "rows are named by content";
  EXPECT_EQ(print({"net.model=" + (folder_ / "copy/model.pt").string()}), base)
      << "the content of a file, not its path";
  EXPECT_EQ(print({}, {},
                  "  second: {plugin: table, from: pixels2}\n  pixels2: {plugin: net, from: pixels, with: "
                  "{model: model.pt}}\n"),
            base)
      << "stages elsewhere in the config";
}

TEST(RowId, DependsOnContentViewAndQualifier) {
  const Digest a = digest("a"), b = digest("b");
  EXPECT_NE(row_id(a, 0, ""), row_id(b, 0, ""));
  EXPECT_NE(row_id(a, 0, ""), row_id(a, 1, ""));
  EXPECT_NE(row_id(a, 0, "x"), row_id(a, 0, "y"));
  EXPECT_EQ(row_id(a, 0, "x"), row_id(a, 0, "x"));
}

}  // namespace
}  // namespace graft
