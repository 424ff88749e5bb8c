// Parameters that have another name now, or are to be replaced by another one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_schema.h"
#include "config/planner.h"
#include "fake_plugins.h"
#include "plugin/schema_check.h"
#include "store/fingerprint.h"

namespace graft {
namespace {

using test::FakePlugins;
using ::testing::HasSubstr;
using ::testing::Not;

/// The usual plugins, and `shrink`, with these parameters.
FakePlugins plugins_with(const std::vector<ParamSpec>& params) {
  std::vector<PluginSchema> all = FakePlugins::usual();
  all.push_back(FakePlugins::named("shrink", PluginSchema::transform("Makes images smaller.")
                                                 .input(PortType::Image, "Images.")
                                                 .output("out", PortType::Image, "u8[?,?,3]", "Smaller ones.")
                                                 .params_from(params)));
  return FakePlugins(all);
}

ParamSpec edge() {
  return integer("edge", 224).range(1, 4096).unit("px").renamed_from("size").doc("The shorter side.");
}
std::vector<ParamSpec> today() {
  return {edge(), flag("exact", true).deprecated("use kernel instead").doc("Whether to filter well.")};
}

class DeprecationTest : public ::testing::Test {
 protected:
  struct Result {
    Plan plan;
    std::string messages, fingerprint;
  };
  Result plan(const FakePlugins& plugins, const std::string& with,
              const std::vector<std::string>& overrides = {}) {
    folder_.write("model.pt", "weights");
    std::filesystem::create_directories(folder_ / "data");
    const auto path = folder_.write("a.yaml", R"(name: a
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images}
  small: {plugin: shrink, from: pixels, with: )" + with +
                                                  R"(}
  net: {plugin: net, from: small, with: {model: model.pt}}
  table: {plugin: table, from: net}
)");
    Diagnostics diagnostics;
    const ConfigFile config(path, overrides, diagnostics);
    const Registry registry = plugins.registry();
    Result r{make_plan(config, registry, diagnostics), diagnostics.render(), {}};
    for (std::size_t at; (at = r.messages.find(folder_.path().string() + "/")) != std::string::npos;)
      r.messages.erase(at, folder_.path().string().size() + 1);
    if (diagnostics.has_errors()) return r;
    DigestMemo memo(folder_ / "memo");
    r.fingerprint = fingerprint(r.plan, 4, memo).hex();
    return r;
  }
  test::TempFolder folder_;
};

TEST_F(DeprecationTest, TheFormerNameStillWorksWithOneWarning) {
  const FakePlugins plugins = plugins_with(today());
  const Result former = plan(plugins, "{size: 32}"), now = plan(plugins, "{edge: 32}");
  EXPECT_EQ(former.messages,
            "a.yaml:5:48: warning: 'size' is now called 'edge'\n"
            "      small: {plugin: shrink, from: pixels, with: {size: 32}}\n"
            "                                                   ^\n");
  EXPECT_EQ(now.messages, "");
  EXPECT_EQ(former.plan.stages[2].params.value(), now.plan.stages[2].params.value());
  EXPECT_EQ(now.plan.stages[2].params.get<int>("edge"), 32);
  EXPECT_EQ(former.fingerprint, now.fingerprint);
  // A run writes the new name.
  EXPECT_EQ(to_yaml(former.plan), to_yaml(now.plan));
  EXPECT_THAT(plan(plugins, "{}", {"small.size=32"}).messages,
              HasSubstr("warning: 'size' is now called 'edge'"));
}

TEST_F(DeprecationTest, TablesFromBeforeTheRenamingRemainValid) {
  const FakePlugins before = plugins_with({integer("size", 224).doc("The shorter side."), today()[1]});
  const FakePlugins after = plugins_with(today());
  EXPECT_EQ(plan(after, "{edge: 32}").fingerprint, plan(before, "{size: 32}").fingerprint);
  EXPECT_NE(plan(after, "{edge: 33}").fingerprint, plan(before, "{size: 32}").fingerprint);
}

TEST_F(DeprecationTest, OneEditOfADefaultReachesTheSchemaTheValueAndTheTables) {
  const std::vector<ParamSpec> before{integer("edge", 224).doc("The shorter side.")},
      after{integer("edge", 256).doc("The shorter side.")};
  const Result was = plan(plugins_with(before), "{}"), is = plan(plugins_with(after), "{}");
  EXPECT_EQ(was.plan.stages[2].params.get<int>("edge"), 224);
  EXPECT_EQ(is.plan.stages[2].params.get<int>("edge"), 256);
  EXPECT_NE(was.fingerprint, is.fingerprint);
  EXPECT_EQ(is.fingerprint, plan(plugins_with(before), "{edge: 256}").fingerprint);
  EXPECT_EQ(*parameters_schema(after).find("properties")->find("edge")->find("default"), Value(256));
}

TEST_F(DeprecationTest, ErrorsOfAValueAreWhereItIs) {
  const FakePlugins plugins = plugins_with(today());
  EXPECT_THAT(plan(plugins, "{size: 0}").messages,
              HasSubstr("a.yaml:5:54: error: size: 0 is out of range: expected from 1 to 4096 px\n"));
  EXPECT_THAT(
      plan(plugins, "{size: 32, edge: 32}").messages,
      HasSubstr(
          "a.yaml:5:48: error: 'size' is the former name of 'edge', which is given, too: keep that one\n"));
  EXPECT_THAT(plan(plugins, "{siz: 0}").messages,
              HasSubstr("unknown parameter 'siz' (allowed: edge, exact)"));
}

TEST_F(DeprecationTest, ADeprecatedParameterStillWorksWithOneWarning) {
  const FakePlugins plugins = plugins_with(today());
  const Result given = plan(plugins, "{exact: false}");
  EXPECT_EQ(given.messages,
            "a.yaml:5:48: warning: 'exact' is deprecated: use kernel instead\n"
            "      small: {plugin: shrink, from: pixels, with: {exact: false}}\n"
            "                                                   ^\n");
  EXPECT_FALSE(given.plan.stages[2].params.get<bool>("exact"));
  EXPECT_THAT(to_yaml(given.plan), HasSubstr("exact: false"));
  // Left alone it is not warned of, neither here nor where the config of the run is run.
  const Result left = plan(plugins, "{}");
  EXPECT_EQ(left.messages, "");
  EXPECT_THAT(to_yaml(left.plan), Not(HasSubstr("exact")));
}

TEST_F(DeprecationTest, EditorsAreToldOfBoth) {
  std::vector<ParamSpec> params = today();
  params[0].default_value = {};
  params[0].required();
  const Value schema = parameters_schema(params);
  const Value* properties = schema.find("properties");
  EXPECT_EQ(properties->find("size")->find("deprecated")->as_bool(), true);
  EXPECT_EQ(properties->find("size")->find("deprecationMessage")->as_string(), "write edge");
  EXPECT_EQ(properties->find("edge")->find("deprecated"), nullptr);
  EXPECT_EQ(properties->find("exact")->find("deprecationMessage")->as_string(), "use kernel instead");
  EXPECT_EQ(schema.find("allOf")->to_json(), R"([{"anyOf":[{"required":["edge"]},{"required":["size"]}]}])");
  EXPECT_EQ(schema.find("required"), nullptr);
}

TEST_F(DeprecationTest, MistakesOfADeclarationAreFound) {
  const auto mistakes_of = [](ParamSpec spec) {
    const PluginSchema schema =
        FakePlugins::named("shrink", PluginSchema::transform("Makes images smaller.")
                                         .input(PortType::Image, "Images.")
                                         .output("out", PortType::Image, "", "Smaller.")
                                         .param(flag("exact", true).doc("Well."))
                                         .param(std::move(spec)));
    std::string out;
    for (const SchemaMistake& mistake : schema_mistakes(schema)) out += mistake.what + "\n";
    return out;
  };
  EXPECT_EQ(mistakes_of(edge()), "");
  EXPECT_EQ(mistakes_of(edge().renamed_from("exact")),
            "parameter 'edge': renamed_from('exact') does not name a parameter that was called otherwise\n");
  EXPECT_EQ(mistakes_of(edge().renamed_from("edge")),
            "parameter 'edge': renamed_from('edge') does not name a parameter that was called otherwise\n");
  EXPECT_EQ(mistakes_of(integer("edge").required().deprecated("use exact instead").doc("A side.")),
            "parameter 'edge' is required and deprecated\n");
  EXPECT_EQ(mistakes_of(edge().deprecated("use\nexact")),
            "parameter 'edge': deprecated() is not one line of text\n");
}

}  // namespace
}  // namespace graft
