// Wrong plugin files in the program; graft-plugin-schema, which fails a build.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The library of tests/unit/plugin/wrong_plugin.cpp, wrong as its name says.
void add_wrong(const TempFolder& folder, const std::string& name) {
  std::filesystem::copy_file(std::string(GRAFT_WRONG_PLUGINS) + "/wrong_plugin.so", folder / (name + ".so"));
}

constexpr const char* kConfig = R"(name: small
stages:
  images: {plugin: synthetic, with: {train: 20, val: 10, test: 10, size: 16}}
  table: {plugin: pixel_table, from: images}
)";

TEST(PluginFiles, OnlyTheWrongOnesAreRefusedAndEveryCommandWorks) {
  const TempFolder folder, work;
  for (const char* name :
       {"wrong_static_throw", "wrong_static_crash", "wrong_null_name", "wrong_null_schema", "wrong_default"})
    add_wrong(folder, name);
  add_wrong(folder, "well");
  std::filesystem::copy_file(folder / "well.so", folder / "cut.so");
  std::filesystem::resize_file(folder / "cut.so", 5000);
  const std::string config = work.write("c.yaml", kConfig);
  const std::vector<std::string> options = {"--plugin-dir", folder.path(), "--store", work / "store"};
  const auto graft = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), options.begin(), options.end());
    return run_program(arguments);
  };
  for (const auto& command : std::vector<std::vector<std::string>>{{"check", config},
                                                                   {"plan", config},
                                                                   {"run", config, "--out", work / "out"},
                                                                   {"describe", "well"},
                                                                   {"describe", "synthetic"},
                                                                   {"store", "ls"},
                                                                   {"version"}}) {
    const ProgramResult r = graft(command);
    EXPECT_EQ(r.exit_code, 0) << command[0] << ": " << r.err;
    EXPECT_THAT(r.err, Not(HasSubstr("wrong_"))) << command[0];
  }
  const ProgramResult listed = graft({"plugins", "--json"});
  const auto document = nlohmann::json::parse(listed.out);
  EXPECT_EQ(document["rejected"].size(), 6u);
  for (const auto& refused : document["rejected"])
    for (const char* member : {"path", "wanted", "got", "cure"}) EXPECT_NE(refused[member], "") << refused;
  // For a config that names one of them, the error gives the reason.
  const std::string wanting =
      work.write("w.yaml",
                 "name: w\nstages:\n  a: {plugin: synthetic}\n  b: {plugin: wrong_static_crash, from: a}\n  "
                 "t: {plugin: pixel_table, from: b}\n");
  const ProgramResult r = graft({"check", wanting});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(
      r.err,
      HasSubstr("w.yaml:4:15: error: plugin 'wrong_static_crash' cannot be used: plugin file " +
                (folder / "wrong_static_crash.so").string() +
                ": wanted a shared object that loads, got a crash (Segmentation fault) when it is opened"));
}

TEST(PluginFiles, WhatOthersMayChangeIsRefused) {
  namespace fs = std::filesystem;
  const TempFolder folder, open;
  add_wrong(folder, "well");
  add_wrong(open, "well");
  const auto refusals = [](const fs::path& of) {
    const ProgramResult r = run_program({"plugins", "--json", "--plugin-dir", of});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return nlohmann::json::parse(r.out)["rejected"];
  };
  EXPECT_EQ(refusals(folder.path()), nlohmann::json::array());
  fs::permissions(folder / "well.so", fs::perms::others_write, fs::perm_options::add);
  const auto file = refusals(folder.path());
  ASSERT_EQ(file.size(), 1U);
  EXPECT_EQ(file[0]["wanted"], "a file that only its owner can change (plugins are code)");
  EXPECT_EQ(file[0]["cure"], "chmod go-w " + (folder / "well.so").string());
  // A folder that others write to, as /tmp: they could put a plugin there.
  fs::permissions(open.path(), fs::perms::all | fs::perms::sticky_bit);
  const auto whole = refusals(open.path());
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_EQ(whole[0]["path"], open.path().string());
  EXPECT_EQ(whole[0]["wanted"], "a folder that only its owner can change (plugins are code)");
  EXPECT_EQ(whole[0]["got"], "mode 1777");
  fs::permissions(open.path(), fs::perms::owner_all);
}

