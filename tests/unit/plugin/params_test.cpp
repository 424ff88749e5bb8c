#include <graft/params.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/cpu_isa.h>
#include <graft/payload.h>
#include <graft/testing/error_of.h>

#include "fake_plugins.h"

namespace graft {
namespace {

std::string faults_of(const std::vector<ParamSpec>& specs, const std::string& json) {
  std::vector<ParamFault> faults;
  resolve(specs, Value::from_json(json), faults);
  std::string out;
  for (const ParamFault& f : faults) {
    for (const std::string& p : f.path) out += p + "/";
    out += " " + f.text + "\n";
  }
  return out;
}

TEST(Params, EveryKindOfFaultSaysWhatWasWantedAndGot) {
  const std::vector<ParamSpec> specs = {integer("k", 20).range(1, 100).unit("rows"),
                                        number("t", 0.5).at_least(0),
                                        flag("on", true),
                                        choice("mode", {"cosine", "euclidean"}, "cosine"),
                                        list("sizes", integer("")).items(1, 2),
                                        map("splits", text("")),
                                        object("norm", {number("mean", 0.0)}),
                                        text("need").required().doc("A name.")};
  EXPECT_EQ(faults_of(specs, R"({"k": 0, "t": -1, "on": 1, "mode": "cosin", "sizes": [1,2,"x"],
                                 "splits": {"a": [1]}, "norm": {"men": 1}, "extra": 1})"),
            "extra/ unknown parameter 'extra' (allowed: k, mode, need, norm, on, sizes, splits, t)\n"
            "k/ 0 is out of range: expected from 1 to 100 rows\n"
            "t/ -1 is out of range: expected at least 0\n"
            "on/ expected true or false, got integer 1\n"
            "mode/ 'cosin' is not allowed here; did you mean 'cosine'? (allowed: cosine, euclidean)\n"
            "sizes/ expected 1 to 2 values, got 3\n"
            "sizes/2/ expected integer, got text \"x\"\n"
            "splits/a/ expected text, got list\n"
            "norm/men/ unknown parameter 'men'; did you mean 'mean'? (allowed: mean)\n"
            " missing parameter 'need' (text): A name.\n");
}

TEST(Params, AutoBecomesAChoiceThatThisProcessorHas) {
  std::vector<ParamFault> faults;
  const std::vector<ParamSpec> specs = {
      choice("precision", {"fp32", "bf16", "auto"}, "fp32").auto_by_processor("avx512bf16", "bf16")};
  const Params p(resolve(specs, Value::from_json(R"({"precision": "auto"})"), faults));
  ASSERT_TRUE(faults.empty());
  EXPECT_EQ(p.get<std::string>("precision"), cpu_isa() >= CpuIsa::Avx512Bf16 ? "bf16" : "fp32");
}

TEST(Params, DefaultsAndConversions) {
  std::vector<ParamFault> faults;
  const Params p(resolve({number("x", 1.0), list("l", number("")).or_scalar(), object("o", {integer("i", 3)}),
                          integer("maybe").optional()},
                         Value::from_json(R"({"x": 2, "l": 0.5})"), faults));
  ASSERT_TRUE(faults.empty());
  EXPECT_EQ(p.get<double>("x"), 2.0);
  EXPECT_TRUE(p.raw("x").is_double());
  EXPECT_EQ(p.get<std::vector<double>>("l"), std::vector<double>{0.5});
  EXPECT_EQ(p.object("o").get<int>("i"), 3);
  EXPECT_FALSE(p.has("maybe"));
  EXPECT_THROW(p.has("undeclared"), Error);
}

TEST(Params, OneOfTakesAWordOrAMapOfOne) {
  const std::vector<ParamSpec> specs = {
      list("operations", one_of("operation", {object("flip", {number("p", 0.5).range(0, 1)}),
                                              object("blur", {number("sigma").required()})}))};
  std::vector<ParamFault> faults;
  const Params p(resolve(
      specs, Value::from_json(R"({"operations": ["flip", {"blur": {"sigma": 2}}, {"flip": {"p": 1}}]})"),
      faults));
  ASSERT_TRUE(faults.empty());
  const auto operations = p.alternatives("operations");
  ASSERT_EQ(operations.size(), 3u);
  EXPECT_EQ(operations[0].first, "flip");
  EXPECT_EQ(operations[0].second.get<double>("p"), 0.5);
  EXPECT_EQ(operations[1].first, "blur");
  EXPECT_EQ(operations[1].second.get<double>("sigma"), 2);
  EXPECT_EQ(operations[2].second.get<double>("p"), 1);

  EXPECT_EQ(faults_of(specs, R"({"operations": ["flop", {"blurr": {}}, "blur", {"flip": {"q": 1}},
                                 {"flip": {}, "blur": {}}, 3]})"),
            "operations/0/ 'flop' is not allowed here; did you mean 'flip'? (allowed: flip, blur)\n"
            "operations/1/blurr/ 'blurr' is not allowed here; did you mean 'blur'? (allowed: flip, blur)\n"
            "operations/2/ missing parameter 'sigma' (number): \n"
            "operations/3/flip/q/ unknown parameter 'q'; did you mean 'p'? (allowed: p)\n"
            "operations/4/ expected one of flip, blur, got map\n"
            "operations/5/ expected one of flip, blur, got integer 3\n");
}

