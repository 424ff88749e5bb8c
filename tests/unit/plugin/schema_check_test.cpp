#include "plugin/schema_check.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_plugins.h"

namespace graft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PluginSchema good() {
  return test::FakePlugins::named("good", PluginSchema::transform("Does nothing.")
                                              .input(PortType::Image, "Any image.")
                                              .output("out", PortType::Image, "u8[?,?,3]", "The same."));
}

/// A good schema of a kind.
PluginSchema of(PluginSchema schema) {
  return test::FakePlugins::named("good", std::move(schema));
}

std::vector<std::string> mistakes(const PluginSchema& schema) {
  std::vector<std::string> out;
  for (const SchemaMistake& mistake : schema_mistakes(schema)) {
    EXPECT_NE(mistake.cure, "");
    out.push_back(mistake.what);
  }
  return out;
}
std::vector<std::string> mistakes_with(ParamSpec spec) {
  return mistakes(good().param(std::move(spec)));
}

TEST(SchemaCheck, GoodSchemasHaveNoMistake) {
  EXPECT_THAT(mistakes(good()), IsEmpty());
  for (const PluginSchema& schema : test::FakePlugins::usual())
    EXPECT_THAT(mistakes(schema), IsEmpty()) << schema.name;
  EXPECT_THAT(
      mistakes_with(
          one_of("how", {object("blur", {number("sigma", 1).range(0.1, 10).doc("Width.")}).doc("Blurs."),
                         object("flip", {flag("upright", false).doc("Axis.")}).doc("Flips.")})
              .optional()
              .doc("What to do.")),
      IsEmpty());
  EXPECT_THAT(mistakes_with(
                  one_of("weights", {object("none", {}).doc("All count alike.")}).optional().doc("Weights.")),
              IsEmpty());
  EXPECT_THAT(mistakes_with(map("weights", number("weight").at_least(0)).doc("By class.")), IsEmpty());
  EXPECT_THAT(
      mistakes_with(
          choice("precision", {"f32", "bf16"}, "auto").auto_by_processor("avx512bf16", "bf16").doc("Type.")),
      IsEmpty());
}

TEST(SchemaCheck, Identity) {
  const auto with = [](auto&& change) {
    PluginSchema s = good();
    change(s);
    return mistakes(s);
  };
  EXPECT_THAT(with([](PluginSchema& s) { s.name = ""; }), ElementsAre("'' is not a valid plugin name"));
  EXPECT_THAT(with([](PluginSchema& s) { s.name = "s-bad"; }),
              ElementsAre("'s-bad' is not a valid plugin name"));
  EXPECT_THAT(with([](PluginSchema& s) { s.name = "../up"; }),
              ElementsAre("'../up' is not a valid plugin name"));
  EXPECT_THAT(with([](PluginSchema& s) { s.name = "2d"; }), ElementsAre("'2d' is not a valid plugin name"));
  for (const char* version :
       {"", "1", "1.0", "1.0.0.0", "1.0.x", "v1.0.0", "1.0.0-", "01.0.0", "1..0", "latest"})
    EXPECT_THAT(with([&](PluginSchema& s) { s.version = version; }),
                ElementsAre("'" + std::string(version) + "' is not a version"));
  for (const char* version : {"0.0.1", "1.2.3-rc.1", "1.2.3+build7", "10.20.30"})
    EXPECT_THAT(with([&](PluginSchema& s) { s.version = version; }), IsEmpty());
  EXPECT_THAT(with([](PluginSchema& s) { s.summary = ""; }), ElementsAre("the summary is empty"));
  EXPECT_THAT(with([](PluginSchema& s) { s.summary = "a\x1b[2J"; }),
              ElementsAre("the summary is not one line of text"));
  EXPECT_THAT(with([](PluginSchema& s) { s.known_fault("soon", ""); }),
              ElementsAre("known_fault: 'soon' is not a version",
                          "known_fault before soon: the description of the error is not one line"));
  EXPECT_THAT(with([](PluginSchema& s) { s.may_need("an engine"); }),
              ElementsAre("may_need('an engine') does not name a service"));
}

TEST(SchemaCheck, WorkingMemory) {
  EXPECT_THAT(mistakes(good().working_memory(1 << 20, 0.5)), IsEmpty());
  EXPECT_THAT(mistakes(good().working_memory(0, -1)),
              ElementsAre("working_memory: -1 bytes per byte of a payload"));
  EXPECT_THAT(mistakes(of(PluginSchema::learner("Learns.")
                              .input(PortType::Table, "Rows.")
                              .output("out", PortType::Predictor, "", "A model.")
                              .working_memory(1))),
              ElementsAre("working_memory: a learner has no calls per item"));
}