// A library that was replaced after its schema had been written is not trusted.
TEST(PluginFiles, ARunThatNeedsALibraryThatCrashesEndsWithItsName) {
  const TempFolder folder, work;
  add_wrong(folder, "well");
  const ProgramResult made = wait_for(
      work, start(GRAFT_PLUGIN_SCHEMA, work, {folder / "well.so", folder / "wrong_static_abort.json"}));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  std::string schema = slurp(folder / "wrong_static_abort.json");
  schema.replace(schema.find("\"well\""), 6, "\"wrong_static_abort\"");
  const std::size_t code = schema.find("\"code\": \"") + 9;
  schema.replace(code, 8, "00000000");
  folder.write("wrong_static_abort.json", schema);
  add_wrong(folder, "wrong_static_abort");
  const std::string config =
      work.write("c.yaml",
                 "name: c\nstages:\n  a: {plugin: synthetic}\n  b: {plugin: wrong_static_abort, from: a}\n  "
                 "t: {plugin: pixel_table, from: b}\n");
  const ProgramResult r = run_program(
      {"run", config, "--plugin-dir", folder.path(), "--out", work / "out", "--store", work / "store"});
  EXPECT_EQ(r.exit_code, 2);  // before any work
  EXPECT_THAT(r.err, HasSubstr("got a crash (Aborted) when it is opened"));
}

TEST(PluginFiles, ASchemaFileThatLiesIsNamedByCheckAndByEveryCommand) {
  const TempFolder folder, work;
  add_wrong(folder, "well");
  const std::string library = folder / "well.so", file = folder / "well.json";
  const auto check = [&] { return run_program({"plugins", "--check", library}); };
  EXPECT_EQ(check().out, library + ": well 1.0.0 (transform) is sound\n");
  ASSERT_EQ(wait_for(work, start(GRAFT_PLUGIN_SCHEMA, work, {library, file})).exit_code, 0);
  EXPECT_EQ(check().out, library + ": well 1.0.0 (transform) is sound\n");
  std::string schema = slurp(file);
  schema.replace(schema.find("u8[?,?,3]"), 9, "u8[8,8,3]");
  folder.write("well.json", schema);
  const std::string wanted = "outputs.out.shape \"u8[?,?,3]\", as well.so declares",
                    got = "\"u8[8,8,3]\" in well.json",
                    cure = "build the plugin again: well.json is stale or was changed";
  const ProgramResult lies = check();
  EXPECT_EQ(lies.exit_code, 1);
  EXPECT_EQ(lies.err, "refused: " + library + "\n  wanted  " + wanted + "\n  got     " + got +
                          "\n  cure    " + cure + "\n");
  const std::string config =
      work.write("c.yaml",
                 "name: c\nstages:\n  a: {plugin: synthetic}\n  b: {plugin: well, from: a}\n  t: {plugin: "
                 "pixel_table, from: b}\n");
  const std::string reason = "plugin 'well' cannot be used: plugin file " + library + ": wanted " + wanted +
                             ", got " + got + "; " + cure + "\n";
  const ProgramResult checked = run_program({"check", config, "--plugin-dir", folder.path()});
  EXPECT_EQ(checked.exit_code, 2);
  EXPECT_THAT(checked.err, HasSubstr("c.yaml:4:15: error: " + reason));
  EXPECT_THAT(run_program({"describe", "well", "--plugin-dir", folder.path()}).err, HasSubstr(reason));
  folder.write("well.json", "{}");
  EXPECT_EQ(check().err, "refused: " + library +
                             "\n  wanted  a schema file\n  got     the schema file has no 'graft_schema' in "
                             "well.json\n  cure    build the plugin again\n");
}