TEST(Params, ABareValueMayStandForTheFirstMember) {
  const std::vector<ParamSpec> specs = {
      object("norm", {choice("preset", {"unit", "tf"}, "unit"), number("mean", 0.5)}).or_scalar()};
  std::vector<ParamFault> faults;
  const Params p(resolve(specs, Value::from_json(R"({"norm": "tf"})"), faults));
  ASSERT_TRUE(faults.empty());
  EXPECT_EQ(p.object("norm").get<std::string>("preset"), "tf");
  EXPECT_EQ(p.object("norm").get<double>("mean"), 0.5);
  EXPECT_EQ(faults_of(specs, R"({"norm": "tg"})"),
            "norm/ 'tg' is not allowed here; did you mean 'tf'? (allowed: unit, tf)\n");
  EXPECT_EQ(specs[0].type_name(), "one of unit, tf, or map with preset, mean");
}

TEST(Params, AFolderMayBeGivenWhereAFileIs) {
  const test::TempFolder folder;
  folder.write("model/config.json", "{}");
  const std::vector<ParamSpec> specs = {file("model").or_folder({"config.json", "*.safetensors"}).optional(),
                                        file("file").optional()};
  const std::string there = (folder / "model").string();
  EXPECT_EQ(faults_of(specs, R"({"model": ")" + there + R"("})"), "");
  EXPECT_EQ(faults_of(specs, R"({"model": ")" + there + R"(/config.json"})"), "");
  EXPECT_EQ(faults_of(specs, R"({"file": ")" + there + R"("})"),
            "file/ expected a file, got a folder: " + there + "\n");
  EXPECT_EQ(faults_of(specs, R"({"model": "gone"})"), "model/ no such file or folder: gone\n");
  EXPECT_EQ(faults_of(specs, R"({"model": ""})"),
            "model/ expected the path of a file or folder, got an empty text\n");
  EXPECT_EQ(faults_of(specs, R"({"model": "/dev/null"})"),
            "model/ expected a regular file, got a special file: /dev/null\n");
  EXPECT_EQ(faults_of(specs, R"({"model": 1})"), "model/ expected file or folder, got integer 1\n");
  EXPECT_TRUE(specs[0].counts_in_folder("model-00001-of-00002.safetensors"));
  EXPECT_FALSE(specs[0].counts_in_folder("README.md"));
  EXPECT_FALSE(specs[1].counts_in_folder("config.json"));
}