TEST(SchemaCheck, EveryKindHasItsPorts) {
  EXPECT_THAT(mistakes(of(PluginSchema::transform("x").output("out", PortType::Image, "u8[?,?,3]", "b"))),
              ElementsAre("a transform has one input of bytes, images or tensors"));
  EXPECT_THAT(mistakes(of(PluginSchema::transform("x").input(PortType::Image, "a"))),
              ElementsAre("a transform has one output of bytes, images or tensors"));
  EXPECT_THAT(
      mistakes(
          of(PluginSchema::source("x").input(PortType::Image, "a").output("out", PortType::Table, "", "b"))),
      ElementsAre("a source has no input", "a source has one output of bytes, images or tensors"));
  EXPECT_THAT(mistakes(of(PluginSchema::batch_transform("x"))),
              ElementsAre("a batch transform has one input of bytes, images or tensors",
                          "a batch transform has outputs of bytes, images or tensors"));
  EXPECT_THAT(
      mistakes(of(
          PluginSchema::collector("x").input(PortType::Table, "a").output("out", PortType::Tensor, "", "b"))),
      ElementsAre("a collector has one input of bytes, images or tensors",
                  "a collector has one output, a table"));
  EXPECT_THAT(
      mistakes(
          of(PluginSchema::learner("x").input(PortType::Image, "a").output("out", PortType::Table, "", "b"))),
      ElementsAre("a learner has one input of tables", "a learner has one output, a predictor"));
  EXPECT_THAT(
      mistakes(of(PluginSchema::calibrator("x"))),
      ElementsAre("a calibrator has one input, a predictor", "a calibrator has one output, a predictor"));
  EXPECT_THAT(
      mistakes(
          of(PluginSchema::report("x").input(PortType::Table, "a").output("out", PortType::Table, "", "b"))),
      ElementsAre("a report has one input of predictors", "a report has no output"));
  EXPECT_THAT(mistakes(of(PluginSchema::service("x").input(PortType::Table, "a"))),
              ElementsAre("a service has no input and no output"));
}

TEST(SchemaCheck, Ports) {
  const auto with_output = [](const std::string& name, PortType type, const std::string& shape,
                              const std::string& doc) {
    return mistakes(
        of(PluginSchema::batch_transform("x").input(PortType::Image, "a").output(name, type, shape, doc)));
  };
  PluginSchema twice = of(PluginSchema::batch_transform("x").input(PortType::Image, "a"));
  twice.output("out", PortType::Image, "u8[?,?,3]", "b").output("out", PortType::Tensor, "f32[?]", "c");
  EXPECT_THAT(mistakes(twice), ElementsAre("output 'out' is declared twice"));
  EXPECT_THAT(with_output("", PortType::Tensor, "", "b"),
              ElementsAre("output '': that is not a valid port name"));
  EXPECT_THAT(with_output("{taps}", PortType::Tensor, "", "b"),
              ElementsAre("output '{taps}' stands for the values of a list parameter that does not exist"));
  EXPECT_THAT(with_output("out", PortType::Tensor, "", ""), ElementsAre("output 'out' has no sentence"));
  EXPECT_THAT(
      with_output("out", PortType::Image, "u8[{nope},?,3]", "b"),
      ElementsAre(
          "output 'out': the shape 'u8[{nope},?,3]' names the parameter 'nope', which is not declared"));
  for (const char* shape : {"u8", "u8[", "u8]", "u8[]]", "u8[?,?,3", "u9[?,?,3]", "u8[?,,3]", "u8[-1,2,3]",
                            "u8[{a,?,3]", "[?,?,3]", "u8[?,?,3] "})
    EXPECT_THAT(with_output("out", PortType::Image, shape, "b"),
                ElementsAre("output 'out': '" + std::string(shape) + "' is not a shape"));
  EXPECT_THAT(with_output("out", PortType::Image, "f32[?,?,3]", "b"),
              ElementsAre("output 'out': an image has the shape u8[height,width,3], not 'f32[?,?,3]'"));
  EXPECT_THAT(with_output("out", PortType::Image, "u8[?]", "b"),
              ElementsAre("output 'out': an image has the shape u8[height,width,3], not 'u8[?]'"));
  EXPECT_THAT(with_output("out", PortType::Bytes, "f32[?]", "b"),
              ElementsAre("output 'out': bytes have the shape u8[?], not 'f32[?]'"));
}