TEST(PluginFiles, APluginNamedLikeABuiltInOneIsUsedWithAWarningThatNamesBoth) {
  const TempFolder folder, work;
  add_wrong(folder, "resize");
  const std::string config = work.write("c.yaml",
                                        "name: c\nstages:\n  a: {plugin: synthetic}\n  b: {plugin: resize, "
                                        "from: a}\n  t: {plugin: pixel_table, from: b}\n");
  const ProgramResult r = run_program({"check", config, "--plugin-dir", folder.path()});
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.err, HasSubstr("c.yaml:4:15: warning: plugin 'resize' is " + (folder / "resize.so").string() +
                               ", which hides "));
  EXPECT_THAT(r.err, HasSubstr("/graft-plugins/resize.so: the first in the search order is used"));
  EXPECT_THAT(run_program({"plugins", "--plugin-dir", folder.path()}).out, HasSubstr("\nhidden: "));
  EXPECT_THAT(run_program({"check", config}).err, Not(HasSubstr("warning")));
}

TEST(PluginFiles, VerboseShowsTheFoldersInTheOrderOfTheSearch) {
  const TempFolder given, named;
  const auto folders_of = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "plugins");
    words.insert(words.end(), {"--plugin-dir", given.path()});
    const ProgramResult r = run_program(words, {}, {"GRAFT_PLUGIN_PATH=" + named.path().string()});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return r.out;
  };
  const std::string text = folders_of({"--verbose"});
  EXPECT_THAT(text,
              HasSubstr("searched, in this order (--plugin-dir, GRAFT_PLUGIN_PATH, those of graft):\n  " +
                        given.path().string() + "\n  " + named.path().string() + "\n  "));
  EXPECT_THAT(text, HasSubstr("/graft-plugins\n"));
  EXPECT_THAT(folders_of({}), Not(HasSubstr("searched")));
  const auto document = nlohmann::json::parse(folders_of({"--json"}));
  EXPECT_EQ(document["folders"][0], given.path().string());
  EXPECT_EQ(document["folders"][1], named.path().string());
}

TEST(PluginFiles, GraftPluginSchemaFailsTheBuildAndLeavesNoSchemaFile) {
  const TempFolder folder, work;
  const auto schema = [&](const std::string& name) {
    add_wrong(folder, name);
    folder.write(name + ".json", "of a former build");
    return wait_for(work,
                    start(GRAFT_PLUGIN_SCHEMA, work, {folder / (name + ".so"), folder / (name + ".json")}));
  };
  const ProgramResult mistake = schema("wrong_default");
  EXPECT_EQ(mistake.exit_code, 1);
  EXPECT_EQ(mistake.err,
            "error: plugin wrong_default: parameter 'n': the default: 500 is out of range: expected from 1 "
            "to 10; give "
            "a default that a config could give\n");
  EXPECT_FALSE(std::filesystem::exists(folder / "wrong_default.json"));
  const ProgramResult crash = schema("wrong_static_crash");
  EXPECT_EQ(crash.exit_code, 1);
  EXPECT_THAT(crash.err, HasSubstr("got a crash (Segmentation fault) when it is opened"));
  for (const char* name : {"wrong_example_yaml", "wrong_example_key"}) {
    const ProgramResult example = schema(name);
    EXPECT_EQ(example.exit_code, 1) << name;
    EXPECT_THAT(
        example.err,
        HasSubstr(std::string("error: plugin ") + name +
                  ": its example does not pass graft check; correct the argument of .example()\nexample:"));
  }
  // Data that exist where the plugin is used, not where it is built, are not an error.
  const ProgramResult elsewhere = schema("example_elsewhere");
  EXPECT_EQ(elsewhere.exit_code, 0) << elsewhere.err;
  EXPECT_THAT(slurp(folder / "example_elsewhere.json"), HasSubstr("\"code\": \""));
}

}  // namespace
}  // namespace graft::test