TEST(Params, OneMayStandForOthersAndANameForAFile) {
  const std::vector<ParamSpec> specs = {
      integer("crop", 224).optional(),
      file("network").or_name({"resnet18", "vgg16"}).optional().stands_for({"crop"})};
  const auto resolved = [&](const std::string& json) {
    std::vector<ParamFault> faults;
    return resolve(specs, Value::from_json(json), faults).to_json();
  };
  EXPECT_EQ(resolved("{}"), R"({"crop":224,"network":null})");
  EXPECT_EQ(resolved(R"({"network": "resnet18"})"), R"({"network":"resnet18"})");
  EXPECT_EQ(resolved(R"({"network": "resnet18", "crop": null})"), R"({"crop":null,"network":"resnet18"})");
  EXPECT_EQ(faults_of(specs, R"({"network": "resnet.18"})"), "network/ no such file: resnet.18\n");
  EXPECT_EQ(faults_of(specs, R"({"network": 18})"),
            "network/ expected file, or one of resnet18, vgg16, got integer 18\n");
  EXPECT_EQ(faults_of(specs, R"({"network": "resnet81"})"),
            "network/ 'resnet81' is not allowed here; did you mean 'resnet18'? (allowed: resnet18, vgg16)\n");
}

TEST(Params, NearestNameIsATypingErrorAway) {
  const std::vector<std::string> names{"batch", "model", "normalize"};
  EXPECT_EQ(nearest("bacth", names), "batch");
  EXPECT_EQ(nearest("normalise", names), "normalize");
  EXPECT_EQ(nearest("threads", names), std::nullopt);
  // Its time would grow with the product of the lengths.
  EXPECT_EQ(nearest(std::string(1 << 20, 'a'), {std::string(1 << 20, 'b')}), std::nullopt);
}

TEST(SchemaFile, SurvivesTheFile) {
  for (const PluginSchema& schema : test::FakePlugins::usual()) {
    const std::string json = to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema});
    EXPECT_EQ(to_json(schema_file_from_json(json)), json);
    const std::string sealed = to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema, "0123456789abcdef"});
    EXPECT_EQ(to_json(schema_file_from_json(sealed)), sealed);
  }
  EXPECT_THROW(schema_file_from_json("{}"), Error);
  EXPECT_THROW(schema_file_from_json("{\"graft_schema\": 1}"), Error);
  EXPECT_THROW(schema_file_from_json("nonsense"), Error);
}

TEST(Value, JsonKeepsDoublesToTheLastBit) {
  for (const double x : {0.1, 1.0 / 3, 1e-300, 123456789.123456789, -0.0}) {
    const Value back = Value::from_json(Value(Value::List{Value(x)}).to_json());
    EXPECT_EQ(back.as_list()[0].as_double(), x);
  }
  EXPECT_EQ(Value(0.0 / 1.0 - 1.0 / 0.0).to_json(), "null");
}

TEST(Shape, OfMoreElementsThanAnyMemoryHasIsAnError) {
  EXPECT_EQ(elements({}), 1);
  EXPECT_EQ(elements({2, 3}), 6);
  EXPECT_EQ(elements({1LL << 40, 1LL << 40, 0}), 0);
  EXPECT_EQ(elements({1LL << 59}), 1LL << 59);
  const std::string wanted = ": expected extents from 0 on, and at most 1152921504606846975 elements";
  EXPECT_EQ(graft::testing::error_of([] {
              elements({1LL << 40, 1LL << 40});
            }),
            "no tensor has the shape [1099511627776,1099511627776]" + wanted);
  EXPECT_EQ(graft::testing::error_of([] { Tensor::allocate(DType::F32, {-1}); }),
            "no tensor has the shape [-1]" + wanted);
}

TEST(Params, AWordMayStandForANumber) {
  const std::vector<ParamSpec> specs = {integer("shots").range(1, 100).or_name({"all"})};
  std::vector<ParamFault> faults;
  EXPECT_EQ(resolve(specs, Value::from_json(R"({"shots": "all"})"), faults).find("shots")->as_string(),
            "all");
  EXPECT_EQ(resolve(specs, Value::from_json(R"({"shots": 4})"), faults).find("shots")->as_int(), 4);
  EXPECT_TRUE(faults.empty());
  resolve(specs, Value::from_json(R"({"shots": "al"})"), faults);
  resolve(specs, Value::from_json(R"({"shots": 1.5})"), faults);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].text, "'al' is not allowed here; did you mean 'all'? (allowed: all)");
  EXPECT_EQ(faults[1].text, "expected integer, or one of all, got number 1.5");
}

}  // namespace
}  // namespace graft