TEST(SchemaCheck, NamesOfParameters) {
  EXPECT_THAT(mistakes_with(integer("", 5).doc("d")), ElementsAre("a parameter has no name"));
  EXPECT_THAT(mistakes_with(integer("a b", 5).doc("d")),
              ElementsAre("parameter 'a b': that is not a valid parameter name"));
  EXPECT_THAT(mistakes_with(integer("a.b", 5).doc("d")),
              ElementsAre("parameter 'a.b': that is not a valid parameter name"));
  for (const std::string key : {"plugin", "from", "with"})
    EXPECT_THAT(
        mistakes_with(integer(key, 5).doc("d")),
        ElementsAre("parameter '" + key + "' is named like a key of a stage, which --set would take it for"));
  EXPECT_THAT(mistakes_with(object("o", {integer("from", 5).doc("d")}).doc("d")), IsEmpty());
  EXPECT_THAT(mistakes_with(integer("n", 5)), ElementsAre("parameter 'n' has no sentence"));
  EXPECT_THAT(mistakes_with(object("o", {integer("n", 5)}).doc("d")),
              ElementsAre("parameter 'o.n' has no sentence"));
  EXPECT_THAT(mistakes(good().param(integer("n", 5).doc("d")).param(text("n", "x").doc("e"))),
              ElementsAre("parameter 'n' is declared twice"));
  EXPECT_THAT(mistakes_with(object("o", {integer("n", 5).doc("d"), flag("n", true).doc("d")}).doc("d")),
              ElementsAre("parameter 'o.n' is declared twice"));
  EXPECT_THAT(mistakes_with(integer("n", 5).doc("d").stands_for({"m"})),
              ElementsAre("parameter 'n' stands for 'm', which is not declared beside it"));
  EXPECT_THAT(mistakes_with(text("n").optional().doc("d").default_from_downstream({"x"}, {"m"})),
              ElementsAre("parameter 'n' does not follow if 'm' is given, which is not declared beside it"));
}

TEST(SchemaCheck, DefaultsAreWhatAConfigCouldGive) {
  EXPECT_THAT(mistakes_with(integer("n", 500).range(1, 10).doc("d")),
              ElementsAre("parameter 'n': the default: 500 is out of range: expected from 1 to 10"));
  EXPECT_THAT(mistakes_with(number("x", -1).at_least(0).doc("d")),
              ElementsAre("parameter 'x': the default: -1.0 is out of range: expected at least 0"));
  EXPECT_THAT(mistakes_with(number("x", std::numeric_limits<double>::quiet_NaN()).doc("d")).size(), 1u);
  EXPECT_THAT(mistakes_with(choice("m", {"a", "b"}, "zzz").doc("d")),
              ElementsAre("parameter 'm': the default: 'zzz' is not allowed here (allowed: a, b)"));
  ParamSpec wrong_type = integer("n").doc("d");
  wrong_type.default_value = Value("five");
  EXPECT_THAT(mistakes_with(wrong_type),
              ElementsAre("parameter 'n': the default: expected integer, got text \"five\""));
  for (ParamSpec path : {file("f"), folder("f")}) {
    path.default_value = Value(7);
    EXPECT_THAT(mistakes_with(path.doc("d")),
                ElementsAre("parameter 'f': the default: expected text, got integer 7"));
    path.default_value = Value("nowhere");
    EXPECT_THAT(mistakes_with(path), IsEmpty());
  }
  EXPECT_THAT(mistakes_with(list("l", integer("").range(1, 9)).default_list({1, 12}).doc("d")),
              ElementsAre("parameter 'l': the default: 12 is out of range: expected from 1 to 9"));
  EXPECT_THAT(mistakes_with(list("l", integer("")).items(2, 3).default_list({1}).doc("d")),
              ElementsAre("parameter 'l': the default: expected 2 to 3 values, got 1"));
  EXPECT_THAT(mistakes_with(list("l", integer("")).items(1, 3).doc("d")),
              ElementsAre("parameter 'l': left out it is an empty list, but it needs at least 1 values"));
  EXPECT_THAT(mistakes_with(object("o", {integer("n", 0).range(1, 2).doc("d")}).doc("d")),
              ElementsAre("parameter 'o.n': the default: 0 is out of range: expected from 1 to 2"));
}

TEST(SchemaCheck, WhatIsRequiredHasNoDefaultAndWhatIsNotHasAValue) {
  EXPECT_THAT(mistakes_with(integer("n", 5).required().doc("d")),
              ElementsAre("parameter 'n' is required and has the default 5"));
  EXPECT_THAT(mistakes_with(integer("n").required().optional().doc("d")),
              ElementsAre("parameter 'n' is required and optional"));
  EXPECT_THAT(mistakes_with(integer("n").doc("d")),
              ElementsAre("parameter 'n' may be left out and has no value then"));
  EXPECT_THAT(mistakes(of(PluginSchema::service("x").param(integer("n").required().doc("d")))),
              ElementsAre("parameter 'n' is required, but a config cannot set what a service takes"));
}

TEST(SchemaCheck, TypesOfParameters) {
  EXPECT_THAT(mistakes_with(integer("n").range(10, 1).optional().doc("d")),
              ElementsAre("parameter 'n': no value is in the range from 10 to 1"));
  EXPECT_THAT(mistakes_with(list("l", integer("")).items(3, 2).optional().doc("d")),
              ElementsAre("parameter 'l': no list has 3 to 2 values"));
  EXPECT_THAT(mistakes_with(text("t", "x").range(1, 2).doc("d")),
              ElementsAre("parameter 't' has a range, which has no meaning for a text"));
  EXPECT_THAT(mistakes_with(integer("n", 1).items(1, 2).doc("d")),
              ElementsAre("parameter 'n' has a number of items, which has no meaning for an integer"));
  EXPECT_THAT(mistakes_with(integer("n", 1).or_scalar().doc("d")),
              ElementsAre("parameter 'n' has or_scalar, which has no meaning for an integer"));
  EXPECT_THAT(mistakes_with(choice("m", {"a", "a"}, "a").doc("d")),
              ElementsAre("parameter 'm': the choice 'a' is listed twice"));
  EXPECT_THAT(mistakes_with(object("o", {}).doc("d")), ElementsAre("parameter 'o' has no members"));
  EXPECT_THAT(
      mistakes_with(list("l", integer("n", 3)).doc("d")),
      ElementsAre("parameter 'l': an element has a default or is required, which has no meaning for it"));
  EXPECT_THAT(mistakes_with(one_of("how", {object("a", {flag("f", true).doc("d")}).doc("d"),
                                           object("a", {flag("f", true).doc("d")}).doc("d")})
                                .optional()
                                .doc("d")),
              ElementsAre("parameter 'how', alternative 'a' is declared twice"));
  EXPECT_THAT(mistakes_with(choice("p", {"f32"}, "auto").auto_by_processor("avx512bf16", "bf16").doc("d")),
              ElementsAre("parameter 'p': auto becomes 'bf16', which is not one of its choices"));
  EXPECT_THAT(mistakes_with(choice("p", {"f32", "bf16"}, "f32").auto_by_processor("mmx2", "bf16").doc("d")),
              ElementsAre("parameter 'p': no processor feature is known by the name 'mmx2'"));
  ParamSpec deep = integer("n").optional().doc("d");
  for (int i = 0; i < 100; ++i) deep = object("o", {deep}).doc("d");
  EXPECT_EQ(mistakes_with(deep).size(), 1u);
}

TEST(SchemaCheck, Figures) {
  const auto report = [] {
    return PluginSchema::report("Scores.").input(PortType::Predictor, "Learners.", true);
  };
  EXPECT_THAT(mistakes(of(report().figure(higher_is_better("accuracy").doc("Right ones.")))), IsEmpty());
  EXPECT_THAT(mistakes(of(report()
                              .figure(higher_is_better("n").doc("Rows."))
                              .figure(lower_is_better("loss"))
                              .figure(lower_is_better("loss").doc("Loss.")))),
              ElementsAre("figure 'n' is not a valid name", "figure 'loss' has no sentence of one line",
                          "figure 'loss' is declared twice"));
  EXPECT_THAT(mistakes(good().figure(higher_is_better("accuracy").doc("Right ones."))),
              ElementsAre("a transform gives no scores of learners and does not cover a run"));
}

TEST(SchemaCheck, Views) {
  EXPECT_THAT(mistakes(good().views_from("nothere")),
              ElementsAre("views_from('nothere'): no such parameter is declared"));
  EXPECT_THAT(mistakes(good().param(integer("n", 0).range(0, 9).doc("d")).views_from("n")),
              ElementsAre("views_from('n'): that is not an integer of at least 1"));
  EXPECT_THAT(mistakes(good().param(text("n", "x").doc("d")).views_from("n")),
              ElementsAre("views_from('n'): that is not an integer of at least 1"));
  EXPECT_THAT(mistakes(good()
                           .param(choice("crops", {"one", "five"}, "one").doc("d"))
                           .views_from("crops", {{"six", 6}, {"five", 0}})),
              ElementsAre("views_from('crops'): 'six' is not one of its choices",
                          "views_from('crops'): 'five' makes no view"));
  EXPECT_THAT(mistakes(of(PluginSchema::source("x")
                              .output("out", PortType::Image, "", "b")
                              .param(integer("n", 1).range(1, 2).doc("d"))
                              .views_from("n"))),
              ElementsAre("views_from('n'): a source makes no views"));
}

}  // namespace
}  // namespace graft
